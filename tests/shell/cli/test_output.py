"""Tables that people read: nothing of an id, an amount or a command is cut, however narrow the terminal."""

import io

import pytest
from rich.console import Console

from ocs.shell.cli import output
from ocs.shell.cli.output import Output, show

COLUMNS = ("peer", "to let it in")
ROWS = [(f"sgw{n}.visited.example", f"ocs peer allow sgw{n}.visited.example --address 127.0.0.1") for n in (1, 2)]


@pytest.mark.parametrize("width", [20, 60, 79, 80, 200])
def test_nothing_is_cut(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(output, "console_for_people", lambda: Console(file=told, width=width))
    show(Output.TABLE, None, COLUMNS, ROWS)
    for row in ROWS:
        for cell in row:
            assert cell in told.getvalue()
    lines = told.getvalue().splitlines()
    if width == 200:
        assert lines[0].split() == ["peer", "to", "let", "it", "in"]
        assert len(lines) == 1 + len(ROWS)
    if width <= 60:
        assert f"to let it in  {ROWS[1][1]}" in lines


def test_no_rows_are_a_head_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(output, "console_for_people", lambda: Console(file=told, width=10))
    show(Output.TABLE, None, ("a", "b"), [])
    assert told.getvalue().split() == ["a", "b"]
