"""Independent Diameter stacks as gateways of a real server, and Wireshark as the reader of what it said to them.

Each stack plays the same scenes, and all that crossed the direct connection and the agent's is recorded.

The failover is that of a network: the gateway has two peers, the server itself and an agent (freeDiameter, relaying).
A server has one Origin-Host and takes one connection of each Origin-Host, so a gateway does not connect to it twice;
with the agent, two identities lead to the one server.  The direct connection is cut with a request or with its answer
under way; the stack has to send the request again, over the agent and with the T flag.  Where the answer was lost the
server has to give it again and charge nothing; where the request was, the repeat is the first it sees, and is charged.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from interop import wireshark
from interop.recording import Capture, Door, Seen
from interop.stacks import STACKS, Relay, free_diameter_over_tls, open5gs_connection
from live.certificates import Authority
from live.ocs_server import OcsServer, free_ports
from live.test_live_bad_requests import TABLE
from live.wire import (
    ASR,
    CCR,
    CER,
    DPR,
    DWR,
    EVENT,
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
from tutorial_files import TUTORIALS, blocks

pytestmark = [pytest.mark.live, pytest.mark.interop]

T, R, P = 0x10, 0x80, 0x40
CREDIT = 1_000_000
RARE = {"peers": "any", "failure_handling": "retry_and_terminate", "session_failover": True}
GRANT = {"service_result_code": 2001, "rating_group": 7, "granted": 10_000_000, "validity": 3600, "threshold": 500_000}


def settings(tutorial: str, name: str = "ocs.yaml") -> dict[str, Any]:
    """Give the server's settings as the tutorial has them, but for the port."""
    tree: dict[str, Any] = yaml.safe_load(blocks(TUTORIALS / tutorial)[name])
    del tree["gy"]["listen"]
    return tree


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    kept = Capture(tmp_path / "gy.pcap")
    yield kept
    kept.close()


def started(folder: Path, watchdog_seconds: int = 30) -> OcsServer:
    tree = settings("freediameter.md")
    tree["gy"]["watchdog_seconds"] = watchdog_seconds
    return OcsServer(folder, tree)


def is_watchdog(seen: Seen, *, from_server: bool, request: bool) -> bool:
    return seen.from_server is from_server and seen.message.command == DWR and bool(seen.message.flags & R) is request


def number(message: Message) -> int:
    return message.avps.one(415).number


def is_second_update(seen: Seen, *, from_server: bool) -> bool:
    return seen.from_server is from_server and seen.message.command == CCR and number(seen.message) == 2


def holds(server: OcsServer, consumed: int) -> None:
    """Insist that no credit came or went but for `consumed`, and that the journal says so too."""
    server.wait_caught_up()
    assert server.balance() == {
        "credited": CREDIT,
        "available": CREDIT - consumed,
        "reserved": 0,
        "consumed": consumed,
        "overrun": 0,
        "written_off": 0,
    }
    server.verify()


def wireshark_agrees(capture: Capture, *doors: Door) -> None:
    """Insist that Wireshark found every message we sent, and has nothing to say against one."""
    capture.close()
    frames = [frame for frame in wireshark.frames(capture.path) if frame.from_server]
    sent = sorted(one.message.command for door in doors for one in door.seen if one.from_server)
    assert sorted(command for frame in frames for command in frame.commands) == sent
    assert [frame for frame in frames if frame.remarks] == []


@pytest.mark.parametrize("lost", ["answer", "request"])
@pytest.mark.parametrize("stack", STACKS)
def test_a_session_goes_on_over_an_agent(stack: str, lost: str, tmp_path: Path, capture: Capture) -> None:
    (dra_port,) = free_ports(1)
    with (
        started(tmp_path) as server,
        Door(server.gy_port, capture) as direct,
        Door(server.gy_port, capture) as relayed,
        Relay(tmp_path, relayed.port, dra_port),
    ):
        server.add_operator(price=2, per_octets=1000, credit=CREDIT)
        with STACKS[stack](tmp_path, direct.port, dra_port, 6) as client:
            assert client.ask(INITIAL, 0) == {"result_code": 2001, "kind": INITIAL, "number": 0, **GRANT}
            answer = client.ask(UPDATE, 1, 5_000)
            assert answer == {"result_code": 2001, "kind": UPDATE, "number": 1, **GRANT}
            assert len(direct.sent(False, CCR, requests=True)) == 2, "the direct connection comes first"
            (offer,) = direct.sent(False, CER, requests=True)
            assert offer.avps.one(264).data == b"pgw.visited.example"

            asked = direct.wait_for("DWR", lambda seen: is_watchdog(seen, from_server=False, request=True))
            answered = direct.wait_for("DWA", lambda seen: is_watchdog(seen, from_server=True, request=False))
            assert answered.result_code == 2001
            assert asked.avps.one(264).data == b"pgw.visited.example"

            direct.slam_at = lambda seen: is_second_update(seen, from_server=lost == "answer")
            assert client.ask(UPDATE, 2, 7_000) == {"result_code": 2001, "kind": UPDATE, "number": 2, **GRANT}
            first = direct.sent(False, CCR, requests=True)[-1]
            (repeat,) = relayed.sent(False, CCR, requests=True)
            assert (first.flags & T, repeat.flags) == (0, R | P | T)
            assert repeat.end_to_end == first.end_to_end
            assert repeat.avps.one(264).data == b"pgw.visited.example"
            assert repeat.avps.one(282).data == b"pgw.visited.example", "the agent's Route-Record"
            *before, last = direct.sent(True, CCR, requests=False)
            (again,) = relayed.sent(True, CCR, requests=False)
            if lost == "answer":
                assert again.octets[20:] == last.octets[20:], "the same answer, but for the agent's Hop-by-Hop id"
            else:
                assert [number(one) for one in (*before, last)] == [0, 1], "it was never asked"

            assert client.ask(TERMINATION, 3, 655) == {
                "result_code": 2001,
                "kind": TERMINATION,
                "number": 3,
                "service_result_code": 2001,
                "rating_group": 7,
            }
            session_id = first.avps.one(263).data.decode()
            client.leave()
        holds(server, consumed=2 * 13)
        history = server.session(session_id)["history"]
        assert [(one["event"], one["cc_request_number"]) for one in history] == [("answer", n) for n in range(4)]
    wireshark_agrees(capture, direct, relayed)


