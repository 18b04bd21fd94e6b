"""One channel fills, and one is always ready before it does or its epoch ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.channel import supply
from ocs.channel.channel import Channel, ChannelState
from ocs.channel.ledger import Channels
from ocs.channel.record import CloseReason
from ocs.units import MINUTE, DataCredits, Octets, UnixMillis

EPOCH = 60 * MINUTE
START = UnixMillis(500_000 * EPOCH)
AMOUNT = DataCredits(1000)


def ledger(bought: int = 10_000) -> Channels:
    channels = Channels()
    channels.buy(DataCredits(bought))
    return channels


def open_wanted(channels: Channels, now: int) -> list[tuple[int, int]]:
    """Open what is wanted until nothing is; the epoch's number and the amount of each."""
    told = []
    while (wanted := supply.wanted(channels, UnixMillis(now), EPOCH, AMOUNT)) is not None:
        assert wanted.nonce == channels.newest + 1
        expires_at = UnixMillis(wanted.expire_height * EPOCH)
        assert expires_at >= now + supply.lifetime_least(EPOCH)
        channels.open(
            Channel(
                wanted.nonce,
                bytes([wanted.nonce]) * 32,
                wanted.amount,
                1,
                Octets(20_000),
                UnixMillis(now),
                expires_at,
                EPOCH,
            )
        )
        told.append((wanted.expire_height - START // EPOCH, wanted.amount))
        assert len(told) < 10, "it ends"
    return told


def close_due(channels: Channels, now: int) -> None:
    for channel in list(channels.by_number.values()):
        if channel.state in (ChannelState.OPEN, ChannelState.DRAINING) and now >= channel.expires_at:
            channels.close(channel.number, CloseReason.EPOCH_END, UnixMillis(now))
        if channel.state == ChannelState.CLOSING and now >= channel.settles_at:
            channels.settle(channel.number)


def test_at_first_one_for_this_epoch_and_one_that_outlives_it() -> None:
    assert open_wanted(ledger(), START) == [(1, 1000), (2, 1000)]


def test_none_opens_for_a_moment_only() -> None:
    assert open_wanted(ledger(), START + EPOCH - MINUTE + 1) == [(2, 1000), (2, 1000)]


def test_one_that_drains_is_followed_by_another() -> None:
    channels = ledger()
    open_wanted(channels, START)
    channels.drain(1)
    assert open_wanted(channels, START + MINUTE) == [(2, 1000)]
    channels.drain(2)
    assert open_wanted(channels, START + MINUTE) == [(2, 1000)]


def test_at_the_epochs_end_the_next_ones_are_there() -> None:
    channels = ledger()
    open_wanted(channels, START)
    now = START + EPOCH
    assert open_wanted(channels, now) == [(3, 1000)], "before the first one has closed"
    close_due(channels, now)
    assert open_wanted(channels, now) == []


def test_a_small_balance_lasts_for_three() -> None:
    channels = ledger(100)
    assert open_wanted(channels, START) == [(1, 34), (2, 33)]
    assert channels.account.available == 33
    assert open_wanted(ledger(1), START) == [(1, 1)]
    assert open_wanted(ledger(0), START) == []


def test_what_opened_when_there_was_little_does_not_count_later() -> None:
    channels = ledger(9)
    assert open_wanted(channels, START) == [(1, 3), (2, 3)]
    channels.buy(DataCredits(10_000))
    assert open_wanted(channels, START) == [(1, 1000), (2, 1000)]
    assert open_wanted(channels, START) == []


def test_who_asks_gets_one_more() -> None:
    channels = ledger()
    open_wanted(channels, START)
    wanted = supply.asked(channels, START, EPOCH, DataCredits(5))
    assert wanted == (3, 5, START // EPOCH, START // EPOCH + 2)
    assert supply.asked(ledger(0), START, EPOCH, DataCredits(5)) is None


@given(
    st.integers(1, 10_000),
    st.lists(st.tuples(st.integers(0, 2 * EPOCH), st.booleans(), st.integers(0, 100)), max_size=25),
)
def test_whatever_happens_a_session_finds_a_channel_that_outlives_the_epoch(
    bought: int, steps: list[tuple[int, bool, int]]
) -> None:
    channels, now = ledger(bought), int(START)
    open_wanted(channels, now)
    for ms, drains, buys in steps:
        now += ms
        if drains and (active := supply.active(channels)) is not None:
            channels.drain(active.number)
        if buys:
            channels.buy(DataCredits(buys))
        close_due(channels, now)
        open_wanted(channels, now)
        channels.check()
        if channels.account.available:
            end = (now // EPOCH + 1) * EPOCH
            open_ones = [one for one in channels.by_number.values() if one.state == ChannelState.OPEN]
            assert len(open_ones) >= supply.READY
            assert any(one.expires_at > end for one in open_ones)


def test_the_least_life_follows_the_epoch() -> None:
    assert supply.lifetime_least(EPOCH) == MINUTE
    assert supply.lifetime_least(20_000) == 5000


@pytest.mark.parametrize("state", [ChannelState.DRAINING, ChannelState.CLOSING])
def test_the_active_one_is_the_oldest_that_is_open(state: ChannelState) -> None:
    channels = ledger()
    open_wanted(channels, START)
    assert supply.active(channels) is channels.by_number[1]
    channels.by_number[1].state = state
    assert supply.active(channels) is channels.by_number[2]
