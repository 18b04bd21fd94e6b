"""`make bench`: our server beside others under the same CCRs, turn by turn in the same run; what counts is the ratio.

    ours             durable, everything on, pure Python
    store off        the same with a journal that keeps nothing
    echo             ready answers over the same transport
    python-diameter  an independent pure Python stack that grants and keeps nothing
    freediameter     an independent stack in C that does the same; left out where its Debian packages are not installed

Then the signed half: double-signed reports beside bare PyNaCl (bench.reports), and a closure audited (bench.audit).

BENCH_ROUNDS and BENCH_SECONDS say how often and how long, BENCH_ONLY names the scenes (by their first words), `reports`
and `audit`.  Prints tables, ratios first, and writes bench.json.  An answer that is wrong, or a generator that was the
bottleneck, fails the run.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import audit, machine, reports, stages
from bench.servers import PLMN, SERVERS, Running
from interop import packages
from simulator.load import Job, Result
from simulator.messages import Identity
from simulator.profile import PROFILES
from simulator.templates import capabilities, templates

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
ONLY = tuple(name.strip() for name in os.environ.get("BENCH_ONLY", "").split(",") if name.strip())
BUSY_MAX = 0.8
AUDITED = 20_000
"""Commits of the closure that is audited here; `make audit` takes more."""

LATE_PART_MAX = 5
"""Of an open loop a fifth may leave a millisecond late: latency counts from the scheduled time all the same."""

REALM = "example.net"
_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One shape of load, and who meets it."""

    name: str
    servers: tuple[str, ...] = ("ours",)
    connections: int = 1
    outstanding: int = 512
    sessions: int = 0
    operators: int = 1
    profiles: tuple[str, ...] = ("standard",)
    groups: int = 1
    is_hostile: bool = False
    half_of: str = ""  # open loop at half the rate that our server reached in this scene
    rate: float = 0.0  # open loop at this rate
    is_killed: bool = False  # afterwards, and started again
    rounds: int = ROUNDS

    @property
    def is_wanted(self) -> bool:
        """Whether it is named; of a scene at half the rate of another, both are where either is."""
        halves = (scene.name for scene in SCENES if scene.half_of == self.name)
        return not ONLY or any(name.startswith(ONLY) for name in (self.name, self.half_of, *halves))


SCENES = (
    Scene(name="1 x 512", servers=("ours", "store off", "echo", "python-diameter", "freediameter")),
    Scene(name="1 x 64", servers=("ours", "store off", "echo", "python-diameter", "freediameter"), outstanding=64),
    Scene(name="64 x 4", servers=("ours", "store off", "echo"), connections=64, outstanding=4),
    Scene(name="three layouts", profiles=("standard", "open5gs", "magma")),
    Scene(name="four services", groups=4),
    Scene(name="ever-new layouts", is_hostile=True),
    Scene(name="10k sessions, 100 operators", sessions=10_240, operators=100),
    Scene(name="1M sessions, 10k operators", sessions=1_000_448, operators=10_000, rounds=1),
    Scene(name="1M sessions at 5,000/s", sessions=1_000_448, operators=100, rate=5000, rounds=1),
    Scene(name="100k sessions, killed", sessions=100_352, is_killed=True, rounds=1),
    Scene(name="half load, 1 x 512", servers=("ours", "echo"), half_of="1 x 512"),
)


