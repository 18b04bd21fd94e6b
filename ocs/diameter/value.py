"""Values of AVP data types, from octets and back.  RFC 6733 sections 4.2 and 4.3.

`decode` and `encode` are exact and slow enough for tools and tests; a decoder that runs for every request unpacks
numbers itself and asks `fault` about the rest.  Grouped is not a value: `ocs.diameter.avp` walks it.
"""

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Final

from ocs.diameter.avp import TIME_EPOCH_SECONDS
from ocs.diameter.grammar import DataType
from ocs.errors import InvalidAvpLength, InvalidAvpValue, InvalidInput
from ocs.units import SECOND, UnixMillis


@dataclass(frozen=True, slots=True)
class E164Address:
    """A telephone number in an Address (family 8): decimal digits without the plus sign."""

    digits: str


@dataclass(frozen=True, slots=True)
class OtherAddress:
    """An Address of a family this server has no name for."""

    family: int
    octets: bytes


Value = int | float | str | bytes | IPv4Address | IPv6Address | E164Address | OtherAddress
"""Numbers, and Time as UnixMillis, are int; text types are str; OctetString is bytes."""

OCTETS: Final[Mapping[DataType, int]] = MappingProxyType(
    {
        DataType.INTEGER32: 4,
        DataType.INTEGER64: 8,
        DataType.UNSIGNED32: 4,
        DataType.UNSIGNED64: 8,
        DataType.FLOAT32: 4,
        DataType.FLOAT64: 8,
        DataType.TIME: 4,
        DataType.ENUMERATED: 4,
    }
)
"""The length in octets of the types that have just one."""

TEXT: Final = frozenset(
    {DataType.UTF8_STRING, DataType.DIAMETER_IDENTITY, DataType.DIAMETER_URI, DataType.IP_FILTER_RULE}
)

ADDRESS_OCTETS_MIN: Final = 6
"""What a placeholder for a missing Address holds: a family and room for an IPv4 address."""

TIME_MIN: Final = UnixMillis((2**31 - TIME_EPOCH_SECONDS) * SECOND)
"""1968-01-20T03:14:08Z: the first second with the high bit set, era 0 (RFC 6733 section 4.3.1)."""
TIME_MAX: Final = UnixMillis((2**32 + 2**31 - 1 - TIME_EPOCH_SECONDS) * SECOND)
"""2104-02-26T09:42:23Z: the last second of era 1 that still has the high bit clear."""

IDENTITY_OCTETS_MAX: Final = 255
"""A domain name is no longer (RFC 1035 section 2.3.4)."""

_FAMILY_IPV4, _FAMILY_IPV6, _FAMILY_E164 = 1, 2, 8
_ADDRESS_LENGTHS = {_FAMILY_IPV4: 4, _FAMILY_IPV6: 16}

_NUMBERS: Mapping[DataType, struct.Struct] = {
    DataType.INTEGER32: struct.Struct(">i"),
    DataType.INTEGER64: struct.Struct(">q"),
    DataType.UNSIGNED32: struct.Struct(">I"),
    DataType.UNSIGNED64: struct.Struct(">Q"),
    DataType.FLOAT32: struct.Struct(">f"),
    DataType.FLOAT64: struct.Struct(">d"),
    DataType.ENUMERATED: struct.Struct(">i"),
}
_TIME = struct.Struct(">I")

# Underscores are in no host name, and in the names of many gateways.
_IDENTITY = rb"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?"
_MATCH_IDENTITY = re.compile(_IDENTITY).fullmatch
_MATCH_URI = re.compile(
    rb"aaas?://" + _IDENTITY + rb"(?::[0-9]{1,5})?"
    rb"(?:;transport=(?:tcp|sctp|udp|tls|dtls))?(?:;protocol=(?:diameter|radius|tacacs\+))?"
).fullmatch
_MATCH_PRINTABLE = re.compile(rb"[ -~]+").fullmatch
_MATCH_FILTER = re.compile(rb"(?:permit|deny) (?:in|out) [!-~]+ from .+? to .+").fullmatch
_MATCH_E164 = re.compile(rb"[0-9]{1,15}").fullmatch


def fault(type_: DataType, data: bytes) -> str | None:
    """Say what is wrong with the content of an AVP whose length is right, or None where nothing is.

    The ranges of an Enumerated are the caller's: only it knows which values it acts on.
    """
    check = CHECKS.get(type_)
    return check(data) if check else None


def decode(type_: DataType, data: bytes) -> Value:
    """Read the data of an AVP.  Time is read in the era in which its high bit places it (RFC 6733 section 4.3.1).

    Raises:
        InvalidAvpLength: the type has one length, and this is not it.
        InvalidAvpValue: the content is not of this type.
        Both without failed_avp: the caller knows the AVP.
    """
    assert type_ is not DataType.GROUPED, "a Grouped AVP is walked, not decoded"
    octets = OCTETS.get(type_)
    if octets is not None and len(data) != octets:
        raise InvalidAvpLength(f"{type_.value} takes {octets} octets; got {len(data)}")
    reason = fault(type_, data)
    if reason is not None:
        raise InvalidAvpValue(reason)
    if type_ in _NUMBERS:
        number: int | float = _NUMBERS[type_].unpack(data)[0]
        return number
    if type_ is DataType.TIME:
        return time_from_wire(_TIME.unpack(data)[0])
    if type_ in TEXT:
        return data.decode()
    if type_ is DataType.ADDRESS:
        return _address(data)
    return data


def encode(type_: DataType, value: Value) -> bytes:
    """Write the data of an AVP.

    Raises:
        InvalidInput: the value is not of this type or out of its range.
    """
    assert type_ is not DataType.GROUPED, "a Grouped AVP is written by ocs.diameter.avp.grouped"
    data = _encode(type_, value)
    reason = fault(type_, data)
    if reason is not None:
        raise InvalidInput(reason)
    return data


