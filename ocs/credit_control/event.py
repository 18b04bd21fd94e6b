"""What happened in credit control; each is one record of the journal.

Fields are only appended, with defaults; a new meaning is a new tag.  docs/adr/0006-records.md.
"""

from enum import IntEnum, IntFlag

import msgspec

from ocs.credit_control.request import Bearer
from ocs.units import Credits, GroupIndex, Octets, OperatorId, TariffId, UnixMillis


class Why(IntEnum):
    """The rule that decided one service's result, so that each answer can be explained afterwards."""

    NOT_ASKED = 0  # no Requested-Service-Unit: nothing to grant
    DEFAULT_SIZE = 1
    REQUESTED_SIZE = 2  # the gateway asked for more than the default
    RATE_OF_USE = 3  # sized to last for the target time
    SIZE_LIMIT = 4  # the largest grant of the configuration
    OPERATOR_LIMIT = 5  # the operator's own largest grant
    FAIR_SHARE = 6  # near exhaustion the sessions of an operator share
    LAST_CREDIT = 7  # all that is left
    EMERGENCY = 8  # never refused for money, and free
    FREE = 9  # the price is zero
    NO_BALANCE = 20
    NO_TARIFF = 21
    UNIT_UNKNOWN = 22  # asked for time, money or events, and not octets
    TERMINATING = 23  # an operator of this server asked for the session's end
    UNKNOWN_OPERATOR = 24  # no prefix covers the IMSI
    NO_IMSI = 25
    UNKNOWN_CONTEXT = 26  # Service-Context-Id
    COMMAND_REFUSED = 27  # a neighbour's refusal ended the whole request
    ACTION_DONE = 28  # a one-time event was carried out
    NO_CHANNEL = 29  # the gateway signs its use, and no channel has room to hold the grant


class Note(IntFlag):
    """What was odd about a request that was served all the same."""

    UNEQUAL_COUNTERS = 1  # input + output differ from total
    OVER_GRANT = 2  # more was used than granted
    OVERRUN = 4  # more was used than the balance could pay
    LATE_REPEAT = 8  # the answer before was dropped as late: this use may hold the same octets again
    UNASKED_SERVICE = 16  # use of a service that was never granted


class State(IntEnum):
    """Of a session (RFC 8506 section 7, table 6)."""

    OPEN = 1
    ENDING = 2  # refused as a whole: the CCR-T that follows is charged, or the timer ends it
    ENDED = 3


class EndCause(IntEnum):
    TERMINATED = 1  # by a CCR-T
    EXPIRED = 2  # Tcc: nothing was heard for 2 x Validity-Time
    REFUSED = 3  # never began
    EVENT = 4  # a one-time event is over at once
    UNANSWERED = 5  # its CCA-I came too late and nothing followed


class ServiceStep(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one request did to one service."""

    rating_group: int  # -1: none
    service_ids: tuple[int, ...]  # as the answer repeats them
    tariff: TariffId  # 0: free of charge
    ended: bool  # the earlier grant is void and its reservation over
    used: Octets
    charged: Credits  # what the use costs; negative for a refund
    overrun: Credits  # the part of `charged` that the balance could not pay
    granted: Octets  # 0: none
    reserved: Credits  # pending for the grant
    result_code: int
    why: Why
    final: bool  # the last grant: Final-Unit-Indication
    validity_seconds: int  # 0: not sent
    threshold: Octets  # 0: not sent
    holding_seconds: int = -1  # -1: not sent
    reasons: int = 0  # bit n: Reporting-Reason n
    asked: int = -1  # octets; 0: the gateway left it to us; -1: nothing


class Gateway(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a session's requests come from."""

    origin_host: str
    origin_realm: str
    peer: str  # Origin-Host of the connection, a relay's perhaps
    profile: str


class Opening(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What only a session's first request says."""

    operator: OperatorId  # 0: no operator was found
    imsi: str
    msisdn: str
    apn: str
    context_id: str
    tariff_mark: TariffId
    bearer: Bearer
    emergency: bool = False


class Stepped(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=10):
    """One CCR was served, if only by refusing it."""

    at: UnixMillis
    session_id: bytes
    request_type: int
    number: int
    digest: bytes
    result_code: int  # at command level
    state: State  # after it
    deadline: UnixMillis  # when supervision ends the session
    services: tuple[ServiceStep, ...]
    previous: GroupIndex  # of the session's event before this one, 0 for none
    opening: Opening | None = None
    gateway: Gateway | None = None  # where it differs from what the session knows
    why: Why = Why.NOT_ASKED  # of a refusal at command level
    notes: int = 0
    termination_cause: int = 0
    action: int = -1
    end_to_end: int = 0
    event_timestamp: int = 0
    end_cause: int = 0


class Expired(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=11):
    """Supervision ended a session: its reservations returned, what was charged stays."""

    at: UnixMillis
    session_id: bytes
    cause: EndCause
    previous: GroupIndex


class AnswerDropped(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=12):
    """An answer was too late to send; its result waits for the repeat."""

    at: UnixMillis
    session_id: bytes
    number: int
    deadline: UnixMillis
    previous: GroupIndex


class Refused(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=13):
    """A request changed nothing, yet someone must know: a conflict, or use that nobody can be charged for."""

    at: UnixMillis
    session_id: bytes
    request_type: int
    number: int
    result_code: int
    used: Octets
    origin_host: str
    detail: str


class TerminationAsked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=14):
    """An administrator wants a session to end: ASR where it is honoured, else the next CCR-U is refused."""

    at: UnixMillis
    session_id: bytes
    reason: str
    previous: GroupIndex
