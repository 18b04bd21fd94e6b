"""Base-protocol messages: golden bytes, other parsers, and every CER that is not in order."""

from ipaddress import ip_address

import pytest
from diameter.message import Message
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.diameter import DiamG

from ocs.diameter import avp, base, framing
from ocs.diameter.base import LocalNode
from ocs.diameter.codes import Avp, DisconnectCause, Flag
from ocs.diameter.framing import HEADER_OCTETS, Header, read_header
from ocs.errors import (
    AvpOccursTooManyTimes,
    CommandUnsupported,
    DiameterError,
    ElectionLost,
    InvalidAvpLength,
    InvalidAvpValue,
    MissingAvp,
    NoCommonApplication,
    NoCommonSecurity,
    TooBusy,
    UnknownPeer,
    UserUnknown,
)

LOCAL = LocalNode(
    origin_host="ocs.example.net",
    origin_realm="example.net",
    addresses=(ip_address("192.0.2.1"), ip_address("2001:db8::1")),
    origin_state_id=77,
)
CER = Header(0, 0x80, 257, 0, 0x11, 0x22)

HOST = avp.utf8(264, "gw.visited.example")
REALM = avp.utf8(296, "visited.example")
ADDRESS = avp.encode(257, b"\0\1\xc0\0\2\x09")
VENDOR = avp.unsigned32(266, 10415)
PRODUCT = avp.utf8(269, "gateway", flags=0)
APPLICATION = avp.unsigned32(258, 4)
ALL = (HOST, REALM, ADDRESS, VENDOR, PRODUCT, APPLICATION)


def cer(*avps: bytes) -> bytes:
    return framing.encode(0x80, 257, 0, 0x11, 0x22, b"".join(avps))


def codes(message: bytes) -> list[int]:
    return [raw.code for raw in avp.walk(message, HEADER_OCTETS, len(message))]


def values(message: bytes, code: int) -> list[bytes]:
    return [message[raw.start : raw.end] for raw in avp.walk(message, HEADER_OCTETS, len(message)) if raw.code == code]


def result(message: bytes) -> int:
    return int.from_bytes(values(message, Avp.RESULT_CODE)[0], "big")


# CER


def test_a_full_introduction_is_read() -> None:
    introduction = base.read_introduction(
        cer(
            HOST,
            REALM,
            ADDRESS,
            avp.encode(257, b"\0\2" + ip_address("2001:db8::9").packed),
            avp.encode(257, b"\0\x0849170"),  # E.164: no address of ours, and no fault
            VENDOR,
            PRODUCT,
            avp.unsigned32(278, 5),
            avp.unsigned32(267, 3, flags=0),
            avp.unsigned32(299, 0),
            avp.unsigned32(265, 10415),
            avp.unsigned32(259, 3),
            avp.grouped(260, avp.unsigned32(258, 4), VENDOR),
            avp.grouped(260, VENDOR, avp.unsigned32(258, 16777238)),
            avp.unsigned32(9999, 1),  # unknown with M: no reason to refuse a peer
            avp.utf8(264, "not.ours", vendor=9),  # a vendor's 264 is another AVP
        ),
        secure=False,
    )
    assert introduction == base.Introduction(
        origin_host="gw.visited.example",
        origin_realm="visited.example",
        host_ip_addresses=(ip_address("192.0.2.9"), ip_address("2001:db8::9")),
        vendor_id=10415,
        product_name="gateway",
        applications=frozenset({3, 4, 16777238}),
        inband_security_ids=(0,),
        origin_state_id=5,
        firmware_revision=3,
    )


@pytest.mark.parametrize(
    "application",
    [
        avp.unsigned32(258, 4),
        avp.unsigned32(259, 4),
        avp.unsigned32(258, 0xFFFFFFFF),
        avp.grouped(260, VENDOR, avp.unsigned32(258, 4)),
        avp.grouped(260, avp.unsigned32(259, 4), VENDOR),
        avp.grouped(260, VENDOR, avp.unsigned32(258, 0xFFFFFFFF)),
    ],
)
def test_application_4_is_common_wherever_it_stands(application: bytes) -> None:
    assert base.read_introduction(cer(*ALL[:5], application), secure=False).origin_host == "gw.visited.example"


