"""The same messages come out of a capture however the network cut, doubled and shuffled what carried them."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.all import IP, TCP, UDP, CookedLinux, CookedLinuxV2, Ether, IPv6, Loopback, Raw, wrpcap, wrpcapng
from scapy.layers.sctp import SCTP, SCTPChunkData, SCTPChunkSACK

from ledger_node import INITIAL, TERMINATION, UPDATE, ccr, service
from ocs.errors import InvalidInput
from ocs.shell.cli.capture import Capture

MESSAGES = [ccr(INITIAL, 0, service(1)), ccr(UPDATE, 1, service(1, used=5)), ccr(TERMINATION, 2)]
STREAM = b"".join(MESSAGES)
CLIENT, SERVER, PORT = "192.0.2.1", "192.0.2.2", 3868
ETHERNET = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")  # named, or scapy would ask the network


def segment(sequence: int, data: bytes, flags: str = "A") -> Any:
    return IP(src=CLIENT, dst=SERVER) / TCP(sport=40000, dport=PORT, seq=sequence % 2**32, flags=flags) / Raw(data)


def read(path: Path) -> tuple[list[bytes], list[str]]:
    capture = Capture(path)
    found = [message.octets for message in capture.messages()]
    return found, capture.notes


def test_ethernet_cooked_loopback_and_raw_ip(tmp_path: Path) -> None:
    for link in (ETHERNET, CookedLinux(proto=0x0800), CookedLinuxV2(proto=0x0800), Loopback(type=2), None):
        packet = segment(7, STREAM)
        path = tmp_path / f"{type(link).__name__}.pcap"
        wrpcap(str(path), [link / packet if link is not None else packet])
        assert read(path) == (MESSAGES, [])


def test_pcapng_ipv6_and_times(tmp_path: Path) -> None:
    packet = (
        ETHERNET
        / IPv6(src="2001:db8::1", dst="2001:db8::2")
        / TCP(sport=1, dport=PORT, seq=1, flags="A")
        / Raw(MESSAGES[0])
    )
    packet.time = 1_800_000_000.5
    path = tmp_path / "six.pcapng"
    wrpcapng(str(path), [packet])
    (one,) = Capture(path).messages()
    assert (one.source, one.destination, one.octets) == ("[2001:db8::1]:1", "[2001:db8::2]:3868", MESSAGES[0])
    assert one.at == pytest.approx(1_800_000_000.5)


@given(
    start=st.sampled_from([0, 1, 2**32 - 1, 2**32 - 100, 12345]),
    cuts=st.sets(st.integers(1, len(STREAM) - 1), max_size=30),
    data=st.data(),
)
def test_segments_cut_and_shuffled_anywhere(
    tmp_path_factory: pytest.TempPathFactory, start: int, cuts: set[int], data: st.DataObject
) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [(left, STREAM[left:right]) for left, right in pairwise(edges)]
    # Some come twice, some overlap the one before, and within a window they change places.
    pieces += data.draw(st.lists(st.sampled_from(pieces), max_size=3))
    back = data.draw(st.integers(0, 40))
    pieces = [(max(0, left - back), STREAM[max(0, left - back) : left + len(piece)]) for left, piece in pieces]
    pieces = data.draw(st.permutations(pieces))
    path = tmp_path_factory.mktemp("cut") / "cut.pcap"
    wrpcap(str(path), [segment(start, b"", "S"), *(segment(start + 1 + left, piece) for left, piece in pieces)])
    assert read(path) == (MESSAGES, [])


def test_a_capture_that_begins_within_a_connection(tmp_path: Path) -> None:
    path = tmp_path / "middle.pcap"
    wrpcap(str(path), [segment(5000, MESSAGES[1])])
    assert read(path) == ([MESSAGES[1]], [])


def test_a_gap_costs_what_was_in_it_and_is_told(tmp_path: Path) -> None:
    first, second, third = MESSAGES
    path = tmp_path / "gap.pcap"
    after = 1 + len(first) + len(second)
    many = [segment(after + number * len(third), third) for number in range(300)]
    wrpcap(str(path), [segment(0, b"", "S"), segment(1, first), *many])
    found, notes = read(path)
    assert found == [first] + [third] * 300
    assert notes == [
        f"{CLIENT}:40000 to {SERVER}:3868: {len(second)} octets were not captured; messages in them are not shown"
    ]


def test_messages_behind_a_gap_that_nothing_fills(tmp_path: Path) -> None:
    first, second, third = MESSAGES
    path = tmp_path / "gap.pcap"
    wrpcap(str(path), [segment(0, b"", "S"), segment(1 + len(first), second + third)])
    found, notes = read(path)
    assert found == [second, third]
    assert f"{len(first)} octets were not captured" in notes[0]


def test_a_stream_is_taken_up_where_a_message_begins(tmp_path: Path) -> None:
    first, second, third = MESSAGES
    path = tmp_path / "tail.pcap"
    tail, place = first[50:], 1000 + len(first) - 50
    wrpcap(
        str(path),
        [
            segment(1000, tail),
            segment(place, second),
            # The head of the next one is lost: what is left of it is passed over.
            segment(place + len(second) + 40, third[40:]),
            segment(place + len(second) + len(third), first),
        ],
    )
    found, notes = read(path)
    assert found == [second, first]
    assert f"{len(tail) + len(third) - 40} octets were no Diameter, or from within a message" in notes[0]
    assert "40 octets were not captured" in notes[1]


def test_an_end_within_a_message_is_told(tmp_path: Path) -> None:
    path = tmp_path / "end.pcap"
    wrpcap(str(path), [segment(1, STREAM[:-5])])
    found, notes = read(path)
    assert found == MESSAGES[:2]
    assert f"after {len(MESSAGES[2]) - 5} of its octets" in notes[0]


def test_other_traffic_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "mixed.pcap"
    web = (
        IP(src=CLIENT, dst=SERVER)
        / TCP(sport=5, dport=80, seq=1, flags="A")
        / Raw(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")
    )
    name = IP(src=CLIENT, dst=SERVER) / UDP(sport=5, dport=53) / Raw(b"x" * 60)
    wrpcap(str(path), [ETHERNET / one for one in (web, name, segment(1, STREAM), web)])
    found, notes = read(path)
    assert found == MESSAGES
    assert notes == [f"{CLIENT}:5 to {SERVER}:80: no Diameter; passed over"]


def test_every_packet_twice_as_a_capture_on_all_ports_has_it(tmp_path: Path) -> None:
    path = tmp_path / "twice.pcap"
    once = [segment(0, b"", "S"), segment(1, STREAM[:70]), segment(71, STREAM[70:])]
    wrpcap(str(path), [CookedLinux(proto=0x0800) / one for one in (*once, *once)])
    assert read(path) == (MESSAGES, [])


def test_a_new_connection_of_the_same_ports_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "again.pcap"
    wrpcap(str(path), [segment(1, STREAM[:50]), segment(9000, b"", "S"), segment(9001, MESSAGES[0])])
    assert read(path)[0] == [MESSAGES[0]]


def test_sctp(tmp_path: Path) -> None:
    def chunk(data: bytes, **flags: int) -> Any:
        return SCTPChunkData(data=data, proto_id=46, **{"beginning": 1, "ending": 1} | flags)

    base = IP(src=CLIENT, dst=SERVER) / SCTP(sport=40000, dport=PORT)
    path = tmp_path / "sctp.pcap"
    packets = [base / chunk(MESSAGES[0]) / chunk(MESSAGES[1]), base / SCTPChunkSACK(), base / chunk(b"tiny")]
    wrpcap(str(path), [ETHERNET / one for one in packets])
    assert read(path) == (MESSAGES[:2], [])


@pytest.mark.parametrize("write", [wrpcap, wrpcapng])
def test_a_file_cut_in_the_middle_gives_what_is_whole(tmp_path: Path, write: Any) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    write(str(whole), [segment(1, MESSAGES[0]), segment(1 + len(MESSAGES[0]), MESSAGES[1])])
    octets = whole.read_bytes()
    cut.write_bytes(octets[:-10])
    assert read(cut)[0] == [MESSAGES[0]]
    cut.write_bytes(octets[:6])
    assert read(cut)[0] == []


def test_links_that_are_not_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "usb.pcap"
    with path.open("wb") as file:
        dpkt.pcap.Writer(file, linktype=dpkt.pcap.DLT_USB_LINUX).writepkt(b"x" * 60, ts=0)
    with pytest.raises(InvalidInput, match=f"link type {dpkt.pcap.DLT_USB_LINUX} is not read"):
        read(path)
