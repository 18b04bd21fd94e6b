"""Which CPUs the server's processes stay on.

The core has two threads that hand the interpreter to each other with each commit.  On CPUs that are busy with other
work each hand-over may wait for a CPU; on one CPU that the core has for itself there is nothing to wait for.
"""

import os
from collections.abc import Collection

from ocs.errors import BadConfiguration
from ocs.shell.config import Processors


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


def count() -> int:
    """Give how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
