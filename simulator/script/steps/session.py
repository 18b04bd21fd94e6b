"""What a subscriber's session does through its gateway: attach, use, report, end."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from simulator.checks import Rule
from simulator.gateway import Unanswered
from simulator.messages import Reason, ServiceUnits, Volume
from simulator.profile import RequestType
from simulator.quota import NEVER, Quota, QuotaState
from simulator.scenario import Stage, until
from simulator.script.expectation import SessionExpect, Sight
from simulator.script.fields import needed, option, read
from simulator.script.measure import Amount, amount, integer, percent, positive, rating_group, seconds
from simulator.script.step import Step, verb
from simulator.script.value import Value
from simulator.subscriber import OutOfTurn, Session
from simulator.wire import Message

UP_PERCENT: Final = 20
"""What goes up of octets that are used, unless the step says otherwise."""

AWAITED_SECONDS: Final = 15.0
"""How long a scenario waits for something the server has to start, such as a RAR after a top-up."""


def group(value: Value) -> str:
    """Give the name of a session, or of a group of them."""
    return value.one_of(value.cast.sessions, "session")


def groups(value: Value) -> tuple[str, ...]:
    return value.listed(group)


def session_expect(value: Value) -> SessionExpect:
    return read(SessionExpect, value)


def note(value: Value) -> str:
    """Give a name for an answer, to which a later step may refer."""
    value.cast.noted.add(value.text())
    return value.text()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStep(Step):
    """A verb about sessions; all of them do it at once."""

    subject: tuple[str, ...] = needed(groups)
    note: str = option(note, "")
    expect: SessionExpect = option(session_expect, SessionExpect())

    async def play(self, stage: Stage) -> None:
        begun = len(stage.signalling)
        chosen = [session for name in self.subject for session in stage.groups[name]]
        seen = await asyncio.gather(*(self._seen(stage, session) for session in chosen))
        sights = [sight for sight in seen if sight is not None]
        if self.note and sights and (first := sights[0].exchange) is not None:
            stage.noted[self.note] = first
        self.expect.judge(stage, self.at, sights, stage.signalling[begun:])

    async def _seen(self, stage: Stage, session: Session) -> Sight | None:
        """Do it with one session; None where that was not its turn, which is all there is to say of it."""
        try:
            return await self.act(stage, session)
        except Unanswered:
            return Sight(session, None)
        except OutOfTurn as error:
            stage.expect(False, Rule.STATE, self.at, "a step that the session can take", str(error), session)
            return None

    @abstractmethod
    async def act(self, stage: Stage, session: Session) -> Sight:
        """Do it with one session."""


@verb("attach")
@dataclass(frozen=True, slots=True, kw_only=True)
class Attach(SessionStep):
    async def act(self, stage: Stage, session: Session) -> Sight:
        return Sight(session, await stage.attach(session))


@verb("use")
@dataclass(frozen=True, slots=True, kw_only=True)
class Use(SessionStep):
    """Move octets as far as quota lasts, and report as often as that takes."""

    of_tunnels: ClassVar = False
    octets: Amount = needed(amount)
    up: int = option(percent, UP_PERCENT)
    service: int | None = option(rating_group)
    times: int = option(positive, 1)

    async def act(self, stage: Stage, session: Session) -> Sight:
        place, moved = session.quotas.index(_quota(session, self.service)), Volume()
        for _ in range(self.times):
            if not session.open:
                break
            octets = self.octets.of(session.quotas[place], session.profile)
            one = await session.use(volume(octets, self.up), place)
            moved += one
            if not one.total and octets:
                break  # no quota is left, and none will come by itself
        return Sight(session, session.last, moved)


@verb("report")
@dataclass(frozen=True, slots=True, kw_only=True)
class Report(SessionStep):
    """Report so much use in a CCR-U now, whatever was granted, and ask for more unless told otherwise."""

    of_tunnels: ClassVar = False
    octets: Amount = option(amount, Amount())
    up: int = option(percent, UP_PERCENT)
    service: int | None = option(rating_group)
    ask: bool = option(Value.boolean, True)
    number: int | None = option(lambda value: integer(value, 0, 2**32 - 1))

    async def act(self, stage: Stage, session: Session) -> Sight:
        quota = _quota(session, self.service)
        used = volume(self.octets.of(quota, session.profile), self.up)
        units = ServiceUnits(key=quota.key, wanted=self.ask, used=used, reason=Reason.QUOTA_EXHAUSTED)
        return Sight(session, await session.say(RequestType.UPDATE, [units], number=self.number), used)


@verb("expire")
@dataclass(frozen=True, slots=True, kw_only=True)
class Expire(SessionStep):
    """Let the simulated time pass until a Validity-Time is over, and do what follows."""

    async def act(self, stage: Stage, session: Session) -> Sight:
        ends = min(quota.expires_at for quota in session.quotas)
        if ends != NEVER:
            stage.clock.skip(max(ends - stage.clock.now(), 0))
        await session.check_timers()
        return Sight(session, session.last)


@verb("detach")
@dataclass(frozen=True, slots=True, kw_only=True)
class Detach(SessionStep):
    async def act(self, stage: Stage, session: Session) -> Sight:
        return Sight(session, await stage.detach(session))


@verb("delete_from_home")
@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteFromHome(SessionStep):
    async def act(self, stage: Stage, session: Session) -> Sight:
        return Sight(session, await stage.detach(session, by_home=True))


@verb("move")
@dataclass(frozen=True, slots=True, kw_only=True)
class Move(SessionStep):
    """Let a session go on through another gateway."""

    of_tunnels: ClassVar = False
    to: str = needed(lambda value: value.one_of(value.cast.gateways, "gateway"))

    async def act(self, stage: Stage, session: Session) -> Sight:
        session.move(stage.gateways[self.to])
        return Sight(session, session.last)


@verb("repeat_last")
@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatLast(SessionStep):
    """Send the newest request again, many times at once; an answer that was lost before is taken."""

    times: int = option(positive, 1)
    t_bit: bool = option(Value.boolean, True)

    async def act(self, stage: Stage, session: Session) -> Sight:
        exchanges = await asyncio.gather(*(session.repeat(told=self.t_bit) for _ in range(self.times)))
        first = exchanges[0]
        if self.times > 1:
            same = all(one.answer.avps == first.answer.avps for one in exchanges)
            stage.expect(same, Rule.REPEAT, self.at, f"{self.times} equal answers", "different ones", session)
        return Sight(session, first)


AWAITED: Final[dict[str, Callable[[Session], bool]]] = {
    "grant": lambda session: any(quota.state is QuotaState.ACTIVE for quota in session.quotas),
    "end": lambda session: session.last is not None and _is_last(session.last.request),
}


@verb("await")
@dataclass(frozen=True, slots=True, kw_only=True)
class Await(SessionStep):
    """Wait until the server has asked anew (RAR) and granted, or has ended the session (ASR)."""

    awaited: str = needed(lambda value: value.one_of(AWAITED, "thing to wait for"))
    seconds: float = option(seconds, AWAITED_SECONDS)

    async def act(self, stage: Stage, session: Session) -> Sight:
        condition = AWAITED[self.awaited]
        came = await until(lambda: condition(session), session, self.seconds / stage.clock.scale)
        text = f"{self.awaited} within {self.seconds:g} s"
        stage.expect(came, Rule.SERVER_REQUEST, self.at, text, "nothing came of it", session)
        return Sight(session, session.last)


def _is_last(request: Message) -> bool:
    return request.number("CC-Request-Type") == RequestType.TERMINATION


def volume(octets: int, up_percent: int) -> Volume:
    up = octets * up_percent // 100
    return Volume(up, octets - up)


def _quota(session: Session, service: int | None) -> Quota:
    if service is None:
        return session.quotas[0]
    return next(quota for quota in session.quotas if quota.key.rating_group == service)