@pytest.mark.parametrize("stack", STACKS)
def test_either_side_leaves(stack: str, tmp_path: Path, capture: Capture) -> None:
    """The gateway leaves with a DPR and comes again; then the server watches, and leaves with a DPR of its own."""
    with started(tmp_path, watchdog_seconds=6) as server, Door(server.gy_port, capture) as door:
        server.add_operator(price=2, per_octets=1000, credit=CREDIT)
        with STACKS[stack](tmp_path, door.port, None, 30) as client:
            assert client.ask(INITIAL, 0) == {"result_code": 2001, "kind": INITIAL, "number": 0, **GRANT}
            assert client.ask(TERMINATION, 1, 1_000)["result_code"] == 2001
            client.leave()
        (goodbye,) = door.sent(True, DPR, requests=False)
        assert goodbye.result_code == 2001
        holds(server, consumed=2)

        with STACKS[stack](tmp_path, door.port, None, 30):
            door.wait_for("DWR of ours", lambda seen: is_watchdog(seen, from_server=True, request=True))
            answered = door.wait_for("its DWA", lambda seen: is_watchdog(seen, from_server=False, request=False))
            assert answered.result_code == 2001
            assert server.stop() == 0, server.tail()
            (goodbye,) = door.sent(False, DPR, requests=False)
            assert goodbye.result_code == 2001
    wireshark_agrees(capture, door)


def test_open5gs_configuration(tmp_path: Path, capture: Capture) -> None:
    """The SMF's own configuration connects; with a server alone, an answer lost is a session lost, and charged once."""
    with OcsServer(tmp_path, settings("open5gs.md")) as server, Door(server.gy_port, capture) as door:
        server.add_operator(price=2, per_octets=1000, credit=CREDIT)
        with open5gs_connection(tmp_path, door.port) as smf:
            (peer,) = server.api.get("/api/v1/peers").json()["connected"]
            assert (peer["origin_host"], peer["profile"]) == ("smf.localdomain", "open5gs")
            grant = {**GRANT, "validity": 600}
            assert smf.ask(INITIAL, 0) == {"result_code": 2001, "kind": INITIAL, "number": 0, **grant}
            asked = door.sent(False, CCR, requests=True)[-1]
            assert asked.avps.one(283).data == b"localdomain", "as Open5GS, to its own realm"
            assert smf.ask(UPDATE, 1, 5_000) == {"result_code": 2001, "kind": UPDATE, "number": 1, **grant}
            assert smf.ask(TERMINATION, 2, 500)["result_code"] == 2001
            holds(server, consumed=2 * 6)

            assert smf.ask(INITIAL, 0) == {"result_code": 2001, "kind": INITIAL, "number": 0, **grant}
            door.slam_at = lambda seen: seen.from_server and seen.message.command == CCR and number(seen.message) == 1
            assert smf.ask(UPDATE, 1, 5_000) == {"is_error": True, "result_code": 3002}, "said by freeDiameter itself"
            smf.leave()
        balance = server.balance()
        assert balance["consumed"] == 2 * 6 + 2 * 5
        assert balance["credited"] == balance["available"] + balance["reserved"] + balance["consumed"]
        server.verify()
    wireshark_agrees(capture, door)


