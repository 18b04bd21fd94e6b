"""How many channels there are to be: one that fills, and always one ready before it does or its epoch ends.

An epoch is a span of the clock, counted since 1970.  A channel ends with the epoch that it names: the first with the
present one, and each later one with the next, so that a session which outlives an epoch finds where to go on.
"""

from typing import Final, NamedTuple

from ocs.channel.channel import Channel, ChannelState
from ocs.channel.ledger import Channels
from ocs.units import MINUTE, DataCredits, UnixMillis

READY: Final = 2
"""Open channels: one to fill, and a spare one."""

AT_A_TIME: Final = READY + 1
"""And one that has closed, whose credits are locked until its grace is over: what there is has to last for three."""

SPARE_PART: Final = 2
"""A channel counts as one where it locks at least this part of what a new one would."""


class Wanted(NamedTuple):
    """A channel that is to be opened: the owner's next nonce, from this epoch up to the start of that one."""

    nonce: int
    amount: DataCredits
    open_height: int
    expire_height: int


def lifetime_least(epoch_ms: int) -> int:
    """Give the least time that a channel may have ahead of it when it opens, in milliseconds."""
    return min(MINUTE, epoch_ms // 4)


def wanted(channels: Channels, now: UnixMillis, epoch_ms: int, amount: DataCredits) -> Wanted | None:
    """Say which channel is to be opened now; None where enough are open, or no data credits are left.

    Args:
        amount: what one locks, where the credits there are suffice for all that are wanted.
    """
    share = min(amount, -(-channels.account.available // AT_A_TIME))
    # One that opened when there was little is no spare for what can be held now.
    open_ones = [
        one
        for one in channels.by_number.values()
        if one.state == ChannelState.OPEN and SPARE_PART * one.amount >= share
    ]
    height = now // epoch_ms
    this_end = (height + 1) * epoch_ms
    outliving = any(one.expires_at > this_end for one in open_ones)
    if outliving and len(open_ones) >= READY:
        return None
    expire_height = height + (2 if open_ones else 1)
    if expire_height * epoch_ms < now + lifetime_least(epoch_ms):
        expire_height += 1
    share = -(-channels.account.available // max(1, AT_A_TIME - len(open_ones)))
    return _of(channels, DataCredits(min(amount, share)), height, expire_height)


def asked(channels: Channels, now: UnixMillis, epoch_ms: int, amount: DataCredits) -> Wanted | None:
    """Say which channel to open because somebody asks for one more; None where no data credits are left."""
    height = now // epoch_ms
    return _of(channels, amount, height, height + 2)


def _of(channels: Channels, amount: DataCredits, open_height: int, expire_height: int) -> Wanted | None:
    amount = DataCredits(min(amount, channels.account.available))
    return Wanted(channels.newest + 1, amount, open_height, expire_height) if amount > 0 else None


def active(channels: Channels) -> Channel | None:
    """Give the channel in which sessions begin now: the oldest open one, as `Channels.placement` has it."""
    return next((one for one in channels.by_number.values() if one.state == ChannelState.OPEN), None)
