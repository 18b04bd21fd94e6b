"""Kill -9 at each point of a commit, for each request that moves money, and under load: row 46."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from faults.injecting import (
    EXIT_BUG,
    EXIT_STORE,
    POINTS,
    FaultyServer,
    asked,
    killed,
    money_is_whole,
    stops_clean,
    topped_up,
)
from live.load import Load, TopUps
from live.wire import EVENT, INITIAL, TERMINATION, UPDATE, Gateway, avp, ccr, mscc

pytestmark = pytest.mark.live

KILLS = int(os.environ.get("KILLS", "10"))
CREDIT = 10**12
TOP_UP = 1000


@pytest.mark.fault(46)
@pytest.mark.parametrize("point", POINTS)
def test_at_each_point_of_each_request(tmp_path: Path, point: str) -> None:
    with FaultyServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        requests = [
            (INITIAL, 0, [mscc(1)], 0),
            (UPDATE, 1, [mscc(1, used=700)], 700),
            (TERMINATION, 2, [mscc(1, used=30, asked=False)], 30),
        ]
        consumed = 0
        for kind, number, parts, used in requests:
            with Gateway(server.gy_port).open() as gateway:
                avps = ccr(gateway, "k;1", kind, number, *parts)
                consumed += used
                die_and_repeat(server, gateway, point, avps)
            money_is_whole(server, credited=CREDIT, consumed=consumed, reserved=0 if kind == TERMINATION else None)
        with Gateway(server.gy_port).open() as gateway:
            avps = ccr(gateway, "k;2", EVENT, 0, mscc(1, asked=5), more=[avp(436, 0)])
            die_and_repeat(server, gateway, point, avps)
        money_is_whole(server, credited=CREDIT, consumed=consumed + 5)

        server.inject("kill", point)
        first = topped_up(server, TOP_UP, "k")
        assert first is None or point == "after_answer"
        assert killed(server)
        server.again()
        again = topped_up(server, TOP_UP, "k")
        assert again is not None
        assert first in (None, again)
        assert topped_up(server, TOP_UP, "k") == again
        money_is_whole(server, credited=CREDIT + TOP_UP, consumed=consumed + 5)
        stops_clean(server)


def die_and_repeat(server: FaultyServer, gateway: Gateway, point: str, avps: list[bytes]) -> None:
    """Send a request that kills the server at `point`, and again to the next one, twice."""
    server.inject("kill", point)
    first = asked(gateway, avps)
    assert (first is not None) == (point == "after_answer"), "an answer leaves after its sync, and not before"
    assert killed(server)
    server.again()
    with Gateway(server.gy_port).open() as back:
        repeats = [asked(back, avps, again=True) for _ in range(2)]
    assert repeats[0] is not None
    assert repeats[1] is not None
    assert repeats[0].result_code == 2001
    assert repeats[1].avps == repeats[0].avps
    assert first is None or first.avps == repeats[0].avps


def test_a_bug_in_answering_ends_it(tmp_path: Path) -> None:
    """Going on would leave every gateway without answers: what fills behind it would never be written."""
    with FaultyServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        with Gateway(server.gy_port).open() as gateway:
            server.inject("bug", "answering")
            avps = ccr(gateway, "b;1", EVENT, 0, mscc(1, asked=5), more=[avp(436, 0)])
            assert asked(gateway, avps) is None
        assert server.ended() == EXIT_BUG
        assert "injected" in server.tail()
        server.again()
        with Gateway(server.gy_port).open() as gateway:
            repeats = [asked(gateway, avps, again=True) for _ in range(2)]
            assert [each.result_code for each in repeats if each is not None] == [2001, 2001]
        money_is_whole(server, credited=CREDIT, consumed=5)
        stops_clean(server)


ACTS = [
    *(("kill", point) for point in (*POINTS, "before_fold_sync")),
    *(("cut", point) for point in ("before_sync", "before_fold_sync")),
    *(("error", point) for point in ("before_sync", "before_fold_sync")),
    ("full", "write"),
]


@pytest.mark.fault(46, 48, 49, 50)
def test_under_load(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Kills at every point, power cuts, syncs that fail and a full disk, by turns, while everybody goes on."""
    seed = int(os.environ.get("SEED", "46"))
    rng = Random(seed)
    met: Counter[str] = Counter()
    torn = 0
    (tmp_path / "power").touch()
    settings = {"journal": {"snapshot_every_records": 1000, "snapshot_every_seconds": 1}}
    with FaultyServer(tmp_path, settings) as server:
        server.add_operator(credit=CREDIT)
        loads = [Load(server, number, events=True) for number in range(3)]
        administrator = TopUps(server)
        everybody = [*loads, administrator]
        for each in everybody:
            each.start()
        for turn in range(KILLS):
            if turn % len(ACTS) == 0:
                acts = rng.sample(ACTS, len(ACTS))
            act, point = acts[turn % len(ACTS)]
            server.inject(act, point, rng.randrange(10, 150))
            code = server.ended()
            assert code == (-signal.SIGKILL if act in ("kill", "cut") else EXIT_STORE), server.tail()
            if act in ("cut", "error"):
                torn += server.lose_power(rng)
            met[f"{act} {point}"] += 1
            server.again()
        for each in everybody:
            each.stopping.set()
        for each in everybody:
            each.join(60)
        record_property("told", f"seed {seed}: {dict(met)}, {torn} unsynced writes kept, dropped or torn")
        assert [each.fault for each in everybody] == [""] * len(everybody)
        assert sum(load.resent for load in loads) >= KILLS, "the faults were felt"
        server.wait_ready()
        reported = sum(load.reported for load in loads)
        money_is_whole(server, credited=CREDIT + administrator.amount, consumed=reported)
        with Gateway(server.gy_port).open() as gateway:
            for load in loads:
                for avps, answer in load.kept[-20:]:
                    repeated = asked(gateway, avps, again=True)
                    assert repeated is not None
                    assert repeated.avps == answer.avps
        money_is_whole(server, credited=CREDIT + administrator.amount, consumed=reported)
        stops_clean(server)
