"""`make together`: Gy and signed usage side by side for ten minutes, then both ledgers are held against each other.

Signing gateways run sessions, report over Gy and have every octet signed, channel after channel; beside them a gateway
that signs nothing sends 1,000 CCRs a second.  At the end reconciliation must show no unexplained octet, the audit of
the log must hold, and `ocs journal verify` be clean.  TOGETHER_SECONDS=600.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import machine
from live.ocs_server import OcsServer
from live.usage_load import SignedLoad, Watcher, audit
from simulator.load import Job, Result
from simulator.messages import Identity
from simulator.profile import PROFILES
from simulator.templates import capabilities, templates

SECONDS = float(os.environ.get("TOGETHER_SECONDS", "600"))
GATEWAYS = 6
GY_RATE = 1000.0
EPOCH_SECONDS = 60
PLMN = "00101"

SETTINGS = {
    "gy": {"connections_per_address_max": 200},
    "quota": {"default_octets": 500_000, "max_octets": 500_000, "min_octets": 1000},
    "usage": {"epoch_seconds": EPOCH_SECONDS, "channel_credits": 50_000},
}


def gy_load(server: OcsServer, into: list[Result]) -> None:
    identity = Identity(destination_realm="example.net", host="gy.visited.example")
    job = Job(
        port=server.gy_port,
        capabilities=[capabilities(identity, PROFILES["standard"])],
        templates=[templates(identity, PROFILES["standard"], imsi_prefix=PLMN, groups=1)],
        connections=1,
        outstanding=512,
        rate=GY_RATE,
        sessions=8192,
        seconds=SECONDS,
        is_hostile=False,
    )
    done = subprocess.run(
        [sys.executable, "-m", "simulator.load"],
        input=job.to_json(),
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    into.append(Result(**json.loads(done.stdout)))


def main() -> None:
    with TemporaryDirectory(prefix="ocs-together-") as scratch, OcsServer(Path(scratch), SETTINGS) as server:
        server.add_operator(prefix=PLMN, credit=10**16)
        loads = [SignedLoad(server, number) for number in range(GATEWAYS)]
        for load in loads:
            load.signers.register(10_000_000)
        watcher, results = Watcher(server), list[Result]()
        gy = threading.Thread(target=gy_load, args=(server, results))
        for one in (gy, watcher, *loads):
            one.start()
        began = time.monotonic()
        while (left := SECONDS - (time.monotonic() - began)) > 0:
            time.sleep(min(30.0, left))
            told = server.api.get("/api/v1/log/key").json()["size"]
            print(f"seconds {time.monotonic() - began:.0f}  leaves {told:,}", flush=True)
        for stopping in (watcher, *loads):
            stopping.stopping.set()
        for one in (gy, watcher, *loads):
            one.join(120)
        faults = [load.fault for load in loads if load.fault]
        server.wait_caught_up()
        _report(server, loads, watcher, results[0], faults)


def _report(server: OcsServer, loads: list[SignedLoad], watcher: Watcher, gy: Result, faults: list[str]) -> None:
    leaves, settled = audit(server, loads, watcher.heads)
    days: list[dict[str, Any]] = server.api.get("/api/v1/reconciliation/days").json()["items"]
    check = server.ocs("reconcile", "check", "-o", "json")
    unexplained = sum(abs(int(day["unexplained"])) for day in days)
    unsigned = sum(load.unsigned for load in loads)
    signed = sum(load.answered for load in loads)
    print(f"\n{leaves:,} reports committed, {settled} channels settled, {signed:,} CCRs of gateways that sign")
    print(f"Gy beside it: {gy.answers:,} CCRs, p50 {gy.p50:.1f} ms, p99 {gy.p99:.1f}, longest {gy.longest:.0f}")
    for day in days:
        print("  ".join(f"{name} {value}" for name, value in day.items()))
    print(f"unexplained octets {unexplained}; octets that found no channel in time {unsigned}")
    print(f"ocs reconcile check: exit code {check.returncode}")
    print(machine.described())
    verified = server.verify()
    print(f"journal verified: {verified['groups']} groups, {verified['leaves']} leaves")
    if gy.errors:
        faults.append(f"{gy.errors} wrong answers {gy.faults}")
    if unexplained:
        faults.append(f"{unexplained} octets are unexplained")
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main()
