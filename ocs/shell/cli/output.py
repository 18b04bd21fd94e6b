"""How commands answer: a table for people, JSON for programs, on standard output."""

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from ocs.errors import Unavailable

WIDE: Final = 240
"""A pipe or a file has no edge: a table there is not cut to the 80 columns of a terminal it does not have."""


_ENDLESS: Final = 100_000

_DONE: Final = "the command itself is done"

_CONTROLS: Final = re.compile(r"[\x7f-\x9f]")


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="A table for people, or JSON for programs.")]


def show(output: Output, data: object, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print `data` as JSON, or its `rows` as a table.

    Raises:
        Unavailable: standard output takes nothing; what the command did stays done.
    """
    if sys.stdout is None:  # as `>&-` leaves it
        raise Unavailable(f"standard output is closed; {_DONE}")
    try:
        _print(output, data, columns, rows)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What could not be written is given up here, or Python tries it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Unavailable(f"standard output cannot be written ({error.strerror}); {_DONE}") from None


def _print(output: Output, data: object, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    if output is Output.JSON:
        # A terminal that is not Unicode gets escapes, which are the same JSON.
        ascii_only = not sys.stdout.encoding.lower().startswith("utf")
        text = json.dumps(data, indent=2, ensure_ascii=ascii_only)
        # The controls of Latin-1 are no controls to JSON, and steer a terminal all the same.
        sys.stdout.write(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
        return
    names, lines = list(map(printable, columns)), [list(map(printable, row)) for row in rows]
    table = Table(*names, box=None, header_style="bold", pad_edge=False)
    for line in lines:
        table.add_row(*line)
    console = console_for_people()
    natural = console.measure(table, options=console.options.update(max_width=_ENDLESS)).maximum
    if natural <= console.width or not lines:
        console.print(table, markup=False, highlight=False)
        return
    # Too wide.  An id, an amount or a command that is cut helps nobody: each row becomes a list.
    longest = max(map(len, names))
    for place, line in enumerate(lines):
        told = [f"{name:<{longest}}  {value}" for name, value in zip(names, line, strict=True)]
        console.print("\n".join(["", *told] if place else told), soft_wrap=True, markup=False, highlight=False)


def printable(text: str) -> str:
    r"""Escape what would steer a terminal: peers and gateways choose names that are shown here.

    >>> printable("sgw\x1b[2J.example")
    'sgw\\x1b[2J.example'
    """
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)


def console_for_people() -> Console:
    """Give the console that tables go to."""
    width = None if sys.stdout.isatty() else WIDE
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)
