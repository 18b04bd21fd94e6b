"""Audit one closure, in a process that holds nothing else; prints what it found, how fast, and its memory at the peak.

python -m bench.one_audit CLOSURE THREADS        1 is bound to one core, 0 takes all there are
"""

import json
import os
import sys
import time
from pathlib import Path

from ocs.shell.closure_audit import audit_file


def main(path: Path, threads: int) -> None:
    if threads == 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    before = _peak_mb()
    began, cpu = time.perf_counter(), time.process_time()
    found = audit_file(path, threads=threads)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert found.recount is not None
    told = {
        "fault": str(found.fault) if found.fault else None,
        "used": found.recount.used,
        "rate": found.recount.commits / took,
        "rate_of_cpu": found.recount.commits / cpu,
        "before_mb": before,
        "peak_mb": _peak_mb(),
    }
    print(json.dumps(told))


def _peak_mb() -> float:
    """Give the peak of this process; `getrusage` would tell that of whoever started it, were it larger."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
