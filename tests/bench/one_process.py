"""Reports verified, decided, chained into the log and durable, in one process on one core: no door, no other process.

The code is the server's own, in its order: open and verify, decide, evolve, append the leaf to the log's files, sync
the journal.  What a server adds is HTTP, the way to its verifiers and its core and back, the books and the receipts.
"""

import gc
import os
import time
from pathlib import Path
from typing import Final

from ocs.channel.event import UsageCommitted
from ocs.command import Report
from ocs.shell import collector
from ocs.shell.follower.usage_door import AT_ONCE
from ocs.shell.store import records
from ocs.shell.store.journal import Journal
from ocs.shell.store.log_files import LogFiles
from ocs.units import GroupIndex
from ocs.usage.opening import Opened, open_report
from signed_reports import NETWORK
from signing_node import SigningNode

SESSIONS: Final = 200
GROUP: Final = AT_ONCE
"""Reports in one commit: as many as a door takes at a time."""


class Deployment:
    """One node with a journal and a log of its own, and reports that are signed already."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir()
        self.node = node = SigningNode(bought=10**12)
        node.channel(10**10)
        names = [f"sgw.visited.example;{number}" for number in range(SESSIONS)]
        for name in names:
            node.attach(name)
        sessions = [node.begin(name) for name in names]
        self.reports = [node.usage(sessions[number % SESSIONS], 10, 20) for number in range(count)]
        self.journal = Journal.open(folder / "journal.sqlite")
        self.journal.append(GroupIndex(1), node.now, records.encode(node.events))
        (folder / "log").mkdir()
        self.log = LogFiles.open(folder / "log")
        self.log.append(node.leaves)

    def commit(self) -> int:
        """Take all reports, a group at a time; how many are counted."""
        node, journal = self.node, self.journal
        keys = node.state.signed.register.keys
        counted = 0
        for place in range(0, len(self.reports), GROUP):
            # In stages, as in the server: one report all the way after the other takes a tenth longer.
            some = [open_report(octets, keys, NETWORK, node.now) for octets in self.reports[place : place + GROUP]]
            decided = [node.step(Report(opened)).event for opened in some if isinstance(opened, Opened)]
            events = [event for event in decided if isinstance(event, UsageCommitted)]
            counted += len(events)
            self.log.append(node.leaves[-len(events) :])
            journal.append(GroupIndex(journal.last + 1), node.now, records.encode(events))
        return counted

    def close(self) -> None:
        self.journal.close()
        self.log.close()


def rate(folder: Path, count: int) -> float:
    """Give how many reports a second become durable on one core."""
    deployment = Deployment(folder, count)
    cores, thresholds = os.sched_getaffinity(0), gc.get_threshold()
    collector.rest()  # as the server has it
    os.sched_setaffinity(0, {min(cores)})
    try:
        began = time.perf_counter()
        counted = deployment.commit()
        took = time.perf_counter() - began
    finally:
        os.sched_setaffinity(0, cores)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        deployment.close()
    assert counted == count
    return count / took
