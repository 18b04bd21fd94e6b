"""Home operators: who they are, their prefixes, tariffs and balances."""

from typing import Any, Final

from fastapi import Response
from pydantic import ConfigDict, Field

from ocs import command as cmd
from ocs.administration import operator_named
from ocs.balance.account import Account
from ocs.balance.event import TariffAdded
from ocs.balance.operator import Operator
from ocs.errors import InvalidInput
from ocs.rating.tariff import Tariff
from ocs.shell.api.door import ALONE, Behind, router
from ocs.shell.api.gate import PREFIX
from ocs.shell.api.paging import Page, Paging, number_of, page_of
from ocs.shell.api.problems import responses
from ocs.shell.api.values import (
    Body,
    CreditsIn,
    CreditsText,
    OctetsIn,
    OctetsText,
    RatingGroup,
    TimeText,
    View,
    time_text,
)
from ocs.state import State
from ocs.units import OperatorId

routes = router("operators")

CREATED_EXAMPLE: Final[dict[str, Any]] = {
    "name": "home",
    "prefixes": ["00101"],
    "tariff": {"price": "1", "per_octets": "1000"},
}


class Price(Body):
    """`price` credits for each started block of `per_octets`."""

    price: CreditsIn
    per_octets: OctetsIn


class NewOperator(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [CREATED_EXAMPLE]})

    name: str = Field(description="1 to 64 letters, digits, hyphens, underscores or dots")
    prefixes: list[str] = Field(description="IMSI prefixes of 5 to 14 digits; the longest one that fits wins")
    tariff: Price = Field(description="the default tariff")
    grant_max: OctetsIn | None = Field(default=None, description="no single grant is larger")


class OperatorChange(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"add_prefixes": ["00102"], "grant_max": "50000000"}]})

    add_prefixes: list[str] = Field(default=[], description="come to those there are")
    grant_max: OctetsIn | None = Field(default=None, description="replaces what was; null lifts it; absent keeps it")


class NewTariff(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"rating_group": 7, "price": "2", "per_octets": "1000"}]})

    rating_group: RatingGroup | None = Field(default=None, description="null: all that have no tariff of their own")
    apn: str | None = Field(default=None, description="null: any")
    price: CreditsIn
    per_octets: OctetsIn


class BalanceView(View):
    """`credited = available + reserved + consumed`; `overrun` is what use cost beyond it and is still owed."""

    credited: CreditsText
    available: CreditsText
    reserved: CreditsText
    consumed: CreditsText
    overrun: CreditsText
    written_off: CreditsText


class TariffView(View):
    """An immutable row; sessions keep the rows that were there when they began."""

    number: int
    rating_group: int | None
    apn: str | None
    price: CreditsText
    per_octets: OctetsText
    in_force: bool = Field(description="a session that began now would use it")


class OperatorSummary(View):
    name: str
    prefixes: list[str]
    created_at: TimeText
    grant_max: OctetsText | None
    open_sessions: int
    balance: BalanceView


class OperatorView(OperatorSummary):
    tariffs: list[TariffView] = Field(description="those in force, the default first")


def balance_view(account: Account) -> BalanceView:
    return BalanceView(
        credited=str(account.funded),
        available=str(account.available),
        reserved=str(account.reserved),
        consumed=str(account.consumed),
        overrun=str(account.overrun),
        written_off=str(account.written_off),
    )


def _facts(state: State, operator: Operator) -> dict[str, Any]:
    return {
        "name": operator.name,
        "prefixes": list(operator.prefixes),
        "created_at": time_text(operator.added_at),
        "grant_max": str(operator.grant_max) if operator.grant_max is not None else None,
        "open_sessions": state.charging.sessions.open_count.get(operator.number, 0),
        "balance": balance_view(operator.account),
    }


def _view(state: State, operator: Operator) -> OperatorView:
    tariffs = state.charging.tariffs.in_force(operator.number)
    return OperatorView(**_facts(state, operator), tariffs=[_tariff_view(tariff, in_force=True) for tariff in tariffs])


