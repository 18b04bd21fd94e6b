"""The strict check: which error a request gets, and what its Failed-AVP holds."""

from collections.abc import Callable
from time import process_time

import pytest
from gy_samples import (
    DICTIONARY,
    FULL,
    ORIGIN,
    REQUIRED,
    SERVICE,
    SESSION_ID,
    SUBSCRIPTION,
    captured_requests,
    ccr,
    golden_messages,
    service_information,
)
from hypothesis import given
from hypothesis import strategies as st

from ocs.diameter import avp, framing
from ocs.diameter.codes import VENDOR_3GPP, Avp, Avp3gpp
from ocs.diameter.dictionary import Dictionary
from ocs.diameter.strict import check
from ocs.errors import (
    AvpNotAllowed,
    AvpOccursTooManyTimes,
    AvpUnsupported,
    CommandUnsupported,
    DiameterError,
    InvalidAvpLength,
    InvalidAvpValue,
    InvalidMessageLength,
    MissingAvp,
)
from ocs.shell.dictionaries import shipped

CAPTURED = captured_requests()
MSCC = Avp.MULTIPLE_SERVICES_CREDIT_CONTROL
UNKNOWN = avp.encode(70_000, b"what?", vendor=2011)
UNKNOWN_OPTIONAL = avp.encode(70_000, b"what?", vendor=2011, flags=0)


def refused(avps: list[bytes]) -> DiameterError:
    return refused_message(ccr(avps))


def refused_message(message: bytes) -> DiameterError:
    with pytest.raises(DiameterError) as caught:
        check(message, DICTIONARY)
    return caught.value


def replaced(old: bytes, new: bytes) -> list[bytes]:
    assert old in FULL
    return [new if encoded == old else encoded for encoded in FULL]


def read(encoded: bytes) -> list[avp.RawAvp]:
    return list(avp.walk(encoded, 0, len(encoded)))


@pytest.mark.skipif(not CAPTURED, reason="the captures are not at hand")
def test_requests_of_live_gateways_pass() -> None:
    for message in CAPTURED:
        check(message, DICTIONARY)


@pytest.mark.parametrize("vector", golden_messages(), ids=lambda vector: vector["meaning"])
def test_golden_messages_pass(vector: dict) -> None:
    check(bytes.fromhex(vector["hex"]), DICTIONARY)


@pytest.mark.fault(7, 14)
@pytest.mark.parametrize(
    "extra",
    [
        pytest.param([avp.unsigned32(Avp.REQUESTED_ACTION, 0)], id="Requested-Action in a session request"),
        pytest.param([avp.unsigned32(Avp.MULTIPLE_SERVICES_INDICATOR, 0)], id="indicator 0 beside a service"),
        pytest.param([UNKNOWN_OPTIONAL], id="unknown without M"),
        pytest.param([avp.encode(Avp.USER_NAME, b"a", flags=0)], id="known without M"),
        pytest.param([avp.encode(Avp.USER_NAME, b"a", flags=0x7F)], id="P and reserved bits"),
        pytest.param([avp.grouped(MSCC, UNKNOWN, flags=0)], id="unknown with M in a group without"),
        pytest.param([avp.grouped(MSCC, avp.grouped(446, UNKNOWN), flags=0)], id="and deeper"),
        pytest.param([avp.grouped(MSCC)], id="a service without anything"),
        pytest.param([avp.grouped(MSCC, avp.grouped(446), avp.grouped(446))], id="two reports"),
        pytest.param([avp.unsigned32(Avp.TERMINATION_CAUSE, 99)], id="an enumeration nobody acts on"),
        pytest.param([SUBSCRIPTION, SUBSCRIPTION], id="three subscriptions"),
        pytest.param([avp.utf8(Avp.ROUTE_RECORD, "dra")] * 3, id="three routes"),
        pytest.param([avp.grouped(284, avp.utf8(280, "dra"), avp.encode(33, b"\0"))], id="Proxy-Info"),
        pytest.param([avp.encode(Avp.USER_EQUIPMENT_INFO, b"", flags=0)], id="an empty User-Equipment-Info"),
        pytest.param([avp.grouped(458, avp.encode(459, b"\1"))], id="its type in one octet"),
        pytest.param([avp.grouped(260, avp.unsigned32(266, 1), avp.unsigned32(266, 2))], id="RFC 3588's VSAI"),
        pytest.param([avp.encode(279, b"\0\0\1")], id="Failed-AVP is not looked into"),
        pytest.param([avp.encode(281, b"e" * 4096)], id="the longest text"),
        pytest.param([avp.utf8(Avp.USER_NAME, "n" * 255)], id="the longest name"),
    ],
)
def test_leniency(extra: list[bytes]) -> None:
    check(ccr(FULL + extra), DICTIONARY)


