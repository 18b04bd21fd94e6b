"""A balance that runs out under a thousand requests, and one that is filled again: rows 43 and 44."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faults.aftermath import conserved, counted, finished, told
from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, RAR, TERMINATION, UPDATE, Gateway, Message, ccr, message, mscc, services

pytestmark = pytest.mark.live

GATEWAYS, SESSIONS = 8, 125
CREDIT = 400_003
PRICE, PER_OCTETS = 7, 1000


class Asking:
    """One of many gateways that ask at once: all its requests in one write, and only then their answers."""

    def __init__(self, server: OcsServer, number: int) -> None:
        self.gateway = Gateway(server.gy_port, host=f"gw{number}.visited.example", timeout=20).open()
        self.sessions = [f"43;{number};{place}" for place in range(SESSIONS)]

    def all(self, kind: int, number: int, parts: dict[str, bytes]) -> dict[str, Message]:
        asked = {session: place for place, session in enumerate(self.sessions) if session in parts}
        self.gateway.put(
            b"".join(
                message(0xC0, CCR, 4, place, place, ccr(self.gateway, session, kind, number, parts[session]))
                for session, place in asked.items()
            )
        )
        return {session: self.gateway.answer(place) for session, place in asked.items()}


@pytest.mark.fault(43)
def test_a_thousand_requests_at_once_share_what_is_left(tmp_path: Path) -> None:
    with finished(OcsServer(tmp_path)) as server, ThreadPoolExecutor(GATEWAYS) as threads:
        server.add_operator(price=PRICE, per_octets=PER_OCTETS, credit=CREDIT)
        asking = [Asking(server, number) for number in range(GATEWAYS)]

        def all_at_once(kind: int, number: int, parts: dict[str, bytes]) -> dict[str, Message]:
            found = threads.map(lambda one: one.all(kind, number, parts), asking)
            return {session: answer for each in found for session, answer in each.items()}

        opening = {session: mscc(1) for one in asking for session in one.sessions}
        answers = all_at_once(INITIAL, 0, opening)
        assert len(answers) == GATEWAYS * SESSIONS
        granted = {session: services(one)[0] for session, one in answers.items() if one.result_code == 2001}
        assert {one.result_code for session, one in answers.items() if session not in granted} == {5003}

        # To the credit: each grant is whole blocks, and together they are no more than the balance.
        blocks = {session: -(-(one.granted or 0) // PER_OCTETS) for session, one in granted.items()}
        assert all(blocks.values())
        held = conserved(server)
        assert held["reserved"] == PRICE * sum(blocks.values()) <= CREDIT
        assert held["available"] < PRICE * 100, "what is left is less than the smallest share of 100 kB"
        assert any(one.final for one in granted.values()), "the last one is told so"
        assert server.api.get("/readyz").status_code == 200

        # Again, with nothing new to be had.
        assert {session: one.avps for session, one in all_at_once(INITIAL, 0, opening).items()} == {
            session: one.avps for session, one in answers.items()
        }
        assert conserved(server) == held

        # All of it is used; then a second thousand finds nothing, and nobody owes.
        used = {session: mscc(1, used=blocks[session] * PER_OCTETS, asked=False) for session in granted}
        assert {one.result_code for one in all_at_once(TERMINATION, 1, used).values()} == {2001}
        after = conserved(server)
        assert (after["reserved"], after["overrun"]) == (0, 0)
        assert after["consumed"] == held["reserved"]
        for one in asking:
            one.gateway.socket.close()


def drought(server: OcsServer, gateway: Gateway, session: str) -> Message:
    return gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1)))


@pytest.mark.fault(44)
def test_a_top_up_calls_back_who_is_on_the_last_grant_or_has_none(tmp_path: Path) -> None:
    """RAR to each, whether it answers 2002, refuses, or says nothing; the next CCR-U brings quota to all of them."""
    with finished(OcsServer(tmp_path, {"quota": {"no_balance_code": 4012}})) as server:
        server.add_operator(credit=1_000_000)
        with (
            Gateway(server.gy_port).open() as gateway,
            Gateway(server.gy_port, host="away.visited.example").open() as away,
        ):
            last = services(drought(server, gateway, "44;last"))[0]
            assert (last.granted, last.final) == (1_000_000, True)
            refused = ("44;refused", "44;unwilling", "44;mute")
            for session in refused:
                none = services(drought(server, gateway, session))[0]
                assert (none.result_code, none.granted) == (4012, None)
            assert services(drought(server, away, "44;away"))[0].result_code == 4012
            away.leave()
            assert conserved(server)["available"] == 0

            server.top_up(10**9, key="44")
            asked = {}
            for _ in range(1 + len(refused)):
                request = gateway.request()
                assert request.command == RAR
                asked[request.avps.one(263).data.decode()] = request
            assert set(asked) == {"44;last", *refused}, "each once, and none over another peer's connection"
            gateway.reply(asked["44;last"], 2002)
            gateway.reply(asked["44;refused"], 2002)
            gateway.reply(asked["44;unwilling"], 5012)
            server.top_up(10**9, key="44")  # the same one again: credited once

            used = {"44;last": 900_000, "44;refused": None, "44;unwilling": None, "44;mute": None}
            for session, octets in used.items():
                answer = gateway.ask(CCR, ccr(gateway, session, UPDATE, 1, mscc(1, used=octets, reason=7)))
                assert (services(answer)[0].granted or 0) >= 10_000_000, session
                assert not services(answer)[0].final
            with Gateway(server.gy_port, host="away.visited.example").open() as back:
                answer = back.ask(CCR, ccr(back, "44;away", UPDATE, 1, mscc(1)))
                assert (services(answer)[0].granted or 0) >= 10_000_000
                for session in (*used, "44;away"):
                    gateway.ask(CCR, ccr(gateway, session, TERMINATION, 2, mscc(1, used=1, asked=False)))
        after = conserved(server)
        assert after["credited"] == 1_000_000 + 10**9
        assert (after["reserved"], after["consumed"], after["overrun"]) == (0, 900_000 + 5, 0)
        assert counted(server, "ocs_server_requests_total", result="2002") == 2
        assert counted(server, "ocs_server_requests_total", result="5012") == 1
        assert counted(server, "ocs_server_requests_total", result="not-connected") == 1
        assert told(server, "request of ours refused", result_code=5012)