def test_free_diameter_over_tls(tmp_path: Path) -> None:
    """GnuTLS on the other side, certificates on both; nothing of it can be read along."""
    authority = Authority(tmp_path)
    for host in ("ocs.example.net", "pgw.visited.example"):
        authority.issue(host)
    tree = settings("freediameter.md", "ocs-tls.yaml")
    (port,) = free_ports(1)
    tree["gy"]["tls"]["listen"] = [f"127.0.0.1:{port}"]
    with OcsServer(tmp_path, tree) as server:
        server.add_operator(price=2, per_octets=1000, credit=CREDIT)
        with free_diameter_over_tls(tmp_path, port) as client:
            (peer,) = server.api.get("/api/v1/peers").json()["connected"]
            assert (peer["origin_host"], peer["secure"]) == ("pgw.visited.example", True)
            assert client.ask(INITIAL, 0) == {"result_code": 2001, "kind": INITIAL, "number": 0, **GRANT}
            assert client.ask(TERMINATION, 1, 1_500)["result_code"] == 2001
            client.leave()
        holds(server, consumed=4)


@pytest.mark.parametrize("profile", ["standard", "open5gs", "magma"])
def test_wireshark_reads_every_scene(profile: str, tmp_path: Path, capture: Capture) -> None:
    """What the scenes above do not bring about, the simulator's do: refusals, final units, RAR, ASR, events, errors."""
    with OcsServer(tmp_path, {"gy": {"profile": profile}}) as server, Door(server.gy_port, capture) as door:
        server.play(profile, port=door.port)
        if profile == "standard":
            assert door.sent(True, RAR, requests=True)
        codes = {answer.result_code for answer in door.sent(True, CCR, requests=False)}
        assert {2001, 5030} <= codes, codes
    wireshark_agrees(capture, door)


def test_wireshark_is_heard(capture: Capture) -> None:
    """A reader that never has a remark would prove nothing."""
    answer = [avp(263, "a;1"), avp(268, 2001), avp(264, "ocs.example.net"), avp(296, "example.net"), avp(258, 4)]
    strange = avp(54321, b"1234")
    short = avp(415, b"\0\1")
    cut = message(0x40, CCR, 4, 1, 1, answer)[:-4]
    connection = capture.connection()
    for octets in (
        message(0x40, CCR, 4, 1, 1, answer),
        message(0x40, CCR, 4, 2, 2, [*answer, strange]),
        message(0x40, CCR, 4, 3, 3, [*answer, short]),
        cut[:1] + len(cut).to_bytes(3, "big") + cut[4:],
    ):
        connection.write(True, octets)
    capture.close()
    good, *bad = wireshark.frames(capture.path)
    assert good.remarks == ()
    assert [bool(frame.remarks) for frame in bad] == [True] * 3


def test_wireshark_reads_refusals_and_what_is_rare(tmp_path: Path, capture: Capture) -> None:
    """Error answers with their Failed-AVP, final units with a way out, ASR, events and refused introductions."""
    final = {"action": "redirect", "redirect_url": "https://portal.example/top-up"}
    with OcsServer(tmp_path, {"quota": {"final_unit": final, "holding_seconds": 60}, "gy": RARE}) as server:
        server.add_operator(price=1, per_octets=1, credit=15_000_000)
        connection = capture.connection()
        with Gateway(server.gy_port).open() as gateway:

            def ask(avps: list[bytes], command: int = CCR, application: int = 4, flags: int | None = None) -> int:
                answer = gateway.ask(command, avps, application=application, flags=flags)
                connection.write(True, answer.octets)
                return answer.result_code

            for bad in TABLE:
                avps = bad.build(gateway, f"bad;{bad.name}")
                assert ask(avps, bad.command, bad.application, bad.flags) == bad.code, bad.name
            assert ask(ccr(gateway, "last", INITIAL, 0, mscc(1))) == 2001
            assert ask(ccr(gateway, "last", UPDATE, 1, mscc(1, used=10_000_000))) == 2001
            assert ask(ccr(gateway, "last", UPDATE, 2, mscc(1, used=5_000_000))) == 2001
            assert server.ocs("session", "terminate", "last").returncode == 0
            abort = gateway.request()
            assert abort.command == ASR
            connection.write(True, abort.octets)
            gateway.reply(abort, 2001)
            assert ask(ccr(gateway, "last", TERMINATION, 3)) == 2001
            server.top_up(10_000)
            for action in range(4):
                units = group(437, avp(421, (1000).to_bytes(8, "big")))
                event = ccr(gateway, f"e;{action}", EVENT, 0, group(456, units, avp(432, 5)), more=[avp(436, action)])
                assert ask(event) == 2001, action
        with Gateway(server.gy_port) as stranger:
            refused = stranger.introduce(avp(258, 99), leave_out=(258,))
            assert refused.result_code == 5010
            connection.write(True, refused.octets)
    capture.close()
    frames = wireshark.frames(capture.path)
    assert len(frames) == len(TABLE) + 10
    (said,) = (frame for frame in frames if frame.remarks)
    assert said.commands == (999,), "the answer to an unknown command has its number"
    assert len(said.remarks) == 1
