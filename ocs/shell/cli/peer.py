"""`ocs peer`: who is connected, who may connect, and who waits to be allowed."""

from typing import Annotated

import typer

from ocs.shell.cli.client import Json, connect, path_part
from ocs.shell.cli.options import ConfigOption, ServerOption
from ocs.shell.cli.output import Output, OutputOption, show

app = typer.Typer(no_args_is_help=True, help="Diameter peers: connected, allowed, waiting.")

HostArgument = Annotated[str, typer.Argument(help="The peer's Origin-Host.")]


def _path(origin_host: str) -> str:
    return f"/peers/{path_part(origin_host)}"


@app.command("list")
def list_all(config: ConfigOption = None, server: ServerOption = None, output: OutputOption = Output.TABLE) -> None:
    """List the peers: connected, allowed, and waiting with the command that lets them in."""
    with connect(config, server) as client:
        found = client.get("/peers")
    if output is Output.JSON:
        show(output, found, [], [])
        return
    show(
        output,
        found,
        ["connected", "address", "profile", "state", "watchdog", "requests", "errors"],
        [
            [
                one["origin_host"],
                one["address"],
                one["profile"],
                one["state"],
                one["watchdog"],
                str(one["requests"]),
                str(one["errors"]),
            ]
            for one in found["connected"]
        ],
    )
    _show_allowed(output, found, found["allowed"], "any" if found["any_peer"] else None)
    show(
        output,
        found,
        ["waiting", "address", "reason", "last seen", "to let it in"],
        [
            [one[field] for field in ("origin_host", "address", "reason", "last_seen", "allow")]
            for one in found["waiting"]
        ],
    )


def _show_allowed(output: Output, data: Json, peers: list[Json], everybody: str | None = None) -> None:
    rows = [
        [
            one["origin_host"],
            " ".join(one["addresses"]) or "any",
            one["profile"] or "proposed",
            one["allowed_at"] or "by configuration",
        ]
        for one in peers
    ]
    if everybody is not None:
        rows.insert(0, [everybody, "any", "proposed", "by configuration"])
    show(output, data, ["allowed", "from", "profile", "since"], rows)


@app.command()
def allow(
    origin_host: HostArgument,
    address: Annotated[
        list[str] | None, typer.Option("--address", help="Address or network it may come from; may be repeated.")
    ] = None,
    profile: Annotated[str | None, typer.Option("--profile", help="standard, open5gs or magma.")] = None,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a peer in from now on."""
    with connect(config, server) as client:
        made = client.put(_path(origin_host), {"addresses": address or [], "profile": profile})
    _show_allowed(output, made, [made])


@app.command()
def revoke(
    origin_host: HostArgument,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a peer in no longer; its connection is closed."""
    with connect(config, server) as client:
        client.delete(_path(origin_host))
    told = {"origin_host": origin_host, "allowed": False}
    show(output, told, ["no longer let in by command"], [[origin_host]])
