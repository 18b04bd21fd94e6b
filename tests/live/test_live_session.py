"""A gateway's sessions on a running server, over real sockets, to the byte."""

import json
import time

import pytest

from live.ocs_server import OcsServer
from live.wire import (
    ASR,
    CCR,
    EVENT,
    INITIAL,
    RAR,
    TERMINATION,
    UPDATE,
    Gateway,
    Service,
    avp,
    ccr,
    group,
    mscc,
    services,
)

pytestmark = pytest.mark.live


def test_a_session_is_charged_to_the_byte(server: OcsServer) -> None:
    server.add_operator(price=3, per_octets=1000, credit=1_000_000)
    with Gateway(server.gy_port).open() as gateway:
        first = gateway.ask(CCR, ccr(gateway, "s;1", INITIAL, 0, mscc(1), mscc(2)))
        assert first.result_code == 2001
        assert [(one.rating_group, one.result_code, one.granted) for one in services(first)] == [
            (1, 2001, 10_000_000),
            (2, 2001, 10_000_000),
        ]
        assert server.balance() == {
            "credited": 1_000_000,
            "available": 940_000,
            "reserved": 60_000,
            "consumed": 0,
            "overrun": 0,
            "written_off": 0,
        }
        second = gateway.ask(CCR, ccr(gateway, "s;1", UPDATE, 1, mscc(1, used=1_500_001, reason=3)))
        assert services(second)[0].result_code == 2001
        assert server.balance()["consumed"] == 3 * 1501
        last = gateway.ask(
            CCR,
            ccr(gateway, "s;1", TERMINATION, 2, mscc(1, used=999, asked=False), mscc(2, used=1, asked=False)),
        )
        assert last.result_code == 2001
        assert [(one.rating_group, one.result_code, one.granted) for one in services(last)] == [
            (1, 2001, None),
            (2, 2001, None),
        ]
        gateway.leave()
    # 1,501,000 octets of group 1 are 1501 blocks; one octet of group 2 is a block of its own.
    assert server.balance() == {
        "credited": 1_000_000,
        "available": 1_000_000 - 3 * 1502,
        "reserved": 0,
        "consumed": 3 * 1502,
        "overrun": 0,
        "written_off": 0,
    }
    shown = server.session("s;1")
    assert shown["state"] == "ended"
    assert len(shown["history"]) == 3
    assert server.stop() == 0, server.tail()
    server.verify()


@pytest.mark.fault(36)
def test_a_repeat_gets_the_same_answer_and_charges_nothing(server: OcsServer) -> None:
    """With or without the T bit, on the same or a new connection, before and after a restart."""
    server.add_operator(credit=10**9)
    script = [
        (INITIAL, 0, [mscc(1)]),
        (UPDATE, 1, [mscc(1, used=123_456)]),
        (UPDATE, 2, [mscc(1, used=7)]),
        (TERMINATION, 3, [mscc(1, used=11, asked=False)]),
    ]
    answers = []
    for kind, number, parts in script:
        with Gateway(server.gy_port).open() as gateway:
            answer = gateway.ask(CCR, ccr(gateway, "r;1", kind, number, *parts))
            again = gateway.ask(CCR, ccr(gateway, "r;1", kind, number, *parts), flags=0xD0)
            assert again.avps == answer.avps
            answers.append(answer.avps)
        before = server.balance()
        with Gateway(server.gy_port).open() as other:
            assert other.ask(CCR, ccr(other, "r;1", kind, number, *parts)).avps == answer.avps
        assert server.balance() == before
    server.kill()
    server.start()
    after = server.balance()
    with Gateway(server.gy_port).open() as gateway:
        for (kind, number, parts), before_kill in zip(script, answers, strict=True):
            again = gateway.ask(CCR, ccr(gateway, "r;1", kind, number, *parts), flags=0xD0)
            assert again.avps == before_kill
    assert server.balance() == after
    assert after["consumed"] == 123_456 + 7 + 11
    assert server.stop() == 0
    server.verify()


