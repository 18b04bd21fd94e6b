"""The one door of all commands: it turns errors into a line for people and an exit code.

0 ok · 1 a check found a fault · 2 wrong usage or input · 3 bad configuration · 4 server or store not reached ·
5 conflict or duplicate · 6 refused by policy · 130 interrupted
"""

import io
import os
import sys
from typing import Any, Final

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
from ocs.shell.cli.output import printable

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


def run(app: typer.Typer, name: str, arguments: list[str] | None) -> int:
    """Run one command of `app`; the exit code.

    Args:
        name: of the program, as usage texts show it.
        arguments: None for those of the process.
    """
    # A terminal that cannot write a name is no reason to end in the middle of a table.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(args=arguments, prog_name=name, standalone_mode=False)
    except OcsError as error:
        for line in str(error).splitlines():
            _say(name, line)
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


def _say(name: str, text: str) -> None:
    if sys.stderr is not None:  # as `2>&-` leaves it
        sys.stderr.write(f"{name}: {printable(text)}\n")
