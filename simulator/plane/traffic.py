"""What a UE does with its connection: endless, seeded streams of real IP packets, up and down.

Each stream knows what it has given out, by nothing but the lengths of its packets; the meters know nothing of it.
Payloads are zeros: only their lengths count.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Final

from simulator.messages import Volume
from simulator.plane.layers import inet

PACKET_OCTETS_MAX: Final = 1_400
"""What a mobile network leaves of 1,500 octets after its own headers (TS 23.060 annex C)."""

TCP_HEADERS_OCTETS: Final = 40
UDP_HEADERS_OCTETS: Final = 28
SEQUENCES: Final = 2**32
WINDOW: Final = 65_535
EPHEMERAL_PORTS: Final = (49_152, 65_535)


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet, and the seconds that pass before it."""

    up: bool
    octets: bytes
    after: float


class Kind(StrEnum):
    """What people and things do."""

    WEB = "web"
    VIDEO = "video"
    BULK = "bulk"
    IOT = "iot"
    BURSTS = "bursts"


SERVERS: Final = {
    Kind.WEB: ("198.51.100.10", 443),
    Kind.VIDEO: ("203.0.113.20", 443),
    Kind.BULK: ("198.51.100.30", 20),
    Kind.IOT: ("192.0.2.40", 5683),
    Kind.BURSTS: ("192.0.2.50", 9000),
}
"""Who is at the remote end; the addresses are those kept for documentation (RFC 5737)."""


@dataclass(slots=True)
class _Ends:
    """Both ends of one conversation, and the numbers their TCP segments have reached."""

    rng: random.Random
    ue: str
    server: str
    port: int
    ue_port: int = field(init=False)
    numbers: dict[bool, int] = field(init=False)

    def __post_init__(self) -> None:
        self.ue_port = self.rng.randint(*EPHEMERAL_PORTS)
        self.numbers = {up: self.rng.getrandbits(32) for up in (True, False)}

    def tcp(self, payload_octets: int, after: float = 0.0, *, up: bool, flags: str = "A") -> Packet:
        number = self.numbers[up]
        acknowledged = self.numbers[not up] if "A" in flags else 0
        self.numbers[up] = (number + payload_octets + ("S" in flags) + ("F" in flags)) % SEQUENCES
        segment = partial(inet.TCP, seq=number, ack=acknowledged, flags=flags, window=WINDOW)
        return self._packet(segment, bytes(payload_octets), after, up=up)

    def udp(self, payload: bytes, after: float = 0.0, *, up: bool) -> Packet:
        return self._packet(inet.UDP, payload, after, up=up)

    def _packet(self, transport: Any, payload: bytes, after: float, *, up: bool) -> Packet:
        ends, ports = (self.ue, self.server), (self.ue_port, self.port)
        source, target = (0, 1) if up else (1, 0)
        header = inet.IP(src=ends[source], dst=ends[target], id=self.rng.getrandbits(16))
        packet = header / transport(sport=ports[source], dport=ports[target]) / payload
        return Packet(up, bytes(packet), after)


def _open(ends: _Ends, after: float) -> Iterator[Packet]:
    yield ends.tcp(0, after, up=True, flags="S")
    yield ends.tcp(0, 0.03, up=False, flags="SA")
    yield ends.tcp(0, up=True)


def _close(ends: _Ends) -> Iterator[Packet]:
    yield ends.tcp(0, up=True, flags="FA")
    yield ends.tcp(0, 0.03, up=False, flags="FA")
    yield ends.tcp(0, up=True)


def _download(ends: _Ends, octets: int) -> Iterator[Packet]:
    """Send octets down in full segments; every second one is acknowledged."""
    segment = PACKET_OCTETS_MAX - TCP_HEADERS_OCTETS
    for count, start in enumerate(range(0, octets, segment), 1):
        yield ends.tcp(min(segment, octets - start), up=False, flags="PA")
        if count % 2 == 0:
            yield ends.tcp(0, up=True)