@pytest.mark.fault(36, 37, 38)
def test_an_old_repeat_is_recalled_from_the_journal(server: OcsServer) -> None:
    """A session remembers its last four answers; the journal remembers all of them."""
    server.add_operator(credit=10**9)
    with Gateway(server.gy_port).open() as gateway:
        gateway.ask(CCR, ccr(gateway, "old;1", INITIAL, 0, mscc(1)))
        third = gateway.ask(CCR, ccr(gateway, "old;1", UPDATE, 3, mscc(1, used=333)))
        for number in range(4, 20):
            gateway.ask(CCR, ccr(gateway, "old;1", UPDATE, number, mscc(1, used=1)))
        before = server.balance()
        assert gateway.ask(CCR, ccr(gateway, "old;1", UPDATE, 3, mscc(1, used=333))).avps == third.avps
        other = gateway.ask(CCR, ccr(gateway, "old;1", UPDATE, 3, mscc(1, used=334)))
        assert other.result_code == 5012
        never = gateway.ask(CCR, ccr(gateway, "old;1", UPDATE, 2, mscc(1, used=5)))
        assert never.result_code == 2001, "a number that was never served is served, in whatever order it comes"
    assert server.balance()["consumed"] == before["consumed"] + 5


@pytest.mark.fault(37)
def test_the_same_number_with_other_content_is_refused_and_told(server: OcsServer) -> None:
    server.add_operator(credit=10**9)
    with Gateway(server.gy_port).open() as gateway:
        gateway.ask(CCR, ccr(gateway, "c;1", INITIAL, 0, mscc(1)))
        gateway.ask(CCR, ccr(gateway, "c;1", UPDATE, 1, mscc(1, used=100)))
        before = server.balance()
        assert gateway.ask(CCR, ccr(gateway, "c;1", UPDATE, 1, mscc(1, used=101))).result_code == 5012
        assert server.balance() == before
    metrics = server.api.get("/metrics").text
    assert "ocs_conflicts_total 1.0" in metrics
    assert "request in conflict" in server.log.read_text()


@pytest.mark.fault(44)
def test_a_top_up_ends_the_drought_by_rar(server: OcsServer) -> None:
    server.add_operator(credit=1_000_000)
    with Gateway(server.gy_port).open() as gateway:
        first = gateway.ask(CCR, ccr(gateway, "d;1", INITIAL, 0, mscc(1)))
        assert services(first) == [Service(1, 2001, 1_000_000, final=True, validity=3600)]
        server.top_up(10**9)
        asked = gateway.request()
        assert (asked.command, asked.avps.one(263).data) == (RAR, b"d;1")
        gateway.reply(asked, 2002)
        second = gateway.ask(CCR, ccr(gateway, "d;1", UPDATE, 1, mscc(1, used=400_000, reason=7)))
        assert services(second)[0].final is False
        assert (services(second)[0].granted or 0) >= 10_000_000


@pytest.mark.fault(42)
def test_exhaustion_refuses_with_the_code_of_the_settlement_proposal(server: OcsServer) -> None:
    server.add_operator(credit=2_000_000)
    with Gateway(server.gy_port).open() as gateway:
        assert services(gateway.ask(CCR, ccr(gateway, "x;1", INITIAL, 0, mscc(1))))[0].final
        last = gateway.ask(CCR, ccr(gateway, "x;1", UPDATE, 1, mscc(1, used=2_000_000, reason=3)))
        assert last.result_code == 5003
        assert gateway.ask(CCR, ccr(gateway, "x;2", INITIAL, 0, mscc(1))).result_code == 5003
        done = gateway.ask(CCR, ccr(gateway, "x;1", TERMINATION, 2, mscc(1, used=5, asked=False)))
        assert done.result_code == 2001
    assert server.balance() == {
        "credited": 2_000_000,
        "available": 0,
        "reserved": 0,
        "consumed": 2_000_000,
        "overrun": 5,
        "written_off": 0,
    }


def test_terminate_sends_an_asr(server: OcsServer) -> None:
    server.add_operator(credit=10**9)
    with Gateway(server.gy_port).open() as gateway:
        gateway.ask(CCR, ccr(gateway, "t;1", INITIAL, 0, mscc(1)))
        done = server.ocs("session", "terminate", "t;1", "--reason", "maintenance")
        assert done.returncode == 0, done.stderr
        asked = gateway.request()
        assert (asked.command, asked.avps.one(263).data) == (ASR, b"t;1")
        gateway.reply(asked, 2001)
        refused = gateway.ask(CCR, ccr(gateway, "t;1", UPDATE, 1, mscc(1, used=10)))
        assert refused.result_code != 2001 or services(refused)[0].granted is None
        assert gateway.ask(CCR, ccr(gateway, "t;1", TERMINATION, 2)).result_code == 2001
    assert server.balance()["consumed"] == 10


