"""Kill -9 at each point of the commit of a report, of a channel's opening, its close and its settling: rows 46 and 65.

A report, or the timer that was due, is met on the way; what was acknowledged stands, nothing is counted twice, and the
channels' sums are those that a stranger finds in the log.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from faults.injecting import POINTS, FaultyServer, killed
from live.usage_load import CLOSED, SignedLoad, Watcher, audit, check_repeats, often

pytestmark = pytest.mark.live

ROUNDS = int(os.environ.get("CHANNEL_KILLS", "0"))
"""Rounds of kills; without it one, at those points alone where a group is on the disk and nobody was told of it yet."""

MET: Final = POINTS if ROUNDS else ("before_sync", "before_answer")
EVENTS: Final = (
    "SessionBegun",
    "UsageCommitted",
    "ChannelStepped-DRAIN",
    "ChannelStepped-CLOSE",
    "ChannelOpened",
    "ChannelStepped-SETTLE",
)
EPOCH_SECONDS = 2


@pytest.mark.fault(46, 65)
@pytest.mark.parametrize("point", MET)
def test_at_each_point_of_what_a_channel_lives_through(
    tmp_path: Path, point: str, record_property: Callable[[str, object], None]
) -> None:
    with FaultyServer(tmp_path, often(EPOCH_SECONDS, 100)) as server:
        server.add_operator(credit=10**15)
        load, watcher = SignedLoad(server, 0), Watcher(server)
        load.signers.register(1_000_000)
        # Between a kill and the next channel's opening there may be none with room: no credit, and then no session.
        load.allowed = {2001, 5002, 5003}
        load.passing = CLOSED | {"exhausted"}  # what was used beyond the last grant may find no credit
        for each in (watcher, load):
            each.start()
        for _ in range(max(1, ROUNDS)):
            for event in EVENTS:
                server.inject("kill", f"{event}.{point}")
                try:
                    assert killed(server)
                except subprocess.TimeoutExpired:
                    raise AssertionError(f"no {event} came; {load.fault or 'the load went on'}") from None
                server.again()
        watcher.stopping.set()
        load.stopping.set()
        for each in (watcher, load):
            each.join(90)
        assert load.fault == ""
        server.wait_ready()
        server.wait_caught_up()
        leaves, settled = audit(server, [load], watcher.heads)
        assert settled, "a channel's end was met"
        check_repeats(load)
        record_property("told", f"{max(1, ROUNDS) * len(EVENTS)} kills, {leaves} leaves, {settled} channels settled")
        assert server.stop() == 0, server.tail()
        server.verify()
