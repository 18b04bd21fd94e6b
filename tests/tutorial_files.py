"""The files a tutorial tells its reader to write, read out of the tutorial, so that what is tested is what is told."""

import re
from pathlib import Path

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
_BLOCK = re.compile(
    r"^```[a-z]*\n(?:#|//) (?P<name>[\w.-]+)(?P<more>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def blocks(tutorial: Path) -> dict[str, str]:
    """Give each fenced block whose first line is a comment with a file's name, by that name; without that line."""
    found: dict[str, str] = {}
    for one in _BLOCK.finditer(tutorial.read_text()):
        assert one["name"] not in found, f"{tutorial.name} has {one['name']} twice"
        found[one["name"]] = one["text"]
    return found
