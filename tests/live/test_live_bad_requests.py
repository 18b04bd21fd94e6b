"""Every bad request gets its code, its E bit and its Failed-AVP; nobody else notices.  RFC 6733 sections 7.1 to 7.5."""

import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest

from live.ocs_server import OcsServer
from live.wire import (
    CCR,
    DPR,
    DWR,
    EVENT,
    INITIAL,
    TERMINATION,
    UPDATE,
    Gateway,
    Message,
    avp,
    ccr,
    group,
    message,
    mscc,
)

pytestmark = pytest.mark.live

FAILED_AVP, ERROR_MESSAGE, PROXY_INFO = 279, 281, 284


def without(avps: Iterable[bytes], *codes: int) -> list[bytes]:
    return [one for one in avps if struct.unpack_from(">I", one)[0] not in codes]


class Bad(NamedTuple):
    """A request that is wrong in one way.

    Attributes:
        failed: the code of the AVP in Failed-AVP, None for no Failed-AVP.
    """

    name: str
    build: Callable[[Gateway, str], list[bytes]]
    code: int
    failed: int | None = None
    flags: int = 0xC0
    command: int = CCR
    application: int = 4


def good(gateway: Gateway, session_id: str, *more: bytes) -> list[bytes]:
    return ccr(gateway, session_id, INITIAL, 0, mscc(1), more=more)


def lacks(code: int) -> Callable[[Gateway, str], list[bytes]]:
    return lambda gateway, session_id: without(good(gateway, session_id), code)


def twice(code: int) -> Callable[[Gateway, str], list[bytes]]:
    def build(gateway: Gateway, session_id: str) -> list[bytes]:
        avps = good(gateway, session_id)
        return [*avps, next(one for one in avps if struct.unpack_from(">I", one)[0] == code)]

    return build


def changed(code: int, replacement: bytes) -> Callable[[Gateway, str], list[bytes]]:
    return lambda gateway, session_id: [
        replacement if struct.unpack_from(">I", one)[0] == code else one for one in good(gateway, session_id)
    ]


def plus(*more: bytes) -> Callable[[Gateway, str], list[bytes]]:
    return lambda gateway, session_id: good(gateway, session_id, *more)


def raw(code: int, flags: int, length: int, data: bytes) -> bytes:
    return struct.pack(">II", code, flags << 24 | length) + data


TABLE = [
    Bad("unknown command", good, 3001, command=999),
    Bad("a command of another application", good, 3001, command=271),
    Bad("another application", good, 3007, application=16777238),
    Bad("E bit in a request", good, 3008, flags=0xE0),
    Bad("realm not served", changed(283, avp(283, "elsewhere.example")), 3003),
    Bad("our name in a Route-Record", plus(avp(282, "ocs.example.net")), 3005),
    Bad("unknown mandatory AVP", plus(avp(9999, b"what")), 5001, 9999),
    Bad("unknown mandatory vendor AVP", plus(avp(77, b"what", vendor=4242)), 5001, 77),
    Bad("V bit on an AVP of the RFC", changed(416, avp(416, 1, vendor=10415)), 5001, 416),
    *(Bad(f"without AVP {code}", lacks(code), 5005, code) for code in (263, 264, 296, 283, 258, 461, 416, 415)),
    *(Bad(f"AVP {code} twice", twice(code), 5009, code) for code in (263, 264, 296, 283, 258, 461, 416, 415)),
    Bad("Session-Id not first", lambda gateway, session_id: good(gateway, session_id)[::-1], 5005, 263),
    Bad("Result-Code in a request", plus(avp(268, 2001)), 5008, 268),
    Bad("a grant in a request", plus(group(431, avp(421, bytes(8)))), 5008, 431),
    Bad("CC-Request-Type 0", changed(416, avp(416, 0)), 5004, 416),
    Bad("CC-Request-Type 5", changed(416, avp(416, 5)), 5004, 416),
    Bad("another Auth-Application-Id", changed(258, avp(258, 5)), 5004, 258),
    Bad("Origin-Host that is not ASCII", changed(264, avp(264, b"\xff\xfe")), 5004, 264),
    Bad("Service-Context-Id that is not UTF-8", changed(461, avp(461, b"\xc3\x28")), 5004, 461),
    Bad("an event without Requested-Action", lambda gateway, sid: ccr(gateway, sid, EVENT, 0, mscc(1)), 5007, 416),
    Bad("an AVP shorter than its header", plus(raw(415, 0x40, 4, b"")), 5014, 415),
    Bad("an AVP longer than the message", plus(raw(415, 0x40, 400, b"\0\0\0\1")), 5014, 415),
    Bad("an Unsigned32 of three octets", changed(415, avp(415, b"\0\0\1")), 5014, 415),
    Bad("a group with a broken member", plus(group(443, raw(450, 0x40, 99, b"\0\0\0\1"))), 5014, 450),
    Bad("an update of no session", lambda gateway, sid: ccr(gateway, sid, UPDATE, 1, mscc(1)), 5002),
    Bad(
        "an unknown subscriber",
        lambda gateway, sid: ccr(gateway, sid, INITIAL, 0, mscc(1), imsi="999990000000001"),
        5030,
    ),
    Bad(
        "an IMSI with a letter",
        lambda gateway, sid: ccr(gateway, sid, INITIAL, 0, mscc(1), imsi="00101A000000001"),
        5004,
        444,
    ),
    Bad("no subscriber", lambda gateway, sid: ccr(gateway, sid, INITIAL, 0, mscc(1), imsi=None), 5030),
]