def test_events_charge_refund_and_tell(server: OcsServer) -> None:
    server.add_operator(price=2, per_octets=1000, credit=10_000)
    with Gateway(server.gy_port).open() as gateway:

        def event(session_id: str, action: int, octets: int) -> tuple[int, dict[int, bytes]]:
            units = group(437, avp(421, octets.to_bytes(8, "big")))
            service = group(456, units, avp(432, 5))
            answer = gateway.ask(CCR, ccr(gateway, session_id, EVENT, 0, service, more=[avp(436, action)]))
            return answer.result_code, {one.code: one.data for one in answer.avps}

        assert event("e;1", 0, 2500)[0] == 2001
        assert server.balance()["consumed"] == 6
        assert event("e;1", 0, 2500)[0] == 2001, "a repeat"
        assert server.balance()["consumed"] == 6
        assert event("e;2", 1, 1000)[0] == 2001
        assert server.balance()["consumed"] == 4
        code, told = event("e;3", 2, 1000)
        assert (code, told[422]) == (2001, bytes(4))
        code, told = event("e;4", 2, 10**9)
        assert (code, told[422]) == (2001, bytes([0, 0, 0, 1]))
        code, told = event("e;5", 3, 2500)
        assert code == 2001
        assert 423 in told
    assert server.balance()["reserved"] == 0


@pytest.mark.fault(24)
def test_a_stranger_waits_until_it_is_allowed(tmp_path_factory: pytest.TempPathFactory) -> None:
    with OcsServer(tmp_path_factory.mktemp("ocs"), {"gy": {"peers": []}}) as server:
        with Gateway(server.gy_port, host="new.visited.example") as stranger:
            refused = stranger.introduce()
            assert refused.result_code == 3010
            assert refused.flags & 0x20
            assert stranger.closed()
        shown = json.loads(server.ocs("peer", "list", "-o", "json").stdout)
        text = json.dumps(shown)
        command = "ocs peer allow new.visited.example --address 127.0.0.1"
        assert command in text
        assert server.ocs(*command.split()[1:]).returncode == 0
        with Gateway(server.gy_port, host="new.visited.example") as peer:
            peer.open()
        server.kill()
        server.start()
        with Gateway(server.gy_port, host="new.visited.example") as peer:
            peer.open()
        assert server.ocs("peer", "revoke", "new.visited.example").returncode == 0
        with Gateway(server.gy_port, host="new.visited.example") as peer:
            assert peer.introduce().result_code == 3010


@pytest.mark.fault(41)
def test_an_abandoned_session_ends_and_returns_what_was_reserved(tmp_path_factory: pytest.TempPathFactory) -> None:
    with OcsServer(tmp_path_factory.mktemp("ocs"), {"quota": {"validity_seconds": 1}}) as server:
        server.add_operator(credit=10**9)
        with Gateway(server.gy_port).open() as gateway:
            gateway.ask(CCR, ccr(gateway, "a;1", INITIAL, 0, mscc(1)))
            gateway.ask(CCR, ccr(gateway, "a;1", UPDATE, 1, mscc(1, used=50)))
            assert server.balance()["reserved"] > 0
            until = time.monotonic() + 10
            while server.balance()["reserved"] and time.monotonic() < until:
                time.sleep(0.1)
            balance = server.balance()
            assert (balance["reserved"], balance["consumed"]) == (0, 50)
            assert server.session("a;1")["state"] == "ended"
            assert gateway.ask(CCR, ccr(gateway, "a;1", UPDATE, 2, mscc(1, used=5))).result_code == 5002


def test_many_sessions_never_hold_more_than_the_balance(server: OcsServer) -> None:
    server.add_operator(credit=25_000_000)
    with Gateway(server.gy_port).open() as gateway:
        granted = 0
        for number in range(200):
            answer = gateway.ask(CCR, ccr(gateway, f"m;{number}", INITIAL, 0, mscc(1), imsi=f"00101{number:010}"))
            granted += sum(one.granted or 0 for one in services(answer))
        assert granted <= 25_000_000
        balance = server.balance()
        assert balance["reserved"] == granted
        assert balance["available"] == 25_000_000 - granted


@pytest.mark.fault(52)
def test_a_second_server_on_the_same_data_is_refused(server: OcsServer) -> None:
    done = server.ocs("serve")
    assert done.returncode == 5, done.stderr
    assert "already runs on data folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_restart_says_the_same_origin_state_id(server: OcsServer) -> None:
    with Gateway(server.gy_port) as gateway:
        before = gateway.introduce().avps.one(278).number
    server.kill()
    server.start()
    with Gateway(server.gy_port) as gateway:
        assert gateway.introduce().avps.one(278).number == before, "no session was lost"
