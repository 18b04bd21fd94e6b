"""What another process of this machine uses, read from Linux's /proc while a load runs against it."""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

INTERVAL_SECONDS: Final = 1.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a process used in about a second.

    Attributes:
        at: seconds from the first sample.
        cpu: CPUs it kept busy.
        resident: octets of memory in use at the end.
    """

    at: float
    cpu: float
    resident: int


class Watch:
    """Takes samples in a thread of its own until it is left.

    Raises:
        ProcessLookupError: there is no such process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._read()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        began = before = time.monotonic()
        used, _ = self._read()
        while not self._stopping.wait(INTERVAL_SECONDS):
            now = time.monotonic()
            try:
                now_used, resident = self._read()
            except ProcessLookupError:
                return
            cpu = (now_used - used) / (now - before)
            self.samples.append(Sample(at=now - began, cpu=cpu, resident=resident))
            before, used = now, now_used

    def _read(self) -> tuple[float, int]:
        """Give CPU seconds so far and resident octets."""
        folder = Path("/proc") / str(self._pid)
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            resident = int((folder / "statm").read_text().split()[1]) * _PAGE
        except FileNotFoundError:
            raise ProcessLookupError(f"there is no process {self._pid} here") from None
        return (int(fields[11]) + int(fields[12])) / _TICKS, resident