@dataclass
class Measured:
    """All runs of one server in one scene."""

    runs: list[Result] = field(default_factory=list)
    more: list[dict[str, float]] = field(default_factory=list)  # what was read from the server itself

    @property
    def middle(self) -> Result:
        return sorted(self.runs, key=lambda run: run.rate)[len(self.runs) // 2]


def main() -> None:
    measured: dict[str, dict[str, Measured]] = {}
    if lacking := packages.missing(packages.FREE_DIAMETER):
        print(f"freediameter is left out: not installed are {' '.join(lacking)}", flush=True)
    with TemporaryDirectory(prefix="ocs-bench-") as scratch:
        sync = machine.sync_ms(Path(scratch))
        # Rounds outside, scenes and servers within: what disturbs the machine for a minute disturbs all of them.
        for number in range(ROUNDS):
            for scene, server in _turns(number, {"freediameter"} if lacking else set()):
                rate = measured[scene.half_of]["ours"].middle.rate / 2 if scene.half_of else scene.rate
                folder = Path(scratch) / f"run-{next(_numbers)}"
                folder.mkdir()
                with SERVERS[server](folder, scene.operators) as running:
                    result, more = _run(scene, running, folder, rate)
                into = measured.setdefault(scene.name, {}).setdefault(server, Measured())
                into.runs.append(result)
                into.more.append(more)
                print(f"round {number + 1}  {scene.name:<28}{server:<17}{result.rate:>9,.0f}/s", flush=True)
    by_stage = stages.measure()
    ratios = list(_ratios(measured))
    signed = reports.measure(ROUNDS) if _is_wanted("reports") else None
    if signed is not None:
        ratios += signed.ratios()
    if _is_wanted("audit"):
        ratios += audit.measure(AUDITED).ratios()
    _report(measured, ratios, by_stage, sync)
    told = {
        "machine": machine.described(),
        "sync_ms": sync,
        "ratios": [dict(zip(("what", "ratio", "wanted"), ratio, strict=True)) for ratio in ratios],
        "microseconds_by_stage": by_stage,
        "reports": asdict(signed) if signed is not None else None,
        "measured": {
            scene: {
                server: {"runs": [asdict(run) for run in each.runs], "server": each.more}
                for server, each in servers.items()
            }
            for scene, servers in measured.items()
        },
    }
    Path("bench.json").write_text(json.dumps(told, indent=1) + "\n")
    faults = list(_faults(measured))
    if faults:
        raise SystemExit("\n".join(faults))


def _is_wanted(name: str) -> bool:
    return not ONLY or name in ONLY


def _turns(number: int, left_out: set[str]) -> Iterator[tuple[Scene, str]]:
    for scene in SCENES:
        if scene.is_wanted and number < scene.rounds:
            for server in scene.servers:
                if server not in left_out:
                    yield scene, server


def _run(scene: Scene, running: Running, folder: Path, rate: float) -> tuple[Result, dict[str, float]]:
    """Run the generator in a process of its own; read from the server what it cost."""
    more: dict[str, float] = {}
    resident = machine.resident_octets(running.pid)
    before, flushed = _commits(running), machine.flushes(folder)
    done = subprocess.run(
        [sys.executable, "-m", "simulator.load"],
        input=job_of(scene, running.port, rate).to_json(),
        capture_output=True,
        text=True,
        timeout=300 + SECONDS,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the load generator failed:\n{done.stderr}")
    result = Result(**json.loads(done.stdout))
    if running.ours is not None:
        groups, events, seconds = (now - then for now, then in zip(_commits(running), before, strict=True))
        if groups:
            more["commit_ms"] = 1000 * seconds / groups
            more["events_per_group"] = events / groups
            more["flushes_per_commit"] = (machine.flushes(folder) - flushed) / groups
        if scene.sessions:
            grown = machine.resident_octets(running.pid) - resident
            more["core_mb_per_100k_sessions"] = grown / scene.sessions * 100_000 / 1_000_000
        if scene.is_killed:
            running.ours.kill()
            began = time.perf_counter()
            running.ours.start(ready=False)
            running.ours.wait_gy()
            more["serves_again_seconds"] = time.perf_counter() - began
            running.ours.wait_ready()
    return result, more


def job_of(scene: Scene, port: int, rate: float) -> Job:
    identity = Identity(destination_realm=REALM)
    names = [identity.host] if scene.connections == 1 else [f"sgw{n}.visited.example" for n in range(scene.connections)]
    return Job(
        port=port,
        capabilities=[
            capabilities(Identity(host=name, destination_realm=REALM), PROFILES[scene.profiles[0]]) for name in names
        ],
        templates=[
            templates(identity, PROFILES[profile], imsi_prefix=PLMN, groups=scene.groups) for profile in scene.profiles
        ],
        connections=scene.connections,
        outstanding=scene.outstanding,
        rate=rate,
        sessions=scene.sessions or (8192 if rate else 0),
        seconds=SECONDS,
        is_hostile=scene.is_hostile,
    )


def _commits(running: Running) -> tuple[float, float, float]:
    """Read groups, events and seconds of committing from the server's own metrics."""
    if running.ours is None:
        return 0.0, 0.0, 0.0
    text = running.ours.api.get("/metrics").text
    found = {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line and line[0] != "#"}
    return found["ocs_commit_groups_total"], found["ocs_events_total"], found["ocs_commit_seconds_total"]


def _ratios(measured: dict[str, dict[str, Measured]]) -> Iterator[tuple[str, float, str]]:
    """Give what is compared, the ratio, and what it should be."""

    def rate(scene: str, server: str = "ours") -> float:
        runs = measured.get(scene, {}).get(server)
        return statistics.median(run.rate for run in runs.runs) if runs else 0.0

    for scene in ("1 x 512", "1 x 64"):
        if rate(scene, "python-diameter"):
            wanted = "at least 25" if scene == "1 x 512" else ""
            yield (
                f"{scene}: ours durable / python-diameter storing nothing",
                rate(scene) / rate(scene, "python-diameter"),
                wanted,
            )
    for scene in ("1 x 512", "1 x 64"):
        if rate(scene, "freediameter"):
            what = f"{scene}: ours durable / freediameter storing nothing"
            yield what, rate(scene) / rate(scene, "freediameter"), ""
    for scene in ("1 x 512", "1 x 64", "64 x 4"):
        if rate(scene, "store off"):
            wanted = "at least 0.5" if scene == "1 x 512" else ""
            yield f"{scene}: ours durable / store off", rate(scene) / rate(scene, "store off"), wanted
        if rate(scene, "echo"):
            yield f"{scene}: ours durable / echo", rate(scene) / rate(scene, "echo"), ""
    few, many = rate("10k sessions, 100 operators"), rate("1M sessions, 10k operators")
    for what, over, under, wanted in (
        ("64 x 4 / 1 x 512", rate("64 x 4"), rate("1 x 512"), "at least 0.4"),
        ("1M sessions, 10k operators / 10k sessions, 100 operators", many, few, "at least 0.7"),
        ("three layouts / one", rate("three layouts"), rate("1 x 512"), ""),
        ("four services / one", rate("four services"), rate("1 x 512"), ""),
        ("ever-new layouts / learnt ones", rate("ever-new layouts"), rate("1 x 512"), ""),
    ):
        if over and under:
            yield what, over / under, wanted
    half = measured.get("half load, 1 x 512")
    if half:
        commit = statistics.median(each["commit_ms"] for each in half["ours"].more)
        ours, echo = (statistics.median(run.p50 for run in half[server].runs) for server in ("ours", "echo"))
        yield "half load: (p50 ours - p50 echo) / one commit", (ours - echo) / commit, "at most 4"

    for scene, what, key, wanted in (
        (
            "1M sessions, 10k operators",
            "core's memory for 100k sessions, MB",
            "core_mb_per_100k_sessions",
            "at most 60",
        ),
        ("100k sessions, killed", "seconds from start to service", "serves_again_seconds", "at most 5"),
    ):
        if scene in measured:
            yield f"{scene}: {what}", statistics.median(each[key] for each in measured[scene]["ours"].more), wanted
    if "1M sessions at 5,000/s" in measured:
        longest = max(run.longest for run in measured["1M sessions at 5,000/s"]["ours"].runs)
        yield "1M sessions at 5,000/s: the slowest answer, ms", longest, "at most 100"


def _report(
    measured: dict[str, dict[str, Measured]],
    ratios: list[tuple[str, float, str]],
    by_stage: dict[str, float],
    sync: float,
) -> None:
    print("\nratios of medians")
    for what, ratio, wanted in ratios:
        print(f"  {ratio:>7.2f}  {what}{f'  ({wanted})' if wanted else ''}")
    head = f"\n{'scene':<29}{'server':<17}{'CCR/s':>9}  {'range':<18}{'p50 ms':>8}{'p99':>8}{'p99.9':>8}{'max':>8}"
    print(f"{head}{'load CPU':>10}")
    for scene, servers in measured.items():
        for server, each in servers.items():
            rates, run = sorted(one.rate for one in each.runs), each.middle
            spread = f"{rates[0]:,.0f} to {rates[-1]:,.0f}"
            print(
                f"{scene:<29}{server:<17}{run.rate:>9,.0f}  {spread:<18}{run.p50:>8.2f}{run.p99:>8.2f}{run.p999:>8.2f}"
                f"{run.longest:>8.1f}{run.busy:>10.0%}"
            )
    print("\nour server by its own count (medians)")
    for scene, servers in measured.items():
        told: dict[str, Any] = {}
        for key in servers["ours"].more[0] if "ours" in servers else ():
            told[key] = statistics.median(each[key] for each in servers["ours"].more if key in each)
        if told:
            print(f"  {scene:<29}" + "  ".join(f"{key} {value:.2f}" for key, value in told.items()))
    print("\nCPU of one CCR by stage, in process: " + ", ".join(f"{k} {v:.1f}" for k, v in by_stage.items()) + " µs")
    print(f"\n{machine.described()}; fdatasync of 4 KB {sync:.2f} ms; {time.strftime('%Y-%m-%d %H:%M')}")


def _faults(measured: dict[str, dict[str, Measured]]) -> Iterator[str]:
    for scene, servers in measured.items():
        for server, each in servers.items():
            for run in each.runs:
                if run.errors or run.faults:
                    yield f"{scene}, {server}: {run.errors} wrong answers {run.faults}"
                if run.busy > BUSY_MAX and server != "echo":  # faster than any generator; its figure is a lower bound
                    yield f"{scene}, {server}: the generator took {run.busy:.0%} of a CPU and was the bottleneck"
                if run.late_sends > run.answers / LATE_PART_MAX:
                    yield f"{scene}, {server}: {run.late_sends} requests left late; the generator could not keep up"


if __name__ == "__main__":
    main()
