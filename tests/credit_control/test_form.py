"""What was learnt reads as the full check and reading do: every message gives the same request, or the same error."""

import json
import tracemalloc
from collections.abc import Callable
from random import Random

import pytest

from ledger_node import EVENT, INITIAL, TERMINATION, UPDATE, Node, ccr, service
from ocs import command as cmd
from ocs.credit_control import answer as cca
from ocs.credit_control.event import Gateway
from ocs.credit_control.forms import CREDIT_MAX, FORMS_MAX, FORMS_OCTETS_MAX, LEARNING_COST, Forms
from ocs.credit_control.request import CreditControlRequest
from ocs.credit_control.session import Answer
from ocs.diameter import avp
from ocs.diameter.codes import VENDOR_3GPP, Avp, Avp3gpp
from ocs.errors import DiameterError
from ocs.shell import dictionaries
from ocs.shell.core.reception import Destinations, Reception
from places import ROOT

RECEPTION = Reception(
    dictionaries.load([]),
    Destinations(origin_host="ocs.example.net", realms=frozenset({"example.net", "magma.com"}), strict=False),
)
REALM = "visited.example"
CAPTURES = ROOT.parent / "shared" / "captures"
IDENTITY = cca.Identity.of("ocs.example.net", "example.net")
GATEWAY = Gateway("sgw.visited.example", REALM, "sgw.visited.example", "standard")
BENDS = 400


def grouped(code: int, *members: bytes) -> bytes:
    return avp.grouped(code, *members, vendor=VENDOR_3GPP)


def vendor(code: int, data: bytes) -> bytes:
    return avp.encode(code, data, vendor=VENDOR_3GPP)


def subscription(kind: int, identity: str) -> bytes:
    return avp.grouped(
        Avp.SUBSCRIPTION_ID,
        avp.unsigned32(Avp.SUBSCRIPTION_ID_TYPE, kind),
        avp.utf8(Avp.SUBSCRIPTION_ID_DATA, identity),
    )


def equipment(value: bytes) -> bytes:
    return avp.grouped(
        Avp.USER_EQUIPMENT_INFO,
        avp.unsigned32(Avp.USER_EQUIPMENT_INFO_TYPE, 0),
        avp.encode(Avp.USER_EQUIPMENT_INFO_VALUE, value),
    )


BEARER = grouped(
    Avp3gpp.SERVICE_INFORMATION,
    subscription(0, "4915112345678"),
    grouped(
        Avp3gpp.PS_INFORMATION,
        vendor(Avp3gpp.CHARGING_ID, b"\1\2\3\4"),
        vendor(Avp3gpp.PDP_ADDRESS, b"\0\1\x0a\0\0\1"),
        vendor(Avp3gpp.PDP_ADDRESS, b"\0\2" + bytes(16)),
        vendor(Avp3gpp.SGSN_MCC_MNC, b"00101"),
        vendor(Avp3gpp.USER_LOCATION_INFO, b"\x82" + bytes(12)),
        vendor(Avp3gpp.RAT_TYPE, b"\6"),
        avp.utf8(Avp.CALLED_STATION_ID, "Internet"),
        equipment(b"3534900698733153"),
    ),
)
TIME = avp.unsigned32(Avp.EVENT_TIMESTAMP, 4_008_988_800)
UNKNOWN = avp.encode(4242, b"anything", vendor=9, flags=0)
COUNTERS = avp.grouped(
    Avp.MULTIPLE_SERVICES_CREDIT_CONTROL,
    avp.unsigned32(Avp.RATING_GROUP, 7),
    avp.grouped(Avp.REQUESTED_SERVICE_UNIT),
    avp.grouped(
        Avp.USED_SERVICE_UNIT,
        avp.unsigned64(Avp.CC_INPUT_OCTETS, 700),
        avp.unsigned64(Avp.CC_OUTPUT_OCTETS, 300),
        avp.unsigned64(Avp.CC_TOTAL_OCTETS, 1000),
    ),
)

