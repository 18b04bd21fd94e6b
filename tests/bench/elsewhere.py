"""Programs of a benchmark that stand for other machines."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any


def started(arguments: Sequence[str], cpus: Iterable[int] | None = None, **options: Any) -> "subprocess.Popen[str]":
    """Start a program that goes first on the CPUs that it shares, where the system lets it: a machine would be its own.

    What it starts itself goes first too.

    Args:
        cpus: where it runs; everywhere unless some are named.
    """
    process = subprocess.Popen(arguments, text=True, **options)
    if cpus is not None:
        os.sched_setaffinity(process.pid, cpus)
    with suppress(PermissionError):
        os.sched_setscheduler(process.pid, os.SCHED_RR, os.sched_param(1))
    return process
