"""`ocs channel`: data credits, and the channels that lock them."""

from pathlib import Path
from typing import Annotated, Final

import typer

from ocs.shell.cli import verify_closure
from ocs.shell.cli.client import Json, connect, path_part
from ocs.shell.cli.operator import grouped
from ocs.shell.cli.options import ConfigOption, KeyOption, ServerOption, key_or_new
from ocs.shell.cli.output import Output, OutputOption, show

app = typer.Typer(no_args_is_help=True, help="Data credits, and the channels that lock them.")

ChannelArgument = Annotated[str, typer.Argument(help="The channel's number, or its id.")]

ID_SHOWN: Final = 16
"""Digits of an id in a table; JSON has all of them."""


@app.command("credits")
def show_credits(config: ConfigOption = None, server: ServerOption = None, output: OutputOption = Output.TABLE) -> None:
    """Show the deployment's data credits."""
    with connect(config, server) as client:
        account = client.get("/data-credits")
    show(output, account, list(account), [[grouped(amount) for amount in account.values()]])


@app.command("top-up")
def top_up(
    amount: Annotated[str, typer.Argument(help="Data credits that were bought, in digits.")],
    reference: Annotated[str, typer.Option("--reference", help="Where they were bought.")],
    key: KeyOption = None,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Credit data credits, once for each key; with the first of them channels begin to open by themselves."""
    key = key_or_new(key)
    with connect(config, server) as client:
        bought = client.post("/data-credits/top-ups", {"amount": amount, "reference": reference}, key=key)
    show(
        output,
        bought,
        ["top-up", "at", "amount", "reference", "key"],
        [[str(bought["number"]), bought["at"], grouped(bought["amount"]), bought["reference"], bought["key"]]],
    )


@app.command("open")
def open_one(
    amount: Annotated[str | None, typer.Option("--amount", help="What it locks; by default as configured.")] = None,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Open one more channel now; those that are needed open by themselves."""
    with connect(config, server) as client:
        opened = client.post("/channels", {} if amount is None else {"amount": amount})
    _show_channel(output, opened)


@app.command("list")
def list_all(
    state: Annotated[str | None, typer.Option("--state", help="open, draining, closing or settled.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many at the most.", min=1)] = 100,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List channels, the newest first."""
    with connect(config, server) as client:
        found = list(client.pages("/channels", most=limit, state=state))
    show(
        output,
        found,
        ["channel", "id", "state", "reason", "amount", "used", "commits", "opened", "expires"],
        [
            [
                str(one["number"]),
                one["channel_id"][:ID_SHOWN],
                one["state"],
                one["reason"] or "-",
                grouped(one["amount"]),
                grouped(one["used"]),
                str(one["commits"]),
                one["opened_at"],
                one["expires_at"],
            ]
            for one in found
        ],
    )


@app.command("show")
def show_one(
    channel: ChannelArgument,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show a channel, and what each miner carried in it."""
    with connect(config, server) as client:
        found = client.get(f"/channels/{path_part(channel)}")
    _show_channel(output, found)


@app.command("closure")
def fetch_closure(
    channel: ChannelArgument,
    file: Annotated[Path, typer.Argument(help="A new file.")],
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Fetch the closure of a settled channel: what `ocs-verify` checks without a server."""
    with connect(config, server) as client:
        octets = client.download(f"/channels/{path_part(channel)}/closure", file)
    told = {"file": str(file), "octets": octets, "check": f"ocs-verify {file}"}
    show(output, told, list(told), [[str(value) for value in told.values()]])


@app.command("close")
def close(
    channel: ChannelArgument,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Close a channel before its time; late reports are taken until its grace is over."""
    with connect(config, server) as client:
        found = client.post(f"/channels/{path_part(channel)}/close", {})
    _show_channel(output, found)


app.command("verify")(verify_closure.verify)


def _show_channel(output: Output, found: Json) -> None:
    if output is Output.JSON:
        show(output, found, [], [])
        return
    facts: list[tuple[str, str]] = [
        ("channel", str(found["number"])),
        ("id", found["channel_id"]),
        ("state", found["state"] + (f" ({found['reason']})" if found["reason"] else "")),
        ("amount", grouped(found["amount"])),
        ("used", grouped(found["used"])),
        ("reserved", grouped(found["reserved"])),
        ("free", grouped(found["free"])),
        ("commits", str(found["commits"])),
        ("tariff", f"{found['tariff']}: 1 for {grouped(found['per_octets'])} octets"),
        ("opened", found["opened_at"]),
        ("expires", found["expires_at"]),
        ("settles", found["settles_at"] or "-"),
    ]
    show(output, found, ["", ""], [list(fact) for fact in facts])
    if found["miners"]:
        typer.echo("")
        show(
            output,
            found,
            ["miner", "commits", "credits", "octets", "sessions"],
            [
                [
                    one["miner_key"],
                    str(one["commits"]),
                    grouped(one["credits"]),
                    grouped(one["octets"]),
                    str(one["sessions"]),
                ]
                for one in found["miners"]
            ],
        )
