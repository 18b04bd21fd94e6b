"""All that the journal's events add up to, and the union of those events.  docs/adr/0006-records.md."""

from dataclasses import dataclass, field

import msgspec

from ocs.balance.event import OperatorAdded, OperatorChanged, Reversed, TariffAdded, ToppedUp, WrittenOff
from ocs.channel.event import (
    ChannelOpened,
    ChannelStepped,
    CreditsBought,
    LogWitnessed,
    SessionBegun,
    SessionFrozen,
    UsageCommitted,
)
from ocs.credit_control.charging import Charging
from ocs.credit_control.event import AnswerDropped, Expired, Refused, Stepped, TerminationAsked
from ocs.reporting import SignedUsage
from ocs.units import Credits, GroupIndex, Octets, OperatorId, UnixMillis
from ocs.usage.event import KeyRevoked, KeyRotated, ReportRefused, SignersAdded


class Started(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The server came up; supervision that fell due while it was down was moved to `grace`."""

    at: UnixMillis
    version: str
    grace: UnixMillis
    tolerance: Octets = Octets(1_000_000)  # may be signed above Gy; the books compare by it, and see no settings


class PeerAllowed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=8):
    at: UnixMillis
    origin_host: str
    addresses: tuple[str, ...]
    profile: str | None


class PeerRevoked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=9):
    at: UnixMillis
    origin_host: str


Event = (
    Started
    | OperatorAdded
    | OperatorChanged
    | TariffAdded
    | ToppedUp
    | Reversed
    | WrittenOff
    | PeerAllowed
    | PeerRevoked
    | Stepped
    | Expired
    | AnswerDropped
    | Refused
    | TerminationAsked
    | CreditsBought
    | ChannelOpened
    | ChannelStepped
    | LogWitnessed
    | SessionBegun
    | UsageCommitted
    | SessionFrozen
    | SignersAdded
    | KeyRevoked
    | KeyRotated
    | ReportRefused
)


@dataclass(slots=True)
class State:
    """All that the journal's events add up to."""

    charging: Charging = field(default_factory=Charging)
    peers: dict[str, PeerAllowed] = field(default_factory=dict)
    top_ups: dict[int, ToppedUp] = field(default_factory=dict)
    top_up_keys: dict[tuple[OperatorId, str], int] = field(default_factory=dict)
    reversed_credits: dict[int, Credits] = field(default_factory=dict)
    signed: SignedUsage = field(default_factory=SignedUsage)
    group: GroupIndex = GroupIndex(1)  # the commit group that the next event will be in
    at: UnixMillis = UnixMillis(0)  # of the newest event
