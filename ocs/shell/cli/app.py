"""`ocs`: the command line."""

import os
import platform
from typing import Annotated

import apsw
import typer

from ocs.shell.cli import channel as cli_channel
from ocs.shell.cli import config as cli_config
from ocs.shell.cli import decode, doctor, door
from ocs.shell.cli import journal as cli_journal
from ocs.shell.cli import key as cli_key
from ocs.shell.cli import operator as cli_operator
from ocs.shell.cli import peer as cli_peer
from ocs.shell.cli import reconcile as cli_reconcile
from ocs.shell.cli import session as cli_session
from ocs.shell.cli import witness as cli_witness
from ocs.shell.cli.options import ConfigOption
from ocs.shell.cli.output import Output, OutputOption, show
from ocs.shell.config_file import load
from ocs.version import VERSION

app = typer.Typer(
    name="ocs",
    help="Session Purchaser: a Diameter Gy charging server that spends operators' prepaid balances, to the byte.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.add_typer(cli_operator.app, name="operator")
app.add_typer(cli_session.app, name="session")
app.add_typer(cli_reconcile.app, name="reconcile")
app.add_typer(cli_peer.app, name="peer")
app.add_typer(cli_journal.app, name="journal")
app.add_typer(cli_key.app, name="key")
app.add_typer(cli_channel.app, name="channel")
app.add_typer(cli_witness.app, name="witness")
app.add_typer(cli_config.app, name="config")
app.command(name="decode")(decode.command)
app.command(name="doctor")(doctor.command)


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Run the server until SIGTERM or Ctrl-C."""
    from ocs.shell.core import server

    raise typer.Exit(server.run(load(config, os.environ)))


@app.command()
def version(output: OutputOption = Output.TABLE) -> None:
    """Show the release, and what it runs on."""
    told = {
        "session-purchaser": VERSION,
        "python": platform.python_version(),
        "sqlite (journal)": apsw.sqlite_lib_version(),
        "platform": platform.platform(),
    }
    show(output, told, ["what", "version"], [[name, text] for name, text in told.items()])


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"session-purchaser {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[  # its callback does the work
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the release and end.")
    ] = False,
) -> None:
    """Name what all commands share."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    return door.run(app, "ocs", arguments)
