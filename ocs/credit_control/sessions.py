"""All credit-control sessions, and what is derived from them."""

from collections import deque
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any, Final

from ocs.credit_control.event import Gateway, State
from ocs.credit_control.rest import (
    CHANGED_AT,
    DEADLINE,
    FIRST_SERVICE,
    FLAGS,
    GATEWAY,
    GRANTED,
    IS_THIRSTY,
    LAST,
    OPERATOR,
    SERVICE_NUMBERS,
    SERVICES_AT,
    STATE,
    USED,
    head_of,
    layout_of,
    pack,
    renewed,
    unpack,
    with_deadline,
)
from ocs.credit_control.session import Session
from ocs.credit_control.shelves import Shelves
from ocs.credit_control.supervision import Supervision
from ocs.units import MINUTE, GroupIndex, Octets, OperatorId, SessionId, UnixMillis

NOBODY: Final = SessionId(b"")
ENDED: Final = State.ENDED

ENDED_KEPT_MS: Final = 10 * MINUTE
"""An ended session answers repeats from memory this long; a constant, for every process must forget the same."""

FIRST_LOOK_MS: Final = ENDED_KEPT_MS
"""A session is looked at for the first time after this long, though its deadline be later: most have ended, and their
names need no longer be kept for supervision."""

ENDED_KEPT_MAX: Final = 1_000_000
"""Under a load that never ends fewer minutes are kept: four of them at four thousand sessions a second."""

ENDED_ANSWERS_KEPT: Final = 2
"""Of an ended session the CCR-T's, and that of the request before; older ones are found in the journal."""

GATEWAYS_MAX: Final = 100_000
"""Behind relays, over all time: each is kept for as long as a session may name it.  A relay that invents names meets an
end."""

GATEWAYS_OF_PEER_MAX: Final = 10_000
"""Of one peer: a relay that invents names takes no other peer's place."""

FORGOTTEN_AT_ONCE: Final = 4
"""For each event; more than can end by one, so the ended never pile up."""


_USED: Final = slice(FIRST_SERVICE + USED, None, SERVICE_NUMBERS)
_GRANTED: Final = slice(FIRST_SERVICE + GRANTED, None, SERVICE_NUMBERS)


