"""A capture of all that the nodes sent, as a pcap file in which every packet starts with its IP header.

Datagrams are written as they were; a Diameter connection is written as the TCP segments that could have carried it, for
a program that has no right to listen on an interface sees octets only.  RFC 9293 section 3.1.
"""

import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from simulator.plane.layers import inet

FILE_HEADER: Final = struct.Struct("=IHHiIII")
PACKET_HEADER: Final = struct.Struct("=IIII")
"""The classic pcap format, in this machine's octet order; its magic number tells a reader which that is."""

MAGIC: Final = 0xA1B2C3D4
VERSION: Final = (2, 4)
PACKET_OCTETS_MAX: Final = 65_535
LINK_TYPE_RAW: Final = 101
DIAMETER_PORT: Final = 3868
SEGMENT_OCTETS_MAX: Final = 16_000
"""An IP packet ends at 65,535 octets; loopback has no smaller limit."""

WINDOW: Final = 65_535

Address = tuple[str, int]


class Capture:
    """A capture file being written.

    Args:
        diameter_port: the server's port as the file shows it, whatever port it listens on in a lab: readers know
            Diameter by its port.
    """

    def __init__(self, path: Path, *, diameter_port: int = DIAMETER_PORT) -> None:
        self._file = path.open("wb")
        self._file.write(FILE_HEADER.pack(MAGIC, *VERSION, 0, 0, PACKET_OCTETS_MAX, LINK_TYPE_RAW))
        self._diameter_port = diameter_port
        self._identification = 0

    def close(self) -> None:
        self._file.close()

    def datagram(self, source: Address, destination: Address, octets: bytes) -> None:
        """Write a UDP datagram."""
        self._write(source, destination, inet.UDP(sport=source[1], dport=destination[1]) / octets)

    def connection(self, own: Address, server: Address) -> "CapturedConnection":
        """Start a Diameter connection that `own` opened."""
        return CapturedConnection(self, own, (server[0], self._diameter_port))

    def segment(self, source: Address, destination: Address, header: dict[str, int | str], octets: bytes) -> None:
        """Write a TCP segment with these fields of its header."""
        self._write(source, destination, inet.TCP(sport=source[1], dport=destination[1], **header) / octets)

    def _write(self, source: Address, destination: Address, inner: object) -> None:
        self._identification = (self._identification + 1) & 0xFFFF
        packet = bytes(inet.IP(src=source[0], dst=destination[0], id=self._identification) / inner)
        seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
        self._file.write(PACKET_HEADER.pack(seconds, microseconds, len(packet), len(packet)) + packet)


@dataclass
class CapturedConnection:
    """A TCP connection in a capture: its handshake, the octets of both ways under running numbers, its end."""

    capture: Capture
    own: Address
    server: Address
    _next: dict[Address, int] = field(init=False)
    _closed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._next = {self.own: 0, self.server: 0}
        self._segment(self.own, "S")
        self._segment(self.server, "SA")
        self._segment(self.own, "A")

    def sent(self, octets: bytes) -> None:
        self._data(self.own, octets)

    def received(self, octets: bytes) -> None:
        self._data(self.server, octets)

    def closed(self) -> None:
        """End both ways; the second call does nothing."""
        if not self._closed:
            self._closed = True
            self._segment(self.own, "FA")
            self._segment(self.server, "FA")
            self._segment(self.own, "A")

    def _data(self, source: Address, octets: bytes) -> None:
        if not self._closed:
            for start in range(0, len(octets), SEGMENT_OCTETS_MAX):
                self._segment(source, "PA", octets[start : start + SEGMENT_OCTETS_MAX])

    def _segment(self, source: Address, flags: str, octets: bytes = b"") -> None:
        """Write a segment and move its sender's number on; SYN and FIN count for one octet."""
        target = self.server if source == self.own else self.own
        acknowledged = self._next[target] if "A" in flags else 0
        header: dict[str, int | str] = {
            "seq": self._next[source],
            "ack": acknowledged,
            "flags": flags,
            "window": WINDOW,
        }
        self.capture.segment(source, target, header, octets)
        moved = len(octets) + ("S" in flags) + ("F" in flags)
        self._next[source] = (self._next[source] + moved) % 2**32
