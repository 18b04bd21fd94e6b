"""Rows of the books as the door reads them; amounts in credits, volumes in octets, times in Unix milliseconds."""

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(slots=True)
class ServiceRow:
    """One quota of a session.  `granted` and `reserved` are outstanding, the rest is cumulative."""

    rating_group: int | None
    service_ids: tuple[int, ...]
    tariff: int
    granted: int = 0
    used: int = 0
    charged: int = 0
    overrun: int = 0
    reserved: int = 0
    result_code: int = 0


@dataclass(slots=True)
class SessionRow:
    """One session, from its first request to its end; a Session-Id that comes again is another row."""

    number: int
    session_id: bytes
    operator: str | None
    imsi: str
    msisdn: str
    apn: str
    context_id: str
    peer: str
    origin_host: str
    state: str  # open, ending or ended
    began_at: int
    last_at: int
    ended_at: int | None
    end_cause: str | None
    termination_cause: int | None
    requests: int
    used: int
    charged: int
    overrun: int
    result_code: int  # of the newest answer, at command level
    notes: int
    last_group: int
    services: list[ServiceRow] = field(default_factory=list)


class TopUpRow(NamedTuple):
    number: int
    at: int
    operator: str
    amount: int
    kind: str  # paid or lent
    reference: str
    key: str
    reversed: int  # credits taken back


class OperatorRow(NamedTuple):
    number: int
    name: str
    available: int
    reserved: int
    consumed: int
    overrun: int
    written_off: int
    funded: int
    owed: int
