"""Programs of a benchmark that stand for other machines."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any


def started(arguments: Sequence[str], **options: Any) -> "subprocess.Popen[str]":
    """Start a program that goes first on the CPUs that it shares, where the system lets it: a machine would be its own.

    What it starts itself goes first too.
    """
    process = subprocess.Popen(arguments, text=True, **options)
    with suppress(PermissionError):
        os.sched_setscheduler(process.pid, os.SCHED_RR, os.sched_param(1))
    return process
