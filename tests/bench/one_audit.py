"""Audit one closure, in a process that holds nothing else; prints what it found, how fast, and its memory at the peak.

python -m bench.one_audit CLOSURE THREADS        1 is bound to one core, 0 takes all there are
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

from ocs.shell.closure_audit import audit_file


def main(path: Path, threads: int) -> None:
    if threads == 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    found = audit_file(path, threads=threads)
    took = time.perf_counter() - began
    assert found.recount is not None
    told = {
        "fault": str(found.fault) if found.fault else None,
        "used": found.recount.used,
        "rate": found.recount.commits / took,
        "before_mb": before // 1024,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