@pytest.mark.parametrize(
    "member",
    [
        avp.encode(2, b"abc", vendor=VENDOR_3GPP),
        avp.encode(3, b"\0", vendor=VENDOR_3GPP),
        avp.unsigned32(3, 99, vendor=VENDOR_3GPP),
        avp.encode(Avp3gpp.PDP_ADDRESS, b"\0\1", vendor=VENDOR_3GPP),
        avp.encode(18, b"\xff", vendor=VENDOR_3GPP),
        avp.grouped(Avp.SUBSCRIPTION_ID),
        avp.unsigned32(450, 9),
        avp.unsigned32(1065, 1, vendor=VENDOR_3GPP, flags=0),
    ],
)
def test_service_information_is_not_judged(member: bytes) -> None:
    check(ccr([*REQUIRED, service_information(member, member)]), DICTIONARY)


@pytest.mark.parametrize("order", [lambda avps: avps[::-1], lambda avps: avps[3:] + avps[:3]])
def test_order_is_free_behind_session_id(order: Callable[[list[bytes]], list[bytes]]) -> None:
    check(ccr([SESSION_ID, *order(FULL[1:])]), DICTIONARY)


@pytest.mark.fault(15)
@pytest.mark.parametrize("index", range(len(REQUIRED)))
def test_each_required_avp_missing(index: int) -> None:
    (gone,) = read(REQUIRED[index])
    error = refused(FULL[:index] + FULL[index + 1 :])
    assert isinstance(error, MissingAvp)
    (failed,) = read(error.failed_avp)
    assert (failed.code, failed.vendor, failed.flags) == (gone.code, 0, avp.MANDATORY)
    numbers = {Avp.AUTH_APPLICATION_ID, Avp.CC_REQUEST_TYPE, Avp.CC_REQUEST_NUMBER}
    assert error.failed_avp[failed.start :] == (bytes(4) if gone.code in numbers else b"")


@pytest.mark.fault(15)
def test_session_id_must_come_first() -> None:
    error = refused([FULL[1], FULL[0], *FULL[2:]])
    assert isinstance(error, MissingAvp)
    assert error.failed_avp == avp.encode(Avp.SESSION_ID, b"")


SINGLE = [
    *REQUIRED,
    avp.utf8(Avp.DESTINATION_HOST, "ocs.example.net"),
    avp.utf8(Avp.USER_NAME, "n"),
    avp.unsigned32(Avp.ORIGIN_STATE_ID, 1),
    avp.unsigned32(Avp.EVENT_TIMESTAMP, 0xE9AF2B00),
    avp.unsigned32(Avp.TERMINATION_CAUSE, 1),
    avp.unsigned32(Avp.REQUESTED_ACTION, 0),
    avp.unsigned32(Avp.MULTIPLE_SERVICES_INDICATOR, 1),
    avp.unsigned32(2055, 1, vendor=VENDOR_3GPP),
    service_information(),
]


@pytest.mark.fault(16)
@pytest.mark.parametrize("encoded", SINGLE, ids=lambda encoded: str(int.from_bytes(encoded[:4], "big")))
def test_each_single_avp_twice(encoded: bytes) -> None:
    first = bytearray(encoded)
    first[4] |= 0x20  # so that the two can be told apart
    avps = [bytes(first) if known == encoded else known for known in SINGLE]
    check(ccr(avps), DICTIONARY)
    error = refused([*avps, encoded, encoded])
    assert isinstance(error, AvpOccursTooManyTimes)
    assert error.failed_avp == encoded


