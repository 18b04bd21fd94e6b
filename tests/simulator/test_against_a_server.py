"""The commands against a real server: it breaks nothing, the reports say so, and every spoiled answer is found."""

import asyncio
import contextlib
import itertools
import json
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import dpkt
import httpx
import pytest
from spoiler import spoiled
from typer.testing import CliRunner

from live.ocs_server import TOKEN, OcsServer
from simulator.accounts import Accounts, ApiError
from simulator.cli import _app
from simulator.conformance.examiner import Examiner, NotOpen, Target
from simulator.conformance.probes import PROBES
from simulator.load import Job
from simulator.load.generator import Load
from simulator.messages import Identity
from simulator.profile import PROFILES
from simulator.templates import capabilities, templates

pytestmark = pytest.mark.live

NOT_SEEN = {"final-unit-action"}
"""What a subscriber with credit does not show."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcsServer]:
    with OcsServer(tmp_path_factory.mktemp("ocs")) as running:
        running.add_operator(credit=10**12)
        yield running
        assert running.stop() == 0, running.tail()


def sim(server: OcsServer, *arguments: str) -> tuple[int, str]:
    done = CliRunner(env={"OCS_API_TOKEN": TOKEN}).invoke(_app, [*arguments])
    return done.exit_code, done.output


def reports(folder: Path) -> list[str]:
    return [word for kind in ("html", "junit", "json") for word in (f"--{kind}", str(folder / kind))]


def test_scenes_are_reported(server: OcsServer, tmp_path: Path) -> None:
    api = f"http://127.0.0.1:{server.api_port}"
    where = ("--port", str(server.gy_port), "--api", api)
    code, shown = sim(server, "run", "quota-update", "exhaustion", *where, *reports(tmp_path))
    assert code == 0, shown
    told = json.loads((tmp_path / "json").read_text())
    assert told["holds"]
    update, exhaustion = told["scenes"]
    assert update["requests"] == {"initial": 1, "update": 3, "termination": 1}
    assert update["answers"] == 5
    (book,) = update["books"]
    assert book["due"] == book["charged"] == book["after"]["consumed"] != "0"
    assert int(book["before"]["available"]) - int(book["after"]["available"]) == int(book["charged"])
    assert exhaustion["result_codes"]["2001"] >= 3
    rules = {one["rule"]: one for one in update["rules"]}
    assert rules["grant-missing"]["kept"] == 4  # of an initial and three updates
    assert rules["server-request"]["looked"] == 0
    suites = ElementTree.parse(tmp_path / "junit").getroot()
    assert suites.get("failures") == "0"
    assert [one.get("name") for one in suites] == ["quota-update", "exhaustion"]
    page = (tmp_path / "html").read_text()
    assert "everything holds" in page
    assert page.count("<svg") == 4


def test_the_product_breaks_no_rule(server: OcsServer, tmp_path: Path) -> None:
    address = f"127.0.0.1:{server.gy_port}"
    code, shown = sim(server, "conformance", address, "--fail-on", "may", *reports(tmp_path))
    assert code == 0, shown
    told = json.loads((tmp_path / "json").read_text())
    assert {one["rule"] for one in told["rules"] if one["state"] != "kept"} == NOT_SEEN
    assert told["not_played"] == []
    assert ElementTree.parse(tmp_path / "junit").getroot().get("failures") == "0"


def test_a_subscriber_without_credit_is_no_fault_of_the_server(server: OcsServer, tmp_path: Path) -> None:
    address = f"127.0.0.1:{server.gy_port}"
    unknown = ("--imsi-prefix", "99999", "--fail-on", "may")
    code, shown = sim(server, "conformance", address, *unknown, *reports(tmp_path))
    assert code == 0, shown
    told = json.loads((tmp_path / "json").read_text())
    assert "a session" in {one["probe"] for one in told["not_played"]}
    assert {"initial", "update", "repeat"} <= {one["rule"] for one in told["rules"] if one["state"] == "not seen"}


def test_every_octet_of_a_load_is_charged(server: OcsServer, tmp_path: Path) -> None:
    assert server.process is not None
    code, shown = sim(
        server,
        *("load", f"127.0.0.1:{server.gy_port}", "--shape", "ramp", "--from", "100", "--to", "400", "--over", "1"),
        *("--seconds", "1", "--population", "64", "--updates", "2", "--connections", "2", "--groups", "2"),
        *("--imsi-prefix", "00202", "--api", f"http://127.0.0.1:{server.api_port}", "--p99-max", "5000"),
        *("--server-pid", str(server.process.pid), *reports(tmp_path)),
    )
    assert code == 0, shown
    told = json.loads((tmp_path / "json").read_text())
    assert told["books"]["due"] == told["books"]["charged"] != "0"
    assert told["result"]["answers"] >= 300
    assert told["server_samples"][0]["resident"] > 10_000_000
    assert all(one["holds"] for one in told["limits"])
    assert ElementTree.parse(tmp_path / "junit").getroot().get("tests") == "4"


def refused(server: OcsServer) -> Counter[str]:
    """Count answers 5030, by the kind of request."""
    counts: Counter[str] = Counter()
    for line in server.api.get("/metrics").text.splitlines():
        if line.startswith("ocs_ccr_answers_total") and 'result_code="5030"' in line:
            (kind,) = (label for label in line.split("{")[1].split("}")[0].split(",") if label.startswith("type="))
            counts[kind] += int(float(line.rsplit(" ", 1)[1]))
    return counts


def test_limits_of_a_load_decide(server: OcsServer) -> None:
    address = f"127.0.0.1:{server.gy_port}"
    quick = ("--population", "8", "--seconds", "0.2", "--rate", "50")
    before = refused(server)
    code, shown = sim(server, "load", address, *quick, "--imsi-prefix", "99999", "--p99-max", "0.001")
    assert code == 1, shown
    assert "5030" in shown
    assert shown.count("✘") == 2, "wrong answers, and slow ones"
    assert (refused(server) - before).keys() == {'type="initial"'}, "no session goes on that never began"
    assert sim(server, "load", address, *quick, "--server-pid", "4194305")[0] == 2
    assert sim(server, "load", "nowhere")[0] == 2
    code, shown = sim(server, "load", address, *quick, "--api", f"http://127.0.0.1:{server.api_port}")
    assert code == 2
    assert "--operator" in shown, "the prefix is the operator home's"


def test_nobody_is_there(server: OcsServer, free_port: int) -> None:
    assert sim(server, "conformance", f"127.0.0.1:{free_port}")[0] == 4
    assert sim(server, "load", f"127.0.0.1:{free_port}", "--seconds", "0.1")[0] == 4


# Spoiled answers


def target(port: int) -> Target:
    return Target(host="127.0.0.1", port=port, identity=Identity(), imsi="001010000000001", seconds=0.3)


def bits(place: int, mask: int) -> Callable[[bytes], bytes]:
    """Flip bits of one octet."""

    def spoil(answer: bytes) -> bytes:
        return answer[:place] + bytes([answer[place] ^ mask]) + answer[place + 1 :]

    return spoil


def of_credit_control(spoil: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda answer: spoil(answer) if answer[5:8] == b"\0\x01\x10" else answer


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return of_credit_control(lambda answer: answer.replace(old, new))


def without(code: int, command: int = 272) -> Callable[[bytes], bytes]:
    """Leave out the AVPs of this code at command level."""

    def spoil(answer: bytes) -> bytes:
        kept, place = b"", 20
        while place < len(answer):
            found, word = struct.unpack_from(">II", answer, place)
            end = place + ((word & 0xFF_FFFF) + 3 & ~3)
            kept += b"" if found == code else answer[place:end]
            place = end
        return answer[:1] + (20 + len(kept)).to_bytes(3, "big") + answer[4:20] + kept

    return lambda answer: spoil(answer) if int.from_bytes(answer[5:8], "big") == command else answer


def twice(answer: bytes) -> bytes:
    """Put the second AVP, the Result-Code, there once more."""
    first = 20 + (int.from_bytes(answer[25:28], "big") + 3 & ~3)
    more = answer[first : first + 12]
    return answer[:1] + (len(answer) + 12).to_bytes(3, "big") + answer[4:] + more


M = 0x40
SUCCESS = struct.pack(">I", 2001)
SPOILED = {
    "answered": ("a session", of_credit_control(lambda answer: b"")),
    "readable": ("a session", of_credit_control(lambda answer: answer[:24] + b"\0\0\xff\xff" + answer[28:])),
    "header-echo": ("a session", of_credit_control(bits(15, 1))),
    "answer-bits": ("a session", of_credit_control(bits(4, 0x10))),
    "p-bit": ("a session", of_credit_control(bits(4, 0x40))),
    "reserved-header-bits": ("a session", of_credit_control(bits(4, 1))),
    "e-bit-protocol-error": ("unknown command", bits(4, 0x20)),
    "reserved-avp-bits": ("a session", of_credit_control(bits(24, 1))),
    "m-bit-set": ("a session", of_credit_control(bits(24, M))),
    "m-bit-clear": ("capabilities", lambda answer: answer.replace(b"\0\0\x01\x0d\0", b"\0\0\x01\x0d\x40")),
    "cea-avps": ("capabilities", without(269, command=257)),
    "origin": ("a session", without(296)),
    "origin-host": ("a session", replaced(b"ocs.example.net", b"oxs.example.net")),
    "session-id-echo": ("a session", replaced(b";", b"-")),
    "cca-missing-avp": ("a session", without(258)),
    "cca-repeated-avp": ("a session", of_credit_control(twice)),
    "dwa": ("watchdog", lambda answer: answer.replace(SUCCESS, struct.pack(">I", 5012)) if answer[7] == 24 else answer),
    "request-number-echo": ("a session", replaced(struct.pack(">III", 415, M << 24 | 12, 1),
                                                  struct.pack(">III", 415, M << 24 | 12, 9))),
    "grant": ("a session", replaced(struct.pack(">IB", 431, M), struct.pack(">IB", 15_998, 0))),
    "proxy-info": ("Proxy-Info", without(284)),
    "failed-avp": ("missing AVPs", without(279)),
    "missing-avp": ("missing AVPs", replaced(struct.pack(">I", 5005), struct.pack(">I", 5004))),
    "unknown-session": ("a session nobody opened", replaced(struct.pack(">I", 5002), struct.pack(">I", 5012))),
    "unknown-command": ("unknown command", lambda answer: answer.replace(struct.pack(">I", 3001), SUCCESS)),
}  # fmt: skip


@pytest.mark.parametrize("rule", SPOILED)
def test_a_spoiled_answer_is_found(server: OcsServer, rule: str) -> None:
    probe, spoil = SPOILED[rule]
    with spoiled(server.gy_port, spoil) as port:
        examiner = Examiner(target(port))
        with contextlib.suppress(NotOpen):
            PROBES[probe](examiner)
    assert rule in {one.rule.name for one in examiner.looks if not one.held}


def test_a_spoiled_repeat_is_found(server: OcsServer) -> None:
    """Of the CCAs on the connection the third answers the repeat."""
    count = itertools.count()

    def spoil(answer: bytes) -> bytes:
        is_repeat = answer[5:8] == b"\0\x01\x10" and next(count) == 2
        return answer.replace(SUCCESS, struct.pack(">I", 5012), 1) if is_repeat else answer

    with spoiled(server.gy_port, spoil) as port:
        examiner = Examiner(target(port))
        PROBES["repeats with T"](examiner)
    assert "repeat" in {one.rule.name for one in examiner.looks if not one.held}


def test_severity_decides_what_fails(server: OcsServer, tmp_path: Path) -> None:
    probe, spoil = SPOILED["origin-host"]
    with spoiled(server.gy_port, spoil) as port:
        address = f"127.0.0.1:{port}"
        code, shown = sim(server, "conformance", address, *reports(tmp_path))
        assert code == 0, shown
        assert sim(server, "conformance", address, "--fail-on", "should")[0] == 1
    told = json.loads((tmp_path / "json").read_text())
    assert told["holds"]
    (broken,) = [one for one in told["rules"] if one["state"] == "broken"]
    assert (broken["rule"], broken["severity"]) == ("origin-host", "should")
    fault = next(one for one in broken["faults"] if one["probe"] == probe)
    assert b"oxs.example.net" in bytes.fromhex(fault["got"])
    assert fault["seen"] == "oxs.example.net, not ocs.example.net"
    assert ElementTree.parse(tmp_path / "junit").getroot().get("failures") == "0", "only a broken must fails a build"
    assert "1 should broken" in (tmp_path / "html").read_text()


def test_what_is_sent_and_received_is_captured(server: OcsServer, tmp_path: Path) -> None:
    where = ("--port", str(server.gy_port), "--pcap", str(tmp_path / "scenes.pcap"))
    code, shown = sim(server, "run", "quota-update", "split-octets", *where)
    assert code == 0, shown
    streams: dict[int, bytes] = {}
    with (tmp_path / "scenes.pcap").open("rb") as file:
        for _, octets in dpkt.pcap.Reader(file):
            segment = dpkt.ip.IP(octets).data
            streams[segment.sport] = streams.get(segment.sport, b"") + segment.data
    answers = streams.pop(3868)
    assert len(streams) == 2, "one connection for each scenario"
    for stream in (answers, *streams.values()):
        kinds = []
        while stream:
            kinds.append(int.from_bytes(stream[5:8], "big"))
            stream = stream[int.from_bytes(stream[1:4], "big") :]
        assert kinds.count(257) == (2 if len(kinds) > 10 else 1)
        assert set(kinds) == {257, 272, 282}


def test_a_prefix_that_nobody_has_is_told_of(server: OcsServer) -> None:
    code, shown = sim(server, "run", "attach", "--port", str(server.gy_port), "--imsi-prefix", "99999")
    assert code == 1
    assert "5030 mostly means: the server knows no operator of prefix 99999" in shown


class Behind(httpx.AsyncBaseTransport):
    """A server that is behind with what it shows, for so many reads."""

    def __init__(self, reads: int) -> None:
        self.left = reads
        self._there = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.left -= 1
        if self.left >= 0:
            return httpx.Response(503, json={"type": "/problems/unavailable"})
        return await self._there.handle_async_request(request)

    async def aclose(self) -> None:
        await self._there.aclose()


@pytest.mark.parametrize("patience", [30.0, 0.0])
def test_a_server_that_is_behind_is_asked_again(
    server: OcsServer, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.accounts.BEHIND_SECONDS", patience)
    behind = Behind(2)

    async def read() -> bool:
        async with Accounts(f"http://127.0.0.1:{server.api_port}", TOKEN, behind) as accounts:
            return (await accounts.balance("home")).adds_up

    if patience:
        assert asyncio.run(read())
        assert behind.left == -1
    else:
        with pytest.raises(ApiError, match="503"):
            asyncio.run(read())


def test_sessions_of_a_load_take_turns_and_wait_for_their_answers(server: OcsServer) -> None:
    """Many more requests are due than sessions are idle: each has one under way, and all of them are served alike."""
    hosts = [Identity(destination_realm="example.net", host=f"sgw{number}.turns.example") for number in range(2)]
    profile = PROFILES["standard"]
    under_way: set[tuple[bytes, int]] = set()
    served: Counter[tuple[bytes, int]] = Counter()
    twice = []

    def session_of(message: bytes) -> tuple[bytes, int]:
        # The generator's Hop-by-Hop id is the place of the session, which belongs to one connection.
        return message[5:8], int.from_bytes(message[12:16], "big")

    def hear(request: bytes) -> None:
        session = session_of(request)
        if session in under_way:
            twice.append(session)
        under_way.add(session)

    def answer_late(answer: bytes) -> bytes:
        time.sleep(0.005)
        session = session_of(answer)
        under_way.discard(session)
        served[session] += 1
        return answer

    with spoiled(server.gy_port, answer_late, hear) as port:
        job = Job(
            port=port,
            capabilities=[capabilities(one, profile) for one in hosts],
            templates=[templates(hosts[0], profile, imsi_prefix="001010")],
            connections=2,
            outstanding=1,
            sessions=8,
            rate=1000,
            seconds=1.5,
            warm_seconds=0.2,
            is_drained=True,
        )
        result = Load(job).run()
    assert not result.errors, result.faults
    assert not twice
    assert result.crowded > result.answers > 100
    assert result.unanswered == 0
    for place in range(job.connections):
        counts = [served[b"\0\x01\x10", session] for session in range(place, job.sessions, job.connections)]
        assert max(counts) - min(counts) <= 3, "those of a connection take turns"
