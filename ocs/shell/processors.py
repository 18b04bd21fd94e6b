"""Which CPUs the server's processes stay on, and who goes first there.

The core has two threads that hand the interpreter to each other with each commit.  On CPUs that are busy with other
work each hand-over may wait for a CPU.  There is nothing to wait for on a CPU that the core has for itself; nor on any,
where the system's real-time class lets it take one from others at once.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ocs.errors import BadConfiguration
from ocs.shell.config import Processors

REAL_TIME_PRIORITY: Final = 1
"""The lowest of the class: what drives the machine itself may have a higher one."""

THIS_THREAD: Final = 0

_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
"""ioprio_set(2) by machine, for programs of 64 bits: the C library has no name for it."""

_ONE_THREAD: Final = 1
_BEST_EFFORT: Final = 2 << 13 | 4
"""The class of whoever asks for none, and the middle one of its eight levels."""


def follower_processors(processors: Processors) -> list[int]:
    """Give the CPUs that the follower is to stay on; empty for wherever the system puts it.

    Raises:
        BadConfiguration: the configuration names CPUs that this process may not use.
    """
    if not processors.core and not processors.follower:
        return []
    if not hasattr(os, "sched_setaffinity"):
        raise BadConfiguration("processes cannot be bound to CPUs on this system; leave out processors")
    ours = os.sched_getaffinity(0)
    for name, named in (("core", processors.core), ("follower", processors.follower)):
        missing = sorted(set(named) - ours)
        if missing:
            usable = ", ".join(map(str, sorted(ours)))
            raise BadConfiguration(f"processors.{name} names CPU {missing[0]}, and this process may use {usable}")
    return sorted(processors.follower or ours)  # not what a child of the core would inherit


def stay_on(cpus: Collection[int]) -> None:
    """Bind this process, its later threads and its children; to none is to leave it as it is."""
    if cpus:
        os.sched_setaffinity(0, cpus)


def go_first(thread: int = THIS_THREAD) -> None:
    """Let a thread of this process run before all that is not in the real-time class.

    Threads and children that it starts from now on do not inherit that.

    Args:
        thread: its native id.

    Raises:
        BadConfiguration: the system has no such class, or this process may not use it.
    """
    if not hasattr(os, "sched_setscheduler"):
        raise BadConfiguration("this system has no real-time class; leave out processors.real_time")
    try:
        os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(REAL_TIME_PRIORITY))
    except PermissionError:
        raise BadConfiguration(
            "processors.real_time: this process may not use the real-time class; allow it with LimitRTPRIO=1 in a "
            "systemd unit, `ulimit -r 1`, or CAP_SYS_NICE for a container, or leave it out"
        ) from None
    except OSError as error:
        raise BadConfiguration(
            f"processors.real_time: this system refuses its real-time class ({error.strerror}); leave it out"
        ) from None


def write_as_others(thread: int) -> bool:
    """Let what a thread writes wait its turn at the disk, though the thread itself goes first.

    In the real-time class it would go first there too, unasked, and some I/O schedulers (mq-deadline) then hold all
    other writes back while one of it is under way; its own syncs were slower for it.  docs/adr/0002-two-processes.md.

    Args:
        thread: its native id.

    Returns:
        whether the system did it; to go without costs time, and nothing else.
    """
    number = _IOPRIO_SET.get(platform.machine()) if sys.maxsize > 1 << 32 else None
    return number is not None and ctypes.CDLL(None).syscall(number, _ONE_THREAD, thread, _BEST_EFFORT) == 0


def check_real_time(processors: Processors) -> None:
    """See that the core may go first where it is to; nothing is changed yet.

    Raises:
        BadConfiguration: it may not.
    """
    if processors.real_time:
        with ThreadPoolExecutor(1) as thread_that_ends:
            thread_that_ends.submit(go_first).result()


def count() -> int:
    """Give how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
