"""`make bench`: our server, durable with everything on, beside python-diameter answering the same CCRs with no storage.

Both run on this machine in the same minutes, turn by turn, under the same generator; what counts is the ratio.
Prints a table and writes `bench.json`.
"""

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from live.ocs_server import OcsServer, free_ports
from simulator.load import Job, Result
from simulator.messages import Identity
from simulator.profile import PROFILES
from simulator.templates import capabilities, templates

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
SHAPES = ((1, 64), (1, 512), (64, 4))  # connections x outstanding requests on each
BUSY_MAX = 0.95
IMSI_PREFIX = "001010"
SYNCS = 200


@contextmanager
def ours(folder: Path) -> Iterator[int]:
    with OcsServer(folder, {"gy": {"connections_per_address_max": 200}}) as server:
        server.add_operator(prefix="00101", price=1, per_octets=1000, credit=10**15)
        yield server.gy_port
        assert server.stop() == 0, server.tail()


@contextmanager
def python_diameter(folder: Path) -> Iterator[int]:
    (port,) = free_ports(1)
    peer = Path(__file__).with_name("python_diameter_peer.py")
    process = subprocess.Popen(
        [sys.executable, str(peer), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(1.0)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def load(port: int, connections: int, outstanding: int) -> Result:
    """Run the generator in a process of its own."""
    identity, profile = Identity(destination_realm="example.net"), PROFILES["standard"]
    job = Job(
        port=port,
        capabilities=[
            capabilities(Identity(host=f"sgw{number}.visited.example", destination_realm="example.net"), profile)
            if connections > 1
            else capabilities(identity, profile)
            for number in range(connections)
        ],
        templates=templates(identity, profile, imsi_prefix=IMSI_PREFIX),
        connections=connections,
        outstanding=outstanding,
        seconds=SECONDS,
    )
    done = subprocess.run(
        [sys.executable, "-m", "simulator.load"],
        input=job.to_json(),
        capture_output=True,
        text=True,
        timeout=60 + SECONDS,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the load generator failed:\n{done.stderr}")
    return Result(**json.loads(done.stdout))


def sync_ms(folder: Path) -> float:
    """Measure what one fdatasync of 4 KB takes here: the median, in milliseconds."""
    took = []
    descriptor = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT, 0o600)
    for _ in range(SYNCS):
        os.write(descriptor, bytes(4096))
        began = time.perf_counter()
        os.fdatasync(descriptor)
        took.append(1000 * (time.perf_counter() - began))
    os.close(descriptor)
    return statistics.median(took)


def main() -> None:
    measured: dict[str, dict[str, list[Result]]] = {}
    with TemporaryDirectory(prefix="ocs-bench-") as scratch:
        sync = sync_ms(Path(scratch))
        for number, (connections, outstanding) in product(range(ROUNDS), SHAPES):
            shape = f"{connections} x {outstanding}"
            for name, start in (("ours", ours), ("python-diameter", python_diameter)):
                if name != "ours" and connections > 1:
                    continue  # it is given one peer
                folder = Path(scratch) / f"{name}-{shape}-{number}"
                folder.mkdir()
                with start(folder) as port:
                    result = load(port, connections, outstanding)
                measured.setdefault(shape, {}).setdefault(name, []).append(result)
                print(f"round {number + 1}  {name:<16} {shape:<8} {result.rate:>9,.0f}/s", flush=True)
    report(measured, sync)


def report(measured: dict[str, dict[str, list[Result]]], sync: float) -> None:
    faults = [
        f"{name}, {shape}: {result.errors} wrong answers {result.faults}"
        for shape, names in measured.items()
        for name, results in names.items()
        for result in results
        if result.errors or result.faults
    ]
    faults += [
        f"{name}, {shape}: the generator took {result.busy:.0%} of a CPU and was the bottleneck"
        for shape, names in measured.items()
        for name, results in names.items()
        for result in results
        if result.busy > BUSY_MAX
    ]
    print(
        f"\n{'shape':<10}{'server':<18}{'CCR/s':>10}  {'range':<20}{'p50 ms':>8}{'p99':>8}{'p99.9':>8}{'load CPU':>10}"
    )
    for shape, names in measured.items():
        for name, results in names.items():
            rates = sorted(result.rate for result in results)
            middle = sorted(results, key=lambda result: result.rate)[len(results) // 2]
            spread = f"{rates[0]:,.0f} to {rates[-1]:,.0f}"
            print(
                f"{shape:<10}{name:<18}{middle.rate:>10,.0f}  {spread:<20}"
                f"{middle.p50:>8.1f}{middle.p99:>8.1f}{middle.p999:>8.1f}{middle.busy:>10.0%}"
            )
    print()
    for shape, names in measured.items():
        if len(names) == 2:
            ratio = median_rate(names["ours"]) / median_rate(names["python-diameter"])
            print(f"{shape}: ours, durable, is {ratio:.1f} x python-diameter without storage")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, fdatasync {sync:.2f} ms")
    told = {
        shape: {name: [asdict(one) for one in all_] for name, all_ in names.items()}
        for shape, names in measured.items()
    }
    Path("bench.json").write_text(json.dumps({"sync_ms": sync, "measured": told}, indent=1) + "\n")
    if faults:
        raise SystemExit("\n".join(faults))


def median_rate(results: list[Result]) -> float:
    return statistics.median(result.rate for result in results)


if __name__ == "__main__":
    main()
