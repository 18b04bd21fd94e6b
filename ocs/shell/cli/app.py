"""`ocs`: the command line, and the one door that turns errors into a line for people and an exit code.

0 ok · 1 a check found a fault · 2 wrong usage or input · 3 bad configuration · 4 server or store not reached ·
5 conflict or duplicate · 6 refused by policy · 130 interrupted
"""

import io
import os
import platform
import sys
from typing import Annotated, Any, Final

import apsw
import typer

from ocs.errors import (
    BadConfiguration,
    Conflict,
    DiameterError,
    InvalidInput,
    JournalFault,
    NotFound,
    OcsError,
    OutOfTurn,
    RefusedByPolicy,
    Unavailable,
)
from ocs.shell.cli import config as cli_config
from ocs.shell.cli import decode, doctor
from ocs.shell.cli import journal as cli_journal
from ocs.shell.cli import key as cli_key
from ocs.shell.cli import operator as cli_operator
from ocs.shell.cli import peer as cli_peer
from ocs.shell.cli import reconcile as cli_reconcile
from ocs.shell.cli import session as cli_session
from ocs.shell.cli.options import ConfigOption
from ocs.shell.cli.output import Output, OutputOption, printable, show
from ocs.shell.config_file import load
from ocs.version import VERSION

EXIT_CODES: Final[tuple[tuple[type[OcsError], int], ...]] = (
    (BadConfiguration, 3),
    (JournalFault, 4),
    (Unavailable, 4),
    (Conflict, 5),
    (OutOfTurn, 5),
    (RefusedByPolicy, 6),
    (DiameterError, 6),
    (NotFound, 2),
    (InvalidInput, 2),
)
"""The first row that fits counts."""

USAGE: Final = 2
INTERRUPTED: Final = 130

_UsageFault: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What every wrong use is: of click, or of the copy of it that newer releases of Typer bring."""

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
    # A terminal that cannot write a name is no reason to end in the middle of a table.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(args=arguments, prog_name="ocs", standalone_mode=False)
    except OcsError as error:
        for line in str(error).splitlines():
            _say(line)
        return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except _UsageFault as error:
        error.show()
        return USAGE
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        # Typer and Rich end so once nobody reads on. Whoever read us has seen enough; nothing more can be written,
        # not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _say(text: str) -> None:
    if sys.stderr is not None:  # as `2>&-` leaves it
        sys.stderr.write(f"ocs: {printable(text)}\n")
