"""Credit-control sessions at rest and in hand.  RFC 8506 section 7.

A session at rest is one packed `bytes`: a million of them must fit, and the garbage collector must not see them.
"""

from collections import deque
from collections.abc import Iterator
from operator import itemgetter
from typing import Final

import msgspec

from ocs.credit_control.event import EndCause, Gateway, State
from ocs.credit_control.supervision import Supervision
from ocs.units import MINUTE, Credits, GroupIndex, Octets, OperatorId, SessionId, TariffId, UnixMillis

NOBODY: Final = SessionId(b"")

ANSWERS_KEPT: Final = 8
"""In memory, for repeats; older ones are found in the journal.  No gateway has more requests of one session open."""

ENDED_KEPT_MS: Final = 10 * MINUTE
"""An ended session answers repeats from memory this long; a constant, for every process must forget the same."""

ENDED_KEPT_MAX: Final = 1_000_000
"""Under a load that never ends fewer minutes are kept: four of them at four thousand sessions a second."""

ENDED_ANSWERS_KEPT: Final = 2
"""Of an ended session the CCR-T's, and that of the request before; older ones are found in the journal."""

FORGOTTEN_AT_ONCE: Final = 4
"""For each event; more than can end by one, so the ended never pile up."""


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
    answers: list[bytes]  # as `pack_answer` gives them, the newest last
    services: list[Service]
    emergency: bool = False
    terminating: bool = False
    dropped: int = -1  # the number of the request whose answer was too late
    end_cause: int = 0

    @property
    def newest_number(self) -> int:
        """The CC-Request-Number of the request answered last, -1 for none."""
        return int.from_bytes(self.answers[-1][:NUMBER_OCTETS], "big") if self.answers else -1

    @property
    def oldest_number(self) -> int:
        """That of the oldest request whose answer is kept, -1 for none."""
        return int.from_bytes(self.answers[0][:NUMBER_OCTETS], "big") if self.answers else -1

    def service(self, rating_group: int, service_ids: tuple[int, ...]) -> Service | None:
        for service in self.services:
            if service.rating_group == rating_group and service.service_ids == service_ids:
                return service
        return None

    def answered(self, number: int) -> Answer | None:
        """Give the answer kept for a CC-Request-Number."""
        head = number.to_bytes(NUMBER_OCTETS, "big")
        for packed in self.answers:
            if packed.startswith(head):
                return unpack_answer(packed)
        return None

    @property
    def thirsty(self) -> bool:
        return True in [service.thirsty for service in self.services]


NUMBER_OCTETS: Final = 4
"""Of the CC-Request-Number, an Unsigned32: a packed answer starts with it, so it is found without unpacking."""

_PACK: Final = msgspec.msgpack.Encoder().encode
_UNPACK: Final = msgspec.msgpack.Decoder(Session).decode
_UNPACK_ANSWER: Final = msgspec.msgpack.Decoder(Answer).decode


def pack_answer(answer: Answer) -> bytes:
    """Pack an answer to be kept with its session."""
    return answer.number.to_bytes(NUMBER_OCTETS, "big") + _PACK(answer)


def unpack_answer(packed: bytes) -> Answer:
    return _UNPACK_ANSWER(memoryview(packed)[NUMBER_OCTETS:])


