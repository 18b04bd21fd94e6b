"""Kill -9 of core, follower and both under load: no answered request is lost, and none is charged twice."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from live.load import Load
from live.ocs_server import OcsServer
from live.wire import CCR, Gateway

pytestmark = pytest.mark.live

KILLS = int(os.environ.get("KILLS", "10"))
GATEWAYS = 3


def kill_core(server: OcsServer) -> None:
    server.kill()
    server.start(ready=False)
    server.wait_gy()


def kill_follower(server: OcsServer) -> None:
    os.kill(server.follower(), signal.SIGKILL)


def kill_both(server: OcsServer) -> None:
    follower = server.follower()
    assert server.process is not None
    server.process.kill()
    os.kill(follower, signal.SIGKILL)
    server.process.wait(20)
    server.start(ready=False)
    server.wait_gy()


@pytest.mark.fault(46)
@pytest.mark.parametrize("kill", [kill_core, kill_follower, kill_both])
def test_nothing_is_lost_and_nothing_charged_twice(
    tmp_path: Path, kill: Callable[[OcsServer], None], record_property: Callable[[str, object], None]
) -> None:
    # Snapshots and archive come often, so that kills hit them too.
    settings = {"journal": {"snapshot_every_records": 1000, "snapshot_every_seconds": 1}}
    with OcsServer(tmp_path, settings) as server:
        server.add_operator(credit=10**15)
        loads = [Load(server, number) for number in range(GATEWAYS)]
        for load in loads:
            load.start()
        rng = random.Random(kill.__name__)
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.1, 0.6))
            kill(server)
        for load in loads:
            load.stopping.set()
        for load in loads:
            load.join(60)
        assert [load.fault for load in loads] == [""] * GATEWAYS
        assert sum(load.answered for load in loads) > 20 * KILLS, "there was load"
        if kill is not kill_follower:
            assert sum(load.resent for load in loads) >= KILLS, "the kills were felt"
        server.wait_ready()
        server.wait_caught_up()
        record_property("told", f"seed {kill.__name__}: {KILLS} kills, {sum(load.answered for load in loads)} answers")
        balance = server.balance()
        assert balance["consumed"] == sum(load.reported for load in loads)
        assert (balance["reserved"], balance["overrun"]) == (0, 0)
        # What was answered before a kill is answered so after it, too.
        with Gateway(server.gy_port).open() as gateway:
            for load in loads:
                for avps, answer in load.kept[-30:]:
                    assert gateway.ask(CCR, avps, flags=0xD0).avps == answer.avps
        assert server.balance() == balance
        assert server.stop() == 0, server.tail()
        found = server.verify()
        assert found
