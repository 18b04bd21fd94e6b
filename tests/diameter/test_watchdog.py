"""RFC 3539 section 3.4.1 on a timeline: each row once, each absent row refused."""

import random
from itertools import pairwise, product

import pytest

from ocs.diameter import watchdog
from ocs.diameter.watchdog import JITTER_MS, Action, Event, State, Watchdog
from ocs.errors import OutOfTurn
from ocs.units import UnixMillis

TW = 6_000
START = UnixMillis(1_000_000)


class NoJitter:
    def randint(self, a: int, b: int, /) -> int:
        assert (a, b) == (-JITTER_MS, JITTER_MS)
        return 0


def at(ms: int) -> UnixMillis:
    return UnixMillis(START + ms)


def started() -> Watchdog:
    return Watchdog(TW, NoJitter(), START)


def suspect() -> Watchdog:
    dog = started()
    assert dog.expired(at(TW)) is Action.SEND
    assert dog.expired(at(2 * TW)) is Action.FAILOVER
    assert dog.state is State.SUSPECT
    return dog


def test_a_talking_peer_is_never_asked() -> None:
    dog = started()
    for ms in range(1_000, 60_000, 1_000):
        assert dog.message(at(ms)) is Action.NONE
        assert (dog.state, dog.pending_since, dog.deadline) == (State.OKAY, None, at(ms + TW))


def test_a_silent_peer_is_asked_once_then_suspected_then_closed() -> None:
    dog = started()
    timeline = []
    while dog.deadline is not None:
        now = dog.deadline
        timeline.append((now - START, dog.expired(now), dog.state))
    assert timeline == [
        (TW, Action.SEND, State.OKAY),
        (2 * TW, Action.FAILOVER, State.SUSPECT),
        (3 * TW, Action.CLOSE, State.DOWN),
    ]


def test_a_dwa_clears_the_pending_dwr() -> None:
    dog = started()
    dog.expired(at(TW))
    assert dog.pending_since == at(TW)
    assert dog.answered(at(TW + 50)) is Action.NONE
    assert dog.pending_since is None
    assert dog.deadline == at(2 * TW + 50)
    assert dog.expired(at(2 * TW + 50)) is Action.SEND


def test_a_message_in_place_of_the_dwa_leaves_the_dwr_pending() -> None:
    dog = started()
    dog.expired(at(TW))
    assert dog.message(at(TW + 50)) is Action.NONE
    assert dog.pending_since == at(TW)
    # The timer ran from the message, and there is never a second DWR beside the first.
    assert dog.expired(at(2 * TW + 50)) is Action.FAILOVER


def test_a_message_lifts_suspicion_and_the_dwr_stays_pending() -> None:
    dog = suspect()
    assert dog.message(at(2 * TW + 1)) is Action.FAILBACK
    assert (dog.state, dog.pending_since) == (State.OKAY, at(TW))
    assert dog.expired(at(3 * TW + 1)) is Action.FAILOVER


def test_a_late_dwa_lifts_suspicion() -> None:
    dog = suspect()
    assert dog.answered(at(2 * TW + 1)) is Action.FAILBACK
    assert (dog.state, dog.pending_since, dog.deadline) == (State.OKAY, None, at(3 * TW + 1))


def test_the_end_of_the_transport() -> None:
    dog = started()
    assert dog.transport_down(at(1)) is Action.FAILOVER
    assert (dog.state, dog.deadline) == (State.DOWN, None)
    dog = suspect()
    assert dog.transport_down(at(2 * TW + 1)) is Action.NONE
    assert (dog.state, dog.deadline) == (State.DOWN, None)


@pytest.mark.parametrize(("state", "event"), set(product(State, Event)) - watchdog._TABLE.keys())
def test_an_absent_row_is_refused_and_changes_nothing(state: State, event: Event) -> None:
    dog = started()
    dog.state = state
    before = (dog.state, dog.pending_since, dog.deadline)
    with pytest.raises(OutOfTurn, match=event.name):
        dog._step(event, at(5))
    assert (dog.state, dog.pending_since, dog.deadline) == before


def test_jitter_stays_within_two_seconds_and_differs() -> None:
    dog = Watchdog(30_000, random.Random(7), START)
    deadlines = []
    for ms in range(0, 200_000, 1_000):
        dog.message(at(ms))
        assert dog.deadline is not None
        deadlines.append(dog.deadline - at(ms))
    assert min(deadlines) >= 28_000
    assert max(deadlines) <= 32_000
    assert any(a != b for a, b in pairwise(deadlines))


def test_an_interval_under_six_seconds_is_refused() -> None:
    with pytest.raises(AssertionError, match="6 s"):
        Watchdog(5_999, NoJitter(), START)


def test_a_dwa_to_nothing_is_not_one() -> None:
    with pytest.raises(AssertionError, match="MESSAGE"):
        started().answered(at(1))
