"""What can be asked of the node: each command has its `now`, decides one event at most, and is answered after the sync.

Commands of administrators reach the core over its Unix socket as tagged arrays; those of the core itself (a request,
a timer, a start) never leave the process.
"""

from typing import NamedTuple

import msgspec

from ocs.balance.event import TopUpKind
from ocs.credit_control.event import Gateway, Stepped
from ocs.credit_control.request import CreditControlRequest
from ocs.units import Credits, DataCredits, Octets, SessionId, UnixMillis
from ocs.usage.opening import Opened


class AddOperator(msgspec.Struct, frozen=True, array_like=True, tag=1):
    name: str
    prefixes: list[str]
    price: Credits
    per_octets: Octets
    grant_max: Octets | None = None


class ChangeOperator(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """`grant_max` replaces what was, None lifts the limit."""

    name: str
    add_prefixes: list[str]
    grant_max: Octets | None


class AddTariff(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """For sessions that begin from now on."""

    operator: str
    rating_group: int | None
    apn: str | None
    price: Credits
    per_octets: Octets


class TopUp(msgspec.Struct, frozen=True, array_like=True, tag=4):
    operator: str
    amount: Credits
    kind: TopUpKind
    reference: str
    key: str  # Idempotency-Key


class ReverseTopUp(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Take `amount` of a top-up back; at most what is available, and what earlier reversals left of it."""

    operator: str
    top_up: int
    amount: Credits
    reason: str


class WriteOff(msgspec.Struct, frozen=True, array_like=True, tag=6):
    operator: str
    amount: Credits
    reason: str


class AllowPeer(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Admit a peer by its Origin-Host, from these addresses (none: from any)."""

    origin_host: str
    addresses: list[str]
    profile: str | None


class RevokePeer(msgspec.Struct, frozen=True, array_like=True, tag=8):
    origin_host: str


class TerminateSession(msgspec.Struct, frozen=True, array_like=True, tag=9):
    session_id: bytes
    reason: str


class AddSigners(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Register the keys of a gateway's SGW and its miner, 32 octets each; a time of 0 is now, and without end."""

    origin_host: str
    sgw_key: bytes
    miner_key: bytes
    valid_from: UnixMillis = UnixMillis(0)
    valid_until: UnixMillis = UnixMillis(0)


class RevokeKey(msgspec.Struct, frozen=True, array_like=True, tag=11):
    public_key: bytes
    reason: str


class RotateKey(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """A rotation as old and new key signed it (ocs.usage.rotation)."""

    rotation: bytes


class BuyCredits(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """Credit the deployment's own account with data credits."""

    amount: DataCredits
    reference: str
    key: str  # Idempotency-Key


class OpenChannel(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """A ChannelOpen as its owner signed it."""

    envelope: bytes


class CloseChannel(msgspec.Struct, frozen=True, array_like=True, tag=15):
    channel_id: bytes


class WitnessLog(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """What cosigners have signed of the log, whose keys and signatures the follower has verified.

    Attributes:
        root: of the first `size` leaves.
        cosignatures: signature lines (c2sp.org/tlog-cosignature), enough of them.
    """

    size: int
    root: bytes
    cosignatures: bytes


class Report(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """A countersigned report whose signatures the follower has verified.

    Attributes:
        opened: as the follower read it.
        looked: whether the log was asked for what it holds under the report's session and seq.
        earlier_id, earlier, leaf: what it holds there; b"", b"" and -1 for nothing.
    """

    opened: Opened
    looked: bool = False
    earlier_id: bytes = b""
    earlier: bytes = b""
    leaf: int = -1


class RefuseReport(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """A report that breaks a rule the follower could look at; its countersignature is good, so it is kept."""

    code: str
    detail: str
    miner_key: bytes  # 33 octets
    envelope: bytes


ReportCommand = Report | RefuseReport
"""Comes from the doors of usage, many at a time."""

AdministratorCommand = (
    AddOperator
    | ChangeOperator
    | AddTariff
    | TopUp
    | ReverseTopUp
    | WriteOff
    | AllowPeer
    | RevokePeer
    | TerminateSession
    | AddSigners
    | RevokeKey
    | RotateKey
    | BuyCredits
    | OpenChannel
    | CloseChannel
    | WitnessLog
)


class Charge(msgspec.Struct, frozen=True, gc=False):
    """A CCR that passed the checks of its form."""

    request: CreditControlRequest
    gateway: Gateway


class Recalled(NamedTuple):
    """A CCR again, with what the journal knows of it: the event that served it once, or None.

    `newest` is the number of the session's newest answer when the journal was asked, -1 for none.
    """

    request: CreditControlRequest
    gateway: Gateway
    newest: int
    event: Stepped | None


class Start(NamedTuple):
    """The server is up; sessions whose supervision fell due meanwhile get until `grace`."""

    version: str
    grace: UnixMillis


class Supervise(NamedTuple):
    """A session's supervision may be due."""

    session_id: SessionId


class DropAnswer(NamedTuple):
    """An answer was ready too late to send."""

    session_id: SessionId
    number: int


class Tend(NamedTuple):
    """Channels may be due for a step towards their end."""


Command = AdministratorCommand | ReportCommand | Charge | Recalled | Start | Supervise | DropAnswer | Tend
