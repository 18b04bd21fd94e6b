"""Diameter messages, built and read by scapy's own Diameter layer (`scapy.contrib.diameter`).

This is the simulator's whole codec, and it shares nothing with the server's: what one side gets wrong, the other side
sees.  A message is held as a plain tree (`Message`, `Avp`) so that checks read no scapy object.  Nothing here touches
a socket.  RFC 6733 sections 3 and 4.
"""

import ipaddress
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import Any, Final

# scapy warns about missing routes and interfaces when it is imported; a Diameter client over asyncio needs neither.
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

from scapy.contrib import diameter  # noqa: E402  (only after its logger is quiet)

# scapy carries no types; seen as Any, its calls need no exemption one by one.
scapy_diameter: Final[Any] = diameter

VENDOR_3GPP: Final = 10415
APPLICATION_BASE: Final = 0
APPLICATION_CREDIT_CONTROL: Final = 4

HEADER_OCTETS: Final = 20
MESSAGE_OCTETS_MAX: Final = 65536
"""No Gy answer comes near it; a larger length is a broken stream."""

AVPS_KEPT: Final = 4096
"""Built AVPs that are remembered, for scapy takes milliseconds where a gateway repeats itself."""

UNIX_TO_NTP_SECONDS: Final = 2_208_988_800
"""Diameter's Time counts from 1900-01-01 (RFC 6733 section 4.3.1)."""


class Flag(IntFlag):
    """Command flags (RFC 6733 section 3)."""

    REQUEST = 0x80
    PROXIABLE = 0x40
    ERROR = 0x20
    RETRANSMITTED = 0x10


class Command(IntEnum):
    CAPABILITIES_EXCHANGE = 257
    RE_AUTH = 258
    CREDIT_CONTROL = 272
    ABORT_SESSION = 274
    DEVICE_WATCHDOG = 280
    DISCONNECT_PEER = 282


class AvpFlag(IntFlag):
    """AVP flags (RFC 6733 section 4.1)."""

    VENDOR = 0x80
    MANDATORY = 0x40


class Malformed(Exception):
    """Octets that are not a Diameter message: lengths that do not add up, or another version."""


# What gateways send and scapy's dictionary lacks.  TS 29.061 clause 16.4.7, TS 32.299 clause 7.2.
_V_M: Final = AvpFlag.VENDOR | AvpFlag.MANDATORY
_OCTETS: Final = scapy_diameter.AVPV_OctetString
scapy_diameter.AvpDefDict[VENDOR_3GPP].update(
    {
        2: ("3GPP-Charging-Id", _OCTETS, AvpFlag.VENDOR),
        3: ("3GPP-PDP-Type", scapy_diameter.AVPV_Unsigned32, AvpFlag.VENDOR),
        8: ("3GPP-IMSI-MCC-MNC", _OCTETS, AvpFlag.VENDOR),
        9: ("3GPP-GGSN-MCC-MNC", _OCTETS, AvpFlag.VENDOR),
        10: ("3GPP-NSAPI", _OCTETS, AvpFlag.VENDOR),
        12: ("3GPP-Selection-Mode", _OCTETS, AvpFlag.VENDOR),
        18: ("3GPP-SGSN-MCC-MNC", _OCTETS, AvpFlag.VENDOR),
        21: ("3GPP-RAT-Type", _OCTETS, AvpFlag.VENDOR),
        22: ("3GPP-User-Location-Info", _OCTETS, AvpFlag.VENDOR),
        23: ("3GPP-MS-TimeZone", _OCTETS, AvpFlag.VENDOR),
        1016: ("QoS-Information", scapy_diameter.AVPV_Grouped, _V_M),
        1040: ("APN-Aggregate-Max-Bitrate-DL", scapy_diameter.AVPV_Unsigned32, AvpFlag.VENDOR),
        1041: ("APN-Aggregate-Max-Bitrate-UL", scapy_diameter.AVPV_Unsigned32, AvpFlag.VENDOR),
        2020: ("Low-Balance-Indication", scapy_diameter.AVPV_Unsigned32, _V_M),
        2055: ("AoC-Request-Type", scapy_diameter.AVPV_Unsigned32, _V_M),
    }
)

