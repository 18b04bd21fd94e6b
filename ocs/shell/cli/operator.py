"""`ocs operator`: home operators, their tariffs and their money."""

from typing import Annotated, Any, Final

import typer

from ocs.shell.cli.client import Json, connect, path_part
from ocs.shell.cli.options import ConfigOption, KeyOption, ReasonArgument, ServerOption, key_or_new
from ocs.shell.cli.output import Output, OutputOption, show

app = typer.Typer(no_args_is_help=True, help="Home operators, their tariffs and their money.")

NameArgument = Annotated[str, typer.Argument(help="The operator's name.")]
NumberArgument = Annotated[int, typer.Argument(help="The top-up's number, as `ocs operator show` lists it.", min=1)]
AmountArgument = Annotated[str, typer.Argument(help="Credits, in digits.")]
PriceOption = Annotated[str, typer.Option("--price", help="Credits for each started block.")]
PerOctetsOption = Annotated[str, typer.Option("--per-octets", help="Size of the block, octets.")]
GrantMaxOption = Annotated[str | None, typer.Option("--grant-max", help="No single grant is larger, octets.")]
KindOption = Annotated[str, typer.Option("--kind", help="paid, or lent for a credit limit.")]

_ACCOUNTS: Final = ("credited", "available", "reserved", "consumed", "overrun")


def _path(name: str) -> str:
    return f"/operators/{path_part(name)}"


def _balance(balance: Json) -> list[str]:
    return [grouped(balance[account]) for account in _ACCOUNTS]


def grouped(digits: str | None) -> str:
    """Write an amount for people.

    >>> grouped("250000")
    '250,000'
    """
    return f"{int(digits):,}" if digits is not None else "-"


def _show_operators(output: Output, data: Any, operators: list[Json]) -> None:
    show(
        output,
        data,
        ["operator", "prefixes", "open sessions", *_ACCOUNTS],
        [
            [one["name"], " ".join(one["prefixes"]), str(one["open_sessions"]), *_balance(one["balance"])]
            for one in operators
        ],
    )


def _show_tariffs(output: Output, data: Any, tariffs: list[Json]) -> None:
    show(
        output,
        data,
        ["tariff", "rating group", "apn", "price", "per octets"],
        [
            [
                str(one["number"]),
                "any" if one["rating_group"] is None else str(one["rating_group"]),
                one["apn"] or "any",
                grouped(one["price"]),
                grouped(one["per_octets"]),
            ]
            for one in tariffs
        ],
    )


@app.command()
def add(
    name: NameArgument,
    prefix: Annotated[list[str], typer.Option("--prefix", help="IMSI prefix, 5 to 14 digits; may be repeated.")],
    price: PriceOption,
    per_octets: PerOctetsOption,
    grant_max: GrantMaxOption = None,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Add an operator with its prefixes and its default tariff."""
    body: Json = {"name": name, "prefixes": prefix, "tariff": {"price": price, "per_octets": per_octets}}
    if grant_max is not None:
        body["grant_max"] = grant_max
    with connect(config, server) as client:
        made = client.post("/operators", body)
    _show_operators(output, made, [made])


@app.command("list")
def list_all(config: ConfigOption = None, server: ServerOption = None, output: OutputOption = Output.TABLE) -> None:
    """List the operators with their balances."""
    with connect(config, server) as client:
        found = list(client.pages("/operators"))
    _show_operators(output, found, found)


@app.command("show")
def show_one(
    name: NameArgument,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show an operator: balance, tariffs in force, top-ups."""
    with connect(config, server) as client:
        found = client.get(_path(name))
        found["top_ups"] = list(client.pages(f"{_path(name)}/top-ups"))
    if output is Output.JSON:
        show(output, found, [], [])
        return
    _show_operators(output, found, [found])
    _show_tariffs(output, found, found["tariffs"])
    show(
        output,
        found,
        ["top-up", "at", "amount", "kind", "reference", "taken back"],
        [
            [
                str(one["number"]),
                one["at"],
                grouped(one["amount"]),
                one["kind"],
                one["reference"],
                grouped(one["reversed"]),
            ]
            for one in found["top_ups"]
        ],
    )


@app.command("top-up")
def top_up(
    name: NameArgument,
    amount: AmountArgument,
    reference: Annotated[str, typer.Option("--reference", help="What finance finds it by.")],
    key: KeyOption = None,
    kind: KindOption = "paid",
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Credit an operator, once for each key."""
    key = key_or_new(key)
    body = {"amount": amount, "reference": reference, "kind": kind}
    with connect(config, server) as client:
        made = client.post(f"{_path(name)}/top-ups", body, key=key)
    show(
        output,
        made,
        ["top-up", "operator", "amount", *_ACCOUNTS],
        [[str(made["number"]), made["operator"], grouped(made["amount"]), *_balance(made["balance_after"])]],
    )


@app.command()
def tariff(
    name: NameArgument,
    price: PriceOption,
    per_octets: PerOctetsOption,
    rating_group: Annotated[int | None, typer.Option("--rating-group", help="None: all without their own.")] = None,
    apn: Annotated[str | None, typer.Option("--apn", help="None: any.")] = None,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Set a price for sessions that begin from now on."""
    body: Json = {"rating_group": rating_group, "apn": apn, "price": price, "per_octets": per_octets}
    with connect(config, server) as client:
        made = client.post(f"{_path(name)}/tariffs", body)
    _show_tariffs(output, made, [made])


@app.command("prefix")
def add_prefixes(
    name: NameArgument,
    prefixes: Annotated[list[str], typer.Argument(help="IMSI prefixes to add.")],
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give an operator more prefixes."""
    with connect(config, server) as client:
        changed = client.patch(_path(name), {"add_prefixes": prefixes})
    _show_operators(output, changed, [changed])


@app.command()
def reverse(
    name: NameArgument,
    number: NumberArgument,
    amount: AmountArgument,
    reason: ReasonArgument,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take a top-up back, or a part of it."""
    with connect(config, server) as client:
        made = client.post(f"{_path(name)}/top-ups/{number}/reversals", {"amount": amount, "reason": reason})
    _show_moved(output, made)


@app.command("write-off")
def write_off(
    name: NameArgument,
    amount: AmountArgument,
    reason: ReasonArgument,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give up what an operator owes, or a part of it."""
    with connect(config, server) as client:
        made = client.post(f"{_path(name)}/write-offs", {"amount": amount, "reason": reason})
    _show_moved(output, made)


def _show_moved(output: Output, made: Json) -> None:
    show(
        output,
        made,
        ["operator", "at", "amount", *_ACCOUNTS],
        [[made["operator"], made["at"], grouped(made["amount"]), *_balance(made["balance"])]],
    )