def _tariff_view(tariff: Tariff, *, in_force: bool) -> TariffView:
    return TariffView(
        number=tariff.number,
        rating_group=tariff.rating_group,
        apn=tariff.apn,
        price=str(tariff.price),
        per_octets=str(tariff.per_octets),
        in_force=in_force,
    )


def operator_path(name: str) -> str:
    """Give an operator's address; names need no escapes."""
    return f"{PREFIX}/operators/{name}"


@routes.post("/operators", status_code=201, responses=responses(409), dependencies=ALONE)
async def add_operator(backend: Behind, body: NewOperator, response: Response) -> OperatorView:
    """Add a home operator with its IMSI prefixes and its default tariff; its balance is 0 until a top-up."""
    tariff = body.tariff
    await backend.command(
        cmd.AddOperator(body.name, body.prefixes, tariff.price, tariff.per_octets, grant_max=body.grant_max)
    )
    response.headers["Location"] = operator_path(body.name)
    state = await backend.state()
    return _view(state, operator_named(state, body.name))


@routes.get("/operators", responses=responses())
async def list_operators(backend: Behind, query: Paging) -> Page[OperatorSummary]:
    """List the operators, the oldest first, with their balances."""
    after = number_of("operators", query.cursor) or 0
    state = await backend.state()
    directory = state.charging.operators
    numbers = range(after + 1, min(len(directory), after + query.limit + 1) + 1)
    rows = [(number, OperatorSummary(**_facts(state, directory[OperatorId(number)]))) for number in numbers]
    return page_of("operators", rows, query.limit)


@routes.get("/operators/{name}", responses=responses(404), dependencies=ALONE)
async def show_operator(backend: Behind, name: str) -> OperatorView:
    """Show an operator: its balance and the tariffs in force."""
    state = await backend.state()
    return _view(state, operator_named(state, name))


@routes.patch("/operators/{name}", responses=responses(404, 409), dependencies=ALONE)
async def change_operator(backend: Behind, name: str, body: OperatorChange) -> OperatorView:
    """Give an operator more prefixes, or set the largest grant."""
    if not body.model_fields_set:
        raise InvalidInput("nothing is to be changed; name add_prefixes, grant_max, or both")
    grant_max = body.grant_max
    if "grant_max" not in body.model_fields_set:
        grant_max = operator_named(await backend.state(), name).grant_max
    await backend.command(cmd.ChangeOperator(name, body.add_prefixes, grant_max))
    state = await backend.state()
    return _view(state, operator_named(state, name))


@routes.post("/operators/{name}/tariffs", status_code=201, responses=responses(404), dependencies=ALONE)
async def add_tariff(backend: Behind, name: str, body: NewTariff) -> TariffView:
    """Set a price for sessions that begin from now on; those that run keep theirs."""
    done = await backend.command(cmd.AddTariff(name, body.rating_group, body.apn, body.price, body.per_octets))
    event = done.event
    assert isinstance(event, TariffAdded), "AddTariff gives TariffAdded"
    row = Tariff(event.tariff, event.operator, event.rating_group, event.apn, event.price, event.per_octets)
    return _tariff_view(row, in_force=True)


@routes.get("/operators/{name}/tariffs", responses=responses(404))
async def list_tariffs(backend: Behind, name: str, query: Paging) -> Page[TariffView]:
    """List every tariff an operator ever had, the oldest first."""
    after = number_of("tariffs", query.cursor) or 0
    state = await backend.state()
    operator, book = operator_named(state, name), state.charging.tariffs
    in_force = {tariff.number for tariff in book.in_force(operator.number)}
    rows = [
        (int(tariff.number), _tariff_view(tariff, in_force=tariff.number in in_force))
        for tariff in book.all()
        if tariff.operator == operator.number and tariff.number > after
    ]
    return page_of("tariffs", rows[: query.limit + 1], query.limit)