BAD_CERS: list[tuple[str, tuple[bytes, ...], type[DiameterError], bytes]] = [
    ("no application", ALL[:5], NoCommonApplication, b""),
    ("another application", (*ALL[:5], avp.unsigned32(258, 16777238)), NoCommonApplication, b""),
    ("only TLS", (*ALL, avp.unsigned32(299, 1)), NoCommonSecurity, b""),
    ("no host", ALL[1:], MissingAvp, avp.encode(264, b"")),
    ("no realm", (HOST, *ALL[2:]), MissingAvp, avp.encode(296, b"")),
    ("no address", (HOST, REALM, *ALL[3:]), MissingAvp, avp.encode(257, bytes(6))),
    ("no vendor", (HOST, REALM, ADDRESS, PRODUCT, APPLICATION), MissingAvp, avp.unsigned32(266, 0)),
    ("no product", (HOST, REALM, ADDRESS, VENDOR, APPLICATION), MissingAvp, avp.encode(269, b"", flags=0)),
    ("two hosts", (*ALL, avp.utf8(264, "b.example")), AvpOccursTooManyTimes, avp.utf8(264, "b.example")),
    ("two states", (*ALL, avp.unsigned32(278, 1), avp.unsigned32(278, 2)), AvpOccursTooManyTimes,
     avp.unsigned32(278, 2)),
    ("empty host", (avp.encode(264, b""), *ALL[1:]), InvalidAvpValue, avp.encode(264, b"")),
    ("host with a blank", (avp.utf8(264, "a b"), *ALL[1:]), InvalidAvpValue, avp.utf8(264, "a b")),
    ("host too long", (avp.utf8(264, "a" * 256), *ALL[1:]), InvalidAvpValue, avp.utf8(264, "a" * 256)),
    ("address too short", (*ALL, avp.encode(257, b"\0\1\1")), InvalidAvpValue, avp.encode(257, b"\0\1\1")),
    ("address without family", (*ALL, avp.encode(257, b"\0")), InvalidAvpValue, avp.encode(257, b"\0")),
    ("product not UTF-8", (HOST, REALM, ADDRESS, VENDOR, APPLICATION, avp.encode(269, b"\xff")), InvalidAvpValue,
     avp.encode(269, b"\xff")),
    ("application of 3 octets", (*ALL[:5], avp.encode(258, b"\0\0\4")), InvalidAvpLength, avp.unsigned32(258, 0)),
    ("AVP of length 7", (*ALL, b"\0\0\1\x08\x40\0\0\x07"), InvalidAvpLength, avp.encode(264, b"")),
    ("AVP past the end", (*ALL, b"\0\0\1\x08\x40\0\0\x14abcd"), InvalidAvpLength, avp.encode(264, b"")),
]  # fmt: skip


@pytest.mark.fault(25)
@pytest.mark.parametrize(("avps", "error", "failed"), [row[1:] for row in BAD_CERS], ids=[row[0] for row in BAD_CERS])
def test_a_bad_cer_is_answered_with_its_code_and_failed_avp(
    avps: tuple[bytes, ...], error: type[DiameterError], failed: bytes
) -> None:
    request = cer(*avps)
    with pytest.raises(error) as caught:
        base.read_introduction(request, secure=False)
    assert type(caught.value) is error
    cea = base.error_answer(request, LOCAL, caught.value)
    header = read_header(cea)
    assert (header.flags, header.command, header.hop_by_hop, header.end_to_end) == (0, 257, 0x11, 0x22)
    assert result(cea) == error.result_code
    assert values(cea, Avp.FAILED_AVP) == ([failed] if failed else [])
    assert {264, 296, 257, 266, 269} <= set(codes(cea)), "5xxx goes in the CEA's own grammar"


def test_application_is_judged_before_what_is_missing() -> None:
    with pytest.raises(NoCommonApplication):
        base.read_introduction(cer(), secure=False)


def test_inband_security_does_not_matter_under_tls_nor_beside_none() -> None:
    tls = avp.unsigned32(299, 1)
    assert base.read_introduction(cer(*ALL, tls), secure=True).inband_security_ids == (1,)
    assert base.read_introduction(cer(*ALL, tls, avp.unsigned32(299, 0)), secure=False).inband_security_ids == (1, 0)


def test_a_long_product_name_is_cut() -> None:
    request = cer(HOST, REALM, ADDRESS, VENDOR, APPLICATION, avp.utf8(269, "x" * 4000))
    assert len(base.read_introduction(request, secure=False).product_name) == 128


# What we send


