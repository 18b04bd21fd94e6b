"""docs/simulator.md names every option of the commands it explains, and none that there is not."""

import re
from pathlib import Path

import pytest
import typer

from simulator.cli import _app

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
GROUP = typer.main.get_command(_app)


def options(command: str) -> set[str]:
    return {
        option
        for parameter in GROUP.commands[command].params
        for option in parameter.opts
        if option.startswith("--") and option != "--help"
    }


@pytest.mark.parametrize("command", ["plane", "conformance", "load"])
def test_every_option_is_named(command: str) -> None:
    assert options(command) <= set(re.findall(r"--[a-z][a-z0-9-]*", PAGE))


def test_no_option_is_made_up() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", PAGE)) - {"--address"}  # of `ocs peer allow`
    assert named <= options("run") | options("plane") | options("conformance") | options("load")
