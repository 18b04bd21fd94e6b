"""What this machine does by itself, and what a process of it uses."""

import os
import platform
import statistics
import time
from pathlib import Path

SYNCS = 200
_FLUSHES = 15
"""Its place in a block device's stat: Linux, Documentation/block/stat.rst."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


def sync_ms(folder: Path) -> float:
    """Measure what one fdatasync of 4 KB takes: the median, in milliseconds."""
    took = []
    descriptor = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT, 0o600)
    for _ in range(SYNCS):
        os.write(descriptor, bytes(4096))
        began = time.perf_counter()
        os.fdatasync(descriptor)
        took.append(1000 * (time.perf_counter() - began))
    os.close(descriptor)
    return statistics.median(took)


def flushes(folder: Path) -> int:
    """Count the flushes of the disk under `folder` since the machine started; 0 where it does not tell."""
    device = folder.stat().st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    told = place.read_text().split() if place.exists() else []
    return int(told[_FLUSHES]) if len(told) > _FLUSHES else 0


def resident_octets(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def described() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} CPUs, Python {platform.python_version()}, Linux {platform.release()}"