def test_cea_in_octets() -> None:
    assert base.capabilities_answer(CER, LOCAL) == bytes.fromhex(
        "010000c4 00000101 00000000 00000011 00000022"
        "0000010c 4000000c 000007d1"
        "00000108 40000017 6f63732e6578616d706c652e6e6574 00"
        "00000128 40000013 6578616d706c652e6e6574 00"
        "00000101 4000000e 0001c0000201 0000"
        "00000101 4000001a 000220010db8000000000000000000000001 0000"
        "0000010a 4000000c 00000000"
        "0000010d 00000019 53657373696f6e20507572636861736572 000000"
        "00000116 4000000c 0000004d"
        "00000109 4000000c 000028af"
        "00000102 4000000c 00000004"
    )


def test_other_parsers_read_what_we_send() -> None:
    cea = base.capabilities_answer(CER, LOCAL)
    theirs = Message.from_bytes(cea)
    assert type(theirs).__name__ == "CapabilitiesExchangeAnswer"
    assert (theirs.result_code, theirs.origin_host, theirs.origin_realm) == (2001, b"ocs.example.net", b"example.net")
    assert theirs.host_ip_address == [(1, "192.0.2.1"), (2, "2001:db8::1")]
    assert (theirs.product_name, theirs.origin_state_id) == ("Session Purchaser", 77)
    assert (theirs.auth_application_id, theirs.supported_vendor_id) == ([4], [10415])
    assert theirs.vendor_specific_application_id == []

    dwr = Message.from_bytes(base.watchdog_request(LOCAL, 1, 2))
    assert (type(dwr).__name__, dwr.origin_state_id) == ("DeviceWatchdogRequest", 77)
    assert (dwr.header.hop_by_hop_identifier, dwr.header.end_to_end_identifier) == (1, 2)
    dwa = Message.from_bytes(base.watchdog_answer(Header(0, 0x80, 280, 0, 1, 2), LOCAL))
    assert (type(dwa).__name__, dwa.result_code, dwa.origin_state_id) == ("DeviceWatchdogAnswer", 2001, 77)
    dpr = Message.from_bytes(base.disconnect_request(LOCAL, DisconnectCause.BUSY, 1, 2))
    assert (type(dpr).__name__, dpr.disconnect_cause) == ("DisconnectPeerRequest", 1)
    dpa = Message.from_bytes(base.disconnect_answer(Header(0, 0x80, 282, 0, 1, 2), LOCAL))
    assert (type(dpa).__name__, dpa.result_code) == ("DisconnectPeerAnswer", 2001)


def test_scapy_reads_what_we_send() -> None:
    for message in (
        base.capabilities_answer(CER, LOCAL),
        base.watchdog_request(LOCAL, 1, 2),
        base.disconnect_request(LOCAL, DisconnectCause.REBOOTING, 1, 2),
        base.error_answer(CCR, LOCAL, UserUnknown("nobody", avp.encode(443, b""))),
    ):
        theirs = DiamG(message)
        assert [int(one.avpCode) for one in theirs.avpList] == codes(message)
        assert theirs.drLen == len(message)


# Error answers

SESSION = avp.utf8(263, "gw.visited.example;1;2;IMSI001010000000001")
PROXIES = (
    avp.grouped(284, avp.utf8(280, "p1.example"), avp.encode(33, b"abc")),
    avp.grouped(284, avp.utf8(280, "p2.example"), avp.encode(33, b"\0\1\2\3\4")),
)
CCR = framing.encode(
    0xC0,
    272,
    4,
    0xAA,
    0xBB,
    b"".join((SESSION, HOST, PROXIES[0], REALM, avp.unsigned32(415, 9), avp.unsigned32(416, 2), PROXIES[1])),
)


def test_a_5xxx_for_a_ccr_keeps_the_commands_grammar_and_order() -> None:
    failed = avp.unsigned32(432, 7)
    message = base.error_answer(CCR, LOCAL, UserUnknown("no such subscriber", failed))
    header = read_header(message)
    assert (header.flags, header.command, header.application) == (Flag.PROXIABLE, 272, 4)
    assert (header.hop_by_hop, header.end_to_end) == (0xAA, 0xBB)
    assert codes(message) == [263, 268, 264, 296, 258, 416, 415, 279, 281, 284, 284]
    assert result(message) == 5030
    assert values(message, 263)[0] == b"gw.visited.example;1;2;IMSI001010000000001"
    assert values(message, 279) == [failed]
    assert message.endswith(PROXIES[0] + PROXIES[1]), "unchanged and in order"
    flags = {raw.code: raw.flags for raw in avp.walk(message, HEADER_OCTETS, len(message))}
    assert flags[281] == 0, "M stays clear on Error-Message"
    assert {flag for code, flag in flags.items() if code != 281} == {avp.MANDATORY}
    theirs = Message.from_bytes(message)
    assert (theirs.cc_request_type, theirs.cc_request_number, theirs.auth_application_id) == (2, 9, 4)


