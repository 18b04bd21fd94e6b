"""Numbers of the wire format: groups of seven bits, the low ones first, and as few as do.  protobuf.dev, "Encoding".

An octet holds one group; its high bit says that another follows.
"""

from typing import Final

UINT64_MAX: Final = 2**64 - 1
SEVERAL_OCTETS_MAX: Final = 2**56 - 1
"""The largest number of eight octets; a time in milliseconds has six."""

_SHIFTS: Final = (7, 14, 21, 28, 35, 42, 49)
_MORE_FOLLOW: Final = tuple(sum(0x80 << 8 * place for place in range(octets - 1)) for octets in range(9))
"""The high bits of a number of so many octets."""
_ONE_OCTET: Final = tuple(bytes([number]) for number in range(0x80))


def varint(number: int) -> bytes:
    """Write a number."""
    assert 0 <= number <= UINT64_MAX
    if number < 0x80:
        return _ONE_OCTET[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    octets = (number.bit_length() + 6) // 7
    if octets > 8:
        return bytes((number & 0x7F | 0x80,)) + varint(number >> 7)
    # Eight groups are drawn apart in three steps: into two of 28 bits, four of 14, eight of 7.
    number = number & 0xFFFFFFF | number >> 28 << 32
    number = number & 0x00003FFF_00003FFF | (number & 0x0FFFC000_0FFFC000) << 2
    number = number & 0x007F007F_007F007F | (number & 0x3F803F80_3F803F80) << 1
    return (number | _MORE_FOLLOW[octets]).to_bytes(octets, "little")


def several_octets(message: bytes, at: int) -> tuple[int, int]:
    """Read a number of two to eight octets that stands at `at`; give it, and where it ends.

    Raises:
        ValueError: it has an octet to spare, or more than eight.
        IndexError: it is cut short.
    """
    number = message[at] - 0x80
    for shift in _SHIFTS:
        at += 1
        octet = message[at]
        if octet < 0x80:
            if octet == 0:
                break
            return number + (octet << shift), at + 1
        number += octet - 0x80 << shift
    raise ValueError("a number has more than eight octets, or one to spare")
