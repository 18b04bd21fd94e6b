"""Diameter messages out of packet captures: pcap and pcapng, over TCP or SCTP.  For `ocs decode`.

dpkt reads the packets; what is done here is to put streams in order and cut them into messages.  What is no Diameter
is passed over and named: a capture holds other traffic too, and Diameter over TLS cannot be read.  A stream that begins
within a message, or goes on so behind a gap, is taken up again where a segment begins like one.  IP fragments and SCTP
fragments are not put together.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import dpkt

from ocs.diameter.framing import HEADER_OCTETS
from ocs.errors import InvalidInput

MAGICS: Final = tuple(bytes.fromhex(magic) for magic in ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d", "0a0d0d0a"))
"""How pcap (both byte orders, micro- and nanoseconds) and pcapng files begin."""

MESSAGE_OCTETS_MAX: Final = 1 << 20
"""A larger length is read as a sign that this is no Diameter."""

AHEAD_SEGMENTS_MAX: Final = 256
"""So many segments wait for one before them; then that one was not captured."""

_LINKS: Final = {
    dpkt.pcap.DLT_NULL: dpkt.loopback.Loopback,
    dpkt.pcap.DLT_LOOP: dpkt.loopback.Loopback,
    dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet,
    dpkt.pcap.DLT_LINUX_SLL: dpkt.sll.SLL,
    dpkt.pcap.DLT_LINUX_SLL2: dpkt.sll2.SLL2,
}
_RAW_IP: Final = frozenset({12, 14, 101, 228, 229})  # DLT_RAW and its like: IP from the first octet on
_SCTP_DATA: Final = 0
_SCTP_DATA_HEAD: Final = 12  # TSN, stream, sequence number, payload protocol
_SCTP_WHOLE: Final = 0x03  # begins and ends in this chunk
_HALF: Final = 1 << 31
_FLAGS_RESERVED: Final = 0x0F


class Captured(NamedTuple):
    """One message and where it was seen.

    Attributes:
        at: seconds of Unix time, for showing only.
    """

    at: float
    source: str
    destination: str
    octets: bytes


@dataclass(slots=True)
class Capture:
    """One file.

    Attributes:
        notes: what could not be read, once `messages` has ended.
    """

    path: Path
    notes: list[str] = field(default_factory=list)

    def messages(self) -> Iterator[Captured]:
        """Give its messages in the order in which each became whole.

        Raises:
            InvalidInput: it cannot be read, or was taken on a link of another type.
        """
        streams: dict[tuple[str, str], _Stream] = {}
        at = 0.0
        try:
            with self.path.open("rb") as file:
                packets = dpkt.pcap.UniversalReader(file)
                link = packets.datalink()
                if link not in _LINKS and link not in _RAW_IP:
                    raise InvalidInput(
                        f"{self.path}: link type {link} is not read; capture on `any`, or an Ethernet port"
                    )
                for seconds, octets in packets:
                    at = float(seconds)
                    yield from self._packet(streams, at, _ip(link, octets))
        except OSError as error:
            raise InvalidInput(f"{self.path} cannot be read: {error.strerror}") from None
        except (ValueError, dpkt.Error) as error:
            self.notes.append(f"{self.path}: the capture cannot be read on ({error})")
        for (source, destination), stream in streams.items():
            for message in stream.end():
                yield Captured(at, source, destination, message)
            self.notes += [f"{source} to {destination}: {note}" for note in stream.notes()]

    def _packet(self, streams: dict[tuple[str, str], "_Stream"], at: float, packet: Any) -> Iterator[Captured]:
        if not isinstance(packet, (dpkt.ip.IP, dpkt.ip6.IP6)):
            return
        carried = packet.data
        if isinstance(carried, dpkt.tcp.TCP):
            ends = _ends(packet, carried)
            stream = streams.setdefault(ends, _Stream())
            for message in stream.take(carried.seq, bytes(carried.data), begins=bool(carried.flags & dpkt.tcp.TH_SYN)):
                yield Captured(at, *ends, message)
        elif isinstance(carried, dpkt.sctp.SCTP):
            for chunk in carried.chunks:
                whole = chunk.type == _SCTP_DATA and chunk.flags & _SCTP_WHOLE == _SCTP_WHOLE
                message = bytes(chunk.data)[_SCTP_DATA_HEAD:]
                if whole and _is_diameter(message):
                    yield Captured(at, *_ends(packet, carried), message)


class _Stream:
    """One direction of a TCP connection."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._next = 0
        self._ahead: dict[int, bytes] = {}
        self._buffer = bytearray()
        self._lost = 0
        self._passed = 0
        self._given = False
        self._astray = False  # what comes next is perhaps not the beginning of a message

    def take(self, sequence: int, octets: bytes, *, begins: bool) -> Iterator[bytes]:
        """Take a segment; give the messages that are whole now."""
        if begins:
            self._begin((sequence + 1) % (1 << 32))
            return
        if not octets:
            return
        if self._first is None:
            self._begin(sequence)  # the capture began in the middle of the connection
        self._ahead[sequence] = max(octets, self._ahead.get(sequence, b""), key=len)
        yield from self._drain()
        if len(self._ahead) > AHEAD_SEGMENTS_MAX:
            self._skip()
            yield from self._drain()

    def end(self) -> Iterator[bytes]:
        """Give the messages behind gaps that nothing will fill now."""
        while self._ahead:
            self._skip()
            yield from self._drain()

    def notes(self) -> Iterator[str]:
        if self._passed and not self._given:
            yield "no Diameter; passed over"
            return
        if self._passed:
            yield f"{self._passed} octets were no Diameter, or from within a message; passed over"
        if self._lost:
            yield f"{self._lost} octets were not captured; messages in them are not shown"
        if self._buffer:
            yield f"the capture ends within a message, after {len(self._buffer)} of its octets"

    def _begin(self, first: int) -> None:
        if first == self._first:
            return  # a SYN seen twice, or after what follows it
        self._first = self._next = first
        self._ahead = {}
        self._buffer.clear()
        self._astray = False

    def _drain(self) -> Iterator[bytes]:
        while self._ahead:
            sequence = min(self._ahead, key=self._distance)
            distance = self._distance(sequence)
            if distance > 0:
                return
            octets = self._ahead.pop(sequence)[-distance:]
            self._next = (self._next + len(octets)) % (1 << 32)
            if self._astray and not _surely_begins(octets):
                self._passed += len(octets)
                continue
            self._astray = False
            self._buffer += octets
            yield from self._cut()

    def _distance(self, sequence: int) -> int:
        """Give how far `sequence` is ahead, negative for what was seen already."""
        return (sequence - self._next + _HALF) % (1 << 32) - _HALF

    def _skip(self) -> None:
        """Go on behind a gap."""
        sequence = min(self._ahead, key=self._distance)
        self._lost += self._distance(sequence)
        self._next = sequence
        self._passed += len(self._buffer)
        self._buffer.clear()
        self._astray = True

    def _cut(self) -> Iterator[bytes]:
        buffer = self._buffer
        while buffer:
            if buffer[0] != 1 or (len(buffer) >= HEADER_OCTETS and not _is_diameter(buffer)):
                self._astray = True
                self._passed += len(buffer)
                buffer.clear()
                return
            length = int.from_bytes(buffer[1:4], "big")
            if len(buffer) < max(length, HEADER_OCTETS):
                return
            self._given = True
            yield bytes(buffer[:length])
            del buffer[:length]


def _is_diameter(octets: bytes | bytearray) -> bool:
    length = int.from_bytes(octets[1:4], "big")
    return len(octets) >= HEADER_OCTETS and octets[0] == 1 and HEADER_OCTETS <= length <= MESSAGE_OCTETS_MAX


def _surely_begins(octets: bytes) -> bool:
    """Tell a message's head from octets within one: lengths are in fours, reserved flags are clear.  RFC 6733 §3."""
    return _is_diameter(octets) and octets[3] % 4 == 0 and octets[4] & _FLAGS_RESERVED == 0


def _ip(link: int, octets: bytes) -> Any:
    """Unwrap a packet down to IP; None where it is none, or damaged."""
    try:
        if link in _RAW_IP:
            return dpkt.ip6.IP6(octets) if octets[:1] and octets[0] >> 4 == 6 else dpkt.ip.IP(octets)
        return _LINKS[link](octets).data
    except (dpkt.Error, IndexError):
        return None


def _ends(packet: Any, carried: Any) -> tuple[str, str]:
    return _end(packet.src, carried.sport), _end(packet.dst, carried.dport)


def _end(address: bytes, port: int) -> str:
    text = str(ipaddress.ip_address(address))
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"
