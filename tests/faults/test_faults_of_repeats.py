"""What comes twice, late, out of order or for nothing, against a real server: rows 36 to 42."""

import socket
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from faults.aftermath import conserved, counted, finished, incidents, size, told, wait_for
from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, Message, ccr, message, mscc, services

pytestmark = pytest.mark.live

RESENT = 0xD0  # the T bit


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcsServer]:
    with finished(OcsServer(tmp_path_factory.mktemp("repeats"))) as server:
        server.add_operator(credit=10**12)
        yield server


@pytest.fixture
def gateway(server: OcsServer) -> Iterator[Gateway]:
    with Gateway(server.gy_port).open() as gateway:
        yield gateway


def ask(gateway: Gateway, session: str, kind: int, number: int, *parts: bytes, flags: int = 0xC0) -> Message:
    return gateway.ask(CCR, ccr(gateway, session, kind, number, *parts), flags=flags)


def charged(server: OcsServer, before: dict[str, int]) -> int:
    """Give what was consumed since; nothing may still be reserved."""
    after = conserved(server)
    assert after["reserved"] == 0
    return after["consumed"] - before["consumed"]


@pytest.mark.fault(36)
def test_a_repeat_in_the_same_segment_is_served_with_the_first(server: OcsServer, gateway: Gateway) -> None:
    """Request and repeats in one write, so that each repeat comes while the first is not yet durable."""
    before = conserved(server)
    script = [(INITIAL, 0), (UPDATE, 500), (UPDATE, 41), (TERMINATION, 9)]
    for number, (kind, used) in enumerate(script):
        avps = ccr(gateway, "36;1", kind, number, mscc(1, used=used or None, asked=kind != TERMINATION))
        copies = [
            message(flags, CCR, 4, 100 * number + place, 7, avps) for place, flags in enumerate((0xC0, RESENT, 0xC0))
        ]
        gateway.put(b"".join(copies))
        answers = [gateway.answer(100 * number + place) for place in range(3)]
        assert answers[0].result_code == 2001
        assert answers[0].avps == answers[1].avps == answers[2].avps
    assert charged(server, before) == 550
    assert server.session("36;1")["requests"] == len(script)


@pytest.mark.fault(36)
def test_a_repeat_over_another_peer_after_a_failover(server: OcsServer, gateway: Gateway) -> None:
    """A relay takes over: other connection, other peer, other End-to-End id; the request is the gateway's own."""
    before = conserved(server)
    first = ask(gateway, "36;2", INITIAL, 0, mscc(1))
    second = ask(gateway, "36;2", UPDATE, 1, mscc(1, used=77))
    with Gateway(server.gy_port, host="relay.visited.example").open() as relay:
        for number, (kind, parts, answer) in enumerate(((INITIAL, mscc(1), first), (UPDATE, mscc(1, used=77), second))):
            avps = ccr(gateway, "36;2", kind, number, parts)
            assert relay.ask(CCR, avps, flags=RESENT).avps == answer.avps
        last = relay.ask(CCR, ccr(gateway, "36;2", TERMINATION, 2, mscc(1, used=3, asked=False)))
        assert last.result_code == 2001
    assert charged(server, before) == 80


@pytest.mark.fault(37)
def test_a_number_again_with_other_content(server: OcsServer, gateway: Gateway) -> None:
    before, conflicts = conserved(server), counted(server, "ocs_conflicts_total")
    ask(gateway, "37;1", INITIAL, 0, mscc(1))
    first = ask(gateway, "37;1", UPDATE, 1, mscc(1, used=100))
    held = conserved(server)
    others = [
        (UPDATE, mscc(1, used=101)),
        (UPDATE, mscc(2, used=100)),
        (UPDATE, mscc(1, used=100, reason=3)),
        (UPDATE, mscc(1)),
        (TERMINATION, mscc(1, used=100, asked=False)),
    ]
    for kind, parts in others:
        for flags in (0xC0, RESENT):
            assert ask(gateway, "37;1", kind, 1, parts, flags=flags).result_code == 5012
    assert conserved(server) == held, "no debit, no grant"
    assert counted(server, "ocs_conflicts_total") == conflicts + 2 * len(others)
    assert told(server, "request in conflict", session_id="37;1", result_code=5012, octets=101)
    assert ask(gateway, "37;1", UPDATE, 1, mscc(1, used=100)).avps == first.avps, "the first answer is kept"
    ask(gateway, "37;1", TERMINATION, 2, mscc(1, used=11, asked=False))
    assert charged(server, before) == 111


