"""Captures, read by dpkt: each datagram as it was, and each TCP connection without a gap."""

from pathlib import Path

import dpkt

from simulator.plane.capture import LINK_TYPE_RAW, SEGMENT_OCTETS_MAX, Capture

OWN, SERVER = ("127.0.0.1", 40_001), ("127.0.0.1", 5_555)


def read(path: Path) -> list[dpkt.ip.IP]:
    with path.open("rb") as file:
        reader = dpkt.pcap.Reader(file)
        assert reader.datalink() == LINK_TYPE_RAW
        return [dpkt.ip.IP(octets) for _, octets in reader]


def test_a_datagram_is_kept_as_it_was(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "a.pcap")
    capture.datagram(("127.0.0.2", 2152), ("127.0.0.3", 2152), b"octets")
    capture.close()
    (packet,) = read(tmp_path / "a.pcap")
    assert (packet.src, packet.dst) == (b"\x7f\0\0\2", b"\x7f\0\0\3")
    assert (packet.data.sport, packet.data.dport, packet.data.data) == (2152, 2152, b"octets")
    assert packet.data.ulen == 8 + 6


def test_a_connection_has_its_octets_in_order_and_its_end(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "a.pcap")
    connection = capture.connection(OWN, SERVER)
    long = bytes(range(256)) * 150
    assert len(long) > 2 * SEGMENT_OCTETS_MAX
    for step in (connection.sent, connection.received):
        step(b"first")
        step(long)
    connection.closed()
    connection.closed()
    connection.sent(b"too late")
    capture.close()
    packets = read(tmp_path / "a.pcap")
    flags = [packet.data.flags for packet in packets]
    syn, ack, fin, push = dpkt.tcp.TH_SYN, dpkt.tcp.TH_ACK, dpkt.tcp.TH_FIN, dpkt.tcp.TH_PUSH
    assert flags == [syn, syn | ack, ack, *[push | ack] * 8, fin | ack, fin | ack, ack]
    streams = {40_001: b"", 3868: b""}
    following = dict.fromkeys(streams, 0)
    for packet in packets:
        segment = packet.data
        assert packet.len == 40 + len(segment.data)
        assert segment.seq == following[segment.sport]
        if segment.flags & ack:
            assert segment.ack == following[segment.dport]
        streams[segment.sport] += segment.data
        following[segment.sport] += len(segment.data) + bool(segment.flags & (syn | fin))
    assert streams == {40_001: b"first" + long, 3868: b"first" + long}
