"""The quick way says what the long way says."""

from ipaddress import ip_address

import pytest
from gy_samples import FULL, REQUIRED, SERVICE, SESSION_ID, SUBSCRIPTION

from ocs.diameter import avp, base, framing
from ocs.diameter.base import LocalNode
from ocs.diameter.codes import Avp
from ocs.diameter.framing import HEADER_OCTETS
from ocs.diameter.quick_refusal import QuickRefusal, is_termination
from ocs.errors import TooBusy

LOCAL = LocalNode(
    origin_host="ocs.example.net", origin_realm="example.net", addresses=(ip_address("127.0.0.1"),), origin_state_id=7
)
ERROR = TooBusy("more comes than this server can serve")
PROXY_INFO = avp.grouped(Avp.PROXY_INFO, avp.utf8(280, "relay.example"), avp.encode(33, b"abc"))


def ccr(*avps: bytes, flags: int = 0xC0) -> bytes:
    return framing.encode(flags, 272, 4, 0x1234, 0x5678, b"".join(avps))


def kind(number: int) -> bytes:
    return avp.unsigned32(Avp.CC_REQUEST_TYPE, number)


def number(value: int) -> bytes:
    return avp.unsigned32(Avp.CC_REQUEST_NUMBER, value)


def avps_of(message: bytes) -> list[bytes]:
    walked = avp.walk(message, HEADER_OCTETS, len(message))
    return sorted(raw.code.to_bytes(4, "big") + message[raw.start : raw.end] for raw in walked)


@pytest.mark.parametrize(
    "request_",
    [
        ccr(*REQUIRED, SUBSCRIPTION, SERVICE),
        ccr(*FULL),
        ccr(*FULL, flags=0x80),
        ccr(*FULL, flags=0xD0),
        ccr(*REQUIRED, PROXY_INFO, PROXY_INFO),
        ccr(*REQUIRED[::-1]),
        ccr(avp.utf8(Avp.SESSION_ID, "odd"), kind(2), number(2**32 - 1)),
        ccr(avp.utf8(Avp.SESSION_ID, "no number"), kind(2)),
        ccr(SESSION_ID, kind(9), number(1)),
        ccr(kind(3), number(1)),
        ccr(SESSION_ID[:-4]),
        ccr(),
    ],
)
def test_its_answer_holds_the_same(request_: bytes) -> None:
    quick, long = QuickRefusal(LOCAL, ERROR).answer(request_), base.error_answer(request_, LOCAL, ERROR)
    assert quick[:HEADER_OCTETS] == long[:HEADER_OCTETS]
    assert avps_of(quick) == avps_of(long)


def test_a_termination_is_known_by_one_look() -> None:
    assert is_termination(ccr(SESSION_ID, kind(3), number(1)))
    assert is_termination(ccr(SESSION_ID, number(1), avp.encode(Avp.CC_REQUEST_TYPE, b"\0\0\0\3", flags=0)))
    for other in (1, 2, 4):
        assert not is_termination(ccr(SESSION_ID, kind(other), number(3)))
