"""Kill -9 of core, follower and verifiers while usage is signed and channels close and settle.

Nothing that was acknowledged is lost, nothing is posted twice, the log only grows, and the sums are equal.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from live.ocs_server import OcsServer
from live.test_live_kills import kill_both, kill_core, kill_follower
from live.usage_load import SignedLoad, Watcher, audit, check_repeats, often

pytestmark = pytest.mark.live

KILLS = int(os.environ.get("KILLS", "6"))
GATEWAYS = 3
EPOCH_SECONDS = 10


def kill_verifiers(server: OcsServer) -> None:
    for verifier in server.verifiers():
        os.kill(verifier, signal.SIGKILL)


@pytest.mark.parametrize("kills", [(kill_core, kill_both), (kill_follower, kill_verifiers)])
def test_what_was_acknowledged_stands(
    tmp_path: Path, kills: tuple[Callable[[OcsServer], None], ...], record_property: Callable[[str, object], None]
) -> None:
    with OcsServer(tmp_path, often(EPOCH_SECONDS, 700)) as server:
        server.add_operator(credit=10**15)
        loads = [SignedLoad(server, number) for number in range(GATEWAYS)]
        for load in loads:
            load.signers.register(1_000_000)
        watcher = Watcher(server)
        watcher.start()
        for load in loads:
            load.start()
        rng = random.Random(kills[0].__name__)
        for turn in range(KILLS):
            time.sleep(rng.uniform(0.2, 2.5))
            kills[turn % len(kills)](server)
        time.sleep(1)
        watcher.stopping.set()
        for load in loads:
            load.stopping.set()
        for one in (watcher, *loads):
            one.join(90)
        assert [load.fault for load in loads] == [""] * GATEWAYS
        server.wait_ready()
        server.wait_caught_up()
        leaves, settled = audit(server, loads, watcher.heads)
        assert leaves > 5 * KILLS, "there was load"
        for load in loads:
            check_repeats(load)
        refusals = sum((load.refusals for load in loads), start=type(loads[0].refusals)())
        record_property("told", f"{KILLS} kills, {leaves} leaves, {settled} channels settled, {dict(refusals)}")
        assert server.stop() == 0, server.tail()
        assert server.verify()
