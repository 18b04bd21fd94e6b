"""What UEs do with their tunnels: packets flow, and another gateway takes over."""

from dataclasses import dataclass
from typing import ClassVar

from simulator.plane.traffic import Kind
from simulator.scenario import Stage
from simulator.script.expectation import Sight
from simulator.script.fields import needed, option
from simulator.script.measure import integer, positive
from simulator.script.step import verb
from simulator.script.steps.session import SessionStep
from simulator.script.value import Value
from simulator.subscriber import Session


def kinds(value: Value) -> tuple[Kind, ...]:
    """Give kinds of traffic."""
    return value.listed(lambda one: Kind(one.one_of([kind.value for kind in Kind], "kind of traffic")))


@verb("packets")
@dataclass(frozen=True, slots=True, kw_only=True)
class Packets(SessionStep):
    """Let packets flow through the tunnels, so many of each kind, and wait until what they made due is reported.

    Attributes:
        seed: the same one gives the same packets; each UE has its own.
        paced: whether the pauses of web pages, films and things are kept, in simulated time.
    """

    of_tunnels: ClassVar = True
    kinds: tuple[Kind, ...] = option(kinds, (Kind.WEB,))
    count: int = needed(positive)
    seed: int = option(integer, 1)
    paced: bool = option(Value.boolean, False)

    async def act(self, stage: Stage, session: Session) -> Sight:
        passage = await stage.user_plane().send(session, self.kinds, self.count, self.seed, paced=self.paced)
        return Sight(session, session.last, passage.forwarded, passage.dropped, passage.strayed)


@verb("hand_over")
@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver(SessionStep):
    """Have another gateway serve the UE while its packets flow: a new session begins there, the old one ends.

    What the step saw is the new session; from here on the name means that one.
    """

    of_tunnels: ClassVar = True
    to: str = needed(lambda value: value.one_of(value.cast.gateways, "gateway"))

    async def act(self, stage: Stage, session: Session) -> Sight:
        successor = await stage.hand_over(session, stage.gateways[self.to])
        return Sight(successor, successor.last)
