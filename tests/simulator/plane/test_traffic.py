"""Streams of packets, read by dpkt: real ones, the same for the same seed, and counted rightly."""

import itertools

import dpkt
import pytest

from simulator.messages import Volume
from simulator.plane.traffic import PACKET_OCTETS_MAX, SERVERS, Kind, Packet, Stream

UE = "10.45.0.7"
PACKETS = 100


def take(kind: Kind, seed: int) -> list[Packet]:
    return list(itertools.islice(Stream(kind, UE, seed), PACKETS))


def checksum(octets: bytes) -> int:
    return int(dpkt.in_cksum(octets))


@pytest.mark.parametrize("kind", Kind)
def test_every_packet_is_a_real_one(kind: Kind) -> None:
    server, port = SERVERS[kind]
    for one in take(kind, 1):
        packet = dpkt.ip.IP(one.octets)
        assert packet.len == len(one.octets) <= PACKET_OCTETS_MAX
        assert checksum(one.octets[:20]) == 0
        segment = packet.data
        assert isinstance(segment, dpkt.tcp.TCP | dpkt.udp.UDP)
        pseudo = packet.src + packet.dst + bytes([0, packet.p]) + (packet.len - 20).to_bytes(2, "big")
        assert checksum(pseudo + one.octets[20:]) == 0
        ends = [dpkt.utils.inet_to_str(end) for end in (packet.src, packet.dst)]
        assert ends == ([UE, server] if one.up else [server, UE])
        assert (segment.dport if one.up else segment.sport) == port
        assert one.after >= 0


@pytest.mark.parametrize("kind", [Kind.WEB, Kind.BULK])
def test_a_connection_counts_its_octets(kind: Kind) -> None:
    """Each segment begins where the one before it ended, as RFC 9293 has it."""
    expected: dict[tuple[bool, int], int] = {}
    for one in take(kind, 2):
        segment = dpkt.ip.IP(one.octets).data
        conversation = (one.up, segment.sport if one.up else segment.dport)
        if segment.flags & dpkt.tcp.TH_SYN:
            expected[conversation] = segment.seq
        assert segment.seq == expected[conversation]
        moved = len(segment.data) + bool(segment.flags & (dpkt.tcp.TH_SYN | dpkt.tcp.TH_FIN))
        expected[conversation] = (segment.seq + moved) % 2**32
        if segment.flags & dpkt.tcp.TH_ACK:
            assert segment.ack == expected[not one.up, conversation[1]]


@pytest.mark.parametrize("kind", Kind)
def test_a_seed_gives_the_same_packets_again(kind: Kind) -> None:
    assert take(kind, 3) == take(kind, 3)
    assert take(kind, 3) != take(kind, 4)


@pytest.mark.parametrize("kind", Kind)
def test_a_stream_knows_what_it_gave_out(kind: Kind) -> None:
    stream = Stream(kind, UE, 5)
    packets = list(itertools.islice(stream, PACKETS))
    up = sum(len(one.octets) for one in packets if one.up)
    down = sum(len(one.octets) for one in packets if not one.up)
    assert stream.offered == Volume(up, down)
    assert stream.packets == PACKETS
    assert up
    assert down


def test_the_kinds_differ_as_their_users_do() -> None:
    """Things hardly speak; film goes down, and short packets up."""
    seconds = {kind: sum(one.after for one in take(kind, 6)) for kind in Kind}
    assert seconds[Kind.IOT] > 50 * seconds[Kind.WEB]
    film = take(Kind.VIDEO, 6)
    down = sum(len(one.octets) for one in film if not one.up)
    assert down > 0.95 * sum(len(one.octets) for one in film)
