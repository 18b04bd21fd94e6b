"""What the system lets tests of the real-time class do."""

import os
import subprocess
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


def write_class(thread: int) -> str:
    """Give the class that a thread asked for at the disk, and its level there, as util-linux has them."""
    return subprocess.run(["ionice", "-p", str(thread)], capture_output=True, text=True, check=True).stdout.strip()


needs_real_time = pytest.mark.skipif(not may_go_first(), reason="this user may not use the system's real-time class")
