"""What holds at a scenario's end, after every session has ended: the books, the receipts, and the packets."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from simulator.accounts import Balance
from simulator.checks import Rule
from simulator.scenario import Stage

STEP: Final = "invariants"

Invariant = Callable[[Stage], Awaitable[None]]


async def balance_adds_up(stage: Stage) -> None:
    """credited = available + reserved + consumed, and nothing below zero."""
    for operator in stage.operators.values():
        shown = await stage.balance(operator)
        text = f"credited = available + reserved + consumed of {operator.name}"
        stage.expect(shown.adds_up, Rule.MONEY, STEP, text, str(shown))


async def charged_as_reported(stage: Stage) -> None:
    """What is consumed or owed is the tariff's price of the octets reported."""
    for operator in stage.operators.values():
        due = stage.due(operator)
        shown = await stage.settled_balance(operator, partial(_is_charged, due))
        charged = shown.consumed + shown.overrun
        text = f"{due:,} credits charged to {operator.name}"
        stage.expect(charged == due, Rule.MONEY, STEP, text, f"{charged:,} are")


async def nothing_reserved(stage: Stage) -> None:
    """No reservation outlives its session."""
    for operator in stage.operators.values():
        shown = await stage.settled_balance(operator, lambda shown: shown.reserved == 0)
        text = f"nothing reserved of {operator.name}"
        stage.expect(shown.reserved == 0, Rule.MONEY, STEP, text, f"{shown.reserved:,} are")


async def receipts_prove(stage: Stage) -> None:
    """Each octet reported is signed, and each receipt is in the log."""
    if stage.around.signed is None:
        return
    metered = [session for session in stage.sessions if session.metered]
    found = await stage.around.signed.check(metered)
    stage.record.expected(STEP, f"receipts for what {len(metered)} sessions reported", held=not found)
    stage.record.broken(found)


async def packets_add_up(stage: Stage) -> None:
    """What passed the gateways arrived and was reported; what did not was dropped or met no tunnel."""
    if stage.plane is None:
        return
    await stage.plane.settled()
    for one in stage.plane.accounts():
        text = f"all packets of {one.imsi} delivered and reported, or dropped"
        stage.expect(one.exact, Rule.PACKETS, STEP, text, str(one))
    seen = f"{stage.plane.lab.strays:,} octets met no tunnel"
    stage.expect(stage.plane.exact, Rule.PACKETS, STEP, "every octet of every packet in one place", seen)


INVARIANTS: Final[dict[str, Invariant]] = {
    "balance_adds_up": balance_adds_up,
    "charged_as_reported": charged_as_reported,
    "nothing_reserved": nothing_reserved,
    "receipts_prove": receipts_prove,
    "packets_add_up": packets_add_up,
}
"""Besides, no rule of `simulator.checks` is broken by any answer: that always holds, and needs no mention."""


def _is_charged(due: int, shown: Balance) -> bool:
    return shown.consumed + shown.overrun == due
