"""Top-ups, their reversals, and write-offs: what moves an operator's credit by hand."""

from typing import Annotated, Final, Literal

from fastapi import Header, Path, Response
from pydantic import ConfigDict, Field

from ocs import command as cmd
from ocs.administration import operator_named
from ocs.balance.event import Reversed, ToppedUp, TopUpKind, WrittenOff
from ocs.errors import NotFound
from ocs.shell.api.door import ALONE, Behind, router
from ocs.shell.api.operators import BalanceView, balance_view, operator_path
from ocs.shell.api.paging import Page, Paging, number_of, page_of
from ocs.shell.api.problems import responses
from ocs.shell.api.values import Body, CreditsIn, CreditsText, TimeText, View, time_text
from ocs.state import State
from ocs.units import CREDITS_MAX, UnixMillis

routes = router("money")

REPLAYED: Final = "Idempotency-Replayed"

Kind = Literal["paid", "lent"]
Number = Annotated[int, Path(ge=1, le=CREDITS_MAX, description="of the top-up")]
Key = Annotated[
    str, Header(description="1 to 255 characters, new for each top-up; a repeat with the same key credits nothing")
]


class NewTopUp(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "250000", "reference": "invoice 2027-001"}]})

    amount: CreditsIn
    reference: str = Field(description="1 to 255 characters: what finance finds it by")
    kind: Kind = Field(default="paid", description="`lent`: a credit limit")


class NewReversal(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "1000", "reason": "paid twice"}]})

    amount: CreditsIn
    reason: str = Field(description="1 to 255 characters")


class NewWriteOff(NewReversal):
    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "1000", "reason": "insolvent"}]})


class BalanceAfter(View):
    """The balance just after; every repeat is shown the same."""

    credited: CreditsText
    available: CreditsText
    reserved: CreditsText
    consumed: CreditsText
    overrun: CreditsText


class TopUpView(View):
    number: int
    operator: str
    at: TimeText
    amount: CreditsText
    kind: Kind
    reference: str
    key: str
    balance_after: BalanceAfter


class TopUpRowView(View):
    number: int
    operator: str
    at: TimeText
    amount: CreditsText
    kind: Kind
    reference: str
    key: str
    reversed: CreditsText = Field(description="taken back so far")


class ReversalView(View):
    top_up: int
    operator: str
    at: TimeText
    amount: CreditsText
    reason: str
    balance: BalanceView


class WriteOffView(View):
    operator: str
    at: TimeText
    amount: CreditsText
    reason: str
    balance: BalanceView


def _kind_name(kind: TopUpKind) -> Kind:
    return "paid" if kind == TopUpKind.PAID else "lent"


def _view(name: str, event: ToppedUp) -> TopUpView:
    """Show a top-up from its event alone, so that a repeat reads the same for ever."""
    return TopUpView(
        number=event.number,
        operator=name,
        at=time_text(event.at),
        amount=str(event.amount),
        kind=_kind_name(event.kind),
        reference=event.reference,
        key=event.key,
        balance_after=BalanceAfter(
            credited=str(event.credited),
            available=str(event.available),
            reserved=str(event.reserved),
            consumed=str(event.consumed),
            overrun=str(event.overrun),
        ),
    )


def _balance_now(state: State, name: str) -> BalanceView:
    return balance_view(operator_named(state, name).account)


@routes.post(
    "/operators/{name}/top-ups", status_code=201, responses=responses(400, 404), dependencies=ALONE, name="top_up"
)
async def top_up(backend: Behind, name: str, body: NewTopUp, idempotency_key: Key, response: Response) -> TopUpView:
    """Credit an operator, once for each Idempotency-Key; what it owes is paid first.

    A repeat with the same content is answered as the first time, with `Idempotency-Replayed: true`; the same key with
    other content is refused.  Keys are kept for ever.
    """
    kind = TopUpKind.PAID if body.kind == "paid" else TopUpKind.LENT
    done = await backend.command(cmd.TopUp(name, body.amount, kind, body.reference, idempotency_key))
    event = done.event
    assert isinstance(event, ToppedUp), "TopUp gives ToppedUp"
    if done.repeated:
        response.headers[REPLAYED] = "true"
    response.headers["Location"] = f"{operator_path(name)}/top-ups/{event.number}"
    return _view(name, event)


@routes.get("/operators/{name}/top-ups", responses=responses(404))
async def list_top_ups(backend: Behind, name: str, query: Paging) -> Page[TopUpRowView]:
    """List an operator's top-ups, the oldest first, with what was taken back of each."""
    after = number_of("top-ups", query.cursor) or 0
    operator_named(await backend.state(), name)
    books = await backend.books()
    rows = [
        (
            row.number,
            TopUpRowView(
                number=row.number,
                operator=row.operator,
                at=time_text(UnixMillis(row.at)),
                amount=str(row.amount),
                kind="paid" if row.kind == "paid" else "lent",
                reference=row.reference,
                key=row.key,
                reversed=str(row.reversed),
            ),
        )
        for row in await books.top_ups(name, after=after, limit=query.limit + 1)
    ]
    return page_of("top-ups", rows, query.limit)


@routes.get("/operators/{name}/top-ups/{number}", responses=responses(404), dependencies=ALONE)
async def show_top_up(backend: Behind, name: str, number: Number) -> TopUpView:
    """Show one top-up as it was first answered."""
    state = await backend.state()
    operator = operator_named(state, name)
    event = state.top_ups.get(number)
    if event is None or event.operator != operator.number:
        raise NotFound(f"operator {operator.name!r} has no top-up {number}")
    return _view(name, event)


@routes.post(
    "/operators/{name}/top-ups/{number}/reversals", status_code=201, responses=responses(404, 409), dependencies=ALONE
)
async def reverse_top_up(backend: Behind, name: str, number: Number, body: NewReversal) -> ReversalView:
    """Take a top-up back, or a part of it: at most what is available."""
    done = await backend.command(cmd.ReverseTopUp(name, number, body.amount, body.reason))
    event = done.event
    assert isinstance(event, Reversed), "ReverseTopUp gives Reversed"
    return ReversalView(
        top_up=event.top_up,
        operator=name,
        at=time_text(event.at),
        amount=str(event.amount),
        reason=event.reason,
        balance=_balance_now(await backend.state(), name),
    )


@routes.post("/operators/{name}/write-offs", status_code=201, responses=responses(404, 409), dependencies=ALONE)
async def write_off(backend: Behind, name: str, body: NewWriteOff) -> WriteOffView:
    """Give up what an operator owes, or a part of it."""
    done = await backend.command(cmd.WriteOff(name, body.amount, body.reason))
    event = done.event
    assert isinstance(event, WrittenOff), "WriteOff gives WrittenOff"
    return WriteOffView(
        operator=name,
        at=time_text(event.at),
        amount=str(event.amount),
        reason=event.reason,
        balance=_balance_now(await backend.state(), name),
    )
