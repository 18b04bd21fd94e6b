"""docs/closures.md says what is in a closure: a reader in another language is written from it alone."""

import re

from typer.main import get_command

from ocs.channel.closure_file import _BOUNDS, FIRST_LINE, Kind
from ocs.channel.leaf import head_of
from ocs.shell.cli.verify_closure import app
from ocs.signed.refusal import Refusal
from places import DOCS

PAGE = (DOCS / "closures.md").read_text()


def section(heading: str) -> str:
    (found,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_each_record_is_there_with_its_bounds() -> None:
    told = re.findall(r"^\| (\d+) (\w+) \| .* \| ([\d, to]+) \|$", section("The file"), re.MULTILINE)
    bounds = {}
    for kind, (least, most) in _BOUNDS.items():
        bounds[kind] = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    assert told == [(str(int(kind)), kind.name, bounds[kind]) for kind in Kind]


def test_the_octets_that_it_names() -> None:
    assert f"    {FIRST_LINE.decode()[:-1]} LF\n" in section("The file")
    assert f"`{head_of(b'').hex(' ')}`" in section("The file")


def test_each_option_is_there() -> None:
    options = {name for one in get_command(app).params for name in one.opts if name.startswith("--")}
    told = set(re.findall(r"`(--[\w-]+)", section("Check one")))
    assert options - {"--output"} == told


def test_its_codes_are_ours() -> None:
    told = re.findall(
        r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \| ", section("The order of the checks"), re.MULTILINE))
    )
    assert told
    assert set(told) <= {code.value for code in Refusal}