LENIENT = {
    "no P bit": (0x80, lambda gateway, sid: good(gateway, sid)),
    "Requested-Action, as Open5GS sends it": (0xC0, plus(avp(436, 0))),
    "an unknown AVP without the M bit": (0xC0, plus(avp(9999, b"what", mandatory=False))),
    "P bit on an AVP": (0xC0, changed(415, raw(415, 0x60, 12, bytes(4)))),
    "a 16-digit IMSI": (0xC0, lambda gateway, sid: ccr(gateway, sid, INITIAL, 0, mscc(1), imsi="0010100000000012")),
}


@pytest.mark.parametrize("name", LENIENT)
def test_what_gateways_do_in_practice_is_taken(shared_server: OcsServer, name: str) -> None:
    flags, build = LENIENT[name]
    with Gateway(shared_server.gy_port, host="odd.visited.example").open() as gateway:
        answer = gateway.ask(CCR, build(gateway, f"odd;{name}"), flags=flags)
        assert answer.result_code == 2001
        assert answer.flags == flags & 0x40
        gateway.ask(CCR, ccr(gateway, f"odd;{name}", TERMINATION, 1))


def failed_code(answer: Message) -> int | None:
    """Give the code of the AVP that Failed-AVP names, through the groups that wrap it."""
    if not answer.avps.has(FAILED_AVP):
        return None
    inner = answer.avps.one(FAILED_AVP).data
    code = 0
    while inner:
        code, word = struct.unpack_from(">II", inner)
        head = 12 if word & 0x80000000 else 8
        inner = inner[head:] if code in (443, 456) else b""
    return code


@pytest.mark.fault(6, 8, 9, 11, 13, 15, 16, 17, 19)
@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_it_gets_its_code(shared_server: OcsServer, bad: Bad) -> None:
    proxied = group(PROXY_INFO, avp(280, "relay.example"), avp(33, b"state of the relay"))
    session_id = f"bad;{bad.name}"
    before = shared_server.balance()
    with Gateway(shared_server.gy_port, host="bad.visited.example").open() as gateway:
        avps = bad.build(gateway, session_id)
        # In the middle, so that what follows a broken AVP is not what is looked at.
        avps.insert(1, proxied)
        answer = gateway.ask(bad.command, avps, application=bad.application, flags=bad.flags)
        assert answer.result_code == bad.code
        assert bool(answer.flags & 0x20) == (3000 <= bad.code < 4000), "the E bit is for protocol errors"
        assert bool(answer.flags & 0x40) == bool(bad.flags & 0x40)
        assert not answer.flags & 0x90
        assert failed_code(answer) == bad.failed
        assert answer.avps.one(264).data == b"ocs.example.net"
        assert [one.data for one in answer.avps.all(PROXY_INFO)] == [proxied[8:]]
        # The connection is still good.
        assert gateway.ask(DWR, [avp(264, gateway.host), avp(296, gateway.realm)], application=0).result_code == 2001
    assert shared_server.balance() == before


