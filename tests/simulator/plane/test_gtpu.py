"""GTP-U messages against their octets in TS 29.281, and any octets against the reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.plane import gtpu
from simulator.plane.gtpu import Kind, UserMessage
from simulator.plane.layers import Malformed

teids = st.integers(0, 2**32 - 1)


def test_the_octets_of_each_message() -> None:
    assert gtpu.g_pdu(0x01020304, b"packet") == bytes.fromhex("30ff0006 01020304") + b"packet"
    assert gtpu.end_marker(7) == bytes.fromhex("30fe0000 00000007")
    assert gtpu.echo_request(0x1234) == bytes.fromhex("32010004 00000000 1234 0000")
    assert gtpu.echo_response(0x1234) == bytes.fromhex("32020006 00000000 1234 0000 0e00")
    indication = bytes.fromhex("321a0010 00000000 0000 0000 10 00000007 85 0004 7f000002")
    assert gtpu.error_indication(7, "127.0.0.2") == indication


@given(teids, st.binary(max_size=1500))
def test_a_packet_comes_out_of_its_tunnel_as_it_went_in(teid: int, packet: bytes) -> None:
    assert gtpu.read(gtpu.g_pdu(teid, packet)) == UserMessage(Kind.G_PDU, teid, packet)


@given(st.integers(0, 2**16 - 1))
def test_an_echo_keeps_its_number(sequence: int) -> None:
    assert gtpu.read(gtpu.echo_request(sequence)) == UserMessage(Kind.ECHO_REQUEST, 0, b"", sequence)
    assert gtpu.read(gtpu.echo_response(sequence)) == UserMessage(Kind.ECHO_RESPONSE, 0, b"\x0e\x00", sequence)


def test_extension_headers_are_passed_over() -> None:
    """Section 5.2.1: the first octet counts groups of four, the last names the next header."""
    extensions = bytes.fromhex("01 2222 85") + bytes.fromhex("02 000000 000000 00")
    octets = bytes.fromhex("36ff0016 00000009 0005 00 40") + extensions + b"packet"
    assert gtpu.read(octets) == UserMessage(Kind.G_PDU, 9, b"packet", 5)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x30\xff\x00",
        bytes.fromhex("50ff0000 00000001"),  # version 2
        bytes.fromhex("20ff0000 00000001"),  # GTP'
        bytes.fromhex("30ff0001 00000001"),  # one octet short
        bytes.fromhex("30ff0000 00000001 00"),  # one octet long
        bytes.fromhex("32ff0000 00000001"),  # no room for the sequence number
        bytes.fromhex("34ff0004 00000001 0000 00 85"),  # an extension that is not there
        bytes.fromhex("34ff0008 00000001 0000 00 85 00 000000"),  # an extension of no octets
    ],
)
def test_what_is_no_message(octets: bytes) -> None:
    with pytest.raises(Malformed):
        gtpu.read(octets)


@given(st.binary(max_size=40), st.sampled_from([0x30, 0x32, 0x34, 0x36, 0x37]))
def test_hostile_octets_are_a_message_or_malformed(octets: bytes, flags: int) -> None:
    for hostile in (octets, bytes([flags, 255, *len(octets).to_bytes(2, "big"), 0, 0, 0, 1]) + octets):
        try:
            message = gtpu.read(hostile)
        except Malformed:
            continue
        assert hostile.endswith(message.payload)
