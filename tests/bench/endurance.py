"""`make endurance`: ten minutes at full rate; the last minute must be as the second, and nothing may grow for ever.

ENDURANCE_SECONDS says how long, ENDURANCE_SESSIONS how many sessions stay open all the while.  Afterwards the server is
killed and started again: how long until it serves.  Writes endurance.json.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import machine
from bench.compare import Scene, job_of
from bench.servers import ours
from live.ocs_server import OcsServer
from simulator.load import Result

SECONDS = float(os.environ.get("ENDURANCE_SECONDS", "600"))
SESSIONS = int(os.environ.get("ENDURANCE_SESSIONS", "100352"))
SAMPLE_SECONDS = 10.0
RATE_LOST_MAX = 0.10
STALL_MS_MAX = 100.0
RESTART_SECONDS_MAX = 5.0
PATIENCE_SECONDS = 300.0
"""What is beyond the limit is told as a figure, too."""


def main() -> None:
    with TemporaryDirectory(prefix="ocs-endurance-") as scratch, ours(Path(scratch)) as running:
        server = running.ours
        assert server is not None
        ended = threading.Event()
        samples: list[dict[str, float]] = []
        watcher = threading.Thread(target=_watch, args=(server, running.pid, samples, ended))
        watcher.start()
        result = _load(running.port)
        ended.set()
        watcher.join()
        server.kill()
        began = time.perf_counter()
        server.start(ready=False)
        server.wait_gy(PATIENCE_SECONDS)
        restart = time.perf_counter() - began
        server.wait_ready(PATIENCE_SECONDS)
        ready = time.perf_counter() - began
    _report(result, samples, restart, ready)


def _load(port: int) -> Result:
    scene = Scene(name="endurance", sessions=SESSIONS)
    job = json.loads(job_of(scene, port, 0.0).to_json()) | {"seconds": SECONDS}
    done = subprocess.run(
        [sys.executable, "-m", "simulator.load"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=SECONDS + 300,
        check=True,
    )
    return Result(**json.loads(done.stdout))


def _watch(server: OcsServer, core: int, samples: list[dict[str, float]], ended: threading.Event) -> None:
    began = time.monotonic()
    (follower,) = (int(pid) for pid in Path(f"/proc/{core}/task/{core}/children").read_text().split())
    while not ended.wait(SAMPLE_SECONDS):
        data = sum(file.stat().st_size for file in server.data.rglob("*") if file.is_file())
        sample = {
            "seconds": time.monotonic() - began,
            "core_mb": machine.resident_octets(core) / 1e6,
            "follower_mb": machine.resident_octets(follower) / 1e6,
            "data_mb": data / 1e6,
        }
        samples.append(sample)
        print("  ".join(f"{name} {value:,.0f}" for name, value in sample.items()), flush=True)


def _report(result: Result, samples: list[dict[str, float]], restart: float, ready: float) -> None:
    minutes = [statistics.mean(result.per_second[start : start + 60]) for start in range(0, int(SECONDS) - 59, 60)]
    print("\nanswers/s, minute by minute: " + "  ".join(f"{rate:,.0f}" for rate in minutes))
    print(f"p50 {result.p50:.1f} ms  p99 {result.p99:.1f}  p99.9 {result.p999:.1f}  longest {result.longest:.0f}")
    print(
        f"killed and started again with {SESSIONS:,} sessions open: serves after {restart:.1f} s, ready {ready:.1f} s"
    )
    told = {"minutes": minutes, "samples": samples, "restart_seconds": restart, "ready_seconds": ready}
    Path("endurance.json").write_text(json.dumps(told, indent=1) + "\n")
    faults = list(result.faults)
    if len(minutes) > 2 and minutes[-1] < minutes[1] * (1 - RATE_LOST_MAX):
        faults.append(f"the last minute had {minutes[-1] / minutes[1]:.0%} of the second's rate")
    if result.longest > STALL_MS_MAX:
        faults.append(f"an answer took {result.longest:.0f} ms; none may take more than {STALL_MS_MAX:.0f}")
    if restart > RESTART_SECONDS_MAX:
        faults.append(f"it served only {restart:.1f} s after its start")
    if result.errors:
        faults.append(f"{result.errors} wrong answers")
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main()
