"""What people are shown: everything that could be read, why the rest could not, and nothing that acts on a terminal."""

import json
import re

import pytest
from gy_samples import DICTIONARY, FULL, REQUIRED, SESSION_ID, captured_requests, ccr, golden_messages
from hypothesis import given
from hypothesis import strategies as st

from ocs.diameter import avp, framing
from ocs.diameter.codes import VENDOR_3GPP, Avp
from ocs.diameter.render import render, tree
from ocs.units import masked

IMSI = "262011234567890"


def lines(avps: list[bytes], **options: bool) -> list[str]:
    return [line.strip() for line in render(ccr(avps), DICTIONARY, **options)[1:]]


def test_a_whole_request() -> None:
    (vector,) = (vector for vector in golden_messages() if vector["meaning"].startswith("CCR-I"))
    assert render(bytes.fromhex(vector["hex"]), DICTIONARY) == [
        "Credit-Control-Request (272) application 4 flags RP length 396 hop-by-hop 0x00000013 end-to-end 0xabc00003",
        '  Session-Id (263) M "pgw.visited.example;1876543210;102"',
        "  Origin-Host (264) M pgw.visited.example",
        "  Origin-Realm (296) M visited.example",
        "  Destination-Realm (283) M example.net",
        "  Auth-Application-Id (258) M 4",
        '  Service-Context-Id (461) M "32251@3gpp.org"',
        "  CC-Request-Type (416) M 1 (INITIAL_REQUEST)",
        "  CC-Request-Number (415) M 0",
        "  Event-Timestamp (55) M 2024-03-27T23:32:16Z",
        "  Subscription-Id (443) M",
        "    Subscription-Id-Type (450) M 1 (END_USER_IMSI)",
        '    Subscription-Id-Data (444) M "262011234567890"',
        "  Multiple-Services-Indicator (455) M 1 (MULTIPLE_SERVICES_SUPPORTED)",
        "  Multiple-Services-Credit-Control (456) M",
        "    Requested-Service-Unit (437) M",
        "      CC-Total-Octets (421) M 1048576",
        "    Rating-Group (432) M 1",
        "  Service-Information (873/10415) VM",
        "    PS-Information (874/10415) VM",
        '      Called-Station-Id (30) M "internet"',
        "      PDP-Address (1227/10415) VM 198.51.100.1",
        "      3GPP-User-Location-Info (22/10415) V 0x8262f210000162f21000000001",
    ]


@pytest.mark.parametrize(
    ("encoded", "line"),
    [
        (avp.unsigned32(268, 5030), "Result-Code (268) M 5030 (DIAMETER_USER_UNKNOWN)"),
        (avp.unsigned32(268, 5999), "Result-Code (268) M 5999"),
        (avp.unsigned32(416, 9), "CC-Request-Type (416) M 9 (not a value the dictionary knows)"),
        (avp.encode(416, b"\1"), "CC-Request-Type (416) M 0x01 ! Enumerated takes 4 octets; got 1"),
        (avp.encode(1, b"\xff"), "User-Name (1) M 0xff ! octet 0 of the text is not UTF-8"),
        (avp.encode(264, b""), "Origin-Host (264) M empty ! a DiameterIdentity is not empty"),
        (avp.utf8(1, '\x1b[2J"\\\n\u202e\x85é'), r'User-Name (1) M "\x1b[2J\"\\\n\u202e\x85é"'),
        (avp.encode(70_000, b"a", vendor=2011, flags=0x20), "Unknown AVP (70000/2011) VP 0x61"),
        (avp.encode(70_000, b"", flags=0), "Unknown AVP (70000) - empty"),
        (avp.encode(21, b"\x06", vendor=VENDOR_3GPP), "3GPP-RAT-Type (21/10415) VM 0x06 (E-UTRAN)"),
        (avp.encode(2017, b"\0\x0849170", vendor=VENDOR_3GPP), "SMSC-Address (2017/10415) VM 49170"),
        (avp.encode(257, b"\0\x05x"), "Host-IP-Address (257) M 0x000578"),
        (avp.unsigned32(55, 0), "Event-Timestamp (55) M 2036-02-07T06:28:16Z"),
        (bytes.fromhex("0000019f40000007"), "? 0x0000019f40000007 ! AVP 415 says it is 7 octets long; 8 to 8 fit here"),
        (b"\1\2\3\4", "? 0x01020304 ! 4 octets are left; an AVP header takes 8"),
    ],
)
def test_single_avps(encoded: bytes, line: str) -> None:
    assert lines([encoded]) == [line]


