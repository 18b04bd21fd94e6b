"""Connections that break, drip or are not read, and goodbyes in the midst of work: rows 29, 30, 32 and 34."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.aftermath import conserved, counted, finished, size, told, wait_for
from faults.chaos import RESET, ChaosProxy
from live.ocs_server import OcsServer
from live.wire import CCR, DPR, INITIAL, TERMINATION, UPDATE, Gateway, Message, avp, ccr, group, message, mscc, services

pytestmark = pytest.mark.live

RESENT = 0xD0  # the T bit


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcsServer]:
    with finished(OcsServer(tmp_path_factory.mktemp("transport"))) as server:
        server.add_operator(credit=10**12)
        yield server


def ask(gateway: Gateway, session: str, kind: int, number: int, *parts: bytes, flags: int = 0xC0) -> Message:
    return gateway.ask(CCR, ccr(gateway, session, kind, number, *parts), flags=flags)


def part(kind: int) -> bytes:
    return mscc(1, used=None if kind == INITIAL else 100, asked=kind != TERMINATION)


def prepare(server: OcsServer, session: str, kind: int) -> int:
    """Open a session as far as a request of this kind needs it; give that request's number."""
    if kind == INITIAL:
        return 0
    with Gateway(server.gy_port, host="opener.visited.example").open() as opener:
        assert ask(opener, session, INITIAL, 0, mscc(1)).result_code == 2001
    return 1


def settle(server: OcsServer, session: str, kind: int, number: int, before: dict[str, int]) -> None:
    """Repeat the request of which the answer was lost, twice; then end the session and look at the money."""
    with Gateway(server.gy_port, host="again.visited.example").open() as gateway:
        first = ask(gateway, session, kind, number, part(kind), flags=RESENT)
        held = conserved(server)
        assert first.result_code == 2001
        assert ask(gateway, session, kind, number, part(kind), flags=RESENT).avps == first.avps
        assert conserved(server) == held
        if kind != TERMINATION:
            assert ask(gateway, session, TERMINATION, number + 1).result_code == 2001
    after = conserved(server)
    assert after["reserved"] == before["reserved"]
    assert after["consumed"] - before["consumed"] == (0 if kind == INITIAL else 100), "charged once"


@pytest.mark.fault(32)
@pytest.mark.parametrize("kind", [INITIAL, UPDATE, TERMINATION])
def test_a_reset_within_a_message(server: OcsServer, kind: int) -> None:
    before, session = conserved(server), f"32;cut;{kind}"
    number = prepare(server, session, kind)
    host = f"cut-{kind}.visited.example"
    with ChaosProxy(server.gy_port) as proxy, Gateway(proxy.port, host=host).open() as gateway:
        octets = message(0xC0, CCR, 4, 1, 1, ccr(gateway, session, kind, number, part(kind)))
        proxy.up.cut_after = 3 * len(octets) // 4
        held = conserved(server)
        gateway.put(octets)
        assert gateway.closed()
        wait_for("the log tells", lambda: told(server, "peer closed", peer=host, reason="lost"))
        assert conserved(server) == held, "half a request is none"
        assert "reset" in told(server, "peer closed", peer=host)[0]["detail"]
    settle(server, session, kind, number, before)


@pytest.mark.fault(32)
@pytest.mark.parametrize("kind", [INITIAL, UPDATE, TERMINATION])
@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_an_end_right_behind_a_request(server: OcsServer, kind: int, end: str) -> None:
    before, session = conserved(server), f"32;{end};{kind}"
    number = prepare(server, session, kind)
    host = f"{end}-{kind}.visited.example"
    with Gateway(server.gy_port, host=host).open() as gateway:
        gateway.send(CCR, ccr(gateway, session, kind, number, part(kind)))
        if end == "FIN":
            gateway.socket.shutdown(socket.SHUT_WR)
            assert gateway.closed()
        else:
            gateway.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    wait_for("the log tells", lambda: told(server, "peer closed", peer=host, reason="lost"))
    settle(server, session, kind, number, before)


