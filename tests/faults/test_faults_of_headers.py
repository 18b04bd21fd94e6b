"""What the header of a message alone refuses, and answers that nobody waits for: rows 6 to 9 and 21."""

import pytest

from faults.audit import Audit, until
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
    avp,
    ccr,
    message,
    mscc,
    services,
)

pytestmark = pytest.mark.live

ODD = "odd.visited.example"


def ends_well(audit: Audit, gateway: Gateway, session_id: str) -> None:
    """Go on with the number that was refused, and end the session."""
    assert gateway.ask(CCR, ccr(gateway, session_id, UPDATE, 1, mscc(1, used=70))).result_code == 2001
    assert gateway.ask(CCR, ccr(gateway, session_id, TERMINATION, 2)).result_code == 2001
    audit.used += 70


def begun(gateway: Gateway, session_id: str) -> list[bytes]:
    """Begin a session; give the AVPs of its first report."""
    assert gateway.ask(CCR, ccr(gateway, session_id, INITIAL, 0, mscc(1))).result_code == 2001
    return ccr(gateway, session_id, UPDATE, 1, mscc(1, used=5000))


@pytest.mark.fault(6)
@pytest.mark.parametrize(("command", "application"), [(CCR, 4), (DWR, 0), (CER, 0), (DPR, 0)])
def test_the_e_bit_on_a_request(audit: Audit, command: int, application: int) -> None:
    with Gateway(audit.port, host=ODD).open() as gateway:
        update = begun(gateway, f"{ODD};6;{command}")
        for flags in (0xE0, 0xA0, 0xF0):
            answer = gateway.ask(command, update, application=application, flags=flags)
            assert answer.result_code == 3008
            assert answer.flags == 0x20 | flags & 0x40
            assert not answer.avps.has(279)
            assert answer.avps.one(263).data == f"{ODD};6;{command}".encode()
        ends_well(audit, gateway, f"{ODD};6;{command}")
    assert audit.rose("ocs_refusals", result_code="3008") == 3


@pytest.mark.fault(7)
@pytest.mark.parametrize("bits", [0x01, 0x08, 0x0F])
def test_reserved_bits_of_a_command(audit: Audit, bits: int) -> None:
    with Gateway(audit.port, host=ODD) as gateway:
        session = f"{ODD};7;{bits}"
        gateway.put(message(0x80 | bits, CER, 0, 7, 8, capabilities(gateway)))
        assert gateway.answer(7).result_code == 2001
        first = gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1)), flags=0xC0 | bits)
        assert (first.result_code, first.flags) == (2001, 0x40), "and an answer has none of them"
        assert services(first)[0].granted
        watch = gateway.ask(DWR, [avp(264, ODD), avp(296, gateway.realm)], application=0, flags=0x80 | bits)
        assert (watch.result_code, watch.flags) == (2001, 0)
        ends_well(audit, gateway, session)


@pytest.mark.fault(8)
@pytest.mark.parametrize("command", [0, RAR, 271, ASR, DWR, 275, 999, 0xFFFFFF])
def test_an_unknown_command(audit: Audit, command: int) -> None:
    with Gateway(audit.port, host=ODD).open() as gateway:
        session = f"{ODD};8;{command}"
        answer = gateway.ask(command, begun(gateway, session))
        assert (answer.result_code, answer.flags) == (3001, 0x60)
        assert answer.avps.one(263).data == session.encode()
        assert answer.avps.one(264).data == b"ocs.example.net"
        ends_well(audit, gateway, session)
    assert audit.rose("ocs_refusals", result_code="3001") == 1


@pytest.mark.fault(9)
@pytest.mark.parametrize("application", [1, 3, 5, 16777238, 0xFFFFFFFF])
def test_an_unknown_application(audit: Audit, application: int) -> None:
    with Gateway(audit.port, host=ODD).open() as gateway:
        session = f"{ODD};9;{application}"
        answer = gateway.ask(CCR, begun(gateway, session), application=application)
        assert (answer.result_code, answer.flags) == (3007, 0x60)
        assert answer.avps.one(263).data == session.encode()
        assert not answer.avps.has(258), "nothing of credit control"
        ends_well(audit, gateway, session)
    assert audit.rose("ocs_refusals", result_code="3007") == 1


def capabilities(gateway: Gateway) -> list[bytes]:
    return [
        avp(264, gateway.host),
        avp(296, gateway.realm),
        avp(257, b"\0\1\x7f\0\0\1"),
        avp(266, 10415),
        avp(269, "odd", mandatory=False),
        avp(258, 4),
    ]


def answers(gateway: Gateway, session: str, hop_by_hop: int) -> list[bytes]:
    """Write answers with these ids to everything that was never asked."""
    said = [avp(264, gateway.host), avp(296, gateway.realm), avp(268, 2001)]
    granted = ccr(gateway, session, UPDATE, 1, mscc(1, used=5000))
    return [
        message(0x40, RAR, 4, hop_by_hop, 1, [avp(263, session), *said]),
        message(0x40, ASR, 4, hop_by_hop, 1, [avp(263, session), *said]),
        message(0x40, CCR, 4, hop_by_hop, 1, granted),
        message(0x60, CCR, 4, hop_by_hop, 1, said),
        message(0x40, 999, 77, hop_by_hop, 1, []),
        message(0x00, DWR, 0, hop_by_hop, 1, said),
        message(0x00, DPR, 0, hop_by_hop, 1, said),
        message(0x00, CER, 0, hop_by_hop, 1, said),
    ]


@pytest.mark.fault(21)
def test_answers_to_nothing(audit: Audit) -> None:
    with Gateway(audit.port, host=ODD).open() as gateway:
        session = f"{ODD};21"
        begun(gateway, session)
        for hop_by_hop in (0, 7, 0xFFFFFFFF):
            for octets in answers(gateway, session, hop_by_hop):
                gateway.put(octets)
        ends_well(audit, gateway, session)
    assert audit.rose("ocs_answers_unmatched") == 24
    assert audit.rose("ocs_server_requests") == 0


@pytest.mark.fault(21)
def test_an_answer_that_comes_twice_or_to_another_id(audit: Audit) -> None:
    with Gateway(audit.port, host=ODD).open() as gateway, Gateway(audit.port, host="other.visited.example") as other:
        other.open()
        session = f"{ODD};21;asked"
        begun(gateway, session)
        terminated = audit.server.ocs("session", "terminate", session)
        assert terminated.returncode == 0, terminated.stderr
        asked = gateway.request()
        assert asked.command == ASR
        reply = [avp(263, session), avp(264, ODD), avp(296, gateway.realm), avp(268, 2001)]
        right = message(0x40, ASR, 4, asked.hop_by_hop, asked.end_to_end, reply)
        other.put(right)  # the right ids on the wrong connection
        gateway.put(message(0x40, ASR, 4, asked.hop_by_hop ^ 1, asked.end_to_end, reply))
        gateway.put(message(0x40, RAR, 4, asked.hop_by_hop, asked.end_to_end, reply))
        until(lambda: audit.rose("ocs_answers_unmatched") == 3, "three are dropped")
        assert audit.rose("ocs_server_requests") == 0
        gateway.put(right * 3)
        until(lambda: audit.rose("ocs_answers_unmatched") == 5, "and the second and third of the right ones")
        assert audit.rose("ocs_server_requests", result="2001") == audit.rose("ocs_server_requests") == 1
        assert gateway.ask(CCR, ccr(gateway, session, TERMINATION, 1, mscc(1, used=3, asked=False))).result_code == 2001
        audit.used += 3
