"""Answers as raw octets: read with nothing but lengths, so that what is wrong in one can be shown and does not hide."""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

HEADER_OCTETS: Final = 20
SERVICES, GRANTED = 456, 431
RESULT_CODE, SESSION_ID, FAILED_AVP, PROXY_INFO, ORIGIN_HOST, ORIGIN_REALM = 268, 263, 279, 284, 264, 296
GROUPED: Final = frozenset({260, 279, 284, 297, 423, 430, 431, 434, 437, 440, 443, 445, 446, 456, 457, 458})
"""Vendor-0 groups of RFC 6733 and RFC 8506; others are not looked into."""

_HEAD: Final = Struct(">II")
_WORD: Final = Struct(">I")
_IDS: Final = Struct(">III")


class Unreadable(Exception):
    """Octets that are no Diameter message; says where they stop making sense."""


@dataclass(frozen=True, slots=True)
class RawAvp:
    """An AVP as it stood on the wire; `members` only for groups this module knows."""

    code: int
    flags: int
    vendor: int
    data: bytes
    padding: bytes
    members: "tuple[RawAvp, ...]" = ()

    @property
    def number(self) -> int:
        return int.from_bytes(self.data, "big")


@dataclass(frozen=True, slots=True)
class Answer:
    """A message as it came.

    Attributes:
        avps: those of the command level, in their order.
    """

    octets: bytes
    flags: int
    command: int
    application: int
    hop_by_hop: int
    end_to_end: int
    avps: tuple[RawAvp, ...]

    def all(self, code: int) -> list[RawAvp]:
        return [one for one in self.avps if one.code == code and not one.vendor]

    @property
    def code(self) -> int:
        """Return the Result-Code, 0 without one."""
        found = self.all(RESULT_CODE)
        return found[0].number if found else 0

    @property
    def failed(self) -> set[int]:
        """Return the codes of all AVPs in Failed-AVP, at any depth."""
        return {one.code for outer in self.all(FAILED_AVP) for one in every(outer.members)}


def read(octets: bytes) -> Answer:
    """Read a message.

    Raises:
        Unreadable: lengths do not add up, or the version is not 1.
    """
    if octets[0] != 1:
        raise Unreadable(f"version {octets[0]}")
    if len(octets) % 4:
        raise Unreadable(f"a length of {len(octets)}, no multiple of four")
    application, hop_by_hop, end_to_end = _IDS.unpack_from(octets, 8)
    command = int.from_bytes(octets[5:8], "big")
    avps = _avps(octets[HEADER_OCTETS:])
    return Answer(octets, octets[4], command, application, hop_by_hop, end_to_end, avps)


def every(avps: Sequence[RawAvp]) -> list[RawAvp]:
    """Give AVPs and all their members."""
    return [found for one in avps for found in (one, *every(one.members))]


def raw_avp(code: int, data: bytes, *, flags: int = 0x40, length: int | None = None) -> bytes:
    """Write an AVP, with a wrong length where one is given."""
    head = _HEAD.pack(code, flags << 24 | (8 + len(data) if length is None else length))
    return head + data + bytes(-len(data) % 4)


def appended(message: bytes, avp: bytes) -> bytes:
    """Put an AVP behind a message's last, and set the message's length right."""
    return _with_length(message + avp, len(message) + len(avp))


def with_header(message: bytes, *, version: int = 1, length: int | None = None, command: int | None = None,
                application: int | None = None, flags: int | None = None) -> bytes:  # fmt: skip
    """Change fields of a header."""
    changed = bytearray(_with_length(message, len(message) if length is None else length))
    changed[0] = version
    if flags is not None:
        changed[4] = flags
    if command is not None:
        changed[5:8] = command.to_bytes(3, "big")
    if application is not None:
        _WORD.pack_into(changed, 8, application)
    return bytes(changed)


def _with_length(message: bytes, length: int) -> bytes:
    return message[:1] + length.to_bytes(3, "big") + message[4:]


def _avps(octets: bytes, *, is_loose: bool = False) -> tuple[RawAvp, ...]:
    """Read AVPs; in Failed-AVP, which may hold what is broken, `is_loose` ends quietly where they break."""
    found, place = [], 0
    while place < len(octets):
        left = len(octets) - place
        code, word = _HEAD.unpack_from(octets, place) if left >= 8 else (0, 0)
        flags, length = word >> 24, word & 0xFF_FFFF
        head = 12 if flags & 0x80 else 8
        if not head <= length <= left:
            if is_loose:
                found += [RawAvp(code, flags, 0, b"", b"")] if left >= 8 else []
                break
            raise Unreadable(f"AVP {code} of {length} octets in a space of {left}")
        vendor = _WORD.unpack_from(octets, place + 8)[0] if flags & 0x80 else 0
        end = place + length
        data, padding = octets[place + head : end], octets[end : end + -length % 4]
        inner = _avps(data, is_loose=is_loose or code == FAILED_AVP) if code in GROUPED and not vendor else ()
        found.append(RawAvp(code, flags, vendor, data, padding, inner))
        place = end + len(padding)
    return tuple(found)