LEARNT: dict[str, Callable[[], bytes]] = {
    "initial": lambda: ccr(INITIAL, 0, service(), extra=TIME),
    "initial with all of a bearer": lambda: ccr(INITIAL, 0, service(1), service(2), bearer=BEARER, extra=TIME),
    "initial with equipment twice": lambda: ccr(INITIAL, 0, service(), extra=equipment(b"12345678")),
    "initial without units": lambda: ccr(INITIAL, 0),
    "update": lambda: ccr(UPDATE, 3, service(used=1000, reason=3)),
    "update of services": lambda: ccr(UPDATE, 4, service(1, used=5), COUNTERS, service(2, ask=9), extra=UNKNOWN),
    "update with service ids": lambda: ccr(UPDATE, 5, service(used=8, service_ids=(3, 1))),
    "termination": lambda: ccr(TERMINATION, 9, service(ask=None, used=77, reason=2), extra=TIME),
}

LEFT_TO_THE_FULL_READING: dict[str, Callable[[], bytes]] = {
    "event": lambda: ccr(EVENT, 0, service(ask=100), action=0),
    "units at command level": lambda: ccr(INITIAL, 0, extra=avp.grouped(Avp.REQUESTED_SERVICE_UNIT)),
    "proxy": lambda: ccr(INITIAL, 0, service(), extra=PROXY),
    "used units twice": lambda: ccr(UPDATE, 1, TWICE),
    "used units twice, each with a counter of its own": lambda: ccr(UPDATE, 1, TOTAL_AND_INPUT),
}
PROXY = avp.grouped(Avp.PROXY_INFO, avp.utf8(280, "relay"), avp.encode(33, b"state"))
_USED = avp.grouped(Avp.USED_SERVICE_UNIT, avp.unsigned64(Avp.CC_TOTAL_OCTETS, 5))
_INPUT = avp.grouped(Avp.USED_SERVICE_UNIT, avp.unsigned64(Avp.CC_INPUT_OCTETS, 7))
TWICE = avp.grouped(Avp.MULTIPLE_SERVICES_CREDIT_CONTROL, avp.unsigned32(Avp.RATING_GROUP, 1), _USED, _USED)
TOTAL_AND_INPUT = avp.grouped(Avp.MULTIPLE_SERVICES_CREDIT_CONTROL, avp.unsigned32(Avp.RATING_GROUP, 1), _USED, _INPUT)


def outcome(read: Callable[[], CreditControlRequest]) -> object:
    try:
        return read()
    except DiameterError as error:
        return type(error), error.detail, error.failed_avp


def same(message: bytes, forms: Forms) -> bool:
    """Hold both readings against each other; tell whether the learnt one was taken."""
    taken = False

    def learnt() -> CreditControlRequest:
        nonlocal taken
        request, form = RECEPTION.receive(message, REALM, forms)
        taken = form is not None
        return request

    assert outcome(learnt) == outcome(lambda: RECEPTION.receive_in_full(message, REALM))
    return taken


@pytest.mark.parametrize("name", LEARNT)
def test_a_layout_is_learnt_at_once(name: str) -> None:
    forms = Forms()
    assert not same(LEARNT[name](), forms)
    assert same(LEARNT[name](), forms), "the ids differ, and nothing else"


@pytest.mark.parametrize("name", LEFT_TO_THE_FULL_READING)
def test_a_shape_that_cannot_be_learnt_is_read_in_full(name: str) -> None:
    forms = Forms()
    assert not same(LEFT_TO_THE_FULL_READING[name](), forms)
    assert not same(LEFT_TO_THE_FULL_READING[name](), forms)


