"""What waits is served in turn or refused in time; the clock of these tests is their own."""

import asyncio
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from ocs.diameter import avp, framing
from ocs.diameter.base import LocalNode
from ocs.diameter.codes import Avp
from ocs.diameter.happening import Request
from ocs.shell.core import backlog
from ocs.shell.core.backlog import AT_ONCE, SHED_MS, Backlog
from ocs.units import UnixMillis

LOCAL = LocalNode(origin_host="a.example", origin_realm="example", addresses=(ip_address("::1"),), origin_state_id=1)
INITIAL, TERMINATION = 1, 3


@dataclass(eq=False)
class Machine:
    refused: list[Request] = field(default_factory=list)
    reading: bool = True

    def answer(self, request: Request, message: bytes) -> None:
        assert message[4] & 0x20
        self.refused.append(request)


@dataclass(eq=False)
class Transport:
    aborted: bool = False

    def abort(self) -> None:
        self.aborted = True


@dataclass(eq=False)
class Connection:
    name: str
    machine: Machine = field(default_factory=Machine)
    transport: Transport = field(default_factory=Transport)
    flushed: int = 0
    fails: bool = False

    def flush(self) -> None:
        self.flushed += 1


class Scene:
    """A backlog whose requests take their time to be served."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, request_ms: int = 1) -> None:
        self.now_ms = 1_000_000
        self.request_ms = request_ms
        self.served: list[tuple[str, int]] = []
        self.shed: dict[str, int] = {}
        monkeypatch.setattr(backlog.time, "monotonic", lambda: self.now_ms / 1000)
        self.backlog: Backlog = Backlog(LOCAL, lambda: UnixMillis(self.now_ms), self._serve, self._shed)

    def _serve(self, connection: Connection, requests: list[Request]) -> None:
        assert 0 < len(requests) <= AT_ONCE
        if connection.fails:
            raise MemoryError
        for request in requests:
            self.now_ms += self.request_ms
            self.served.append((connection.name, int.from_bytes(request.message[12:16], "big")))

    def _shed(self, connection: Connection, count: int) -> None:
        self.shed[connection.name] = self.shed.get(connection.name, 0) + count

    def send(self, connection: Connection, numbers: range, kind: int = INITIAL) -> None:
        received = UnixMillis(self.now_ms)
        avps = avp.utf8(Avp.SESSION_ID, "s") + avp.unsigned32(Avp.CC_REQUEST_TYPE, kind)
        messages = [framing.encode(0xC0, 272, 4, number, number, avps) for number in numbers]
        self.backlog.take(connection, [Request(each, received) for each in messages])


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_fits_into_a_turn_is_served_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        play, one = Scene(monkeypatch), Connection("one")
        for _ in range(3):
            before = len(play.served)
            play.send(one, range(5))
            assert len(play.served) == before + 5
            await turns(2)
        assert not one.machine.refused

    asyncio.run(scene())


def test_the_rest_is_served_in_order_and_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        play, flood, quiet = Scene(monkeypatch), Connection("flood"), Connection("quiet")
        play.send(flood, range(300))
        at_once = len(play.served)
        assert at_once == AT_ONCE, "which took longer than a turn"
        play.send(quiet, range(2))
        await turns(1)
        assert ("quiet", 1) not in play.served[: at_once + AT_ONCE]
        await turns(1)
        assert play.served.index(("quiet", 1)) == at_once + AT_ONCE + 1, "who floods delays itself"
        await turns(20)
        flooded = [number for name, number in play.served if name == "flood"]
        assert flooded == list(range(len(flooded)))
        assert len(flooded) + play.shed["flood"] == 300

    asyncio.run(scene())


def test_what_waited_for_too_long_is_refused_but_for_the_end_of_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        play, flood = Scene(monkeypatch), Connection("flood")
        play.send(flood, range(1000))
        play.send(flood, range(1000, 1003), TERMINATION)
        await turns(200)
        served = [number for _, number in play.served]
        assert served == sorted(served)
        assert play.shed == {"flood": len(flood.machine.refused)} == {"flood": 1003 - len(served)}
        assert SHED_MS <= len(served) - 3 <= SHED_MS + AT_ONCE, "a millisecond each, until the rest was too old"
        assert served[-3:] == [1000, 1001, 1002]
        assert flood.flushed

    asyncio.run(scene())


def test_above_what_may_be_outstanding_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        play, flood = Scene(monkeypatch), Connection("flood")
        play.send(flood, range(100))
        flood.machine.reading = False
        await turns(3)
        assert len(flood.machine.refused) == 100 - len(play.served)

    asyncio.run(scene())


def test_a_bug_ends_the_connection_that_met_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        play, bad, sound = Scene(monkeypatch), Connection("bad"), Connection("sound")
        play.send(bad, range(2 * AT_ONCE))
        play.send(sound, range(3))
        bad.fails = True
        await turns(5)
        assert bad.transport.aborted
        assert ("sound", 2) in play.served
        assert not sound.transport.aborted
        before = len(play.served)
        play.send(sound, range(3, 6))
        assert len(play.served) == before + 3, "turns go on"

    asyncio.run(scene())


def test_what_is_forgotten_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        play, flood = Scene(monkeypatch), Connection("flood")
        play.send(flood, range(100))
        before = len(play.served)
        play.backlog.clear()
        await turns(3)
        assert len(play.served) == before

    asyncio.run(scene())
