"""Who may talk, and when: what comes before a CER, strangers, no common ground, two of one name; rows 23 to 26."""

from collections.abc import Iterator

import pytest

from faults.audit import HONEST, Audit, Honest, served, until
from live.ocs_server import OcsServer
from live.wire import (
    ASR,
    CCR,
    CER,
    DPR,
    DWR,
    INITIAL,
    RAR,
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

KNOWN, ELSEWHERE = "known.visited.example", "elsewhere.visited.example"
WAITING_MAX = 1000
KEPT_KB_MAX = 8 * 1024
FAILED_AVP, ERROR_MESSAGE, ORIGIN_STATE_ID, INBAND_SECURITY_ID = 279, 281, 278, 299


@pytest.fixture(scope="module")
def fault_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OcsServer, Honest]]:
    """A server that knows its peers."""
    peers = [
        {"origin_host": HONEST},
        {"origin_host": KNOWN},
        {"origin_host": ELSEWHERE, "addresses": ["192.0.2.0/24", "2001:db8::/32"]},
    ]
    with served(tmp_path_factory.mktemp("known"), {"gy": {"peers": peers}}) as running:
        yield running


def watchdog(gateway: Gateway) -> list[bytes]:
    return [avp(264, gateway.host), avp(296, gateway.realm)]


def goodbye(gateway: Gateway) -> list[bytes]:
    return [*watchdog(gateway), avp(273, 0)]


def begun(gateway: Gateway, session: str) -> None:
    assert gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1))).result_code == 2001


def ended(audit: Audit, gateway: Gateway, session: str) -> None:
    """Report with the number 1 and end: nothing before has used it."""
    assert gateway.ask(CCR, ccr(gateway, session, UPDATE, 1, mscc(1, used=70))).result_code == 2001
    assert gateway.ask(CCR, ccr(gateway, session, TERMINATION, 2)).result_code == 2001
    audit.used += 70


@pytest.mark.fault(23)
def test_something_before_the_cer(audit: Audit) -> None:
    session = f"{KNOWN};23"
    with Gateway(audit.port, host=KNOWN).open() as gateway:
        begun(gateway, session)
        gateway.leave()
    early = [
        (0xC0, CCR, 4, ccr(gateway, session, UPDATE, 1, mscc(1, used=5000))),
        (0x80, DWR, 0, watchdog(gateway)),
        (0x80, DPR, 0, goodbye(gateway)),
        (0x00, CER, 0, [avp(268, 2001), *watchdog(gateway)]),
        (0x00, DWR, 0, [avp(268, 2001), *watchdog(gateway)]),
        (0x40, CCR, 4, [avp(268, 2001), *watchdog(gateway)]),
        (0x40, RAR, 4, [avp(268, 2001), *watchdog(gateway)]),
        (0xC0, ASR, 4, watchdog(gateway)),
        (0xC0, 999, 77, []),
        (0xE0, CCR, 4, []),
    ]
    for flags, command, application, avps in early:
        with Gateway(audit.port, host=KNOWN) as gateway:
            # A CER right behind it, and a CCR, come too late.
            gateway.put(message(flags, command, application, 7, 8, avps) + introduction(gateway))
            with pytest.raises(ConnectionError):
                gateway.receive()
    assert audit.rose("ocs_connections_closed", reason="not-an-introduction") == len(early)
    for flags, application, code in ((0xA0, 0, 3008), (0x80, 4, 3001), (0x80, 16777238, 3007)):
        with Gateway(audit.port, host=KNOWN) as gateway:
            gateway.put(message(flags, CER, application, 7, 8, watchdog(gateway)))
            answer = gateway.answer(7)
            assert (answer.result_code, answer.flags) == (code, 0x20)
            assert gateway.closed()
    with Gateway(audit.port, host=KNOWN).open() as gateway:
        ended(audit, gateway, session)


def introduction(gateway: Gateway) -> bytes:
    avps = [*watchdog(gateway), avp(257, b"\0\1\x7f\0\0\1"), avp(266, 0), avp(269, "x", mandatory=False), avp(258, 4)]
    return message(0x80, CER, 0, 5, 6, avps)


@pytest.mark.fault(23)
def test_a_second_cer(audit: Audit) -> None:
    session = f"{KNOWN};23;second"
    with Gateway(audit.port, host=KNOWN).open() as gateway:
        begun(gateway, session)
        for host in (KNOWN, HONEST, "stranger.visited.example"):
            gateway.host = host
            answer = gateway.introduce()
            assert (answer.result_code, answer.flags) == (5012, 0)
        gateway.host = KNOWN
        (peer,) = [one for one in connected(audit) if one != HONEST]
        assert peer == KNOWN, "it is who it was"
        assert waiting(audit) == []
        ended(audit, gateway, session)
    assert audit.rose("ocs_refusals", result_code="5012") == 3


def peers(audit: Audit) -> dict[str, list[dict[str, str]]]:
    return dict(audit.server.api.get("/api/v1/peers").json())


def connected(audit: Audit) -> list[str]:
    return [one["origin_host"] for one in peers(audit)["connected"]]


def waiting(audit: Audit) -> list[tuple[str, str, str]]:
    return [(one["origin_host"], one["address"], one["reason"]) for one in peers(audit)["waiting"]]


def turned_away(gateway: Gateway) -> Message:
    with gateway:
        answer = gateway.introduce()
        assert gateway.closed()
    return answer


