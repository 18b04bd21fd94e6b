"""What can be asked of the node: each command has its `now`, decides one event at most, and is answered after the sync.

Commands of administrators reach the core over its Unix socket as tagged arrays; those of the core itself (a request,
a timer, a start) never leave the process.
"""

from typing import NamedTuple

import msgspec

from ocs.balance.event import TopUpKind
from ocs.credit_control.event import Gateway, Stepped
from ocs.credit_control.request import CreditControlRequest
from ocs.units import Credits, Octets, SessionId, UnixMillis


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


Command = AdministratorCommand | Charge | Recalled | Start | Supervise | DropAnswer