@pytest.mark.fault(34)
def test_a_goodbye_behind_requests_is_answered_behind_their_answers(server: OcsServer) -> None:
    before, count, host = conserved(server), 200, "leaving.visited.example"
    with Gateway(server.gy_port, host=host).open() as gateway:
        script = [(INITIAL, 0, mscc(1)), *((UPDATE, number, mscc(1, used=number)) for number in range(1, count))]
        octets = [
            message(0xC0, CCR, 4, number, number, ccr(gateway, "34;1", kind, number, parts))
            for kind, number, parts in script
        ]
        goodbye = [avp(264, gateway.host), avp(296, gateway.realm), avp(273, 0)]
        octets.append(message(0x80, DPR, 0, count, count, goodbye))
        # What comes behind the goodbye is not for us any more: the gateway sends it elsewhere.
        octets.append(message(0xC0, CCR, 4, 9999, 9999, ccr(gateway, "34;1", UPDATE, count, mscc(1, used=10**6))))
        gateway.put(b"".join(octets))
        answers = [gateway.next() for _ in range(count + 1)]
        assert [answer.hop_by_hop for answer in answers] == list(range(count + 1)), "the DPA is last"
        assert {answer.result_code for answer in answers} == {2001}
        assert answers[-1].command == DPR
    wait_for("the log tells", lambda: told(server, "peer closed", peer=host, reason="left"))
    with Gateway(server.gy_port, host=host).open() as gateway:
        assert conserved(server)["consumed"] - before["consumed"] == sum(range(count))
        dropped = ask(gateway, "34;1", UPDATE, count, mscc(1, used=10**6), flags=RESENT)
        assert dropped.result_code == 2001
        ask(gateway, "34;1", TERMINATION, count + 1)
    after = conserved(server)
    assert after["reserved"] == before["reserved"]
    assert after["consumed"] - before["consumed"] == sum(range(count)) + 10**6


@pytest.mark.fault(32)
def test_a_slow_line_delays_itself_alone(server: OcsServer) -> None:
    """Each octet of its requests comes alone, each answer late; another gateway's whole sessions pass between."""
    before = conserved(server)
    with (
        ChaosProxy(server.gy_port) as proxy,
        Gateway(proxy.port, host="slow.visited.example").open() as slow,
        Gateway(server.gy_port, host="quick.visited.example", timeout=1).open() as quick,
    ):
        proxy.up.drip_seconds, proxy.down.delay_seconds = 0.0005, 0.2
        sent = slow.send(CCR, ccr(slow, "32;slow", INITIAL, 0, mscc(1)))
        for number in range(30):
            assert ask(quick, f"32;quick;{number}", INITIAL, 0, mscc(1)).result_code == 2001
            assert ask(quick, f"32;quick;{number}", TERMINATION, 1, part(TERMINATION)).result_code == 2001
        assert slow.answer(sent).result_code == 2001
        assert ask(slow, "32;slow", TERMINATION, 1, part(TERMINATION)).result_code == 2001
    assert conserved(server)["consumed"] - before["consumed"] == 31 * 100


def ask_without_end(deaf: Gateway, more: list[bytes]) -> None:
    for number in range(100_000):
        deaf.send(CCR, ccr(deaf, f"30;{number}", INITIAL, 0, mscc(1), more=more))


@pytest.mark.fault(30)
def test_who_never_reads_is_let_go_and_finds_its_grants(tmp_path: Path) -> None:
    """Each answer repeats 30 kB of a relay's Proxy-Info, so that few requests make many octets."""
    state = avp(33, bytes(30_000))
    relayed = [group(284, avp(280, "relay.example"), state)]
    host = "deaf.visited.example"
    with finished(OcsServer(tmp_path)) as server:
        server.add_operator(credit=10**12)
        with (
            Gateway(server.gy_port, host=host).open() as deaf,
            Gateway(server.gy_port, host="sound.visited.example").open() as sound,
        ):
            ask(sound, "30;sound", INITIAL, 0, mscc(1))
            before = size(server)
            with pytest.raises(ConnectionError):
                ask_without_end(deaf, relayed)
            after = size(server)
            assert after.resident_octets - before.resident_octets < 48 * 2**20, "what is not read is not kept for long"
            assert after.descriptors <= before.descriptors
            (why,) = told(server, "peer closed", peer=host)
            assert why["reason"] == "unread"
            assert counted(server, "ocs_connections_closed_total", reason="unread") == 1
            assert ask(sound, "30;sound", TERMINATION, 1, part(TERMINATION)).result_code == 2001
        held = conserved(server)
        assert held["reserved"] >= 100 * 10_000_000
        server.kill()
        server.start()
        assert conserved(server) == held
        with Gateway(server.gy_port, host=host).open() as again:
            for number in range(100):
                answer = again.ask(CCR, ccr(again, f"30;{number}", INITIAL, 0, mscc(1)), flags=RESENT)
                assert services(answer)[0].granted == 10_000_000
        assert conserved(server) == held, "each of them was granted before"