@pytest.mark.fault(24)
def test_strangers_wait_and_their_list_is_bounded(audit: Audit) -> None:
    answer = turned_away(Gateway(audit.port, host="stranger.visited.example"))
    assert (answer.result_code, answer.flags) == (3010, 0x20)
    assert not answer.avps.has(FAILED_AVP)
    assert turned_away(Gateway(audit.port, host=ELSEWHERE.upper())).result_code == 3010
    assert waiting(audit) == [
        ("stranger.visited.example", "127.0.0.1", "unknown identity"),
        (ELSEWHERE.upper(), "127.0.0.1", "known, but not from this address"),
    ]
    with Gateway(audit.port, host="stranger.visited.example") as gateway:
        gateway.put(introduction(gateway) + message(0xC0, CCR, 4, 9, 9, ccr(gateway, "s;1", INITIAL, 0, mscc(1))))
        assert gateway.answer(5).result_code == 3010
        assert gateway.closed(), "and what came behind is not served"
    for number in range(WAITING_MAX):
        assert turned_away(Gateway(audit.port, host=f"s{number}.visited.example")).result_code == 3010
    warm = audit.memory_kb()
    for number in range(WAITING_MAX, WAITING_MAX + 500):
        assert (
            turned_away(Gateway(audit.port, host=f"s{number}.visited.example", product="x" * 4000)).result_code == 3010
        )
    assert audit.memory_kb() < warm + KEPT_KB_MAX
    listed = [host for host, _, _ in waiting(audit)]
    assert listed == [f"s{number}.visited.example" for number in range(500, WAITING_MAX + 500)], "the newest"
    assert audit.rose("ocs_peers_refused", reason="unknown-peer") == WAITING_MAX + 503
    assert audit.rose("ocs_connections_closed", reason="refused") == WAITING_MAX + 503
    assert connected(audit) == [HONEST]


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    ("code", "leave_out", "more"),
    [
        (5010, (258,), []),
        (5010, (258,), [avp(258, 16777238)]),
        (5010, (258,), [avp(259, 3)]),
        (5010, (258,), [group(260, avp(266, 10415), avp(258, 16777251))]),
        (5017, (), [avp(INBAND_SECURITY_ID, 1)]),
        (5017, (), [avp(INBAND_SECURITY_ID, 2), avp(INBAND_SECURITY_ID, 1)]),
        (5010, (258,), [avp(INBAND_SECURITY_ID, 1)]),
    ],
)
def test_no_common_ground(audit: Audit, code: int, leave_out: tuple[int, ...], more: list[bytes]) -> None:
    with Gateway(audit.port, host=KNOWN) as gateway:
        answer = gateway.introduce(*more, leave_out=leave_out)
        assert (answer.result_code, answer.flags) == (code, 0)
        assert {264, 296, 257, 266, 269} <= {one.code for one in answer.avps}, "in the CEA's own grammar"
        assert answer.avps.has(ERROR_MESSAGE)
        assert gateway.closed()
    assert audit.rose("ocs_refusals", result_code=str(code)) == 1
    assert connected(audit) == [HONEST]
    with Gateway(audit.port, host=KNOWN) as gateway:
        # What is common beside what is not is enough.
        both = [avp(258, 16777238), avp(INBAND_SECURITY_ID, 1), avp(INBAND_SECURITY_ID, 0)]
        assert gateway.introduce(*both).result_code == 2001
        assert gateway.ask(CCR, ccr(gateway, f"{KNOWN};25", UPDATE, 1, mscc(1))).result_code == 5002, "it serves"


@pytest.mark.fault(26)
def test_two_of_one_name(audit: Audit) -> None:
    session = f"{KNOWN};26"
    with Gateway(audit.port, host=KNOWN).open() as first:
        begun(first, session)
        for host in (KNOWN, KNOWN.upper()):
            answer = turned_away(Gateway(audit.port, host=host))
            assert (answer.result_code, answer.flags) == (4003, 0)
        assert audit.rose("ocs_refusals", result_code="4003") == 2
        assert first.ask(CCR, ccr(first, session, UPDATE, 1, mscc(1, used=70))).result_code == 2001
        first.leave()
    until(lambda: connected(audit) == [HONEST], "the first has left")
    with Gateway(audit.port, host=KNOWN).open() as second:
        again = second.ask(CCR, ccr(second, session, UPDATE, 1, mscc(1, used=70)), flags=0xD0)
        assert again.result_code == 2001
        assert second.ask(CCR, ccr(second, session, TERMINATION, 2)).result_code == 2001
    audit.used += 70
    assert audit.rose("ocs_repeats") == 1


@pytest.mark.fault(26)
def test_a_gateway_that_started_again_takes_its_place(audit: Audit) -> None:
    """A risen Origin-State-Id shows that the older connection is dead, though nobody said so."""
    session = f"{KNOWN};26;state"
    with Gateway(audit.port, host=KNOWN) as first:
        assert first.introduce(avp(ORIGIN_STATE_ID, 100)).result_code == 2001
        begun(first, session)
        for state in (0, 99, 100):
            with Gateway(audit.port, host=KNOWN) as older:
                assert older.introduce(avp(ORIGIN_STATE_ID, state)).result_code == 4003
        with Gateway(audit.port, host=KNOWN) as second:
            assert second.introduce(avp(ORIGIN_STATE_ID, 101)).result_code == 2001
            assert first.closed()
            assert sorted(connected(audit)) == sorted([HONEST, KNOWN])
            ended(audit, second, session)
