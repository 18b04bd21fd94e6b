"""Post events to the books' rows: an account of its own of what the events say, beside `evolve`.

It reads the amounts out of the events and nothing out of the state, so that `ocs journal verify` compares two counts
that were made in two ways.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ocs.balance.event import OperatorAdded, OperatorChanged, Reversed, TariffAdded, ToppedUp, TopUpKind, WrittenOff
from ocs.channel.event import LogWitnessed, SessionBegun
from ocs.credit_control.event import (
    AnswerDropped,
    EndCause,
    Expired,
    Note,
    Refused,
    ServiceStep,
    State,
    Stepped,
    TerminationAsked,
)
from ocs.diameter.codes import CcRequestType, RequestedAction
from ocs.shell.books.usage_posting import UsagePosting
from ocs.state import Event, PeerAllowed, PeerRevoked, Started
from ocs.units import GroupIndex

INTEGER_MAX: Final = 2**63 - 1
"""What a column holds.  Only broken counters and absurd prices come near; they are kept as this, and told apart."""

TOLD: Final = Note.OVERRUN | Note.LATE_REPEAT | Note.UNEQUAL_COUNTERS | Note.UNASKED_SERVICE
"""The notes that become incidents.  Use above a grant is every-day business, and stands in the session's notes."""

# Looked up for each event: an enum's call costs as much as all the rest of its row.
_STATES: Final = {int(state): state.name.lower() for state in State}
_CAUSES: Final = {int(cause): cause.name.lower() for cause in EndCause}
_TOLD: Final = int(TOLD)

Row = tuple[object, ...]


@dataclass(slots=True)
class ServiceEntry:
    tariff: int
    granted: int = 0
    used: int = 0
    charged: int = 0
    overrun: int = 0
    reserved: int = 0
    result_code: int = 0


@dataclass(slots=True)
class SessionEntry:
    """A session's row and its services' rows, as they will be written."""

    number: int
    session_id: bytes
    operator: int | None
    imsi: str
    msisdn: str
    apn: str
    context_id: str
    peer: str
    origin_host: str
    state: str
    began_at: int
    last_at: int
    ended_at: int | None = None
    end_cause: str | None = None
    termination_cause: int | None = None
    requests: int = 0
    used: int = 0
    charged: int = 0
    overrun: int = 0
    result_code: int = 0
    notes: int = 0
    last_group: int = 0
    services: dict[tuple[int, str], ServiceEntry] = field(default_factory=dict)


@dataclass(slots=True)
class AccountEntry:
    available: int = 0
    reserved: int = 0
    consumed: int = 0
    overrun: int = 0
    written_off: int = 0
    funded: int = 0
    owed: int = 0