@pytest.mark.parametrize(
    "encoded",
    [
        avp.unsigned32(268, 2001),
        avp.grouped(431),
        avp.grouped(430, avp.unsigned32(449, 0)),
        avp.unsigned32(448, 60),
        avp.grouped(423, avp.grouped(445, avp.unsigned64(447, 1)), avp.unsigned32(425, 978)),
        avp.unsigned32(418, 0),
        avp.unsigned32(427, 0),
    ],
    ids=lambda encoded: str(int.from_bytes(encoded[:4], "big")),
)
def test_what_a_ccr_never_holds(encoded: bytes) -> None:
    error = refused([*FULL, encoded])
    assert isinstance(error, AvpNotAllowed)
    assert error.failed_avp == encoded
    # Inside a service it is not the command's own.
    check(ccr([*FULL, avp.grouped(MSCC, encoded)]), DICTIONARY)


@pytest.mark.fault(13)
def test_unknown_with_m() -> None:
    error = refused([*FULL, UNKNOWN_OPTIONAL, UNKNOWN])
    assert isinstance(error, AvpUnsupported)
    assert error.failed_avp == UNKNOWN
    error = refused([*FULL, avp.grouped(MSCC, avp.unsigned32(432, 5), avp.grouped(446, UNKNOWN))])
    assert isinstance(error, AvpUnsupported)
    assert error.failed_avp == avp.grouped(MSCC, avp.grouped(446, UNKNOWN))
    error = refused([*REQUIRED, service_information(UNKNOWN)])
    assert isinstance(error, AvpUnsupported)
    assert error.failed_avp == service_information(UNKNOWN)


def test_a_file_of_the_user_makes_an_avp_known() -> None:
    texts = {path.name: path.read_text() for path in shipped().glob("*.dia")}
    mine = "@vendor 2011 Huawei\n@avps\nExample 70000 OctetString must\n"
    check(ccr([*FULL, UNKNOWN]), Dictionary.parse(texts | {"mine.dia": mine}))


@pytest.mark.fault(15, 16, 17)
@pytest.mark.parametrize(
    ("group", "kind", "failed"),
    [
        pytest.param(
            avp.grouped(443, avp.utf8(444, "1")),
            MissingAvp,
            avp.grouped(443, avp.unsigned32(450, 0)),
            id="Subscription-Id without its type",
        ),
        pytest.param(
            avp.grouped(443, avp.unsigned32(450, 1)),
            MissingAvp,
            avp.grouped(443, avp.utf8(444, "")),
            id="Subscription-Id without its data",
        ),
        pytest.param(
            avp.grouped(284, avp.utf8(280, "dra")),
            MissingAvp,
            avp.grouped(284, avp.encode(33, b"")),
            id="Proxy-Info without its state",
        ),
        pytest.param(
            avp.grouped(MSCC, avp.grouped(446, avp.grouped(413, avp.grouped(445)))),
            MissingAvp,
            avp.grouped(MSCC, avp.grouped(446, avp.grouped(413, avp.grouped(445, avp.unsigned64(447, 0))))),
            id="Unit-Value without digits, four deep",
        ),
        pytest.param(
            avp.grouped(MSCC, avp.unsigned32(432, 1), avp.unsigned32(432, 2)),
            AvpOccursTooManyTimes,
            avp.grouped(MSCC, avp.unsigned32(432, 2)),
            id="two Rating-Groups",
        ),
        pytest.param(
            avp.grouped(MSCC, avp.grouped(437, avp.unsigned64(421, 1), avp.unsigned64(421, 2))),
            AvpOccursTooManyTimes,
            avp.grouped(MSCC, avp.grouped(437, avp.unsigned64(421, 2))),
            id="two totals asked for",
        ),
        pytest.param(
            avp.grouped(446, avp.unsigned64(412, 1), avp.unsigned64(412, 2)),
            AvpOccursTooManyTimes,
            avp.grouped(446, avp.unsigned64(412, 2)),
            id="two inputs reported",
        ),
        pytest.param(
            avp.grouped(443, avp.unsigned32(450, 9), avp.utf8(444, "1")),
            InvalidAvpValue,
            avp.grouped(443, avp.unsigned32(450, 9)),
            id="a Subscription-Id-Type nobody knows",
        ),
    ],
)
def test_offenders_in_groups_come_wrapped(group: bytes, kind: type[DiameterError], failed: bytes) -> None:
    error = refused([*FULL, group])
    assert isinstance(error, kind)
    assert error.failed_avp == failed


