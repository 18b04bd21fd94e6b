"""The words that lines of these files are made of, read strictly: each value has one spelling.

A second spelling of the same value would let two files differ in their octets and mean the same, so it is refused:
no leading zeros, no sign, no white space, no missing padding, no stray bits behind the last octet (RFC 4648 section
3.5).
"""

from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Iterable
from typing import Final

from ocs.tlog.errors import Malformed
from ocs.tlog.merkle import HASH_OCTETS, SIZE_MAX

_DIGITS_MAX: Final = len(str(SIZE_MAX))
_SHOWN_MAX: Final = 80


def shown(text: object) -> str:
    """Quote what was read for an error, cut where it is long."""
    quoted = repr(text)
    return quoted if len(quoted) <= _SHOWN_MAX else quoted[:_SHOWN_MAX] + "…"


def decimal(text: str) -> int:
    """Read a size or an index: ASCII digits without leading zeros, at most 2^63 - 1.

    Raises:
        Malformed: it is anything else.
    """
    plain = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and (text[0] != "0" or text == "0")
    if not plain or (value := int(text)) > SIZE_MAX:
        raise Malformed(f"a decimal without leading zeros, at most {SIZE_MAX}, belongs where {shown(text)} stands")
    return value


def base64(octets: bytes) -> str:
    """Write octets as RFC 4648 section 4 has them, padded, in one line."""
    return b2a_base64(octets, newline=False).decode()


def octets_of(text: str) -> bytes:
    """Read octets from base64.

    Raises:
        Malformed: it is no base64, or not the one spelling that `base64` gives.
    """
    try:
        octets = a2b_base64(text.encode("ascii"), strict_mode=True)
    except (Error, UnicodeEncodeError):
        octets = b""
    if base64(octets) != text:
        raise Malformed(f"base64 belongs where {shown(text)} stands")
    return octets


def hash_of(text: str) -> bytes:
    """Read one SHA-256 hash from base64.

    Raises:
        Malformed: it is no base64 of 32 octets.
    """
    octets = octets_of(text)
    if len(octets) != HASH_OCTETS:
        raise Malformed(f"a hash has {HASH_OCTETS} octets; {shown(text)} has {len(octets)}")
    return octets


def line_of(octets: bytes) -> bytes:
    """Write octets in base64, and end the line."""
    return b2a_base64(octets)


def lines_of(hashes: Iterable[bytes]) -> bytes:
    """Write one hash per line, each line ended."""
    return b"".join(map(b2a_base64, hashes))
