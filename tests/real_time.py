"""What the system lets tests of the real-time class do."""

import ctypes
import os
import platform
import threading

import pytest


def may_go_first() -> bool:
    """Tell whether a thread may enter the class; tried on one that ends."""
    told = []

    def attempt() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        except PermissionError:
            return
        told.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return bool(told)


def write_class(thread: int) -> int:
    """Give the class that a thread asked for at the disk, as ioprio_get(2) tells it: 1 real-time, 2 best-effort."""
    number = {"x86_64": 252, "aarch64": 31, "riscv64": 31, "armv7l": 315, "ppc64le": 274, "s390x": 283}
    return int(ctypes.CDLL(None).syscall(number[platform.machine()], 1, thread, 0)) >> 13


needs_real_time = pytest.mark.skipif(not may_go_first(), reason="this user may not use the system's real-time class")
