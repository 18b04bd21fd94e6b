"""Which state of a channel follows which.  The table is all there is; what has no row cannot happen.

OPEN ──drain──▶ DRAINING ──close──▶ CLOSING ──settle──▶ SETTLED
  └──────────────close──────────────▶┘
"""

from enum import IntEnum
from typing import Final

from ocs.channel.channel import ChannelState
from ocs.errors import OutOfTurn


class Step(IntEnum):
    DRAIN = 1  # its credit or its epoch nears its end
    CLOSE = 2  # it is used up and drained, its epoch is over, or its owner wishes so
    SETTLE = 3  # its grace is over


TABLE: Final = {
    (ChannelState.OPEN, Step.DRAIN): ChannelState.DRAINING,
    (ChannelState.OPEN, Step.CLOSE): ChannelState.CLOSING,
    (ChannelState.DRAINING, Step.CLOSE): ChannelState.CLOSING,
    (ChannelState.CLOSING, Step.SETTLE): ChannelState.SETTLED,
}


def after(state: int, step: Step) -> ChannelState:
    """Give the state that follows.

    Raises:
        OutOfTurn: there is no row; nothing has changed.
    """
    try:
        return TABLE[ChannelState(state), step]
    except KeyError:
        name = ChannelState(state).name.lower()
        raise OutOfTurn(f"a channel that is {name} cannot {step.name.lower()}") from None
