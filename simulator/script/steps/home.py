"""What a home operator does and sees: top-ups, balances, and the end of a session from the server's side."""

import uuid
from dataclasses import dataclass

from simulator.scenario import Stage
from simulator.script.expectation import BalanceExpect, Sight
from simulator.script.fields import needed, option, read
from simulator.script.measure import integer, positive
from simulator.script.step import Step, verb
from simulator.script.steps.session import SessionStep
from simulator.script.value import Value
from simulator.subscriber import Session
from simulator.wire import text


def operator(value: Value) -> str:
    return value.one_of(value.cast.operators, "operator")


@verb("top_up")
@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp(Step):
    """Add credit; `times`: the same top-up again under the same Idempotency-Key, which credits once."""

    subject: str = needed(operator)
    amount: int = needed(lambda value: integer(value, 1))
    times: int = option(positive, 1)

    async def play(self, stage: Stage) -> None:
        key = str(uuid.uuid4())
        for _ in range(self.times):
            await stage.accounts().top_up(stage.operators[self.subject].name, self.amount, "scene", key)


@verb("balance")
@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBalance(Step):
    """Read an operator's balance until it is as expected, or the time in which books may trail is over."""

    subject: str = needed(operator)
    expect: BalanceExpect = needed(lambda value: read(BalanceExpect, value))

    async def play(self, stage: Stage) -> None:
        shown = await stage.settled_balance(stage.operators[self.subject], self.expect.holds)
        self.expect.judge(stage, self.at, shown)


@verb("terminate")
@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate(SessionStep):
    """End a session from the server's side, over its API: an ASR follows."""

    reason: str = option(Value.text, "scene")

    async def act(self, stage: Stage, session: Session) -> Sight:
        await stage.accounts().terminate(text(session.session_id), self.reason)
        return Sight(session, session.last)