class Sessions:
    """All sessions in memory, by Session-Id, with what is derived from them for each operator.

    Attributes:
        at_rest: each session as rest.py packs it.
        ended: the ended ones with their time, in the order in which they ended.
        gateways: what a session's `gateway` is the place of.
        forgotten_through: the newest group of any session that was dropped from memory; kept by no snapshot, and at a
            start from one its own index.
        open_count: sessions that have not ended, by operator; `open_total` of all.
        thirsty: sessions that wait for credit, by operator.
    """

    __slots__ = (
        "_drawn",
        "_drawn_from",
        "_gateway_places",
        "_gateways_of_peer",
        "_in_hand",
        "_taken_from",
        "at_rest",
        "ended",
        "forgotten_through",
        "gateways",
        "open_count",
        "open_total",
        "supervision",
        "thirsty",
    )

    def __init__(self) -> None:
        self.at_rest = Shelves()
        # What was unpacked last; it holds for as long as these very octets are the session's.
        self._taken_from = self._drawn_from = b""
        self._in_hand: Session | None = None
        self._drawn: tuple[Any, ...] = ()
        self.ended: deque[tuple[UnixMillis, SessionId]] = deque()
        self.forgotten_through = GroupIndex(0)
        self.gateways: list[Gateway] = []
        self._gateway_places: dict[Gateway, int] = {}
        self._gateways_of_peer: dict[str, int] = {}
        self.open_count: dict[OperatorId, int] = {}
        self.open_total = 0
        self.thirsty: dict[OperatorId, dict[SessionId, None]] = {}
        self.supervision: Supervision | None = None

    def __len__(self) -> int:
        return len(self.at_rest)

    def __contains__(self, session_id: SessionId) -> bool:
        return session_id in self.at_rest

    def __iter__(self) -> Iterator[SessionId]:
        return iter(self.at_rest)

    def get(self, session_id: SessionId) -> Session | None:
        """Unpack a session; changes to it count once it is put back.

        The same object is given again until then: what a step looked at is what its event changes.
        """
        packed = self.at_rest.get(session_id)
        if packed is None:
            return None
        if packed is not self._taken_from:
            self._in_hand, self._taken_from = unpack(packed), packed
        return self._in_hand

    def numbers(self, packed: bytes) -> tuple[Any, ...]:
        """Unpack the numbers of a session alone, in the order of rest.py; once for a step and its event."""
        if packed is not self._drawn_from:
            count = packed[SERVICES_AT] + (packed[SERVICES_AT + 1] << 8)
            self._drawn, self._drawn_from = layout_of(count).unpack_from(packed), packed
        return self._drawn

    def gateway_of(self, session_id: SessionId) -> Gateway | None:
        """Give where a session's requests come from; None where there is no such session."""
        packed = self.at_rest.get(session_id)
        return self.gateways[self.numbers(packed)[GATEWAY]] if packed is not None else None

    def operator_of(self, session_id: SessionId) -> OperatorId | None:
        """Give a session's operator; None where there is no such session."""
        packed = self.at_rest.get(session_id)
        return OperatorId(self.numbers(packed)[OPERATOR]) if packed is not None else None

    def octets(self, session_id: SessionId) -> Octets:
        """Give what all services of a session have used, and what they have been granted beyond that."""
        numbers = self.numbers(self.at_rest[session_id])
        return Octets(sum(numbers[_USED]) + sum(numbers[_GRANTED]))

    def put(self, session_id: SessionId, session: Session, *, was_alive: bool, was_due: UnixMillis | None) -> None:
        """Put a session to rest.

        Args:
            was_alive: whether it was there and not ended.
            was_due: its deadline before, None where it is new.
        """
        operator = session.operator
        alive = session.state != ENDED
        if not alive:
            del session.answers[:-ENDED_ANSWERS_KEPT]
            if was_alive:
                self.bury(session_id, operator, session.changed_at)
            else:
                assert session_id not in self.at_rest, "a session ends once"
                self.ended.append((session.changed_at, session_id))
        self.at_rest[session_id] = pack(session)
        if not alive:
            return
        if not was_alive:
            self._opened(operator)
        if session.thirsty:
            self.thirsty.setdefault(operator, {})[session_id] = None
        elif was_alive and self.thirsty:
            self._quenched(operator, session_id)
        if was_due is None:
            self._watch_new(session_id, session.changed_at, session.deadline)
        elif session.deadline < was_due and self.supervision is not None:
            self.supervision.watch(session_id, session.deadline)

    def put_new(
        self, session_id: SessionId, packed: bytes, operator: OperatorId, at: UnixMillis, deadline: UnixMillis
    ) -> None:
        """Take in a session that has just begun and wants for nothing."""
        self.at_rest[session_id] = packed
        self._opened(operator)
        self._watch_new(session_id, at, deadline)

    def _watch_new(self, session_id: SessionId, at: UnixMillis, deadline: UnixMillis) -> None:
        if self.supervision is not None:
            self.supervision.watch(session_id, min(deadline, UnixMillis(at + FIRST_LOOK_MS)))

    def bury(self, session_id: SessionId, operator: OperatorId, at: UnixMillis) -> None:
        """Note that a session that ran ends; who calls puts its last octets to rest."""
        self.ended.append((at, session_id))
        self.open_count[operator] -= 1
        self.open_total -= 1
        if self.thirsty:
            self._quenched(operator, session_id)

    def _opened(self, operator: OperatorId) -> None:
        self.open_count[operator] = self.open_count.get(operator, 0) + 1
        self.open_total += 1

    def _quenched(self, operator: OperatorId, session_id: SessionId) -> None:
        thirsty = self.thirsty.get(operator)
        if thirsty:
            thirsty.pop(session_id, None)

    def replace(self, session_id: SessionId, session: Session) -> None:
        """Put back a session that had ended and stays so."""
        self.at_rest[session_id] = pack(session)

    def forget_ended(self, now: UnixMillis) -> None:
        """Drop some sessions that ended long before `now`, or are too many; the journal keeps their history.

        A few at a time, and only as events come: every process that folds the same events forgets the same.
        """
        ended, before = self.ended, now - ENDED_KEPT_MS
        for _ in range(FORGOTTEN_AT_ONCE):
            if not ended or (ended[0][0] >= before and len(ended) <= ENDED_KEPT_MAX):
                return
            packed = self.at_rest.pop(ended.popleft()[1])
            self.forgotten_through = max(self.forgotten_through, GroupIndex(head_of(packed)[LAST]))

    def has_room_for(self, gateway: Gateway) -> bool:
        """Tell whether a session may come from `gateway`: it is known, or not too many are, of all and of its peer."""
        of_peer = self._gateways_of_peer.get(gateway.peer, 0)
        is_new_welcome = len(self.gateways) < GATEWAYS_MAX and of_peer < GATEWAYS_OF_PEER_MAX
        return is_new_welcome or gateway in self._gateway_places

    def place_of(self, gateway: Gateway) -> int:
        """Give the place of `gateway`, a new one if need be."""
        place = self._gateway_places.get(gateway)
        if place is None:
            place = self._gateway_places[gateway] = len(self.gateways)
            self.gateways.append(gateway)
            self._gateways_of_peer[gateway.peer] = self._gateways_of_peer.get(gateway.peer, 0) + 1
        return place

    def postpone(self, until: UnixMillis, now: UnixMillis) -> None:
        """Move each deadline before `now` to `until`: an outage of ours ends nobody's session."""
        for session_id, packed in self.at_rest.items():
            if packed[STATE] != ENDED and head_of(packed)[DEADLINE] < now:
                self.at_rest[session_id] = with_deadline(packed, until)

    def supervise(self, supervision: Supervision) -> None:
        """Watch every session's deadline from now on."""
        self.supervision = supervision
        for session_id, packed in self.at_rest.items():
            if packed[STATE] != ENDED:  # its place in the octets, too
                supervision.watch(session_id, head_of(packed)[DEADLINE])

    def packed(self) -> Iterator[tuple[SessionId, bytes]]:
        """Give all sessions as they lie now, whatever becomes of them meanwhile, for a snapshot.

        Those that run come first, then the ended ones as they ended.
        """
        return _running_then_ended(self.at_rest.copy(), tuple(self.ended))

    def restore(self, session_id: SessionId, packed: bytes) -> None:
        """Take a session from a snapshot, of this release or an older one."""
        packed = renewed(packed)
        numbers = head_of(packed)
        self.at_rest[session_id] = packed
        operator = OperatorId(numbers[OPERATOR])
        if numbers[STATE] == ENDED:
            self.ended.append((UnixMillis(numbers[CHANGED_AT]), session_id))
            return
        self._opened(operator)
        if numbers[FLAGS] & IS_THIRSTY:
            self.thirsty.setdefault(operator, {})[session_id] = None
        if self.supervision is not None:
            self.supervision.watch(session_id, numbers[DEADLINE])

    def restored(self, group: GroupIndex) -> None:
        """Order what was restored of an older release, whose ended sessions stood among the others.

        Args:
            group: of the snapshot; whatever is not in it has no event after that.
        """
        self.forgotten_through = group
        self.ended = deque(sorted(self.ended, key=itemgetter(0)))


def _running_then_ended(
    at_rest: Shelves, ended: Iterable[tuple[UnixMillis, SessionId]]
) -> Iterator[tuple[SessionId, bytes]]:
    for session_id, packed in at_rest.items():
        if packed[STATE] != ENDED:
            yield session_id, packed
    for _, session_id in ended:
        yield session_id, at_rest[session_id]
