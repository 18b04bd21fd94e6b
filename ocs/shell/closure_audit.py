"""Audit a closure that lies in a file, its signatures spread over the processors there are.

Threads suffice: they do nothing but open reports, most of which is libsodium with the interpreter's lock free, and
whoever waits for a window does not hold the lock meanwhile.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ocs.auditing import NOTHING_KNOWN, Audit, Receipt, Trust, Verified, VerifyOne, audit, one_by_one
from ocs.errors import InvalidInput


def audit_file(path: Path, trust: Trust = NOTHING_KNOWN, receipt: Receipt | None = None, threads: int = 0) -> Audit:
    """Audit a file.

    Args:
        threads: that verify signatures; 0 for one on each processor that this process may use.

    Raises:
        InvalidInput: the file cannot be read.
    """
    threads = threads or len(os.sched_getaffinity(0))
    try:
        with path.open("rb") as file:
            if threads == 1:
                return audit(file.read, trust, receipt, one_by_one)
            with ThreadPoolExecutor(threads) as pool:
                return audit(file.read, trust, receipt, _Spread(pool, threads))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None


class _Spread:
    """Gives each thread one part of a window: a task for each report would cost as much as reading it."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int) -> None:
        self._pool = pool
        self._threads = threads

    def __call__(self, verify_one: VerifyOne, reports: Sequence[bytes]) -> Sequence[Verified]:
        width = -(-len(reports) // self._threads) or 1
        parts = [reports[at : at + width] for at in range(0, len(reports), width)]
        return [one for part in self._pool.map(lambda part: one_by_one(verify_one, part), parts) for one in part]
