"""The scenarios that come with the simulator, and those that somebody has written: found by name or by path."""

from pathlib import Path
from typing import Final

from simulator.script.document import Script, load
from simulator.script.value import ScriptError, nearest

FOLDER: Final = Path(__file__).parent.parent / "scenarios"
SUFFIX: Final = ".yaml"


def shipped() -> dict[str, Script]:
    """Read the scenarios of this package, by name in the order of the alphabet.

    Raises:
        ScriptError: one of them is no scenario.
    """
    return {path.stem: load(path) for path in sorted(FOLDER.glob(f"*{SUFFIX}"))}


def find(name_or_path: str) -> Script:
    """Read one scenario: a file where the text looks like one or names one, else one of this package.

    Raises:
        ScriptError: there is none, or it is no scenario.
    """
    path = Path(name_or_path)
    if path.suffix in (SUFFIX, ".yml") or path.is_file():
        return load(path)
    known = [one.stem for one in sorted(FOLDER.glob(f"*{SUFFIX}"))]
    if name_or_path not in known:
        raise ScriptError(f"no scenario {name_or_path!r}{nearest(name_or_path, known)}")
    return load(FOLDER / f"{name_or_path}{SUFFIX}")
