"""Functions made for one schema: a quick reader of the messages that nearly all senders send, and the writer.

Such a message has its fields in the order of their numbers, each once.  A schema's table becomes a few lines of Python
for each field, so nothing is looked up while a message is read.  Of a field that is always there and has one size, or
one value, the octets around its content are known beforehand; neighbours of this kind are taken out and compared at
once.  `reader` makes of a Countersign's first four fields

    at = 0
    h1, v1, h2, v2, = take0(message, at)
    if h1 != b'\\x08\\x01\\x12 ' or h2 != b'\\x1a ': return None
    v0 = 1
    at += 70
    v3 = default3
    if at < len(message) and message[at] == 32:
        v3 = message[at + 1]
        if v3 < 0x80: at += 2
        else: v3, at = several_octets(message, at + 1)

A quick reader never says what is wrong: it gives None or raises one of `UNUSUAL`, and `ocs.signed.wire` reads the
message again in the general way.  What it takes, that one takes too, and to be the same.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ocs.signed.malformed import Malformed
from ocs.signed.varint import SEVERAL_OCTETS_MAX, several_octets, varint

if TYPE_CHECKING:
    from ocs.signed.wire import Field

UNUSUAL: Final = (IndexError, ValueError, struct.error, Malformed)
"""What a quick reader raises of a message that the general one must look at."""

Reader = Callable[[bytes], list[Any] | None]
Writer = Callable[[Iterable[Any]], bytes]

_Names = dict[str, Any]
"""What the source of a function refers to."""


def reader(fields: "Sequence[Field]") -> Reader:
    """Make the quick reader of messages with these fields, of which none is a repeated message."""
    names: _Names = {"several_octets": several_octets}
    lines = ["at = 0"]
    mandatory_end = max((place for place, field in enumerate(fields, 1) if field.least > 0), default=0)
    place = 0
    while place < len(fields):
        end = place
        while end < len(fields) and _is_steady(fields[end]):
            end += 1
        if end > place:
            lines += _take_steady(fields, range(place, end), names)
            place = end
        else:
            lines += _take(fields[place], place, names, may_have_ended=place >= mandatory_end)
            place += 1
    values = ", ".join(f"v{place}" for place in range(len(fields)))
    lines += ["if at != len(message): return None", f"return [{values}]"]
    made: Reader = _made("message", lines, names)
    return made


def _is_steady(field: "Field") -> bool:
    return 0 < field.least == field.most < 0x80 and field.convert is None


def _take_steady(fields: "Sequence[Field]", places: range, names: _Names) -> list[str]:
    """Take fields of which each has one size, or is one number: `h` are the octets before the contents `v`."""
    form, targets, conditions, numbers = "", "", [], []
    head = b""
    for place in places:
        field = fields[place]
        head += bytes((field.tag, field.least))
        if field.is_number:
            numbers.append(f"v{place} = {field.least}")
        if place == places[-1] or not field.is_number:
            form += f"{len(head)}s"
            targets += f"h{place}, "
            conditions.append(f"h{place} != {head!r}")
            head = b""
        if not field.is_number:
            form += f"{field.least}s"
            targets += f"v{place}, "
    taken = struct.Struct(form)
    names[f"take{places[0]}"] = taken.unpack_from
    return [
        f"{targets}= take{places[0]}(message, at)",
        f"if {' or '.join(conditions)}: return None",
        *numbers,
        f"at += {taken.size}",
    ]


def _take(field: "Field", place: int, names: _Names, *, may_have_ended: bool) -> list[str]:
    """Take a field that may be absent, or whose size is not known."""
    names |= {f"default{place}": field.default, f"convert{place}": field.convert}
    value, number = f"v{place}", f"v{place}" if field.is_number else "size"
    lines = [
        f"{number} = message[at + 1]",
        f"if {number} < 0x80: at += 2",
        f"else: {number}, at = several_octets(message, at + 1)",
    ]
    if field.least > 0 or field.most < SEVERAL_OCTETS_MAX:
        lines.append(f"if not {field.least} <= {number} <= {field.most}: return None")
    if not field.is_number:
        lines += [f"{value} = message[at:at + size]", "at += size"]
    if field.convert is not None:
        lines.append(f"{value} = convert{place}({value})")
    if field.least > 0:
        return [f"if message[at] != {field.tag}: return None", *lines]
    present = f"{'at < len(message) and ' if may_have_ended else ''}message[at] == {field.tag}"
    return [f"{value} = default{place}", f"if {present}:", *(f"    {line}" for line in lines)]


def writer(fields: "Sequence[Field]") -> Writer:
    """Make the writer of messages with these fields; what they may hold it does not look at."""
    names: _Names = {"varint": varint, "head": _head, "several": _several}
    lines = [f"{', '.join(f'v{place}' for place in range(len(fields)))}, = values"]
    parts: list[str] = []
    for place, field in enumerate(fields):
        value, tag = f"v{place}", bytes([field.tag])
        if field.members is not None:
            names[f"write{place}"] = field.members.write
            parts.append(f"several({tag!r}, write{place}, {value})")
        elif field.is_number:
            parts.append(f"{tag!r} + varint({value}) if {value} else b''")
        elif _is_steady(field):
            known = bytes((field.tag, field.least))
            parts += [f"{known!r} if len({value}) == {field.least} else head({tag!r}, {value})", value]
        else:
            if field.default == "":
                lines.append(f"{value} = {value}.encode()")
            parts += [f"head({tag!r}, {value})", value]
    made: Writer = _made("values", [*lines, f"return b''.join(({', '.join(parts)},))"], names)
    return made


def _head(tag: bytes, content: bytes) -> bytes:
    """Give what stands before a content; where that is empty, the field is left out."""
    return tag + varint(len(content)) if content else b""


def _several(tag: bytes, write: Writer, messages: Iterable[Iterable[Any]]) -> bytes:
    return b"".join(tag + varint(len(written)) + written for written in map(write, messages))


def _made(argument: str, lines: list[str], names: _Names) -> Any:
    """Compile a function of one argument; all that its source is made of are numbers and names of ours."""
    exec("\n    ".join([f"def made({argument}):", *lines]), names)  # noqa: S102 # no octet of a sender's is in it
    return names["made"]