@pytest.mark.fault(38)
@pytest.mark.parametrize("numbers", [(1, 3, 2), (5, 9, 4, 2**32 - 1, 7), (0xFFFFFFFE, 1)])
def test_numbers_out_of_order_and_with_gaps(server: OcsServer, gateway: Gateway, numbers: tuple[int, ...]) -> None:
    before, session = conserved(server), f"38;{numbers}"
    assert ask(gateway, session, INITIAL, 0, mscc(1)).result_code == 2001
    answers = {}
    for place, number in enumerate(numbers):
        answers[number] = ask(gateway, session, UPDATE, number, mscc(1, used=10**place))
        assert services(answers[number])[0].granted
    for place, number in reversed(list(enumerate(numbers))):
        again = ask(gateway, session, UPDATE, number, mscc(1, used=10**place), flags=RESENT)
        assert again.avps == answers[number].avps
    last = ask(gateway, session, TERMINATION, 10, mscc(1, used=5 * 10**6, asked=False))
    assert last.result_code == 2001
    assert charged(server, before) == sum(10**place for place in range(len(numbers))) + 5 * 10**6


@pytest.mark.fault(37, 39, 42)
def test_what_no_session_takes_is_on_a_list(tmp_path: Path) -> None:
    """5002 for an unknown session; its octets are written down once for each attempt, and charged to nobody."""
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=1_000_000)
        with Gateway(server.gy_port).open() as gateway:
            before = conserved(server)
            assert ask(gateway, "39;u", UPDATE, 7, mscc(1, used=1001)).result_code == 5002
            assert ask(gateway, "39;t", TERMINATION, 8, mscc(1, used=2002, asked=False)).result_code == 5002
            assert ask(gateway, "39;empty", TERMINATION, 8).result_code == 5002
            assert conserved(server) == before
            assert told(server, "request in conflict", session_id="39;u", result_code=5002, octets=1001)
            # The gateway that was told so begins anew, under the same name.
            ask(gateway, "39;u", INITIAL, 8, mscc(1))
            ask(gateway, "39;u", UPDATE, 9, mscc(1, used=3))
            assert ask(gateway, "39;u", UPDATE, 9, mscc(1, used=4)).result_code == 5012
            last = ask(gateway, "39;u", TERMINATION, 10, mscc(1, used=1_500_000, asked=False))
            assert last.result_code == 2001, "more than the balance; there is nothing left to refuse"
        after = conserved(server)
        assert (after["available"], after["consumed"], after["overrun"]) == (0, 1_000_000, 500_003)
        assert server.stop() == 0, server.tail()
        server.verify()
        assert incidents(server) == [
            ("conflict", "39;u", 5002, 1001),
            ("conflict", "39;t", 5002, 2002),
            ("conflict", "39;u", 5012, 4),
            ("overrun", "39;u", 2001, 1_500_000),
        ]


@pytest.mark.fault(40)
def test_a_second_beginning_a_second_end_and_a_word_after_it(server: OcsServer, gateway: Gateway) -> None:
    before = conserved(server)
    first = ask(gateway, "40;1", INITIAL, 0, mscc(1))
    held = conserved(server)
    assert ask(gateway, "40;1", INITIAL, 0, mscc(1)).avps == first.avps
    assert ask(gateway, "40;1", INITIAL, 0, mscc(2)).result_code == 5012, "other content"
    assert ask(gateway, "40;1", INITIAL, 1, mscc(1)).result_code == 5012, "another number"
    assert conserved(server) == held, "never a second reservation beside the first"
    last = ask(gateway, "40;1", TERMINATION, 2, mscc(1, used=60, asked=False))
    ended = conserved(server)
    assert ended["reserved"] == 0
    assert ask(gateway, "40;1", TERMINATION, 2, mscc(1, used=60, asked=False)).avps == last.avps
    assert ask(gateway, "40;1", TERMINATION, 3, mscc(1, used=60, asked=False)).result_code == 5002
    assert ask(gateway, "40;1", TERMINATION, 2, mscc(1, used=61, asked=False)).result_code == 5012
    assert ask(gateway, "40;1", UPDATE, 4, mscc(1, used=60)).result_code == 5002
    assert conserved(server) == ended, "nothing moves"
    assert charged(server, before) == 60


