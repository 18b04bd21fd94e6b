"""What a step states, and whether it holds: of a session and its answer, of a group, of a connection, of a balance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulator.accounts import Balance
from simulator.checks import SUCCESS, Rule
from simulator.gateway import Exchange
from simulator.messages import Volume
from simulator.scenario import Stage
from simulator.script.fields import option
from simulator.script.measure import Bounds, bounds, codes, integer, seconds
from simulator.script.value import Value
from simulator.signalling import NAMES
from simulator.subscriber import Session, SessionState
from simulator.wire import Message

Found = tuple[bool, Rule, str, str]
"""Whether it holds, the rule, what is expected, and what was seen."""


def noted(value: Value) -> str:
    """Give a name under which an earlier step has noted its answer."""
    return value.one_of(value.cast.noted, "noted answer")


def state(value: Value) -> str:
    return value.one_of([one.value for one in SessionState], "state of a session")


def signalling(value: Value) -> tuple[str, ...]:
    """Give the names of messages, in the order of a procedure."""
    return value.listed(lambda one: one.one_of(NAMES, "message"))


def service_codes(value: Value) -> tuple[tuple[int, int], ...]:
    """Give Result-Codes by Rating-Group."""
    return tuple((integer(key), integer(code, 1000, 5999)) for key, code in value.pairs("a Rating-Group"))


@dataclass(frozen=True, slots=True)
class Sight:
    """What a step saw of one session: its exchange, None without an answer, and the octets that passed or did not."""

    session: Session
    exchange: Exchange | None
    moved: Volume = Volume()
    dropped: Volume = Volume()
    strayed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExpect:
    """Of each session of the step, and with `..._together` of all of them.

    Attributes:
        code: at whichever level it was given; `command_code`: at command level.
        granted: octets of all services together.
        reports: update requests since the session began.
        dropped: octets of packets that met no quota.
        strayed: octets of packets that met no tunnel.
        answered: whether an answer came.
        signalling: every message of Gy and GTP-C during the step, in order.
    """

    code: tuple[int, ...] | None = option(codes)
    command_code: tuple[int, ...] | None = option(codes)
    service_codes: tuple[tuple[int, int], ...] | None = option(service_codes)
    granted: Bounds | None = option(bounds)
    final_unit: bool | None = option(Value.boolean)
    validity: Bounds | None = option(bounds)
    within: float | None = option(seconds)
    same_answer_as: str | None = option(noted)
    state: str | None = option(state)
    reports: Bounds | None = option(bounds)
    moved: Bounds | None = option(bounds)
    dropped: Bounds | None = option(bounds)
    strayed: Bounds | None = option(bounds)
    reported: Bounds | None = option(bounds)
    answered: bool = option(Value.boolean, True)
    granted_together: Bounds | None = option(bounds)
    served_together: Bounds | None = option(bounds)
    signalling: tuple[str, ...] | None = option(signalling)

    def judge(self, stage: Stage, step: str, sights: Sequence[Sight], said: Sequence[str]) -> None:
        """Hold every session against this, and what was said meanwhile."""
        if self.signalling is not None:
            held = list(self.signalling) == list(said)
            stage.expect(held, Rule.SIGNALLING, step, _in_order(self.signalling), _in_order(said))
        for sight in sights:
            for held, rule, text, seen in self._of(sight, stage):
                stage.expect(held, rule, step, text, seen, sight.session)
        for held, rule, text, seen in self._together(sights):
            stage.expect(held, rule, step, text, seen)

    def _of(self, sight: Sight, stage: Stage) -> Iterator[Found]:
        session, exchange = sight.session, sight.exchange
        if exchange is None or not self.answered:
            answered = exchange is not None
            yield answered == self.answered, Rule.NOT_ANSWERED, _answer(self.answered), _answer(answered)
        if exchange is not None:
            yield from self._of_answer(session, exchange, stage)
        granted = sum(quota.granted for quota in session.quotas)
        if self.granted is not None:
            rule = Rule.GRANT if granted else Rule.GRANT_MISSING
            yield self.granted.holds(granted), rule, f"a grant of {self.granted}", f"a grant of {granted:,}"
        if self.state is not None:
            yield session.state == self.state, Rule.STATE, f"the session {self.state}", f"it is {session.state}"
        for bound, rule, number, what in (
            (self.reports, Rule.STATE, session.reports, "reports"),
            (self.moved, Rule.STATE, sight.moved.total, "octets moved"),
            (self.dropped, Rule.STATE, sight.dropped.total, "octets dropped"),
            (self.strayed, Rule.STATE, sight.strayed, "octets without a tunnel"),
            (self.reported, Rule.STATE, session.reported.total, "octets reported"),
        ):
            if bound is not None:
                yield bound.holds(number), rule, f"{bound} {what}", f"{number:,} {what}"

    def _of_answer(self, session: Session, exchange: Exchange, stage: Stage) -> Iterator[Found]:
        if self.code is not None:
            # Of an answer that the session did not take, such as one to a repeat, the command's code is all there is.
            code = session.result_code if exchange is session.last else exchange.result_code
            yield code in self.code, Rule.RESULT, _codes(self.code), str(code)
        if self.command_code is not None:
            yield (
                exchange.result_code in self.command_code,
                Rule.RESULT,
                (f"{_codes(self.command_code)} for the command"),
                str(exchange.result_code),
            )
        for group, code in self.service_codes or ():
            given = _service_code(exchange.answer, group)
            yield given == code, Rule.RESULT, f"{code} for Rating-Group {group}", str(given or "none")
        if self.final_unit is not None:
            final = any(service.all("Final-Unit-Indication") for service in exchange.answer.services)
            yield final == self.final_unit, Rule.FINAL_UNIT, _final(self.final_unit), _final(final)
        if self.validity is not None:
            for service in exchange.answer.services:
                validity = service.number("Validity-Time") or 0
                yield self.validity.holds(validity), Rule.VALIDITY_TIME, f"Validity-Time {self.validity}", str(validity)
        if self.within is not None:
            yield (
                exchange.seconds <= self.within,
                Rule.LATE,
                (f"an answer within {1000 * self.within:g} ms"),
                f"it took {1000 * exchange.seconds:.0f} ms",
            )
        if self.same_answer_as is not None:
            first = stage.noted.get(self.same_answer_as)
            same = first is not None and first.answer.avps == exchange.answer.avps
            yield same, Rule.REPEAT, f"the answer noted as {self.same_answer_as}", "another one"

    def _together(self, sights: Sequence[Sight]) -> Iterator[Found]:
        granted = sum(quota.granted for sight in sights for quota in sight.session.quotas)
        served = sum(sight.exchange is not None and sight.session.result_code == SUCCESS for sight in sights)
        for bound, rule, number, what in (
            (self.granted_together, Rule.GRANT, granted, "octets granted together"),
            (self.served_together, Rule.RESULT, served, "sessions served"),
        ):
            if bound is not None:
                yield bound.holds(number), rule, f"{bound} {what}", f"{number:,} {what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionExpect:
    """Of a connection: the Result-Code of CEA, DWA or DPA, and whether it stands."""

    code: tuple[int, ...] | None = option(codes)
    connected: bool | None = option(Value.boolean)
    within: float | None = option(seconds)

    def judge(self, stage: Stage, step: str, code: int, spent: float, *, connected: bool) -> None:
        if self.code is not None:
            stage.expect(code in self.code, Rule.CONNECTION, step, _codes(self.code), str(code or "no answer"))
        if self.connected is not None:
            held = connected == self.connected
            stage.expect(held, Rule.CONNECTION, step, _connection(self.connected), _connection(connected))
        if self.within is not None:
            seen = f"it took {1000 * spent:.0f} ms"
            stage.expect(spent <= self.within, Rule.LATE, step, f"an end within {1000 * self.within:g} ms", seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceExpect:
    """Of an operator's balance, in credits."""

    credited: Bounds | None = option(bounds)
    available: Bounds | None = option(bounds)
    reserved: Bounds | None = option(bounds)
    consumed: Bounds | None = option(bounds)
    overrun: Bounds | None = option(bounds)

    def judge(self, stage: Stage, step: str, shown: Balance) -> None:
        for held, rule, text, seen in self._of(shown):
            stage.expect(held, rule, step, text, seen)

    def holds(self, shown: Balance) -> bool:
        return all(held for held, *_ in self._of(shown))

    def _of(self, shown: Balance) -> Iterator[Found]:
        for name in Balance.__dataclass_fields__:
            bound: Bounds | None = getattr(self, name)
            if bound is not None:
                number: int = getattr(shown, name)
                yield bound.holds(number), Rule.MONEY, f"{name} {bound}", f"{name} is {number:,}"


def _codes(expected: Sequence[int]) -> str:
    return " or ".join(map(str, expected))


def _in_order(messages: Sequence[str]) -> str:
    return ", ".join(messages) or "no message"


def _answer(came: bool) -> str:
    return "an answer" if came else "no answer"


def _final(indicated: bool) -> str:
    return "final units" if indicated else "no final units"


def _connection(stands: bool) -> str:
    return "a connection that stands" if stands else "no connection"


def _service_code(answer: Message, group: int) -> int | None:
    return next((one.number("Result-Code") for one in answer.services if one.number("Rating-Group") == group), None)
