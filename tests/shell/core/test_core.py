"""Requests that were read together: each is served as if it had come alone, and a bug met by one harms no other."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from random import Random
from typing import Any

import pytest

from ledger_node import GATEWAY, INITIAL, TERMINATION, UPDATE, Node, ccr, service
from ocs import image
from ocs.credit_control.forms import Forms
from ocs.credit_control.profile import STANDARD, Profile
from ocs.credit_control.screening import Agreement, Rates, Screening, Seen
from ocs.diameter import avp
from ocs.diameter.base import LocalNode
from ocs.diameter.codes import Avp, ResultCode
from ocs.diameter.framing import HEADER_OCTETS
from ocs.diameter.happening import Request
from ocs.diameter.peer import PeerLimits
from ocs.reporting import UsagePolicy
from ocs.shell import dictionaries
from ocs.shell.clock import Clock
from ocs.shell.core.admission import Doorkeeper
from ocs.shell.core.committer import Promise
from ocs.shell.core.connections import Connections
from ocs.shell.core.core import Core
from ocs.shell.core.measures import Measures
from ocs.shell.core.reception import Destinations, Reception
from ocs.state import Event
from ocs.units import GroupIndex, UnixMillis

LOCAL = LocalNode(
    origin_host="ocs.example.net", origin_realm="example.net", addresses=(ip_address("::1"),), origin_state_id=1
)
NOW = UnixMillis(1_800_000_000_000)


@dataclass
class Journal:
    """Stands for the committer; each event has a group of its own."""

    events: list[Event] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    others: list[Callable[[], None]] = field(default_factory=list)

    @property
    def filling(self) -> GroupIndex:
        return GroupIndex(len(self.events) + 1)

    def submit(self, event: Event) -> None:
        self.events.append(event)

    def after_sync(self, answering: Callable[[], None]) -> None:
        self.others.append(answering)

    def promise(self, promises: list[Promise]) -> None:
        self.promises += promises

    def waiting_seconds(self) -> float:
        return 0.0


@dataclass(eq=False)
class Connection:
    """One that notes the answers that left, by Hop-by-Hop identifier; it is its own machine."""

    peer: str = GATEWAY.peer
    realm: str = GATEWAY.origin_realm
    profile: Profile = STANDARD
    forms: Forms = field(default_factory=Forms)
    seen: Seen = field(
        default_factory=lambda: Seen(Agreement(origin_host=GATEWAY.peer, origin_realm="visited.example"))
    )
    gateway: Any = GATEWAY
    errors: int = 0
    answers: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def machine(self) -> "Connection":
        return self

    def answer(self, request: Request, message: bytes) -> None:
        assert request.message[12:20] == message[12:20]
        assert request.message[12:16] not in self.answers, "each request is answered once"
        self.answers[request.message[12:16]] = message

    def flush(self) -> None:
        pass


class Scene:
    """A core whose journal and connection are looked at."""

    def __init__(self) -> None:
        node = Node()
        node.operator(price=1, per=1000)
        node.top_up(10**12)
        self.state = node.state
        self.journal = Journal(list(node.events))
        self.connection = Connection()
        destinations = Destinations(origin_host="ocs.example.net", realms=frozenset({"example.net"}), strict=False)
        clock = Clock(NOW, wall_ns=lambda: NOW * 10**6, monotonic_ns=lambda: 0)
        measures = Measures()
        doorkeeper = Doorkeeper(any_peer=True, configured=(), allowed={}, default_profile=None)
        self.core = Core(
            state=node.state,
            policy=node.policy,
            clock=clock,
            committer=self.journal,  # type: ignore[arg-type]  # as much of it as is called here
            reception=Reception(dictionaries.load([]), destinations),
            screening=Screening({}, Rates()),
            connections=Connections(doorkeeper, measures, clock.now, most=1, most_of_address=1),
            local=LOCAL,
            limits=PeerLimits(),
            measures=measures,
            deadline_ms=1000,
            usage_policy=UsagePolicy(),
        )

    def serve(self, messages: list[bytes]) -> None:
        """Serve what came with one read."""
        self.core.serve(self.connection, [Request(message, NOW) for message in messages])  # type: ignore[arg-type]

    def sync(self) -> None:
        for answering in self.journal.others:
            answering()
        self.core.keep(self.journal.promises)
        self.journal.others, self.journal.promises = [], []

    def code(self, message: bytes) -> int:
        answered = self.connection.answers[message[12:16]]
        for raw in avp.walk(answered, HEADER_OCTETS, len(answered)):
            if raw.code == Avp.RESULT_CODE:
                return int.from_bytes(answered[raw.start : raw.end], "big")
        raise AssertionError("no Result-Code")


@pytest.mark.parametrize("seed", range(4))
def test_together_is_as_one_by_one(seed: int) -> None:
    rng = Random(seed)
    one, many = Scene(), Scene()
    numbers: dict[str, int] = {}
    messages = []
    for _ in range(600):
        name = f"sgw.visited.example;{rng.randrange(20)}"
        number = numbers[name] = max(0, numbers.get(name, -1) + rng.choice((1, 1, 1, 1, 1, 0, -1)))
        kind = rng.choice((INITIAL, UPDATE, UPDATE, UPDATE, UPDATE, TERMINATION)) if number else INITIAL
        used = rng.choice((None, 1000, 2**62 if rng.random() < 0.1 else 5000))
        message = ccr(
            kind, number, *[service(group, used=used) for group in range(rng.choice((0, 1, 1, 2)))], session=name
        )
        if rng.random() < 0.05:
            message = message[:-8] + bytes(8)
        messages.append(message)
        if kind == TERMINATION:
            del numbers[name]
    for message in messages:
        one.serve([message])
        one.sync()
    rest = list(messages)
    while rest:
        count = rng.randrange(1, 65)
        many.serve(rest[:count])
        assert len(many.connection.answers) == len(messages) - len(rest), "nothing leaves before the sync"
        many.sync()
        del rest[:count]
    assert many.journal.events == one.journal.events
    assert many.connection.answers == one.connection.answers
    assert len(one.connection.answers) == len(messages)
    assert list(image.chunks(many.state)) == list(image.chunks(one.state))
    codes = {one.code(message) for message in messages}
    assert {ResultCode.SUCCESS, ResultCode.UNABLE_TO_COMPLY, ResultCode.TOO_BUSY} <= codes


@pytest.mark.parametrize("stage", ["receive", "look", "_promise"])
def test_a_bug_met_by_one_request_harms_no_other(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    core = scene.core
    owner: Any = {"receive": core._reception, "look": core._screening, "_promise": core}[stage]
    sound, calls = getattr(owner, stage), 0

    def bad(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ZeroDivisionError
        return sound(*arguments)

    monkeypatch.setattr(owner, stage, bad)
    messages = [ccr(INITIAL, 0, service(), session=f"s{place}") for place in range(4)]
    scene.serve(messages)
    scene.sync()
    assert [scene.code(message) for message in messages] == [2001, 5012, 2001, 2001]


def test_a_bug_in_looking_a_request_up_is_told() -> None:
    scene = Scene()
    message = ccr(UPDATE, 1, service(), session="unknown")

    async def play() -> None:
        async def recollect(*_: Any) -> None:
            raise ZeroDivisionError

        scene.core.recollect = recollect
        scene.serve([message])
        await asyncio.sleep(0.01)
        scene.sync()

    asyncio.run(play())
    assert scene.code(message) == ResultCode.UNABLE_TO_COMPLY


def test_what_is_applied_and_cannot_be_recorded_ends_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else others would be answered from a state that the journal does not hold."""
    scene = Scene()

    def submit(_: Event) -> None:
        raise MemoryError

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(scene.journal, "submit", submit)
    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(SystemExit):
        scene.serve([ccr(INITIAL, 0, service())])
