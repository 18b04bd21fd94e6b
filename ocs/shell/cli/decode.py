"""`ocs decode`: a message, many of them, or a packet capture, read to people and judged as the server would."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from ocs.diameter import render, strict
from ocs.diameter.dictionary import Dictionary
from ocs.diameter.framing import HEADER_OCTETS
from ocs.errors import DiameterError, InvalidInput, UnsupportedVersion
from ocs.shell import dictionaries
from ocs.shell.cli.capture import MAGICS, Capture, Captured
from ocs.shell.cli.options import ConfigOption
from ocs.shell.cli.output import Output, OutputOption, show
from ocs.shell.config_file import load

STANDARD_INPUT: Final = "-"
SHOWN_OF_INPUT: Final = 40


def command(
    source: Annotated[
        str, typer.Argument(metavar="HEX|PCAP", help="Hexadecimal octets, a file of them, a pcap or pcapng file, or -.")
    ],
    dictionary: Annotated[
        list[Path] | None,
        typer.Option("--dictionary", help="A further .dia file, or a folder of them; may be repeated."),
    ] = None,
    mask: Annotated[bool, typer.Option("--mask", help="Hide the subscriber part of IMSIs.")] = False,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what Diameter messages say, and whether this server would take them; exit code 1 for one that is wrong."""
    files = [Path(name) for name in load(config, os.environ).gy.dictionaries]
    known = dictionaries.load([*files, *(dictionary or [])])
    capture = _capture(source)
    messages = capture.messages() if capture is not None else _from_text(_text(source))
    told: list[dict[str, object]] = []
    wrong = count = 0
    for message in messages:
        count += 1
        fault = _judge(message.octets, known)
        wrong += fault is not None
        if output is Output.JSON:
            told.append(_object(message, known, fault, mask=mask))
        else:
            _print(message, known, fault, mask=mask)
    notes = capture.notes if capture is not None else []
    if output is Output.JSON:
        show(output, told, [], [])
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    if not count:
        raise InvalidInput(f"no Diameter message in {source[:SHOWN_OF_INPUT]!r}")
    if wrong:
        raise typer.Exit(1)


def _judge(message: bytes, known: Dictionary) -> DiameterError | None:
    if message[0] != 1:
        return UnsupportedVersion(f"version {message[0]}; this server speaks version 1")
    try:
        strict.check(message, known)
    except DiameterError as error:
        return error
    return None


def _object(message: Captured, known: Dictionary, fault: DiameterError | None, *, mask: bool) -> dict[str, object]:
    found: dict[str, object] = {"message": render.tree(message.octets, known, hide_imsi=mask), "ok": fault is None}
    if fault is not None:
        found["fault"] = {
            "result_code": fault.result_code,
            "detail": fault.detail,
            "failed_avp": fault.failed_avp.hex(),
        }
    if message.source:
        found |= {"at": _time(message.at), "source": message.source, "destination": message.destination}
    return found


def _print(message: Captured, known: Dictionary, fault: DiameterError | None, *, mask: bool) -> None:
    if message.source:
        typer.echo(f"{_time(message.at)} {message.source} -> {message.destination}")
    for line in render.render(message.octets, known, hide_imsi=mask):
        typer.echo(line)
    typer.echo("  well formed" if fault is None else f"  WRONG {fault.result_code}: {fault.detail}")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# What was named


def _capture(source: str) -> Capture | None:
    if source == STANDARD_INPUT:
        return None
    path = Path(source)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return Capture(path) if file.read(4) in MAGICS else None
    except OSError as error:
        if path.suffix:
            raise InvalidInput(f"{source} cannot be read: {error.strerror}") from None
        return None  # hexadecimal too long for a name


def _text(source: str) -> str:
    """Give the hexadecimal text: from standard input, from a file, or as it stands."""
    if source == STANDARD_INPUT:
        octets = sys.stdin.buffer.read()
        if octets[:4] in MAGICS:
            raise InvalidInput("a capture cannot be read from standard input; name its file")
        return octets.decode("ascii", "replace")
    try:
        if Path(source).is_file():
            return Path(source).read_text(encoding="ascii", errors="replace")
    except OSError:
        pass  # too long for a name: it is the text itself
    return source


def _from_text(text: str) -> Iterator[Captured]:
    """Give the messages of hexadecimal text, one behind another; the last one may be cut.

    Raises:
        InvalidInput: it is not hexadecimal.
    """
    words = text.replace(":", " ").split()
    digits = "".join(word.removeprefix("0x").removeprefix("0X") for word in words)
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        raise InvalidInput(
            f"{text.strip()[:SHOWN_OF_INPUT]!r} is neither a file nor an even number of hexadecimal digits"
        ) from None
    while octets:
        length = int.from_bytes(octets[1:4], "big")
        # A length that cannot be one takes all that is left: it is shown, and judged wrong.
        cut = length if octets[0] == 1 and HEADER_OCTETS <= length < len(octets) else len(octets)
        yield Captured(0.0, "", "", octets[:cut])
        octets = octets[cut:]
