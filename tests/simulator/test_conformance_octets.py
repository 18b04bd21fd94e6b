"""Answers are read by their lengths alone; requests are broken in the one place that is meant."""

import struct

import pytest

from simulator.conformance.octets import FAILED_AVP, Unreadable, appended, raw_avp, read, with_header


def message(*avps: bytes) -> bytes:
    body = b"".join(avps)
    return struct.pack(">IIIII", 1 << 24 | 20 + len(body), 0x40 << 24 | 272, 4, 7, 8) + body


def test_a_message_is_read() -> None:
    inner = raw_avp(432, bytes(3) + b"\x01")
    got = read(message(raw_avp(263, b"abcde"), raw_avp(268, struct.pack(">I", 2001)), raw_avp(456, inner)))
    assert (got.flags, got.command, got.application, got.hop_by_hop, got.end_to_end) == (0x40, 272, 4, 7, 8)
    assert got.code == 2001
    assert [one.data for one in got.all(263)] == [b"abcde"]
    assert got.avps[0].padding == bytes(3)
    assert [(one.code, one.number) for one in got.all(456)[0].members] == [(432, 1)]


def test_a_vendor_has_a_code_space_of_its_own() -> None:
    avp = struct.pack(">III", 268, 0xC000_0010, 10415) + struct.pack(">I", 2001)
    got = read(message(avp))
    assert got.code == 0
    assert got.avps[0].vendor == 10415


@pytest.mark.parametrize(
    "octets",
    [
        message(raw_avp(263, b"abcd", length=7)),
        message(raw_avp(263, b"abcd", length=13)),
        message(raw_avp(456, raw_avp(432, bytes(4), length=40))),
        message(b"\0\0\0\0"),
        with_header(message(), version=2),
        message() + b"\0\0",
    ],
)
def test_what_is_no_message_is_unreadable(octets: bytes) -> None:
    with pytest.raises(Unreadable):
        read(octets)


def test_failed_avp_may_hold_what_is_broken() -> None:
    got = read(message(raw_avp(FAILED_AVP, raw_avp(443, raw_avp(450, bytes(4), length=99)))))
    assert got.failed == {443, 450}


def test_only_what_is_meant_is_changed() -> None:
    octets = message(raw_avp(263, b"abcd"))
    assert read(appended(octets, raw_avp(268, struct.pack(">I", 5004)))).code == 5004
    changed = with_header(octets, command=999, application=5, flags=0x60)
    assert changed[20:] == octets[20:]
    got = read(changed)
    assert (got.command, got.application, got.flags) == (999, 5, 0x60)
    assert with_header(octets, length=16)[:4] == b"\x01\0\0\x10"
