"""How commands answer: a table for people, JSON for programs, on standard output."""

import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

WIDE: Final = 240
"""A pipe or a file has no edge: a table there is not cut to the 80 columns of a terminal it does not have."""


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="A table for people, or JSON for programs.")]


def show(output: Output, data: object, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print `data` as JSON, or its `rows` as a table."""
    if output is Output.JSON:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console = console_for_people()
    console.print(table, markup=False, highlight=False)


def console_for_people() -> Console:
    """Give the console that tables go to."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, markup=False, highlight=False)
