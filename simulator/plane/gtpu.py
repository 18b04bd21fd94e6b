"""GTP-U: packets in tunnels, echoes, end markers and error indications.  TS 29.281 sections 5 and 7."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from simulator.plane.layers import Malformed, gtp

PORT: Final = 2152

HEADER_OCTETS: Final = 8
LONG_HEADER_OCTETS: Final = 12
"""With any of the flags E, S and PN, four octets follow: sequence number, N-PDU number, next extension."""

RESTARTS: Final = 0
"""The Recovery of an echo response is always 0 in GTP-U (section 8.2)."""


class Kind(IntEnum):
    """Message types (TS 29.281 section 6.1)."""

    ECHO_REQUEST = 1
    ECHO_RESPONSE = 2
    ERROR_INDICATION = 26
    END_MARKER = 254
    G_PDU = 255


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A GTP-U message; `payload` is the inner IP packet of a G-PDU, else the information elements."""

    kind: int
    teid: int
    payload: bytes = b""
    sequence: int | None = None


def g_pdu(teid: int, packet: bytes) -> bytes:
    """Put an IP packet into a tunnel."""
    return bytes(gtp.GTP_U_Header(gtp_type=Kind.G_PDU, teid=teid, length=len(packet))) + packet


def end_marker(teid: int) -> bytes:
    """Say that no packet follows on this path (section 7.3.2)."""
    return bytes(gtp.GTP_U_Header(gtp_type=Kind.END_MARKER, teid=teid, length=0))


def echo_request(sequence: int) -> bytes:
    return bytes(gtp.GTPHeader(S=1, seq=sequence) / gtp.GTPEchoRequest())


def echo_response(sequence: int) -> bytes:
    recovery = gtp.IE_Recovery(restart_counter=RESTARTS)
    return bytes(gtp.GTPHeader(S=1, seq=sequence) / gtp.GTPEchoResponse(IE_list=[recovery]))


def error_indication(teid: int, address: str, sequence: int = 0) -> bytes:
    """Tell a peer that the TEID it sent to, at this address of ours, has no tunnel (section 7.3.1)."""
    elements = [gtp.IE_TEIDI(TEIDI=teid), gtp.IE_GSNAddress(length=4, ipv4_address=address)]
    body = b"".join(bytes(element) for element in elements)
    return bytes(gtp.GTPHeader(gtp_type=Kind.ERROR_INDICATION, S=1, seq=sequence, length=4 + len(body))) + body


def read(octets: bytes) -> UserMessage:
    """Read one message, extension headers left out.

    Raises:
        Malformed: not GTP version 1, or its lengths do not add up.
    """
    if len(octets) < HEADER_OCTETS or octets[0] >> 4 != 0b0011:
        raise Malformed(f"no GTP-U message: {octets[:HEADER_OCTETS].hex()}")
    long = bool(octets[0] & 0b111)
    start = LONG_HEADER_OCTETS if long else HEADER_OCTETS
    if len(octets) < start or int.from_bytes(octets[2:4], "big") != len(octets) - HEADER_OCTETS:
        raise Malformed(f"lengths that do not add up in {len(octets)} octets: {octets[:start].hex()}")
    header = gtp.GTP_U_Header(octets[:start])
    following = int(header.next_ex) if header.E else 0
    while following:
        if start >= len(octets) or not octets[start] or start + 4 * octets[start] > len(octets):
            raise Malformed(f"an extension header that ends behind the message: {octets[:start].hex()}")
        start += 4 * octets[start]
        following = octets[start - 1]
    sequence = int(header.seq) if header.S else None
    return UserMessage(int(header.gtp_type), int(header.teid), octets[start:], sequence)