@pytest.mark.fault(17, 19)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        *((avp.unsigned32(416, 1), avp.unsigned32(416, wrong)) for wrong in (0, 5, 2**32 - 1)),
        *((avp.unsigned32(258, 4), avp.unsigned32(258, wrong)) for wrong in (0, 3, 5, 2**32 - 1)),
        *(
            (SESSION_ID, avp.encode(Avp.SESSION_ID, wrong))
            for wrong in (b"", b"a\0", b"a\n", b"\x1b[2J", b"a\xc2\x85", b"\xff", b"a" * 256, b"a" * 4096)
        ),
        (ORIGIN[0], avp.utf8(Avp.ORIGIN_HOST, "")),
        (ORIGIN[0], avp.utf8(Avp.ORIGIN_HOST, "a b")),
        *(
            (avp.utf8(461, "32251@3gpp.org"), avp.encode(461, wrong + b"32251@3gpp.org"))
            for wrong in (b"\xff", b"\0", b"\x1b[2J", b"8" * 242)
        ),
    ],
)
def test_values_that_matter(old: bytes, new: bytes) -> None:
    error = refused(replaced(old, new))
    assert isinstance(error, InvalidAvpValue)
    assert error.failed_avp == new


@pytest.mark.fault(17, 19)
@pytest.mark.parametrize(
    "extra",
    [
        avp.encode(Avp.USER_NAME, b"n\0"),
        avp.encode(Avp.USER_NAME, b"n\x7f"),
        avp.utf8(Avp.USER_NAME, "n" * 256),
        avp.utf8(281, "e" * 4097),
        avp.unsigned32(Avp.REQUESTED_ACTION, 4),
        avp.unsigned32(Avp.MULTIPLE_SERVICES_INDICATOR, 2),
        service_information(avp.encode(Avp.CALLED_STATION_ID, b"inter\0net")),
        service_information(avp.encode(Avp.CALLED_STATION_ID, b"\xff")),
        service_information(avp.utf8(Avp.CALLED_STATION_ID, "a" * 256)),
    ],
)
def test_further_values(extra: bytes) -> None:
    error = refused([*REQUIRED, extra])
    assert isinstance(error, InvalidAvpValue)
    assert error.failed_avp == (extra if len(extra) < 4_100 else avp.encode(281, b""))


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    ("code", "octets"), [(416, 3), (416, 5), (416, 0), (415, 8), (55, 3), (278, 2), (258, 5), (420, 8)]
)
def test_the_length_of_a_type(code: int, octets: int) -> None:
    wrong = avp.encode(code, bytes(octets))
    error = refused([*FULL, UNKNOWN, wrong])
    assert isinstance(error, InvalidAvpLength)
    assert error.failed_avp == wrong
    error = refused([*FULL, avp.grouped(MSCC, avp.grouped(446, wrong))])
    assert error.failed_avp == avp.grouped(MSCC, avp.grouped(446, wrong))


@pytest.mark.fault(10, 11)
@pytest.mark.parametrize(
    ("header", "failed"),
    [
        *((f"000001a0400000{length:02x}", avp.unsigned32(416, 0)) for length in range(8)),
        ("000001a0400000ff", avp.unsigned32(416, 0)),
        ("000001a540ffffff", avp.unsigned64(421, 0)),
        ("000001c8400000ff", avp.grouped(456)),
        ("0000036540000009", avp.encode(869, b"")),
        ("00000365c000000b000028af", avp.unsigned32(869, 0, vendor=VENDOR_3GPP)),
        ("000001a0c0000008", avp.encode(416, b"")),
        ("000001a0", avp.encode(416, b"", flags=0)),
    ],
)
def test_an_impossible_length_wins_over_all_else(header: str, failed: bytes) -> None:
    broken = bytes.fromhex(header)
    error = refused([UNKNOWN, broken])
    assert isinstance(error, InvalidAvpLength)
    assert error.failed_avp == failed
    group = (456).to_bytes(4, "big") + (0x4000_0000 | 8 + len(broken)).to_bytes(4, "big") + broken
    error = refused([UNKNOWN, group, SERVICE])
    assert isinstance(error, InvalidAvpLength)
    assert error.failed_avp == avp.grouped(MSCC, failed)


