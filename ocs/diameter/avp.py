"""One AVP: its header, its padding, the encodings of plain types.  RFC 6733 sections 4.1 to 4.3.

Walking is strict about bounds and lenient about padding: an AVP whose length is below its header or past the end of
what encloses it is 5014; padding that is not zero, or missing after the last AVP, is accepted.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from ocs.errors import InvalidAvpLength

VENDOR: Final = 0x80
MANDATORY: Final = 0x40

_HEADER = Struct(">II")
_HEADER_VENDOR = Struct(">III")
_UNSIGNED32 = Struct(">I")
_UNSIGNED64 = Struct(">Q")

TIME_EPOCH_SECONDS: Final = 2_208_988_800
"""Seconds from 1900-01-01 to 1970-01-01 (RFC 6733 section 4.3.1)."""


class RawAvp(NamedTuple):
    """An AVP found in a buffer; `data` lies at `start:end`, without padding."""

    code: int
    vendor: int
    flags: int
    offset: int  # of the AVP's header
    start: int
    end: int


def walk(buffer: bytes, start: int, end: int) -> Iterator[RawAvp]:
    """Yield the AVPs between `start` and `end`.

    Raises:
        InvalidAvpLength: a length is impossible; its failed_avp is the header with the length mended and no data
            beyond the minimum (RFC 6733 section 7.5).
    """
    offset = start
    while offset < end:
        if end - offset < 8:
            # What came of the header is padded with zeros (RFC 6733 section 7.1.5, 5014); its length must be true.
            head = bytes(buffer[offset:end]).ljust(8, b"\0")
            raise InvalidAvpLength(
                f"{end - offset} octets left where an AVP header takes 8",
                encode(int.from_bytes(head[:4], "big"), b"", flags=head[4]),
            )
        code, word = _HEADER.unpack_from(buffer, offset)
        flags, length = word >> 24, word & 0xFFFFFF
        vendor, data = 0, offset + 8
        if flags & VENDOR:
            data = offset + 12
            if data <= end:
                vendor = int.from_bytes(buffer[offset + 8 : data], "big")
        stop = offset + length
        if stop < data or stop > end:
            raise InvalidAvpLength(
                f"AVP {code} says it is {length} octets long; {data - offset} to {end - offset} fit here",
                encode(code, b"", vendor=vendor, flags=flags & ~VENDOR),
            )
        yield RawAvp(code, vendor, flags, offset, data, stop)
        offset += (length + 3) & ~3


def encode(code: int, data: bytes, *, vendor: int = 0, flags: int = MANDATORY) -> bytes:
    """Encode one AVP with its padding.  The V bit follows from `vendor`."""
    if vendor:
        length = 12 + len(data)
        header = _HEADER_VENDOR.pack(code, (flags | VENDOR) << 24 | length, vendor)
    else:
        length = 8 + len(data)
        header = _HEADER.pack(code, (flags & ~VENDOR) << 24 | length)
    return header + data + bytes(-length & 3)


def unsigned32(code: int, value: int, *, vendor: int = 0, flags: int = MANDATORY) -> bytes:
    return encode(code, _UNSIGNED32.pack(value), vendor=vendor, flags=flags)


def unsigned64(code: int, value: int, *, vendor: int = 0, flags: int = MANDATORY) -> bytes:
    return encode(code, _UNSIGNED64.pack(value), vendor=vendor, flags=flags)


def utf8(code: int, value: str, *, vendor: int = 0, flags: int = MANDATORY) -> bytes:
    return encode(code, value.encode(), vendor=vendor, flags=flags)


def grouped(code: int, *members: bytes, vendor: int = 0, flags: int = MANDATORY) -> bytes:
    """Encode a Grouped AVP from encoded members, in their order."""
    return encode(code, b"".join(members), vendor=vendor, flags=flags)