def _web(rng: random.Random, ue: str, server: str, port: int) -> Iterator[Packet]:
    """Open a page of a few objects, read, open the next."""
    while True:
        ends = _Ends(rng, ue, server, port)
        yield from _open(ends, rng.uniform(2.0, 20.0))
        for _ in range(rng.randint(1, 5)):
            yield ends.tcp(rng.randint(200, 900), up=True, flags="PA")
            yield from _download(ends, rng.randint(500, 30_000))
        yield from _close(ends)


def _video(rng: random.Random, ue: str, server: str, port: int) -> Iterator[Packet]:
    """Fetch a piece of film every two seconds over QUIC; a short packet goes up for every tenth that came down."""
    ends = _Ends(rng, ue, server, port)
    while True:
        after = 2.0
        yield ends.udp(bytes(rng.randint(40, 120)), after, up=True)
        for count in range(1, rng.randint(60, 200)):
            yield ends.udp(bytes(PACKET_OCTETS_MAX - UDP_HEADERS_OCTETS), up=False)
            if count % 10 == 0:
                yield ends.udp(bytes(rng.randint(30, 60)), up=True)


def _bulk(rng: random.Random, ue: str, server: str, port: int) -> Iterator[Packet]:
    """Move one file after another, down or up, without a pause within a file."""
    while True:
        ends = _Ends(rng, ue, server, port)
        yield from _open(ends, rng.uniform(0.5, 2.0))
        octets = rng.randint(100_000, 2_000_000)
        if rng.random() < 0.5:
            yield from _download(ends, octets)
        else:
            segment = PACKET_OCTETS_MAX - TCP_HEADERS_OCTETS
            for start in range(0, octets, segment):
                yield ends.tcp(min(segment, octets - start), up=True, flags="PA")
        yield from _close(ends)


def _iot(rng: random.Random, ue: str, server: str, port: int) -> Iterator[Packet]:
    """Report a reading every ten minutes or so, and have it acknowledged (CoAP, RFC 7252 section 3)."""
    ends = _Ends(rng, ue, server, port)
    while True:
        message_id = rng.getrandbits(16).to_bytes(2, "big")
        reading = bytes(rng.randint(20, 90))
        post, changed = b"\x40\x02" + message_id + b"\xff" + reading, b"\x60\x44" + message_id
        yield ends.udp(post, rng.uniform(540.0, 660.0), up=True)
        yield ends.udp(changed, 0.1, up=False)


def _bursts(rng: random.Random, ue: str, server: str, port: int) -> Iterator[Packet]:
    """Be silent, then send and receive packets of any size as fast as they go."""
    ends = _Ends(rng, ue, server, port)
    while True:
        after = rng.expovariate(1 / 15.0)
        for _ in range(rng.randint(5, 80)):
            payload = bytes(rng.randint(0, PACKET_OCTETS_MAX - UDP_HEADERS_OCTETS))
            yield ends.udp(payload, after, up=rng.random() < 0.3)
            after = 0.0


_STREAMS: Final[dict[Kind, Callable[[random.Random, str, str, int], Iterator[Packet]]]] = {
    Kind.WEB: _web,
    Kind.VIDEO: _video,
    Kind.BULK: _bulk,
    Kind.IOT: _iot,
    Kind.BURSTS: _bursts,
}


class Stream:
    """One kind of traffic of one UE.  The same kind, address and seed give the same packets.

    Attributes:
        offered: octets of all packets given out so far.
        packets: how many those were.
    """

    def __init__(self, kind: Kind, ue_address: str, seed: int) -> None:
        self.kind = kind
        self.ue_address = ue_address
        self.offered = Volume()
        self.packets = 0
        self._packets = _STREAMS[kind](random.Random(f"{kind} {seed}"), ue_address, *SERVERS[kind])

    def __iter__(self) -> Iterator[Packet]:
        return self

    def __next__(self) -> Packet:
        packet = next(self._packets)
        octets = len(packet.octets)
        self.offered += Volume(up=octets) if packet.up else Volume(down=octets)
        self.packets += 1
        return packet
