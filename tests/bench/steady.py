"""`make steady`: ten minutes at half of what the server serves; the last as the second, and every octet charged.

STEADY_SECONDS says how long, STEADY_WARM what goes before: ended sessions are kept for ten minutes, so memory is level
only after as many.  The core has a CPU of its own where there are two, and takes it from all else at once where the
system lets it (`processors`), as a busy server should.  Half of what: of what the same server sustained just before,
the rate of half a minute at full load after a minute of it.  Its first seconds are quicker, out of what snapshots and
books are left to do later; so the books catch up before the half begins.  The generator stands for other machines:
where the system lets it, it goes first on the CPUs that it shares, so that its requests leave when they are due; and it
stays off the core's, for it would take from what is measured.  Writes steady.json.
"""

import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.elsewhere import started
from live.ocs_server import TOKEN, OcsServer
from real_time import may_go_first

CPUS = sorted(os.sched_getaffinity(0))
SECONDS = float(os.environ.get("STEADY_SECONDS", "600"))
WARM = float(os.environ.get("STEADY_WARM", "660"))
SESSIONS = 100_000
FULL_SECONDS = (60, 30)
"""At full load: before the rate counts, and while it does."""

CAUGHT_UP_SECONDS = 600.0
FLAT_PERCENT = 5
OWN_CPU_MAX = 0.5
"""The generator's part of what the server's core uses."""


def main() -> None:
    processors = {"core": CPUS[:1], "follower": CPUS[1:], "real_time": may_go_first()}
    own = {"processors": processors} if len(CPUS) > 1 else {}
    with TemporaryDirectory(prefix="ocs-steady-") as scratch, OcsServer(Path(scratch), own) as server:
        assert server.process is not None
        api = f"http://127.0.0.1:{server.api_port}"
        full = _sustained(server, Path(scratch) / "full.json", api)
        print(f"the server sustains {full:,.0f}/s; half of it from here on", flush=True)
        _wait_for_books(server)
        code = _load(
            server,
            *("--shape", "soak", "--rate", f"{full / 2:.0f}", "--seconds", f"{SECONDS:g}", "--warm", f"{WARM:g}"),
            *("--population", str(SESSIONS), "--flat-max", str(FLAT_PERCENT), "--json", "steady.json"),
            *("--api", api, "--server-pid", str(server.process.pid)),
        )
        told = json.loads(Path("steady.json").read_text())
        samples = [one["cpu"] for one in told["server_samples"]]
        part = told["result"]["busy"] * len(samples) / sum(samples)
        print(f"the generator used {part:.2f} of the CPU that the server's core did")
        assert server.stop() == 0, server.tail()
    if code or part > OWN_CPU_MAX:
        raise SystemExit(code or f"the generator used more than {OWN_CPU_MAX:g} of it")


def _sustained(server: OcsServer, report: Path, api: str) -> float:
    """Load a server fully; how many answers a second it gives after a minute."""
    for seconds in FULL_SECONDS:
        full_load = ("--shape", "full", "--outstanding", "512", "--seconds", str(seconds), "--api", api)
        if _load(server, *full_load, "--json", str(report)):
            raise SystemExit("the full rate could not be measured")
    rate: float = json.loads(report.read_text())["result"]["rate"]
    return rate


def _wait_for_books(server: OcsServer) -> None:
    began = time.monotonic()
    while "\nocs_books_lag_groups 0.0\n" not in server.api.get("/metrics").text:
        if time.monotonic() - began > CAUGHT_UP_SECONDS:
            raise SystemExit("the books did not catch up")
        time.sleep(1)
    print(f"the books caught up {time.monotonic() - began:.0f} s later", flush=True)


def _load(server: OcsServer, *arguments: str) -> int:
    return started(
        [sys.executable, "-m", "simulator", "load", f"127.0.0.1:{server.gy_port}", *arguments],
        CPUS[1:] or CPUS,
        env=os.environ | {"OCS_API_TOKEN": TOKEN},
    ).wait()


if __name__ == "__main__":
    main()