def test_a_3xxx_sets_the_e_bit_and_still_names_its_request() -> None:
    message = base.error_answer(CCR, LOCAL, TooBusy("later"))
    assert read_header(message).flags == Flag.PROXIABLE | Flag.ERROR
    assert codes(message) == [263, 268, 264, 296, 258, 416, 415, 281, 284, 284]
    assert result(message) == 3004


def test_a_request_of_another_application_gets_nothing_of_credit_control() -> None:
    request = framing.encode(0x90, 272, 16777238, 1, 2, CCR[HEADER_OCTETS:])
    message = base.error_answer(request, LOCAL, CommandUnsupported("no"))
    assert read_header(message).flags == Flag.ERROR, "R and T cleared, P as it was"
    assert codes(message) == [263, 268, 264, 296, 281, 284, 284]


def test_an_unknown_peer_is_told_in_the_error_grammar_and_a_busy_one_in_the_ceas() -> None:
    unknown = base.error_answer(cer(*ALL), LOCAL, UnknownPeer("who?"))
    assert (read_header(unknown).flags, codes(unknown)) == (Flag.ERROR, [268, 264, 296, 281])
    busy = base.error_answer(cer(*ALL), LOCAL, ElectionLost("here already"))
    assert (read_header(busy).flags, result(busy)) == (0, 4003)
    assert 257 in codes(busy)


def test_what_stands_behind_a_broken_avp_is_left_out() -> None:
    broken = b"\0\0\1\xbe\x40\0\0\x05"  # 446 of length 5
    request = framing.encode(0xC0, 272, 4, 1, 2, SESSION + avp.unsigned32(416, 1) + broken + avp.unsigned32(415, 0))
    assert codes(base.error_answer(request, LOCAL, InvalidAvpLength("bad"))) == [263, 268, 264, 296, 258, 416, 281]


def test_a_header_alone_is_answered_without_what_it_had() -> None:
    message = base.error_answer(CCR[:HEADER_OCTETS], LOCAL, TooBusy("later"))
    assert codes(message) == [268, 264, 296, 258, 281]


def test_a_last_proxy_info_without_padding_gets_it() -> None:
    request = CCR[:HEADER_OCTETS] + avp.encode(284, b"abcde")[:-3]
    assert base.error_answer(request, LOCAL, TooBusy("later")).endswith(avp.encode(284, b"abcde"))


@pytest.mark.fault(7)
def test_a_proxy_info_goes_back_without_the_bits_that_no_sender_sets() -> None:
    sound = avp.encode(284, b"abcd")
    for flags, vendor in ((0x7F, b""), (0xC0, bytes(4))):
        odd = (284).to_bytes(4, "big") + bytes([flags, 0, 0, 12 + len(vendor)]) + vendor + b"abcd"
        assert base.error_answer(CCR[:HEADER_OCTETS] + odd, LOCAL, TooBusy("later")).endswith(sound)


def test_the_first_of_two_session_ids_is_repeated_and_a_number_of_wrong_size_is_not() -> None:
    vendors = avp.utf8(263, "not a Session-Id", vendor=9) + avp.encode(284, b"not a Proxy-Info", vendor=9)
    avps = vendors + SESSION + avp.utf8(263, "second") + avp.encode(415, b"\0\0\1") + avp.unsigned32(416, 77)
    message = base.error_answer(framing.encode(0xC0, 272, 4, 1, 2, avps), LOCAL, InvalidAvpValue("77"))
    assert codes(message) == [263, 268, 264, 296, 258, 416, 281]
    assert values(message, 263) == [b"gw.visited.example;1;2;IMSI001010000000001"]
    assert values(message, 416) == [(77).to_bytes(4, "big")]


@given(st.binary(max_size=200), st.sampled_from([257, 272, 280, 282, 1]), st.sampled_from([TooBusy, UserUnknown]))
def test_whatever_stood_in_the_request_its_error_answer_can_be_read(
    body: bytes, command: int, error: type[DiameterError]
) -> None:
    message = base.error_answer(framing.encode(0xC0, command, 4, 1, 2, body), LOCAL, error("x"))
    assert framing.Framer().feed(message) == [message]
    assert result(message) == error.result_code
