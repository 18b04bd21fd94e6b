"""Show a message to people: names, flags, values, groups.  For `ocs decode` and traces, never for deciding.

Whatever the bytes are, the result says what could be read and why the rest could not; nothing is raised, and no octet
of a peer reaches a terminal unescaped.
"""

import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final, NotRequired, TypedDict

from ocs.diameter import value
from ocs.diameter.avp import MANDATORY, VENDOR
from ocs.diameter.codes import VENDOR_3GPP, Avp, Flag, ResultCode, SubscriptionIdType
from ocs.diameter.dictionary import AvpDefinition, Dictionary
from ocs.diameter.framing import HEADER_OCTETS, read_header
from ocs.diameter.grammar import DataType
from ocs.errors import DiameterError
from ocs.units import UnixMillis, masked

DEPTH_MAX: Final = 16
"""Twice what `ocs.diameter.strict` takes, so that what it refuses can still be looked at."""

_HEADER = Struct(">II")
_PROTECTED: Final = 0x20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COMMAND_FLAGS = ((Flag.REQUEST, "R"), (Flag.PROXIABLE, "P"), (Flag.ERROR, "E"), (Flag.RETRANSMITTED, "T"))
_AVP_FLAGS = ((VENDOR, "V"), (MANDATORY, "M"), (_PROTECTED, "P"))

_IMSI_IN_TEXT = re.compile(r"(?<=IMSI)[0-9]{6,}")
_IMSI_IN_NAME = re.compile(r"[0-9]{14,16}")
_DIGITS = re.compile(rb"[0-9]{6,}")
_IMSI_AVPS = frozenset({(1, VENDOR_3GPP), (661, 0)})
"""3GPP-IMSI and Subscription-Id-IMSI."""


class RenderedAvp(TypedDict):
    """One AVP: what it is, and either its value, its members or its octets in hexadecimal."""

    name: str  # empty where the dictionary does not know it
    code: int
    vendor: int
    flags: str  # of V, M, P
    type: str
    value: NotRequired[int | float | str]
    meaning: NotRequired[str]  # the name of an enumerated value or Result-Code
    members: NotRequired[list["RenderedAvp"]]
    hex: NotRequired[str]
    error: NotRequired[str]  # why it could not be read (further)


class RenderedMessage(TypedDict):
    """A whole message; `error` where it ends before its length says, or goes on behind it."""

    command: str  # empty where the dictionary does not know it
    code: int
    application: int
    flags: str  # of R, P, E, T
    length: int
    hop_by_hop: int
    end_to_end: int
    avps: list[RenderedAvp]
    error: NotRequired[str]


def render(message: bytes, dictionary: Dictionary, *, hide_imsi: bool = False) -> list[str]:
    """Write a message as lines of text; members are indented below their group.

    Args:
        hide_imsi: leave only network and last digits of an IMSI: in Subscription-Ids, in User-Names, and where `IMSI`
            goes before it, as in the Session-Ids of some gateways.
    """
    rendered = tree(message, dictionary, hide_imsi=hide_imsi)
    name = rendered["command"] or "Unknown command"
    lines = [
        f"{name} ({rendered['code']}) application {rendered['application']} flags {rendered['flags'] or '-'}"
        f" length {rendered['length']}"
        f" hop-by-hop {rendered['hop_by_hop']:#010x} end-to-end {rendered['end_to_end']:#010x}"
    ]
    _append_lines(lines, rendered["avps"], "  ")
    if "error" in rendered:
        lines.append(f"  ! {rendered['error']}")
    return lines


def tree(message: bytes, dictionary: Dictionary, *, hide_imsi: bool = False) -> RenderedMessage:
    """Read a message into a tree that JSON can hold.

    Args:
        hide_imsi: as for `render`.
    """
    if len(message) < HEADER_OCTETS:
        return RenderedMessage(
            command="",
            code=0,
            application=0,
            flags="",
            length=len(message),
            hop_by_hop=0,
            end_to_end=0,
            avps=[],
            error=f"{len(message)} octets; a header alone has {HEADER_OCTETS}",
        )
    header = read_header(message)
    command = dictionary.command(header.command, header.is_request)
    rendered = RenderedMessage(
        command=command.name if command else "",
        code=header.command,
        application=header.application,
        flags=_flags(header.flags, _COMMAND_FLAGS),
        length=header.length,
        hop_by_hop=header.hop_by_hop,
        end_to_end=header.end_to_end,
        avps=_Reader(message, dictionary, hide_imsi).avps(HEADER_OCTETS, len(message), depth=1),
    )
    if message[0] != 1:
        rendered["error"] = f"version {message[0]}; Diameter is version 1"
    elif header.length != len(message):
        rendered["error"] = f"the header says {header.length} octets; there are {len(message)}"
    return rendered