@pytest.mark.fault(11)
def test_a_member_does_not_reach_past_its_group() -> None:
    member = avp.unsigned32(432, 1)
    group = (456).to_bytes(4, "big") + (0x4000_0000 | 16).to_bytes(4, "big") + member
    error = refused([*FULL, group])
    assert isinstance(error, InvalidAvpLength)
    assert error.failed_avp == avp.grouped(MSCC, avp.unsigned32(432, 0))


# Each line makes a request worse by one error that must win over those above it.
WORSE: list[tuple[type[DiameterError], Callable[[list[bytes]], list[bytes]]]] = [
    (InvalidAvpValue, lambda avps: [*avps, avp.unsigned32(Avp.MULTIPLE_SERVICES_INDICATOR, 7)]),
    (AvpNotAllowed, lambda avps: [*avps, avp.unsigned32(448, 1)]),
    (AvpOccursTooManyTimes, lambda avps: [*avps, avp.unsigned32(415, 7)]),
    (MissingAvp, lambda avps: [*avps, avp.grouped(443, avp.unsigned32(450, 1))]),
    (MissingAvp, lambda avps: [encoded for encoded in avps if encoded != ORIGIN[1]]),
    (AvpUnsupported, lambda avps: [*avps, UNKNOWN]),
    (InvalidAvpLength, lambda avps: [*avps, avp.encode(420, b"")]),
]


def test_errors_have_an_order() -> None:
    avps = FULL
    for kind, worsen in WORSE:
        avps = worsen(avps)
        assert type(refused(avps)) is kind


def test_a_missing_avp_of_the_command_comes_before_one_of_a_group() -> None:
    avps = [encoded for encoded in FULL if encoded != ORIGIN[1]] + [avp.grouped(443)]
    assert refused(avps).failed_avp == avp.utf8(Avp.ORIGIN_REALM, "")


def nested(depth: int) -> bytes:
    encoded = b""
    for _ in range(depth):
        encoded = avp.grouped(MSCC, encoded)
    return encoded


@pytest.mark.fault(18)
def test_depth() -> None:
    check(ccr([*FULL, nested(8)]), DICTIONARY)
    error = refused([*FULL, nested(9)])
    assert isinstance(error, InvalidAvpValue)
    assert error.failed_avp == nested(9)


@pytest.mark.fault(18)
def test_count() -> None:
    route = avp.utf8(Avp.ROUTE_RECORD, "dra")
    check(ccr(REQUIRED + [route] * (2_000 - len(REQUIRED))), DICTIONARY)
    error = refused(REQUIRED + [route] * (2_001 - len(REQUIRED)))
    assert isinstance(error, InvalidAvpValue)
    assert error.failed_avp == route
    with pytest.raises(InvalidAvpValue):
        check(ccr(FULL), DICTIONARY, avps_max=5)
    with pytest.raises(InvalidAvpValue):
        check(ccr(FULL), DICTIONARY, depth_max=1)


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    "avps",
    [
        pytest.param([avp.unsigned32(415, 1)] * 10_000, id="10,000 AVPs"),
        pytest.param([nested(1_000)], id="1,000 deep"),
        pytest.param([avp.grouped(MSCC)] * 10_000, id="10,000 groups"),
        pytest.param([avp.utf8(281, "é" * 30_000)], id="one long text"),
        pytest.param([avp.encode(70_000, b"")] * 10_000, id="10,000 unknown"),
    ],
)
def test_hostile_size_costs_little(avps: list[bytes]) -> None:
    message = ccr(avps)
    check(ccr(FULL), DICTIONARY)  # so that the tables are made
    began = process_time()
    refused_message(message)
    assert process_time() - began < 0.05


