"""A stream that cannot be cut into messages, or is cut oddly: rows 1 to 5 and 22, against a real server."""

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from faults.audit import Audit, audited, served
from live.wire import CCR, DWR, INITIAL, TERMINATION, UPDATE, Gateway, Message, avp, ccr, message, mscc

pytestmark = pytest.mark.live

ODD = "odd.visited.example"
MESSAGES = int(os.environ.get("FUZZ_MESSAGES", "1000"))
KEPT_KB_MAX = 8 * 1024
"""What the allocator may keep of a storm; the storm itself would be many times as much."""


def head(word: int, hop_by_hop: int, end_to_end: int) -> bytes:
    """Write the header of a CCR behind a first word of one's own."""
    return struct.pack(">IIIII", word, 0xC0 << 24 | CCR, 4, hop_by_hop, end_to_end)


def with_use(gateway: Gateway, session_id: str) -> bytes:
    """Write a CCR-U that would be charged if anything behind the fault were read."""
    return message(0xC0, CCR, 4, 99, 99, ccr(gateway, session_id, UPDATE, 1, mscc(1, used=5000)))


def assert_ends_with(gateway: Gateway, code: int) -> None:
    """Insist on an answer with the ids of the faulty header, and on the end of the connection."""
    answer = gateway.answer(7)
    assert (answer.result_code, answer.end_to_end, answer.command) == (code, 8, CCR)
    assert not answer.flags & 0xB0
    assert gateway.closed()


def watched(gateway: Gateway) -> Message:
    """Ask for a DWA: when it is here, the server has read what others sent before."""
    return gateway.ask(DWR, [avp(264, gateway.host), avp(296, gateway.realm)], application=0)


@pytest.mark.fault(1)
@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version(audit: Audit, version: int) -> None:
    with Gateway(audit.port, host=ODD).open() as gateway:
        # What came whole before the fault is served; its answer has nowhere to go, and waits for the repeat.
        first = ccr(gateway, f"{ODD};1;{version}", INITIAL, 0, mscc(1))
        before = message(0xC0, CCR, 4, 5, 5, first)
        gateway.put(before + head(version << 24 | 20, 7, 8) + with_use(gateway, f"{ODD};1;{version}"))
        assert_ends_with(gateway, 5011)
    assert audit.rose("ocs_connections_closed", reason="version") == 1
    assert audit.rose("ocs_refusals", result_code="5011") == 1
    with Gateway(audit.port, host=ODD).open() as gateway:
        assert gateway.ask(CCR, first, flags=0xD0).result_code == 2001
        assert audit.rose("ocs_repeats") == 1
        assert gateway.ask(CCR, ccr(gateway, f"{ODD};1;{version}", TERMINATION, 1)).result_code == 2001


@pytest.mark.fault(2)
@pytest.mark.parametrize("length", [0, 4, 16, 19, 21, 22, 23, 1023])
@pytest.mark.parametrize("step", [1, 400])
def test_a_length_that_no_message_has(audit: Audit, length: int, step: int) -> None:
    with Gateway(audit.port, host=ODD).open() as gateway:
        octets = head(1 << 24 | length, 7, 8)
        if step > 1:
            octets += with_use(gateway, f"{ODD};2")
        for place in range(0, len(octets), step):
            gateway.put(octets[place : place + step])
        assert_ends_with(gateway, 5015)
    assert audit.rose("ocs_connections_closed", reason="length") == 1
    with Gateway(audit.port, host=ODD).open() as again:
        assert again.ask(CCR, ccr(again, f"{ODD};2", UPDATE, 1, mscc(1))).result_code == 5002, "nothing was read"


@pytest.mark.fault(3)
def test_lengths_above_the_limit_take_no_memory(audit: Audit) -> None:
    def storm(count: int) -> None:
        """Announce sixteen megabytes each, and send the first of them; the server takes none."""
        for number in range(count):
            with Gateway(audit.port, host=f"g{number}.visited.example").open() as gateway:
                try:
                    gateway.put(head(0x01FF_FFFC, 7, 8) + bytes(1024 * 1024))
                except ConnectionError:
                    continue  # it is closed while we send
                assert gateway.closed()

    storm(20)
    warm = audit.memory_kb()
    storm(100)
    assert audit.memory_kb() < warm + KEPT_KB_MAX
    assert audit.rose("ocs_connections_closed", reason="length") == 120
    with Gateway(audit.port, host=ODD).open() as gateway:
        gateway.put(head(0x01FF_FFFC, 7, 8))
        assert_ends_with(gateway, 5015)
    with Gateway(audit.port, host=ODD).open() as gateway:
        longest = ccr(gateway, f"{ODD};3", INITIAL, 0, mscc(1))
        longest.append(avp(9999, bytes(64 * 1024 - 20 - 8 - len(b"".join(longest))), mandatory=False))
        assert gateway.ask(CCR, longest).result_code == 2001
        assert gateway.ask(CCR, ccr(gateway, f"{ODD};3", TERMINATION, 1)).result_code == 2001
    with Gateway(audit.port, host=ODD).open() as gateway:
        gateway.put(head(0x0101_0004, 7, 8)[:4])  # four octets are enough to know, and too few to answer
        assert gateway.closed()


@pytest.mark.fault(5)
def test_a_cut_at_each_offset(audit: Audit) -> None:
    with Gateway(audit.port, host=ODD).open() as gateway, Gateway(audit.port, host="clock.visited.example") as clock:
        gateway.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        clock.open()
        session = f"{ODD};5"
        gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1)))
        whole = message(0xC0, CCR, 4, 7, 8, ccr(gateway, session, UPDATE, 1, mscc(1, used=70)))
        gateway.put(whole)
        expected = gateway.answer(7).octets
        audit.used += 70
        for place in range(1, len(whole)):
            gateway.put(whole[:place])
            watched(clock)
            gateway.put(whole[place:])
            assert gateway.answer(7).octets == expected
        for octet in struct.unpack(f"{len(whole)}c", whole):
            gateway.put(octet)
            watched(clock)
        assert gateway.answer(7).octets == expected
        assert audit.rose("ocs_repeats") == len(whole)
        gateway.ask(CCR, ccr(gateway, session, TERMINATION, 2))


