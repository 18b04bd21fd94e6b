"""Requests that are wrong in one way, or come when nobody expects them: the gateway out of order."""

from dataclasses import dataclass, replace
from typing import Final

from simulator.messages import Reason, ServiceUnits
from simulator.profile import RequestType
from simulator.scenario import Stage
from simulator.script.expectation import Sight
from simulator.script.fields import needed, option, read
from simulator.script.measure import Amount, amount, integer
from simulator.script.step import verb
from simulator.script.steps.session import UP_PERCENT, SessionStep, volume
from simulator.script.value import Value
from simulator.subscriber import Session
from simulator.wire import Avp, AvpFlag, Message, avp

TYPES: Final = {
    "initial": RequestType.INITIAL,
    "update": RequestType.UPDATE,
    "termination": RequestType.TERMINATION,
}


def known_avp(value: Value) -> str:
    """Give the name of an AVP that the simulator knows."""
    name = value.text()
    try:
        avp(name, b"")
    except KeyError:
        raise value.wrong(f"no AVP is called {name!r}") from None
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An AVP to add: by its code, with octets of text.

    Attributes:
        mandatory: whether the M bit is set.
        inside: the group in which it stands; at command level without one.
    """

    code: int = needed(lambda value: integer(value, 1, 2**32 - 1))
    vendor: int = option(lambda value: integer(value, 0, 2**32 - 1), 0)
    mandatory: bool = option(Value.boolean, False)
    text: str = option(Value.text, "x")
    inside: str = option(known_avp, "")

    def made(self) -> Avp:
        flags = (AvpFlag.MANDATORY if self.mandatory else 0) | (AvpFlag.VENDOR if self.vendor else 0)
        return Avp(f"AVP {self.vendor}/{self.code}", self.code, self.vendor, int(flags), self.text.encode())


@verb("send")
@dataclass(frozen=True, slots=True, kw_only=True)
class Send(SessionStep):
    """Send one request as it is described here, whatever the session's state."""

    type: str = needed(lambda value: value.one_of(TYPES, "type of request"))
    octets: Amount | None = option(amount)
    number: int | None = option(lambda value: integer(value, 0, 2**32 - 1))
    ask: bool = option(Value.boolean, True)
    without: tuple[str, ...] = option(lambda value: value.listed(known_avp), ())
    add: tuple[Extra, ...] = option(lambda value: value.listed(lambda one: read(Extra, one)), ())

    async def act(self, stage: Stage, session: Session) -> Sight:
        kind, quota = TYPES[self.type], session.quotas[0]
        used = volume(self.octets.of(quota, session.profile), UP_PERCENT) if self.octets is not None else None
        asks = self.ask and kind is not RequestType.TERMINATION
        reason = Reason.FINAL if kind is RequestType.TERMINATION else Reason.QUOTA_EXHAUSTED
        units = ServiceUnits(key=quota.key, wanted=asks, used=used, reason=reason if used is not None else None)
        exchange = await session.say(kind, [units], number=self.number, change=self._change)
        return Sight(session, exchange)

    def _change(self, message: Message) -> Message:
        kept = [one for one in message.avps if one.name not in self.without]
        for extra in self.add:
            if not extra.inside:
                kept.append(extra.made())
                continue
            kept = [
                replace(one, value=(*one.members, extra.made())) if one.name == extra.inside else one for one in kept
            ]
        return replace(message, avps=tuple(kept))