@pytest.mark.fault(42)
def test_more_than_was_granted_is_charged_in_full(server: OcsServer, gateway: Gateway) -> None:
    before, over = conserved(server), counted(server, "ocs_notes_total", note="over_grant")
    granted = services(ask(gateway, "42;1", INITIAL, 0, mscc(1)))[0].granted
    assert granted is not None
    answer = ask(gateway, "42;1", UPDATE, 1, mscc(1, used=3 * granted))
    assert (answer.result_code, services(answer)[0].result_code) == (2001, 2001)
    assert conserved(server)["consumed"] == before["consumed"] + 3 * granted
    ask(gateway, "42;1", TERMINATION, 2, mscc(1, used=10**9, asked=False))
    assert charged(server, before) == 3 * granted + 10**9
    assert counted(server, "ocs_notes_total", note="over_grant") == over + 2


@pytest.mark.fault(42)
def test_more_than_the_balance_holds_is_owed(tmp_path: Path) -> None:
    with finished(OcsServer(tmp_path)) as server:
        server.add_operator(credit=20_000_000)
        with Gateway(server.gy_port).open() as gateway:
            ask(gateway, "42;2", INITIAL, 0, mscc(1))
            answer = ask(gateway, "42;2", UPDATE, 1, mscc(1, used=26_000_000))
            assert answer.result_code == 5003
            assert conserved(server) | {"credited": 0, "written_off": 0} == {
                "credited": 0,
                "available": 0,
                "reserved": 0,
                "consumed": 20_000_000,
                "overrun": 6_000_000,
                "written_off": 0,
            }
            assert told(server, "use to look at", session_id="42;2")
            assert counted(server, "ocs_overrun_credits_total") == 6_000_000
            again = ask(gateway, "42;2", UPDATE, 1, mscc(1, used=26_000_000), flags=RESENT)
            assert again.avps == answer.avps
            # What is owed is paid first, and once.
            server.top_up(10_000_000)
            assert conserved(server)["available"] == 4_000_000
            ask(gateway, "42;2", TERMINATION, 2)
            assert conserved(server)["consumed"] == 26_000_000


@pytest.mark.fault(41)
def test_a_gateway_that_dies_after_each_kind_of_request(tmp_path: Path) -> None:
    """It resets its connection once the request is on its way; nobody comes again."""
    with finished(OcsServer(tmp_path, {"quota": {"validity_seconds": 1}})) as server:
        server.add_operator(credit=10**9)
        quiet = size(server).descriptors
        for last in (INITIAL, UPDATE, TERMINATION):
            for answered in (True, False):
                with Gateway(server.gy_port, host=f"dying-{last}-{answered}.example").open() as gateway:
                    session = f"41;{last};{answered}"
                    script = [(INITIAL, None), (UPDATE, 500), (TERMINATION, 70)][:last]
                    for number, (kind, used) in enumerate(script[:-1]):
                        ask(gateway, session, kind, number, mscc(1, used=used, asked=True))
                    kind, used = script[-1]
                    avps = ccr(gateway, session, kind, last - 1, mscc(1, used=used, asked=kind != TERMINATION))
                    sent = gateway.send(CCR, avps)
                    if answered:
                        gateway.answer(sent)
                    else:
                        wait_for("the request is served", partial(served, server, session, last))
                    gateway.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert conserved(server)["reserved"] > 0
        with Gateway(server.gy_port, host="sound.example").open() as sound:
            assert ask(sound, "41;sound", INITIAL, 0, mscc(1)).result_code == 2001
            ask(sound, "41;sound", TERMINATION, 1)
        wait_for("supervision ends them", lambda: conserved(server)["reserved"] == 0)
        # Two sessions reported 500 and died, two more went on to report 70 with their end.
        assert conserved(server)["consumed"] == 2 * 500 + 2 * 570
        assert counted(server, "ocs_sessions_expired_total") == 4
        assert not server.api.get("/api/v1/sessions", params={"state": "open"}).json()["items"]
        wait_for("no descriptor is left behind", lambda: size(server).descriptors <= quiet)


def served(server: OcsServer, session: str, requests: int) -> bool:
    shown = server.api.get(f"/api/v1/sessions/{session.replace(';', '%3B')}")
    return shown.status_code == 200 and shown.json()["requests"] == requests