# Vendor 0 is written last: where two specifications share a name, the base one is meant.
_KEYS: Final[dict[str, tuple[int, int]]] = {
    definition[0]: (code, vendor)
    for vendor in (VENDOR_3GPP, 0)
    for code, definition in scapy_diameter.AvpDefDict[vendor].items()
}


@dataclass(frozen=True, slots=True)
class Avp:
    """One AVP.  `value` is a number, octets (text and addresses included) or the members of a group.

    Attributes:
        name: the specification's own name; `AVP <vendor>/<code>` where scapy knows none.
    """

    name: str
    code: int
    vendor: int
    flags: int
    value: "int | bytes | tuple[Avp, ...]"

    @property
    def known(self) -> bool:
        """Whether scapy's dictionary (with our additions) names this AVP."""
        return self.name in _KEYS

    @property
    def members(self) -> "tuple[Avp, ...]":
        """Return the members of a group; empty for any other AVP."""
        return self.value if isinstance(self.value, tuple) else ()

    def all(self, name: str) -> "list[Avp]":
        return [member for member in self.members if member.name == name]

    def number(self, name: str) -> int | None:
        return _number(self.members, name)


def avp(name: str, value: int | bytes | str | Sequence[Avp]) -> Avp:
    """Make an AVP by its specification name, with the flags scapy's dictionary gives it.

    Text is encoded as UTF-8; for an AVP of type Address it is read as an IPv4 or IPv6 address.

    Raises:
        KeyError: neither scapy nor this module knows the name.
    """
    code, vendor = _KEYS[name]
    flags = int(scapy_diameter.AvpDefDict[vendor][code][2])
    if isinstance(value, str):
        octets = _address(value) if _is_address(code, vendor) else value.encode()
        return Avp(name, code, vendor, flags, octets)
    return Avp(name, code, vendor, flags, value if isinstance(value, int | bytes) else tuple(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A Diameter message: the header's fields and the AVPs in their order on the wire."""

    command: int
    flags: int
    application: int
    hop_by_hop: int = 0
    end_to_end: int = 0
    avps: tuple[Avp, ...] = ()

    @property
    def is_request(self) -> bool:
        return bool(self.flags & Flag.REQUEST)

    @property
    def session_id(self) -> bytes:
        """Return the Session-Id, or no octets when there is none."""
        return self.octets("Session-Id") or b""

    @property
    def services(self) -> list[Avp]:
        """Return every Multiple-Services-Credit-Control in order."""
        return self.all("Multiple-Services-Credit-Control")

    def all(self, name: str) -> list[Avp]:
        return [candidate for candidate in self.avps if candidate.name == name]

    def number(self, name: str) -> int | None:
        """Return the first AVP of that name as a number."""
        return _number(self.avps, name)

    def octets(self, name: str) -> bytes | None:
        """Return the first AVP of that name as octets."""
        found = next((candidate.value for candidate in self.avps if candidate.name == name), None)
        return found if isinstance(found, bytes) else None

    def answer(self, *avps: Avp, flags: int = 0) -> "Message":
        """Make the answer to this request: its ids, its application, its P bit (RFC 6733 section 6.2)."""
        return replace(self, flags=(self.flags & Flag.PROXIABLE) | flags, avps=avps)

    def encode(self) -> bytes:
        """Build the octets with scapy, header and AVPs apart: most AVPs of a gateway are the same each time."""
        body = b"".join(_built(one) for one in self.avps)
        build = scapy_diameter.DiamReq if self.is_request else scapy_diameter.DiamAns
        header = build(
            self.command,
            drAppId=self.application,
            drFlags=self.flags,
            drLen=HEADER_OCTETS + len(body),
            drHbHId=self.hop_by_hop,
            drEtEId=self.end_to_end,
        )
        return bytes(header) + body

    @classmethod
    def decode(cls, octets: bytes) -> "Message":
        """Read one whole message with scapy.

        Raises:
            Malformed: the lengths of header, AVPs and groups do not add up, or the version is not 1.
        """
        if len(octets) < HEADER_OCTETS or octets[0] != 1 or int.from_bytes(octets[1:4], "big") != len(octets):
            raise Malformed(f"no Diameter message of version 1 and {len(octets)} octets: {octets[:20].hex()}")
        packet = scapy_diameter.DiamG(octets)
        return cls(
            command=int(packet.drCode),
            flags=int(packet.drFlags),
            application=int(packet.drAppId),
            hop_by_hop=int(packet.drHbHId),
            end_to_end=int(packet.drEtEId),
            avps=tuple(_from_scapy(packet.avpList, len(octets) - HEADER_OCTETS)),
        )


def message_octets(header: bytes) -> int:
    """Read the length of the message that starts with these four octets or more.

    Raises:
        Malformed: a length no Diameter message has.
    """
    length = int.from_bytes(header[1:4], "big")
    if not HEADER_OCTETS <= length <= MESSAGE_OCTETS_MAX or length % 4:
        raise Malformed(f"a message length of {length} octets")
    return length


def text(value: bytes | None) -> str:
    """Show octets that are meant as text; anything else stays visible as escapes."""
    return (value or b"").decode("utf-8", "backslashreplace")


def _number(avps: Sequence[Avp], name: str) -> int | None:
    found = next((candidate.value for candidate in avps if candidate.name == name), None)
    return found if isinstance(found, int) else None


def _is_address(code: int, vendor: int) -> bool:
    return scapy_diameter.AvpDefDict[vendor][code][1] in (scapy_diameter.AVPNV_Address, scapy_diameter.AVPV_Address)


def _address(shown: str) -> bytes:
    """Encode an Address: two octets of IANA family, then the address (RFC 6733 section 4.3.1)."""
    address = ipaddress.ip_address(shown)
    return (1 if address.version == 4 else 2).to_bytes(2, "big") + address.packed


@lru_cache(maxsize=AVPS_KEPT)
def _built(one: Avp) -> bytes:
    return bytes(_to_scapy(one))


def _to_scapy(one: Avp) -> Any:
    fields: dict[str, Any] = {"avpFlags": one.flags}
    if one.known and _is_address(one.code, one.vendor) and isinstance(one.value, bytes):
        # scapy's Address takes text only.
        fields["val"] = str(ipaddress.ip_address(one.value[2:]))
    elif isinstance(one.value, tuple):
        fields["val"] = [_to_scapy(member) for member in one.value]
    else:
        fields["val"] = one.value
    if not one.known:
        return scapy_diameter.AVP_Unknown(avpCode=one.code, avpVnd=one.vendor, **fields)
    return scapy_diameter.AVP([one.code, one.vendor], **fields)


def _from_scapy(packets: Sequence[Any], octets: int) -> Iterator[Avp]:
    """Turn scapy's AVPs into ours; `octets` is what they and their padding must fill exactly."""
    filled = 0
    for packet in packets:
        if not isinstance(packet, scapy_diameter.AVP_Generic) or packet.avpLen is None:
            raise Malformed("octets behind the last AVP are too few for another")
        length = int(packet.avpLen)
        filled += length + -length % 4
        code, vendor = int(packet.avpCode), int(getattr(packet, "avpVnd", None) or 0)
        definition = scapy_diameter.AvpDefDict.get(vendor, {}).get(code)
        name = definition[0] if definition and _KEYS.get(definition[0]) == (code, vendor) else f"AVP {vendor}/{code}"
        value = packet.val
        if isinstance(value, list):
            value = tuple(_from_scapy(value, length - (12 if packet.avpFlags & AvpFlag.VENDOR else 8)))
        elif not isinstance(value, int):
            value = bytes(value or b"")
        yield Avp(name, code, vendor, int(packet.avpFlags), value)
    if filled != octets:
        raise Malformed(f"AVPs of {filled} octets in a space of {octets}")