BROKEN_STREAMS = {
    "version 2": (b"\x02" + message(0xC0, CCR, 4, 7, 7, [])[1:], 5011),
    "a length below the header": (b"\x01\x00\x00\x10" + message(0xC0, CCR, 4, 7, 7, [])[4:], 5015),
    "a length that is no multiple of four": (b"\x01\x00\x00\x17" + message(0xC0, CCR, 4, 7, 7, [])[4:] + b"abc", 5015),
    "a length above the limit": (b"\x01\xff\xff\xfc" + message(0xC0, CCR, 4, 7, 7, [])[4:], 5015),
}


@pytest.mark.fault(1, 2, 3)
@pytest.mark.parametrize("name", BROKEN_STREAMS)
def test_a_stream_that_cannot_be_read_is_closed(shared_server: OcsServer, name: str) -> None:
    octets, code = BROKEN_STREAMS[name]
    with (
        Gateway(shared_server.gy_port, host="broken.visited.example").open() as gateway,
        Gateway(shared_server.gy_port, host="other.visited.example").open() as other,
    ):
        gateway.put(octets)
        assert gateway.answer(7).result_code == code
        assert gateway.closed()
        answer = other.ask(DWR, [avp(264, other.host), avp(296, other.realm)], application=0)
        assert answer.result_code == 2001, "another peer's connection is its own"


@pytest.mark.fault(23, 25)
def test_capabilities(shared_server: OcsServer) -> None:
    for leave_out in (264, 296, 257, 266, 269):
        with Gateway(shared_server.gy_port, host="cer.visited.example") as gateway:
            answer = gateway.introduce(leave_out=(leave_out,))
            assert answer.result_code == 5005
            assert failed_code(answer) == leave_out
            assert gateway.closed()
    with Gateway(shared_server.gy_port, host="cer.visited.example") as gateway:
        assert gateway.introduce(leave_out=(258,)).result_code == 5010
        assert gateway.closed()
    with Gateway(shared_server.gy_port, host="cer.visited.example") as gateway:
        old = group(260, avp(266, 10415), avp(258, 4))
        assert gateway.introduce(old, leave_out=(258,)).result_code == 2001
    with Gateway(shared_server.gy_port, host="relay.visited.example") as gateway:
        assert gateway.introduce(avp(258, 0xFFFFFFFF), leave_out=(258,)).result_code == 2001
    with Gateway(shared_server.gy_port, host="cer.visited.example") as gateway:
        gateway.send(CCR, good(gateway, "early"))
        assert gateway.closed(), "nothing comes before the CER"


def test_a_goodbye_is_answered_and_the_connection_closed(shared_server: OcsServer) -> None:
    with Gateway(shared_server.gy_port, host="leaving.visited.example").open() as gateway:
        answer = gateway.ask(DPR, [avp(264, gateway.host), avp(296, gateway.realm), avp(273, 2)], application=0)
        assert answer.result_code == 2001
        gateway.socket.close()


@pytest.mark.fault(5)
def test_messages_cut_anywhere_are_the_same_messages(shared_server: OcsServer) -> None:
    with Gateway(shared_server.gy_port, host="slow.visited.example").open() as gateway:
        for cut in range(1, 60, 7):
            octets = message(0xC0, CCR, 4, cut, cut, good(gateway, f"cut;{cut}"))
            for place in range(0, len(octets), cut):
                gateway.put(octets[place : place + cut])
            assert gateway.answer(cut).result_code == 2001
        many = b"".join(
            message(0xC0, CCR, 4, number, number, ccr(gateway, f"cut;{number}", 3, 1)) for number in range(1, 60, 7)
        )
        gateway.put(many)
        for number in range(1, 60, 7):
            assert gateway.answer(number).result_code == 2001
