"""What Wireshark, an independent reader with dictionaries of its own, makes of a capture."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop.recording import DIAMETER_PORT
from interop.stacks import program

REMARKS = ("_ws.malformed", "_ws.expert", "_ws.short")
FAILED_AVP = "279"
UNKNOWN = "diameter.avp.unknown"  # a value that no dictionary of Wireshark's has a type for


@dataclass(frozen=True)
class Frame:
    """A packet with Diameter in it."""

    from_server: bool
    commands: tuple[int, ...]
    remarks: tuple[str, ...]  # malformed, expert information, unknown AVPs: all that Wireshark has to say against it


def frames(capture: Path) -> list[Frame]:
    tshark = program("tshark", "tshark")
    done = subprocess.run(
        [tshark, "-r", capture, "-d", f"tcp.port=={DIAMETER_PORT},diameter", "-Y", "diameter", "-T", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [_frame(one["_source"]["layers"]) for one in json.loads(done.stdout, object_pairs_hook=_pairs)]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keep the values of names that stand twice, as those of AVPs do."""
    kept: dict[str, Any] = {}
    for name, value in pairs:
        while name in kept:
            name += "+"
        kept[name] = value
    return kept


def _frame(layers: dict[str, Any]) -> Frame:
    found = list(_walk(layers))
    return Frame(
        from_server=layers["tcp"]["tcp.srcport"] == str(DIAMETER_PORT),
        commands=tuple(int(value) for name, value in found if name == "diameter.cmd.code"),
        remarks=tuple(f"{name}: {json.dumps(value)}" for name, value in found if name in REMARKS or name == UNKNOWN),
    )


def _walk(tree: Any) -> Iterator[tuple[str, Any]]:
    """Give all names and values, but for those in a Failed-AVP: it quotes what somebody else sent, faults and all."""
    if isinstance(tree, dict):
        if tree.get("diameter.avp.code") == FAILED_AVP:
            return
        for name, value in tree.items():
            yield name.rstrip("+"), value
            yield from _walk(value)
    elif isinstance(tree, list):
        for one in tree:
            yield from _walk(one)
