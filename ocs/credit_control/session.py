"""A credit-control session in hand, and the answers that it keeps.  RFC 8506 section 7; how it rests is in rest.py."""

from typing import Final

import msgspec

from ocs.credit_control.event import EndCause, State
from ocs.units import Credits, GroupIndex, Octets, OperatorId, TariffId, UnixMillis

ANSWERS_KEPT: Final = 4
"""In memory, for repeats; older ones are found in the journal.  Hardly a gateway has more requests of one session open,
and each takes 27 octets of every session."""


class ServiceAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One MSCC of an answer, as numbers."""

    result_code: int
    granted: Octets
    final: bool
    validity_seconds: int
    threshold: Octets
    holding_seconds: int
    charged: Credits = Credits(0)  # of a one-time event, for Cost-Information


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One answer, as numbers; its services stand in the order of their keys."""

    number: int
    request_type: int
    digest: bytes
    result_code: int
    services: tuple[ServiceAnswer, ...]


class Service(msgspec.Struct, array_like=True, gc=False):
    """One quota of a session; its key is (rating group or -1, sorted service ids)."""

    rating_group: int
    service_ids: tuple[int, ...]
    tariff: TariffId
    used: Octets = Octets(0)  # cumulative, what the price is computed on
    charged: Credits = Credits(0)  # cumulative, overrun included
    granted: Octets = Octets(0)  # outstanding
    reserved: Credits = Credits(0)  # pending for it
    granted_total: Octets = Octets(0)  # cumulative: use within each grant, plus what is outstanding
    granted_at: UnixMillis = UnixMillis(0)
    thirsty: bool = False  # refused for money, or on its last grant


class Session(msgspec.Struct, array_like=True, gc=False):
    """A session in hand."""

    operator: OperatorId
    imsi: str
    apn: str
    gateway: int  # place in `Sessions.gateways`
    state: State
    opened_at: UnixMillis
    changed_at: UnixMillis
    deadline: UnixMillis
    tariff_mark: TariffId
    last: GroupIndex  # the group of its newest event
    answers: list[bytes]  # as `rest.pack_answer` gives them, the newest last
    services: list[Service]
    emergency: bool = False
    terminating: bool = False
    dropped: int = -1  # the number of the request whose answer was too late
    end_cause: int = 0
    highest: int = -1  # CC-Request-Number answered so far

    @property
    def newest_number(self) -> int:
        """The CC-Request-Number of the request answered last, -1 for none."""
        return number_of(self.answers[-1]) if self.answers else -1

    @property
    def oldest_number(self) -> int:
        """That of the oldest request whose answer is kept, -1 for none."""
        return number_of(self.answers[0]) if self.answers else -1

    def service(self, rating_group: int, service_ids: tuple[int, ...]) -> Service | None:
        for service in self.services:
            if service.rating_group == rating_group and service.service_ids == service_ids:
                return service
        return None

    def answered(self, number: int) -> bytes | None:
        """Give the packed answer kept for a CC-Request-Number."""
        for packed in self.answers:
            if number_of(packed) == number:
                return packed
        return None

    @property
    def thirsty(self) -> bool:
        return True in [service.thirsty for service in self.services]


def number_of(packed_answer: bytes) -> int:
    """Read the CC-Request-Number of a packed answer without unpacking it."""
    return int.from_bytes(packed_answer[2:6], "little")


def end(session: Session, cause: EndCause | int) -> None:
    session.state = State.ENDED
    session.end_cause = int(cause)
    session.terminating = False
