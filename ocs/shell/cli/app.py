"""`ocs`: the command line.

A command's modules are imported where it is run: the server needs nothing of a client's, and who waits for `ocs` to
answer does not wait for all of it.
"""

import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

from ocs.shell.cli import door
from ocs.shell.cli.options import ConfigOption
from ocs.shell.cli.output import Output, OutputOption, show
from ocs.version import VERSION

GROUPS: Final = ("operator", "session", "reconcile", "peer", "journal", "key", "channel", "witness", "config")
COMMANDS: Final = ("decode", "doctor")
HERE: Final = ("serve", "version")


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """Make the commands that these arguments may mean: the one they begin with, or all of them."""
    app = typer.Typer(
        name="ocs",
        help="Session Purchaser: a Diameter Gy charging server that spends operators' prepaid balances, to the byte.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    wanted = arguments[0] if arguments else ""
    is_known = wanted in {*GROUPS, *COMMANDS, *HERE}
    for name in GROUPS:
        if not is_known or name == wanted:
            app.add_typer(import_module(f"{__package__}.{name}").app, name=name)
    for name in COMMANDS:
        if not is_known or name == wanted:
            app.command(name=name)(import_module(f"{__package__}.{name}").command)
    app.command()(serve)
    app.command()(version)
    app.callback()(options)
    return app


def serve(config: ConfigOption = None) -> None:
    """Run the server until SIGTERM or Ctrl-C."""
    from ocs.shell.config_file import load
    from ocs.shell.core import server

    raise typer.Exit(server.run(load(config, os.environ)))


def version(output: OutputOption = Output.TABLE) -> None:
    """Show the release, and what it runs on."""
    import apsw

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


def options(
    version: Annotated[  # its callback does the work
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the release and end.")
    ] = False,
) -> None:
    """Name what all commands share."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return door.run(app_for(given), "ocs", given)