def time_from_wire(seconds: int) -> UnixMillis:
    """Turn seconds since 1900, as 32 bits hold them, into milliseconds since 1970; a clear high bit means era 1."""
    era = 0 if seconds & 0x8000_0000 else 2**32
    return UnixMillis((era + seconds - TIME_EPOCH_SECONDS) * SECOND)


def time_to_wire(time: UnixMillis) -> int:
    """Turn milliseconds since 1970 into the 32 bits of a Time; fractions of a second are dropped.

    Raises:
        InvalidInput: before 1968 or after 2104, where the 32 bits would mean another time.
    """
    if not TIME_MIN <= time <= TIME_MAX:
        raise InvalidInput(f"a Time lies between {TIME_MIN} and {TIME_MAX} ms since 1970; got {time}")
    return (time // SECOND + TIME_EPOCH_SECONDS) & 0xFFFF_FFFF


def minimum(type_: DataType) -> bytes:
    """Make the zeros that stand for a missing AVP's data (RFC 6733 section 7.5)."""
    return bytes(ADDRESS_OCTETS_MIN if type_ is DataType.ADDRESS else OCTETS.get(type_, 0))


def _check_utf8(data: bytes) -> str | None:
    if data.isascii():
        return None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"octet {error.start} of the text is not UTF-8"
    return None


def _check_identity(data: bytes) -> str | None:
    if not data:
        return "a DiameterIdentity is not empty"
    if len(data) > IDENTITY_OCTETS_MAX:
        return f"a DiameterIdentity is {IDENTITY_OCTETS_MAX} octets at the most; got {len(data)}"
    if not _MATCH_IDENTITY(data):
        return "a DiameterIdentity is a domain name: letters, digits, dots and hyphens"
    return None


def _check_uri(data: bytes) -> str | None:
    return None if _MATCH_URI(data) else "a DiameterURI is aaa://FQDN[:PORT][;transport=...][;protocol=...]"


def _check_filter(data: bytes) -> str | None:
    # The first test also keeps the second one linear: behind it nothing can stop `.+` short of the end.
    if _MATCH_PRINTABLE(data) and _MATCH_FILTER(data):
        return None
    return "an IPFilterRule is: permit|deny in|out PROTOCOL from SOURCE to TARGET, in ASCII"


def _check_address(data: bytes) -> str | None:
    if len(data) <= 2:
        return f"an Address has 2 octets of family and an address; got {len(data)} octets in all"
    family = data[0] << 8 | data[1]
    octets = _ADDRESS_LENGTHS.get(family)
    if octets is not None and len(data) - 2 != octets:
        return f"an Address of family {family} has {octets} octets behind its family; got {len(data) - 2}"
    if family == _FAMILY_E164 and not _MATCH_E164(data, 2):
        return "an Address of family 8 (E.164) is 1 to 15 decimal digits"
    return None


CHECKS: Final[Mapping[DataType, Callable[[bytes], str | None]]] = MappingProxyType(
    {
        DataType.UTF8_STRING: _check_utf8,
        DataType.DIAMETER_IDENTITY: _check_identity,
        DataType.DIAMETER_URI: _check_uri,
        DataType.IP_FILTER_RULE: _check_filter,
        DataType.ADDRESS: _check_address,
    }
)
"""What `fault` asks: for each type whose content can be wrong, a function that says why, or None."""


def _address(data: bytes) -> Value:
    family, octets = data[0] << 8 | data[1], data[2:]
    if family == _FAMILY_IPV4:
        return IPv4Address(octets)
    if family == _FAMILY_IPV6:
        return IPv6Address(octets)
    if family == _FAMILY_E164:
        return E164Address(octets.decode())
    return OtherAddress(family, octets)


def _encode(type_: DataType, value: Value) -> bytes:
    match value:
        case bool():
            pass  # an int to Python, and never meant as one here
        case int() if type_ is DataType.TIME:
            return _TIME.pack(time_to_wire(UnixMillis(value)))
        case int() if type_ in _NUMBERS:
            return _pack(type_, value)
        case float() if type_ in (DataType.FLOAT32, DataType.FLOAT64):
            return _pack(type_, value)
        case str() if type_ in TEXT:
            return _text(value)
        case bytes() if type_ is DataType.OCTET_STRING:
            return value
        case IPv4Address() if type_ is DataType.ADDRESS:
            return _FAMILY_IPV4.to_bytes(2, "big") + value.packed
        case IPv6Address() if type_ is DataType.ADDRESS:
            return _FAMILY_IPV6.to_bytes(2, "big") + value.packed
        case E164Address() if type_ is DataType.ADDRESS:
            return _FAMILY_E164.to_bytes(2, "big") + _text(value.digits)
        case OtherAddress() if type_ is DataType.ADDRESS:
            return _other_address(value)
        case _:
            pass
    raise InvalidInput(f"{type_.value} is not written from a {type(value).__name__}")


def _pack(type_: DataType, value: int | float) -> bytes:
    try:
        return _NUMBERS[type_].pack(value)
    # struct.error for an integer out of range; OverflowError for a float that 32 bits cannot hold.
    except (struct.error, OverflowError):
        raise InvalidInput(f"{value} is out of the range of {type_.value}") from None


def _text(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"character {error.start} of the text has no UTF-8 form") from None


def _other_address(value: OtherAddress) -> bytes:
    if not 0 <= value.family <= 0xFFFF:
        raise InvalidInput(f"an address family is 0 to 65535; got {value.family}")
    return value.family.to_bytes(2, "big") + value.octets