class _Reader:
    def __init__(self, message: bytes, dictionary: Dictionary, hide_imsi: bool) -> None:
        self._message = message
        self._dictionary = dictionary
        self._hide_imsi = hide_imsi

    def avps(self, offset: int, end: int, depth: int) -> list[RenderedAvp]:
        """Read the AVPs between two offsets; recursion ends at DEPTH_MAX."""
        found: list[RenderedAvp] = []
        while offset < end:
            if end - offset < 8:
                found.append(self._rest(offset, end, f"{end - offset} octets are left; an AVP header takes 8"))
                break
            code, word = _HEADER.unpack_from(self._message, offset)
            flags, length = word >> 24, word & 0xFFFFFF
            start = offset + (12 if flags & VENDOR else 8)
            stop = offset + length
            if stop < start or stop > end:
                what = f"AVP {code} says it is {length} octets long; {start - offset} to {end - offset} fit here"
                found.append(self._rest(offset, end, what))
                break
            vendor = int.from_bytes(self._message[offset + 8 : start], "big")
            found.append(self._avp(code, vendor, flags, start, stop, depth))
            offset += (length + 3) & ~3
        if self._hide_imsi:
            _hide_subscription(found)
        return found

    def _avp(self, code: int, vendor: int, flags: int, start: int, stop: int, depth: int) -> RenderedAvp:
        definition = self._dictionary.avp(code, vendor)
        rendered = RenderedAvp(
            name=definition.name if definition else "",
            code=code,
            vendor=vendor,
            flags=_flags(flags, _AVP_FLAGS),
            type=definition.type.value if definition else "",
        )
        if definition is None:
            rendered["hex"] = self._hex(start, stop)
        elif definition.type is DataType.GROUPED:
            if depth < DEPTH_MAX:
                rendered["members"] = self.avps(start, stop, depth + 1)
            else:
                rendered["hex"] = self._hex(start, stop)
                rendered["error"] = f"not shown: nested more than {DEPTH_MAX} deep"
        else:
            self._add_value(rendered, definition, start, stop)
        return rendered

    def _add_value(self, rendered: RenderedAvp, definition: AvpDefinition, start: int, stop: int) -> None:
        try:
            decoded = value.decode(definition.type, self._message[start:stop])
        except DiameterError as error:
            rendered["hex"] = self._hex(start, stop)
            rendered["error"] = error.detail
            return
        match decoded:
            case bytes():
                rendered["hex"] = self._hex(start, stop)
                if len(decoded) <= 4 and definition.values:
                    self._add_meaning(rendered, definition, int.from_bytes(decoded, "big"))
            case str():
                rendered["value"] = self._text(definition, decoded)
            case int() if definition.type is DataType.TIME:
                rendered["value"] = _iso(UnixMillis(decoded))
            case int():
                rendered["value"] = decoded
                self._add_meaning(rendered, definition, decoded)
            case float():
                # JSON has no infinities and no NaN.
                rendered["value"] = str(decoded)
            case IPv4Address() | IPv6Address():
                rendered["value"] = str(decoded)
            case value.E164Address():
                rendered["value"] = decoded.digits
            case value.OtherAddress():
                rendered["hex"] = self._hex(start, stop)

    def _add_meaning(self, rendered: RenderedAvp, definition: AvpDefinition, number: int) -> None:
        if definition.code == Avp.RESULT_CODE and definition.vendor == 0 and number in _RESULT_NAMES:
            rendered["meaning"] = _RESULT_NAMES[number]
        elif number in definition.values:
            rendered["meaning"] = definition.values[number]
        elif definition.type is DataType.ENUMERATED and definition.values:
            rendered["meaning"] = "not a value the dictionary knows"

    def _text(self, definition: AvpDefinition, text: str) -> str:
        if self._hide_imsi:
            if (definition.code, definition.vendor) in _IMSI_AVPS:
                text = masked(text)
            elif definition.code == Avp.USER_NAME and definition.vendor == 0:
                text = _IMSI_IN_NAME.sub(lambda match: masked(match[0]), text)
            text = _IMSI_IN_TEXT.sub(lambda match: masked(match[0]), text)
        return _escaped(text)

    def _hex(self, start: int, stop: int) -> str:
        data = self._message[start:stop]
        if self._hide_imsi:
            # What has no known form may hold an IMSI too: digits that could be one are shown as asterisks.
            data = _DIGITS.sub(lambda match: b"*" * len(match[0]), data)
        return data.hex()

    def _rest(self, start: int, end: int, error: str) -> RenderedAvp:
        return RenderedAvp(name="", code=0, vendor=0, flags="", type="", hex=self._hex(start, end), error=error)


_RESULT_NAMES: Final = {int(code): f"DIAMETER_{code.name}" for code in ResultCode}


def _hide_subscription(members: list[RenderedAvp]) -> None:
    """Mask the data of a Subscription-Id whose type is IMSI; the two stand side by side in either order."""
    if any(
        member["name"] == "Subscription-Id-Type" and member.get("value") == SubscriptionIdType.END_USER_IMSI
        for member in members
    ):
        for member in members:
            text = member.get("value")
            if member["name"] == "Subscription-Id-Data" and isinstance(text, str):
                member["value"] = masked(text)


def _append_lines(lines: list[str], avps: list[RenderedAvp], indent: str) -> None:
    for avp in avps:
        name = avp["name"] or "Unknown AVP"
        number = f"{avp['code']}/{avp['vendor']}" if avp["vendor"] else str(avp["code"])
        head = f"{indent}{name} ({number}) {avp['flags'] or '-'}" if avp["flags"] or avp["code"] else f"{indent}?"
        parts = [head]
        if "value" in avp:
            shown = avp["value"]
            parts.append(f'"{shown}"' if avp["type"] == DataType.UTF8_STRING.value else str(shown))
        if "hex" in avp:
            parts.append(f"0x{avp['hex']}" if avp["hex"] else "empty")
        if "meaning" in avp:
            parts.append(f"({_escaped(avp['meaning'])})")
        if "error" in avp:
            parts.append(f"! {avp['error']}")
        lines.append(" ".join(parts))
        _append_lines(lines, avp.get("members", []), indent + "  ")


def _flags(flags: int, names: tuple[tuple[int, str], ...]) -> str:
    return "".join(name for bit, name in names if flags & bit)


def _iso(time: UnixMillis) -> str:
    return (_EPOCH + timedelta(milliseconds=time)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _escaped(text: str) -> str:
    """Replace what a terminal could act on, or a reader mistake, by backslash escapes."""
    return "".join(
        character if character.isprintable() and character not in '\\"' else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    if character in '\\"':
        return "\\" + character
    return character.encode("unicode_escape").decode()
