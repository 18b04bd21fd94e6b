"""Protobuf's wire format, as much of it as the messages of docs/signing.md have: numbers, octets and text.

What is written has one spelling: fields in the order of their numbers, those at their default left out, numbers as
short as they may be.  What is read must have one meaning: a field twice, or a number with octets to spare, is no
message.
"""

from collections.abc import Collection
from typing import Final

UINT64_MAX: Final = 2**64 - 1

_VARINT: Final = 0
_DELIMITED: Final = 2


class Unreadable(Exception):
    """The octets are no message."""


def varint(value: int) -> bytes:
    """Write a number in groups of seven bits, the low ones first."""
    if not 0 <= value <= UINT64_MAX:
        raise ValueError(f"{value} does not fit into 64 bits without a sign")
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def number(field: int, value: int) -> bytes:
    """Write a number, an enum or a bool; nothing for 0."""
    return varint(field << 3 | _VARINT) + varint(value) if value else b""


def octets(field: int, value: bytes) -> bytes:
    """Write bytes or a message; nothing when empty."""
    return varint(field << 3 | _DELIMITED) + varint(len(value)) + value if value else b""


def text(field: int, value: str) -> bytes:
    """Write a string in UTF-8; nothing when empty."""
    return octets(field, value.encode())


class Fields:
    """The fields of a message that was read, by their numbers; one that is absent has its default."""

    def __init__(self, values: dict[int, int | bytes]) -> None:
        self._values = values

    def number(self, field: int) -> int:
        """Give a number.

        Raises:
            Unreadable: there are octets in its place.
        """
        value = self._values.get(field, 0)
        if not isinstance(value, int):
            raise Unreadable(f"field {field} is octets where a number belongs")
        return value

    def octets(self, field: int, length: int | None = None) -> bytes:
        """Give octets; with `length`, exactly so many.

        Raises:
            Unreadable: there is a number in their place, or they are fewer or more.
        """
        value = self._values.get(field, b"")
        if not isinstance(value, bytes):
            raise Unreadable(f"field {field} is a number where octets belong")
        if length is not None and len(value) != length:
            raise Unreadable(f"field {field} has {len(value)} octets in place of {length}")
        return value

    def text(self, field: int) -> str:
        """Give a string.

        Raises:
            Unreadable: it is not UTF-8, or a number.
        """
        try:
            return self.octets(field).decode()
        except UnicodeDecodeError:
            raise Unreadable(f"field {field} is not UTF-8") from None


def read(message: bytes, known: Collection[int] | None = None) -> Fields:
    """Read a message.

    Args:
        known: the numbers that its fields may have; None takes any, for answers of a server that is newer than this.

    Raises:
        Unreadable: it breaks the grammar, has a field twice, or one that is not known.
    """
    values: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, wire_type = tag >> 3, tag & 7
        if field in values or field == 0 or (known is not None and field not in known):
            raise Unreadable(f"field {field} is there twice" if field in values else f"field {field} is unknown")
        value, at = _varint(message, at)
        if wire_type == _VARINT:
            values[field] = value
        elif wire_type == _DELIMITED:
            if at + value > len(message):
                raise Unreadable(f"field {field} is cut short")
            values[field] = message[at : at + value]
            at += value
        else:
            raise Unreadable(f"field {field} has wire type {wire_type}, which no field here has")
    return Fields(values)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for end in range(at, min(at + 10, len(message))):
        octet = message[end]
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            if (octet == 0 and end > at) or value > UINT64_MAX:
                break
            return value, end + 1
        shift += 7
    raise Unreadable(f"at octet {at} a number is cut short, has octets to spare, or has more than 64 bits")