def test_an_untrue_length_is_told_and_what_stood_before_is_shown() -> None:
    shown = lines([*REQUIRED, avp.grouped(456, bytes.fromhex("000001b0400000ff")), avp.unsigned32(432, 7)])
    assert "? 0x000001b0400000ff ! AVP 432 says it is 255 octets long; 8 to 8 fit here" in shown
    assert shown[-1] == "Rating-Group (432) M 7"


def test_nesting_ends() -> None:
    encoded = b""
    for _ in range(1_000):
        encoded = avp.grouped(456, encoded)
    shown = lines([encoded])
    assert len(shown) == 16
    assert shown[-1].endswith("! not shown: nested more than 16 deep")


def test_an_untrue_header_is_told() -> None:
    assert render(b"\1", DICTIONARY)[1] == "  ! 1 octets; a header alone has 20"
    message = ccr(REQUIRED)
    assert (
        render(message[:-4], DICTIONARY)[-1]
        == f"  ! the header says {len(message)} octets; there are {len(message) - 4}"
    )
    assert render(b"\2" + message[1:], DICTIONARY)[-1] == "  ! version 2; Diameter is version 1"
    unknown = render(framing.encode(0x30, 999, 7, 1, 2, b""), DICTIONARY)
    assert unknown == [
        "Unknown command (999) application 7 flags ET length 20 hop-by-hop 0x00000001 end-to-end 0x00000002"
    ]


HOLDERS = {
    "Subscription-Id": FULL[8],
    "Subscription-Id, data first": avp.grouped(443, avp.utf8(444, IMSI), avp.unsigned32(450, 1)),
    "Session-Id": avp.utf8(Avp.SESSION_ID, f"gw;1;2;IMSI{IMSI}"),
    "3GPP-IMSI": avp.utf8(1, IMSI, vendor=VENDOR_3GPP),
    "Subscription-Id-IMSI": avp.grouped(659, avp.utf8(661, IMSI)),
    "User-Name": avp.utf8(Avp.USER_NAME, f"0{IMSI}@nai.epc.mnc001.mcc262.3gppnetwork.org"),
    "unknown": avp.encode(70_000, IMSI.encode(), flags=0),
    "undecodable": avp.encode(1, IMSI.encode() + b"\xff"),
    "broken off": (444).to_bytes(4, "big") + bytes.fromhex("400000ff") + IMSI.encode() + b"\0",
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_an_imsi_is_hidden_on_demand(holder: str) -> None:
    message = ccr([HOLDERS[holder]])
    plain, hidden = (json.dumps(tree(message, DICTIONARY, hide_imsi=hide)) for hide in (False, True))
    assert IMSI in plain or IMSI.encode().hex() in plain
    assert IMSI not in hidden
    assert IMSI.encode().hex() not in hidden


def test_what_is_left_of_an_imsi_tells_the_network() -> None:
    assert f'Subscription-Id-Data (444) M "{masked(IMSI)}"' in lines(FULL, hide_imsi=True)
    number = avp.grouped(443, avp.unsigned32(450, 0), avp.utf8(444, "491701234567"))
    assert 'Subscription-Id-Data (444) M "491701234567"' in lines([number], hide_imsi=True)
    assert lines([SESSION_ID], hide_imsi=True) == lines([SESSION_ID])


def test_the_tree_has_the_same_avps_as_the_lines() -> None:
    for message in [ccr(FULL), *captured_requests()]:
        rendered = tree(message, DICTIONARY)

        def names(avps: list) -> list[str]:
            return [name for found in avps for name in (found["name"], *names(found.get("members", [])))]

        assert [line.split()[0] for line in render(message, DICTIONARY)[1:]] == names(rendered["avps"])
        assert json.loads(json.dumps(rendered)) == rendered


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(lambda data: ccr([data]))), st.booleans())
def test_hostile_bytes_are_shown_and_harmless(message: bytes, hide: bool) -> None:
    shown = render(message, DICTIONARY, hide_imsi=hide)
    assert all(line.isprintable() for line in shown)
    assert json.loads(json.dumps(tree(message, DICTIONARY, hide_imsi=hide), allow_nan=False))


@given(st.text(max_size=50))
def test_any_text_is_printable_and_complete(text: str) -> None:
    (line,) = lines([avp.utf8(1, text)])
    match = re.fullmatch(r'User-Name \(1\) M "(.*)"', line)
    assert match
    assert line.isprintable()
    assert match[1].encode("latin-1", "backslashreplace").decode("unicode_escape") == text