@pytest.mark.parametrize("name", [*LEARNT, *LEFT_TO_THE_FULL_READING])
def test_whatever_is_bent_reads_the_same(name: str) -> None:
    rng = Random(name)
    make = (LEARNT | LEFT_TO_THE_FULL_READING)[name]
    forms = Forms()
    same(make(), forms)
    for _ in range(BENDS):
        message = bytearray(make())
        for _ in range(rng.choice((1, 1, 2, 4))):
            place = rng.randrange(4, len(message))
            message[place] = rng.choice((0, 1, 255, rng.randrange(256), message[place] ^ 1 << rng.randrange(8)))
        if message[4] & 0xA0 == 0x80 and message[5:12] == b"\0\1\x10\0\0\0\4":  # else it is not given to be served
            same(bytes(message), forms)


def test_what_differs_from_message_to_message_is_taken_by_what_was_learnt() -> None:
    forms = Forms()
    same(ccr(INITIAL, 0, service(), session="sgw;1;1", imsi="001010000000001"), forms)
    assert same(ccr(INITIAL, 9, service(), session="sgw;7;7", imsi="001019999999999", retransmitted=True), forms)
    same(ccr(UPDATE, 1, service(used=1000)), forms)
    assert same(ccr(UPDATE, 2**32 - 1, service(used=2**62)), forms)
    assert not same(ccr(UPDATE, 1, service(used=2**62 + 1)), forms), "beyond plausibility: the full reading says so"
    assert not same(ccr(INITIAL, 0, service(), session="sgw;\n;1"), forms), "a control character"
    assert not same(ccr(INITIAL, 0, service(), imsi="00101000000000x"), forms)


def test_ever_new_layouts_are_learnt_no_more() -> None:
    forms = Forms()
    for number in range(CREDIT_MAX // LEARNING_COST + FORMS_MAX):
        same(ccr(UPDATE, 1, service(used=1), extra=avp.encode(5000 + number, b"", vendor=9, flags=0)), forms)
    assert not same(ccr(UPDATE, 1, service(used=2)), forms)
    assert not same(ccr(UPDATE, 1, service(used=2)), forms), "nothing is left to pay for learning"


@pytest.mark.fault(18)
def test_long_messages_are_not_kept_in_number() -> None:
    forms = Forms()
    tracemalloc.start()
    try:
        for number in range(100):
            long = avp.encode(5000, bytes(60_000 + 4 * number), vendor=9, flags=0)
            same(ccr(UPDATE, 1, service(used=1), extra=long), forms)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 3 * FORMS_OCTETS_MAX
    assert same(ccr(UPDATE, 1, service(used=2), extra=long), forms), "and the newest is known"


@pytest.mark.parametrize("name", LEARNT)
def test_answers_are_packed_as_they_are_written(name: str) -> None:
    forms, node = Forms(), Node()
    node.operator("home", "00101", 3, 1000)
    node.top_up(10**6)
    for number in range(40):
        session = f"s;{number:05}"
        kind = read_kind(LEARNT[name]())
        if kind != INITIAL:
            node.charge(ccr(INITIAL, 0, service(1), service(2), session=session), GATEWAY)
        template = LEARNT[name]()
        message = template.replace(b"sgw;1;1", session.encode())
        request, form = RECEPTION.receive(message, REALM, forms)
        decision = node.step(cmd.Charge(request, GATEWAY))
        answer = decision.outcome
        assert isinstance(answer, Answer)
        octets = cca.write(request, answer, IDENTITY, node.policy)
        if form is not None:
            assert form.answers.write(request, answer, IDENTITY, node.policy) == octets
            assert form.answers.write(request, answer, IDENTITY, node.policy) == octets
        else:
            assert number < 2


def read_kind(message: bytes) -> int:
    return int(RECEPTION.receive_in_full(message, REALM).request_type)


@pytest.mark.skipif(not CAPTURES.exists(), reason="the captures are not here")
def test_captured_requests_read_the_same() -> None:
    messages = [
        bytes.fromhex(json.loads(line)["request"])
        for file in CAPTURES.glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    forms = Forms()
    taken = [same(message, forms) for message in messages for _ in range(2)]
    assert sum(taken) > len(taken) / 3