CER = [
    *ORIGIN,
    avp.encode(Avp.HOST_IP_ADDRESS, bytes.fromhex("0001c0000201")),
    avp.unsigned32(Avp.VENDOR_ID, 10415),
    avp.utf8(Avp.PRODUCT_NAME, "Gateway", flags=0),
]
BASE = {257: CER, 280: ORIGIN, 282: [*ORIGIN, avp.unsigned32(Avp.DISCONNECT_CAUSE, 0)]}


@pytest.mark.parametrize("command", BASE)
def test_base_commands(command: int) -> None:
    avps = BASE[command]
    check(framing.encode(0x80, command, 0, 1, 2, b"".join(avps)), DICTIONARY)
    for index, encoded in enumerate(avps):
        error = refused_message(framing.encode(0x80, command, 0, 1, 2, b"".join(avps[:index] + avps[index + 1 :])))
        assert isinstance(error, MissingAvp)
        (failed,) = read(error.failed_avp)
        assert failed.code == int.from_bytes(encoded[:4], "big")
    error = refused_message(framing.encode(0x80, command, 0, 1, 2, b"".join([*avps, ORIGIN[0]])))
    assert isinstance(error, AvpOccursTooManyTimes)


def test_a_cer_may_offer_any_application() -> None:
    offers = [avp.unsigned32(258, 4), avp.unsigned32(258, 16777238), avp.unsigned32(258, 2**32 - 1)]
    check(framing.encode(0x80, 257, 0, 1, 2, b"".join(CER + offers)), DICTIONARY)


def test_a_missing_address_leaves_room_for_one() -> None:
    error = refused_message(framing.encode(0x80, 257, 0, 1, 2, b"".join(CER[:2] + CER[3:])))
    assert error.failed_avp == avp.encode(Avp.HOST_IP_ADDRESS, bytes(6))


def test_answers_have_their_own_grammar() -> None:
    answer = [SESSION_ID, avp.unsigned32(268, 2002), *ORIGIN]
    check(framing.encode(0x40, 258, 4, 1, 2, b"".join(answer)), DICTIONARY)
    assert isinstance(refused_message(framing.encode(0x40, 258, 4, 1, 2, b"".join(answer[:1]))), MissingAvp)
    check(framing.encode(0x60, 258, 4, 1, 2, b"".join(answer[1:2])), DICTIONARY)


def test_what_has_no_grammar() -> None:
    assert isinstance(refused_message(framing.encode(0xC0, 271, 4, 1, 2, b"")), CommandUnsupported)
    assert isinstance(refused_message(b"\1\0\0\x14" + bytes(15)), InvalidMessageLength)
    assert isinstance(refused_message(ccr(FULL) + bytes(4)), InvalidMessageLength)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real CCR with some octets changed, cut, doubled or taken from elsewhere."""
    data = bytearray(draw(st.sampled_from([ccr(FULL), *CAPTURED])))
    for _ in range(draw(st.integers(1, 6))):
        where = draw(st.integers(20, len(data) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                data[where] = draw(st.integers(0, 255))
            case 1:
                # AVP headers begin at multiples of four, and so do the most telling faults.
                data[where & ~3 : (where & ~3) + 4] = draw(st.binary(min_size=4, max_size=4))
            case 2:
                data[where:where] = data[where & ~3 : (where & ~3) + draw(st.integers(0, 16)) * 4]
            case _:
                del data[where : where + draw(st.integers(0, 40))]
        if len(data) <= 21:
            break
    data[1:4] = len(data).to_bytes(3, "big")
    return bytes(data)


@pytest.mark.fault(22)
@given(mutated())
def test_mutated_requests_pass_or_get_a_documented_error(message: bytes) -> None:
    try:
        check(message, DICTIONARY)
    except DiameterError as error:
        code, failed = error.result_code, error.failed_avp
    else:
        return
    assert code in {5001, 5004, 5005, 5008, 5009, 5014}
    assert len(failed) % 4 == 0
    (raw,) = avp.walk(failed, 0, len(failed))
    assert raw.end <= len(failed)