class Sessions:
    """All sessions in memory, by Session-Id, with what is derived from them for each operator."""

    __slots__ = (
        "_at_rest",
        "_ended",
        "_gateway_places",
        "_hand",
        "_in_hand",
        "gateways",
        "open_count",
        "open_total",
        "supervision",
        "thirsty",
    )

    def __init__(self) -> None:
        self._at_rest: dict[SessionId, bytes] = {}
        self._hand = NOBODY
        self._in_hand: Session | None = None  # the one unpacked last, until it is put back
        self._ended: deque[tuple[UnixMillis, SessionId]] = deque()
        self.gateways: list[Gateway] = []
        self._gateway_places: dict[Gateway, int] = {}
        self.open_count: dict[OperatorId, int] = {}
        self.open_total = 0
        self.thirsty: dict[OperatorId, dict[SessionId, None]] = {}
        self.supervision: Supervision | None = None

    def __len__(self) -> int:
        return len(self._at_rest)

    def __contains__(self, session_id: SessionId) -> bool:
        return session_id in self._at_rest

    def __iter__(self) -> Iterator[SessionId]:
        return iter(self._at_rest)

    def get(self, session_id: SessionId) -> Session | None:
        """Unpack a session; changes to it count once it is put back.

        The same object is given again until then: what a step looked at is what its event changes.
        """
        if session_id == self._hand:
            return self._in_hand
        packed = self._at_rest.get(session_id)
        if packed is None:
            return None
        self._hand = session_id
        self._in_hand = session = _UNPACK(packed)
        return session

    def put(self, session_id: SessionId, session: Session, *, was_alive: bool, was_due: UnixMillis | None) -> None:
        """Put a session to rest.

        Args:
            was_alive: whether it was there and not ended.
            was_due: its deadline before, None where it is new.
        """
        self._hand, self._in_hand = NOBODY, None
        operator, at_rest = session.operator, self._at_rest
        alive = session.state != ENDED
        if not alive:
            del session.answers[:-ENDED_ANSWERS_KEPT]
            # To the end: the ended stand in the order in which they ended, in a snapshot too.
            at_rest.pop(session_id, None)
            self._ended.append((session.changed_at, session_id))
        at_rest[session_id] = _PACK(session)
        if alive != was_alive:
            change = 1 if alive else -1
            self.open_count[operator] = self.open_count.get(operator, 0) + change
            self.open_total += change
        if alive and True in [service.thirsty for service in session.services]:
            self.thirsty.setdefault(operator, {})[session_id] = None
        elif was_alive and self.thirsty:
            thirsty = self.thirsty.get(operator)
            if thirsty:
                thirsty.pop(session_id, None)
        if alive and (was_due is None or session.deadline < was_due) and self.supervision is not None:
            self.supervision.watch(session_id, session.deadline)

    def _let_go(self) -> None:
        self._hand, self._in_hand = NOBODY, None

    def replace(self, session_id: SessionId, session: Session) -> None:
        """Put back a session that had ended and stays so."""
        self._let_go()
        self._at_rest[session_id] = _PACK(session)

    def forget_ended(self, now: UnixMillis) -> None:
        """Drop some sessions that ended long before `now`, or are too many; the journal keeps their history.

        A few at a time, and only as events come: every process that folds the same events forgets the same.
        """
        ended, before = self._ended, now - ENDED_KEPT_MS
        for _ in range(FORGOTTEN_AT_ONCE):
            if not ended or (ended[0][0] >= before and len(ended) <= ENDED_KEPT_MAX):
                return
            self._let_go()
            self._at_rest.pop(ended.popleft()[1], None)

    def place_of(self, gateway: Gateway) -> int:
        """Give the place of `gateway`, a new one if need be."""
        place = self._gateway_places.get(gateway)
        if place is None:
            place = self._gateway_places[gateway] = len(self.gateways)
            self.gateways.append(gateway)
        return place

    def postpone(self, until: UnixMillis, now: UnixMillis) -> None:
        """Move each deadline before `now` to `until`: an outage of ours ends nobody's session."""
        self._let_go()
        for session_id, packed in self._at_rest.items():
            session = _UNPACK(packed)
            if session.deadline < now and session.state != ENDED:
                session.deadline = until
                self._at_rest[session_id] = _PACK(session)

    def supervise(self, supervision: Supervision) -> None:
        """Watch every session's deadline from now on."""
        self.supervision = supervision
        for session_id, packed in self._at_rest.items():
            session = _UNPACK(packed)
            if session.state != ENDED:
                supervision.watch(session_id, session.deadline)

    def packed(self) -> Iterator[tuple[SessionId, bytes]]:
        """Give all sessions as they lie, for a snapshot; ended ones stand in the order in which they ended."""
        return iter(self._at_rest.items())

    def restore(self, session_id: SessionId, packed: bytes) -> None:
        """Take a session from a snapshot."""
        try:
            session = _UNPACK(packed)
        except msgspec.ValidationError:
            session = _unpack_old(packed)
        self.put(session_id, session, was_alive=False, was_due=None)

    def restored(self) -> None:
        """Order what was restored: ended sessions are forgotten in the order in which they ended."""
        self._ended = deque(sorted(self._ended, key=itemgetter(0)))


def _unpack_old(packed: bytes) -> Session:
    """Unpack a session of an older snapshot, whose answers lie in it as arrays."""
    fields = msgspec.msgpack.decode(packed)
    place = Session.__struct_fields__.index("answers")
    fields[place] = [pack_answer(msgspec.convert(answer, Answer)) for answer in fields[place]]
    return msgspec.convert(fields, Session)


ENDED: Final = State.ENDED


def end(session: Session, cause: EndCause | int) -> None:
    session.state = State.ENDED
    session.end_cause = int(cause)
    session.terminating = False