@dataclass(slots=True)
class Posting:
    """The rows that one batch of groups touches, and the statements that are simply added.

    Args:
        accounts: all of them, by operator.
        sessions: the newest row of each Session-Id that the batch names and the books know.
        next_session: the number of the next session's row.
        usage: rows of signed usage, of the same batch.
    """

    accounts: dict[int, AccountEntry]
    sessions: dict[bytes, SessionEntry]
    next_session: int
    usage: UsagePosting
    touched_accounts: set[int] = field(default_factory=set)
    written: list[SessionEntry] = field(default_factory=list)
    statements: list[tuple[str, Row]] = field(default_factory=list)
    _written_numbers: set[int] = field(default_factory=set)

    def post(self, index: GroupIndex, events: Sequence[Event]) -> None:
        """Post the events of one group."""
        for event in events:
            self._event(index, event)

    def _event(self, index: GroupIndex, event: Event) -> None:
        match event:
            case Stepped():
                self._step(index, event)
            case Expired():
                self._expired(index, event)
            case AnswerDropped():
                self._session(event.session_id, index).last_group = index
            case TerminationAsked():
                self._session(event.session_id, index)
            case Refused():
                self._incident(index, event, "conflict", event.result_code, event.used, event.origin_host, event.detail)
            case Started():
                self.usage.comparing.tolerance = event.tolerance
                self.add("INSERT INTO starts VALUES (?, ?, ?, ?)", index, event.at, event.version, event.tolerance)
            case OperatorAdded():
                self._operator(event)
            case OperatorChanged():
                self.add("UPDATE operators SET grant_max = ? WHERE number = ?", event.grant_max, event.operator)
                for prefix in event.added:
                    self.add("INSERT INTO prefixes VALUES (?, ?)", prefix, event.operator)
            case TariffAdded():
                self._tariff(event, event.rating_group, event.apn)
            case ToppedUp():
                self._topped_up(event)
            case Reversed():
                account = self._account(event.operator)
                account.funded -= event.amount
                account.available -= event.amount
                self.add("UPDATE top_ups SET reversed = reversed + ? WHERE number = ?", event.amount, event.top_up)
                self.add(
                    "INSERT INTO reversals VALUES (NULL, ?, ?, ?, ?)",
                    event.top_up,
                    event.at,
                    event.amount,
                    event.reason,
                )
            case WrittenOff():
                account = self._account(event.operator)
                account.overrun -= event.amount
                account.written_off += event.amount
                self.add(
                    "INSERT INTO write_offs VALUES (NULL, ?, ?, ?, ?)",
                    *(event.operator, event.at, event.amount, event.reason),
                )
            case PeerAllowed():
                self.add(
                    "INSERT OR REPLACE INTO peers VALUES (?, ?, ?, ?)",
                    *(event.origin_host, " ".join(event.addresses), event.profile, event.at),
                )
            case PeerRevoked():
                self.add("DELETE FROM peers WHERE origin_host = ?", event.origin_host)
            case LogWitnessed():
                pass  # the log and its closures show it
            case _:
                named = self.sessions.get(event.gy_session_id) if isinstance(event, SessionBegun) else None
                self.usage.post(index, event, named.number if named is not None else None, self.add)

    # Operators

    def _operator(self, event: OperatorAdded) -> None:
        self.add("INSERT INTO operators VALUES (?, ?, ?, ?)", event.operator, event.name, event.at, event.grant_max)
        for prefix in event.prefixes:
            self.add("INSERT INTO prefixes VALUES (?, ?)", prefix, event.operator)
        self._tariff(event, None, None)
        self.accounts[event.operator] = AccountEntry()
        self.touched_accounts.add(event.operator)

    def _tariff(self, event: OperatorAdded | TariffAdded, rating_group: int | None, apn: str | None) -> None:
        self.add(
            "INSERT INTO tariffs VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(event.tariff, event.operator, rating_group, apn, event.price, event.per_octets, event.at),
        )

    def _topped_up(self, event: ToppedUp) -> None:
        account = self._account(event.operator)
        paid = min(event.amount, account.overrun)
        account.funded += event.amount
        account.overrun -= paid
        account.owed -= paid
        account.consumed += paid
        account.available += event.amount - paid
        kind = TopUpKind(event.kind).name.lower()
        self.add(
            "INSERT INTO top_ups VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            *(event.number, event.operator, event.at, event.amount, kind, event.reference, event.key),
        )

    # Sessions

    def _step(self, index: GroupIndex, event: Stepped) -> None:
        session = self._opened(event) if event.opening is not None else self._session(event.session_id, index)
        self._touch(session)
        if event.gateway is not None:
            session.peer, session.origin_host = event.gateway.peer, event.gateway.origin_host
        for step in event.services:
            self._service(session, step)
        if session.operator is not None:
            self._money(session, event)
        session.requests += 1
        session.last_at, session.last_group = event.at, index
        session.result_code = event.result_code
        session.notes |= event.notes
        session.termination_cause = event.termination_cause or session.termination_cause
        session.state = _STATES[event.state]
        self._compared(session, event)
        if event.state == State.ENDED:
            session.ended_at = event.at
            session.end_cause = _CAUSES[event.end_cause]
            self.usage.comparing.ended(
                index, event.at, session.number, terminated=event.end_cause == EndCause.TERMINATED
            )
        for note in Note(event.notes & _TOLD) if event.notes & _TOLD else ():
            used = sum(step.used for step in event.services)
            self._incident(
                index,
                event,
                str(note.name).lower(),
                event.result_code,
                used,
                session.origin_host,
                f"peer {session.peer}",
            )

    def _compared(self, session: SessionEntry, event: Stepped) -> None:
        """Post to the comparison with what is signed, where the gateway signed when the session began."""
        comparing = self.usage.comparing
        if event.opening is not None:
            begins = event.state == State.OPEN and not event.opening.emergency
            if begins and session.operator is not None and comparing.gateways.signs(session.origin_host):
                comparing.opened(session.number, session.operator, session.began_at)
        if session.number in comparing.entries:
            outstanding = sum(service.granted for service in session.services.values())
            comparing.stepped(session.number, session.used, session.charged, outstanding)

    def _opened(self, event: Stepped) -> SessionEntry:
        opening = event.opening
        assert opening is not None
        session = SessionEntry(
            self.next_session,
            event.session_id,
            opening.operator or None,
            opening.imsi,
            opening.msisdn,
            opening.apn,
            opening.context_id,
            "",
            "",
            "open",
            event.at,
            event.at,
        )
        self.next_session += 1
        self.sessions[event.session_id] = session
        return session

    def _service(self, session: SessionEntry, step: ServiceStep) -> None:
        service = session.services.setdefault(_key(step), ServiceEntry(step.tariff))
        service.used += step.used
        service.charged += step.charged
        service.overrun += step.overrun
        service.result_code = step.result_code
        session.used += step.used
        session.charged += step.charged
        session.overrun += step.overrun

    def _money(self, session: SessionEntry, event: Stepped) -> None:
        assert session.operator is not None
        account = self._account(session.operator)
        if event.request_type == CcRequestType.EVENT:
            moves = event.action in (RequestedAction.DIRECT_DEBITING, RequestedAction.REFUND_ACCOUNT)
            charged = sum(step.charged for step in event.services) if moves else 0
            account.available -= charged
            account.consumed += charged
            return
        for step in event.services:
            service = session.services[_key(step)]
            if step.ended:
                account.reserved -= service.reserved
                account.available += service.reserved
                service.reserved = service.granted = 0
            account.available -= step.charged - step.overrun
            account.consumed += step.charged - step.overrun
            account.overrun += step.overrun
            account.owed += step.overrun
        if event.state != State.OPEN:
            self._release(session)
        for step in event.services:
            service = session.services[_key(step)]
            if step.granted:
                account.available -= step.reserved
                account.reserved += step.reserved
                service.reserved, service.granted = step.reserved, step.granted

    def _release(self, session: SessionEntry) -> None:
        for service in session.services.values():
            if service.reserved and session.operator is not None:
                account = self._account(session.operator)
                account.reserved -= service.reserved
                account.available += service.reserved
            service.reserved = service.granted = 0

    def _expired(self, index: GroupIndex, event: Expired) -> None:
        session = self._session(event.session_id, index)
        self._release(session)
        session.state, session.ended_at, session.last_at = "ended", event.at, event.at
        session.end_cause = _CAUSES[event.cause]
        self.usage.comparing.ended(index, event.at, session.number, terminated=False)

    # Rows

    def _account(self, operator: int) -> AccountEntry:
        self.touched_accounts.add(operator)
        return self.accounts[operator]

    def _session(self, session_id: bytes, index: GroupIndex) -> SessionEntry:
        session = self.sessions[session_id]
        session.last_group = index
        self._touch(session)
        return session

    def _touch(self, session: SessionEntry) -> None:
        if session.number not in self._written_numbers:
            self._written_numbers.add(session.number)
            self.written.append(session)

    def _incident(
        self,
        index: GroupIndex,
        event: Stepped | Refused,
        kind: str,
        result_code: int,
        octets: int,
        origin_host: str,
        detail: str,
    ) -> None:
        self.add(
            "INSERT INTO incidents VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(event.at, index, kind, event.session_id, event.number, result_code, octets, origin_host, detail),
        )

    def add(self, statement: str, *values: object) -> None:
        self.statements.append((statement, tuple(fit(value) for value in values)))


def fit(value: object) -> object:
    """Keep a number within what a column holds."""
    if isinstance(value, int) and not -INTEGER_MAX <= value <= INTEGER_MAX:
        return INTEGER_MAX if value > 0 else -INTEGER_MAX
    return value


def _key(step: ServiceStep) -> tuple[int, str]:
    return step.rating_group, " ".join(map(str, sorted(step.service_ids))) if step.service_ids else ""