@pytest.mark.fault(5)
def test_five_hundred_in_one_piece(audit: Audit) -> None:
    with Gateway(audit.port, host=ODD).open() as gateway:
        session = f"{ODD};500"
        gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1)))
        numbers = range(1, 501)
        gateway.put(
            b"".join(
                message(0xC0, CCR, 4, 1000 + n, n, ccr(gateway, session, UPDATE, n, mscc(1, used=n))) for n in numbers
            )
        )
        for n in numbers:
            answer = gateway.answer(1000 + n)
            assert (answer.result_code, answer.end_to_end, answer.avps.one(415).number) == (2001, n, n)
        audit.used += sum(numbers)
        gateway.ask(CCR, ccr(gateway, session, TERMINATION, 501))


def bend(rng: Random, octets: bytes, first: int) -> bytes:
    """Change some octets from `first` on."""
    bent = bytearray(octets)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(first, len(bent))
        bent[place] = rng.choice((0, 1, 255, rng.randrange(256), bent[place] ^ 1 << rng.randrange(8)))
    return bytes(bent)


CODES = (1, 30, 55, 263, 264, 268, 278, 282, 284, 293, 295, 296, 412, 420, 421, 431, 432, 436, 437, 439, 443, 444, 446)
CODES += (448, 450, 455, 456, 458, 461, 863, 872, 873, 874, 70000)


def reshape(rng: Random, avps: list[bytes]) -> list[bytes]:
    """Drop, double, move, refill or add AVPs; each is whole."""
    avps = list(avps)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(avps))
        match rng.randrange(5):
            case 0:
                del avps[place]
            case 1:
                avps.insert(rng.randrange(len(avps)), avps[place])
            case 2:
                avps.append(avps.pop(place))
            case 3:
                code = int.from_bytes(avps[place][:4], "big")
                avps[place] = avp(code, rng.randbytes(rng.choice((0, 1, 4, 8, 40))))
            case _:
                data = rng.choice((rng.randbytes(rng.choice((0, 4, 8, 300))), rng.choice(avps)))
                code = rng.choice(CODES)
                vendor = rng.choice((0, 0, 10415, 2011))
                avps.insert(place, avp(code, data, vendor=vendor, mandatory=rng.random() < 0.5))
    return avps


def request(rng: Random, gateway: Gateway, number: int) -> tuple[list[bytes], Callable[[list[bytes]], bytes]]:
    """Give the AVPs of a request of some session, and what makes a message of them.

    Its operator is not that of the honest gateway, whose books stay exact.
    """
    kind = rng.choice((INITIAL, UPDATE, UPDATE, TERMINATION))
    service = mscc(rng.choice((None, 1, 2)), used=rng.choice((None, 0, 500)), asked=rng.choice((True, False, 10**6)))
    session = f"{gateway.host};22;{rng.randrange(20)}"
    avps = ccr(gateway, session, kind, rng.randrange(8), service, imsi="901700000000001")
    return avps, lambda avps: message(0xC0, CCR, 4, number, number, avps)


def spoilt(rng: Random, gateway: Gateway, number: int) -> bytes:
    """Write a request that is bent, of another shape, or both; its header is sound."""
    avps, whole = request(rng, gateway, number)
    if rng.random() < 0.6:
        avps = reshape(rng, avps)
    octets = whole(avps)
    return bend(rng, octets, 20) if rng.random() < 0.6 else octets


@pytest.mark.fault(22)
def test_requests_bent_at_random(tmp_path: Path) -> None:
    rng = Random(22)
    with served(tmp_path) as (server, honest), audited(server, honest) as audit:
        server.add_operator("away", prefix="90170", credit=10**12)
        codes: set[int] = set()
        with Gateway(server.gy_port, host=ODD).open() as gateway:
            for start in range(1, MESSAGES, 50):
                batch = range(start, start + 50)
                gateway.put(b"".join(spoilt(rng, gateway, number) for number in batch))
                codes |= {gateway.answer(number).result_code for number in batch}
        assert {2001, 5001, 5002, 5004, 5005, 5009, 5014} <= codes, "some were right, the rest wrong in many ways"
        assert codes <= {2001, 3003, 3005, 5001, 5002, 5003, 5004, 5005, 5007, 5008, 5009, 5012, 5014, 5030, 5031}
        # Headers too: an answer, nothing or the end, and never an error of the server's own.
        for number in range(1, MESSAGES // 20):
            with Gateway(server.gy_port, host=ODD).open() as gateway:
                avps, whole = request(rng, gateway, number)
                gateway.put(bend(rng, whole(avps), 0))
                gateway.socket.shutdown(socket.SHUT_WR)
                assert gateway.closed()
        away = server.balance("away")
        assert away["credited"] == away["available"] + away["reserved"] + away["consumed"]
        assert audit.rose("ocs_ccr_answers") >= MESSAGES


@pytest.mark.fault(22)
def test_random_octets(audit: Audit) -> None:
    rng = Random(23)
    for number in range(100):
        with Gateway(audit.port, host=ODD) as gateway:
            if number % 2:
                gateway.open()
            gateway.put(rng.choice((b"", b"\1\0", b"\1\0\0\x18")) + rng.randbytes(rng.randrange(1, 200)))
            gateway.socket.shutdown(socket.SHUT_WR)
            assert gateway.closed()
