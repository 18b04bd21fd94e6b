"""Which service a packet belongs to: packet filters in order, first match wins, and a default behind them.

RFC 8506 section 5.1.2 and TS 32.251 leave to the gateway how a packet finds its rating group; gateways match on the
protocol and on the remote end, as the traffic flow templates of TS 24.008 section 10.5.6.12 do.
"""

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from simulator.messages import ServiceKey
from simulator.plane.layers import Malformed, inet

TCP: Final = 6
UDP: Final = 17
IPV4_HEADER_OCTETS: Final = 20
PORTS_OCTETS: Final = 4


@dataclass(frozen=True, slots=True)
class Flow:
    """What a packet's headers say.

    Attributes:
        octets: the whole IP packet, its header included: what is charged.
        up: whether the UE sent it.
        ue, remote: the addresses of the two ends.
        port: the remote end's; None where the protocol has none, and in all fragments but the first.
    """

    octets: int
    up: bool
    protocol: int
    ue: IPv4Address
    remote: IPv4Address
    port: int | None = None


def read_flow(packet: bytes, *, up: bool) -> Flow:
    """Read an inner packet's headers.

    Raises:
        Malformed: no IPv4 packet, or one whose length is not that of its tunnel's payload.
    """
    if len(packet) < IPV4_HEADER_OCTETS or packet[0] >> 4 != 4:
        raise Malformed(f"no IPv4 packet: {packet[:IPV4_HEADER_OCTETS].hex()}")
    header_octets = (packet[0] & 0xF) * 4
    if header_octets < IPV4_HEADER_OCTETS or header_octets > len(packet):
        raise Malformed(f"an IPv4 header of {header_octets} octets")
    header = inet.IP(packet[:header_octets])
    if header.len != len(packet):
        raise Malformed(f"an IPv4 packet of {header.len} octets in a payload of {len(packet)}")
    port = None
    ports = packet[header_octets : header_octets + PORTS_OCTETS]
    if header.proto in (TCP, UDP) and not header.frag and len(ports) == PORTS_OCTETS:
        port = int.from_bytes(ports[2:] if up else ports[:2], "big")
    source, target = IPv4Address(header.src), IPv4Address(header.dst)
    ue, remote = (source, target) if up else (target, source)
    return Flow(len(packet), up, int(header.proto), ue, remote, port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Packets of one service; what is None matches anything.

    Attributes:
        ports: the first and the last port of the remote end.
        network: where the remote end is.
    """

    key: ServiceKey
    protocol: int | None = None
    ports: tuple[int, int] | None = None
    network: IPv4Network | None = None

    def matches(self, flow: Flow) -> bool:
        if self.protocol is not None and flow.protocol != self.protocol:
            return False
        if self.ports is not None and (flow.port is None or not self.ports[0] <= flow.port <= self.ports[1]):
            return False
        return self.network is None or flow.remote in self.network


@dataclass(frozen=True)
class Filters:
    """A bearer's filters in their order, and the service of all packets that none of them matches."""

    default: ServiceKey
    rules: tuple[Filter, ...] = ()

    @cached_property
    def keys(self) -> tuple[ServiceKey, ...]:
        """Give every service once: the default, then the others as the rules first name them."""
        return tuple(dict.fromkeys((self.default, *(rule.key for rule in self.rules))))

    def service(self, flow: Flow) -> int:
        """Give the place in `keys` of this packet's service."""
        key = next((rule.key for rule in self.rules if rule.matches(flow)), self.default)
        return self.keys.index(key)
