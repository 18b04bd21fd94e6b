"""The HTTP door in a test: real routes over a real node and real books, without a socket."""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from fastapi import FastAPI

from ledger_node import Node
from ocs.channel.event import ChannelOpened
from ocs.channel.leaf import split
from ocs.channel.record import CHANNEL_OPEN_TYPE, ChannelOpen
from ocs.command import AdministratorCommand, OpenChannel, ReportCommand
from ocs.errors import OcsError, Unavailable
from ocs.node import Done
from ocs.reporting import Earlier, UsagePolicy
from ocs.shell.api import create_app
from ocs.shell.books.books import Books
from ocs.shell.config import Config
from ocs.shell.follower.backend import Backend, Live, PeerView, Progress, WaitingView
from ocs.shell.follower.public_log import PublicLog
from ocs.shell.follower.usage_door import UsageDoor, Verdicts
from ocs.shell.store.channel_files import ChannelFiles
from ocs.shell.store.log_files import LogFiles
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.state import Event, State
from ocs.units import DataCredits, GroupIndex, SessionId, UnixMillis

T = TypeVar("T")

TOKEN = "a token of this test"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
JSON = {"Content-Type": "application/json"}

SGW = PeerView(
    origin_host="sgw.visited.example",
    origin_realm="visited.example",
    address="192.0.2.7:40000",
    profile="standard",
    product_name="SGW",
    state="OPEN",
    watchdog="OKAY",
    secure=False,
    since=UnixMillis(1_800_000_000_000),
    requests=3,
    answers=3,
    errors=1,
    last_watchdog_ms=-1,
)
STRANGER = WaitingView(
    origin_host="pgw.stranger.example",
    origin_realm="stranger.example",
    address="198.51.100.9",
    product_name="PGW",
    reason="unknown identity",
    first_seen=UnixMillis(1_800_000_000_000),
    last_seen=UnixMillis(1_800_000_060_000),
    attempts=3,
)
OWNER = SeedSigner(bytes(range(32)))
LOG = SeedSigner(bytes(range(1, 33)))
WAITING_MAX = 600
CORE_METRICS = "# HELP ocs_events_total events written\n# TYPE ocs_events_total counter\nocs_events_total 7.0\n"


class NodeBackend:
    """A `Backend` over a node in memory: each event is a commit group, durable at once.

    Attributes:
        lost: the core does not answer.
        behind: the journal has not been read as far as it is synced.
    """

    def __init__(self, node: Node, books: Books, config: Config, log_files: LogFiles, folder: Path) -> None:
        self.node = node
        self.config = config
        self.faults: dict[str, str] = {}
        self.peers = [SGW]
        self.lost = False
        self.behind = False
        self.serving = True
        self._books = books
        self._log_files = log_files
        also = node.state.signed.on_leaf

        def on_leaf(place: int, leaf: bytes) -> None:
            log_files.append([leaf])
            if also is not None:
                also(place, leaf)

        node.state.signed.on_leaf = on_leaf
        policy = node.usage_policy
        self.channel_files = ChannelFiles(folder / "log")
        self.usage = UsageDoor(
            policy.network,
            WAITING_MAX,
            PublicLog(log_files, self.channel_files, "log.test", LOG, lambda: node.state.signed.witnessed),
            lambda: node.state,
            self._decide,
            self._reach,
            self._look,
            self.state,
            lambda: node.now,
        )

    @property
    def healthy(self) -> dict[str, str]:
        return self.faults

    async def state(self) -> State:
        if self.behind:
            raise Unavailable("the reader is 9 groups behind")
        await self.books()
        return self.node.state

    async def books(self) -> Books:
        self._answer()
        fresh = [
            (GroupIndex(place), event.at, [event])
            for place, event in enumerate(self.node.events, 1)
            if place > self._books.index
        ]
        if fresh:
            await self._books.apply(fresh)
        return self._books

    @property
    def progress(self) -> Progress:
        return Progress(GroupIndex(len(self.node.events)), self._books.index, self._books.incidents)

    async def command(self, command: AdministratorCommand) -> Done:
        self._answer()
        outcome = self.node.step(command).outcome
        assert isinstance(outcome, Done)
        return outcome

    async def open_channel(self, amount: DataCredits | None) -> ChannelOpened:
        policy, channels = self.node.usage_policy, self.node.state.signed.channels
        height = self.node.now // policy.epoch_ms
        wanted = ChannelOpen(
            version=1,
            network=policy.network,
            owner_key=signer_of(OWNER.public_key),
            owner_nonce=channels.newest + 1,
            amount_dc=amount if amount is not None else channels.account.available,
            open_height=height,
            expire_height=height + 2,
            grace_blocks=1,
            tariff_id=1,
            max_miners=100,
            operator_id="",
        )
        done = await self.command(OpenChannel(envelope.seal(CHANNEL_OPEN_TYPE, wanted.encode(), OWNER)))
        assert isinstance(done.event, ChannelOpened)
        return done.event

    async def live(self) -> Live:
        self._answer()
        index = GroupIndex(len(self.node.events))
        return Live(
            UnixMillis(1_800_000_000_000), self.node.now, index, self.serving, self.peers, [STRANGER], CORE_METRICS
        )

    async def history(self, session_id: SessionId) -> list[tuple[GroupIndex, Event]]:
        return [
            (GroupIndex(place), event)
            for place, event in enumerate(self.node.events, 1)
            if getattr(event, "session_id", None) == session_id
        ]

    async def _decide(self, reports: list[ReportCommand]) -> Verdicts:
        self._answer()
        told = [self.node.step(report).outcome for report in reports]
        return Verdicts(GroupIndex(len(self.node.events)), told)  # type: ignore[arg-type]  # as reports are told

    async def _reach(self, index: GroupIndex) -> None:
        if self.behind:
            raise Unavailable("the reader is 9 groups behind")

    async def _look(self, session_id: bytes, seq: int) -> Earlier:
        found = await (await self.books()).commit(session_id, seq)
        if found is None:
            return Earlier(b"", b"", -1)
        leaf, report_id = found
        return Earlier(report_id, split(self._log_files.entry(leaf))[1], leaf)

    def _answer(self) -> None:
        if self.lost:
            raise Unavailable("the core does not answer")


class Door:
    """Requests to the door, one loop for all of them."""

    def __init__(self, folder: Path, config: Config | None = None, node: Node | None = None) -> None:
        self._runner = asyncio.Runner()
        self.node = node if node is not None else Node(usage_policy=UsagePolicy(owner_key=OWNER.public_key))
        self.books = self._runner.run(Books.open(folder / "books.db"))
        (folder / "log").mkdir()
        self.log_files = LogFiles.open(folder / "log")
        self.backend = NodeBackend(self.node, self.books, config or Config(), self.log_files, folder)
        backend: Backend = self.backend  # the fake keeps to the Protocol
        self.app: FastAPI = create_app(backend, TOKEN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self.books.close())
        self._runner.run(self.backend.usage.close())
        self.log_files.close()
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done on the door's loop."""
        return self._runner.run(work)

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send one request, with the token unless `headers` say otherwise."""
        how.setdefault("headers", AUTHORIZED)
        return self._runner.run(self._ask(method, path, how))

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.ask("GET", f"/api/v1{path}", params=query or None)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        # Written in ASCII, so that a test can send any character, lone surrogates too.
        content = json.dumps(body).encode()
        return self.ask("POST", f"/api/v1{path}", content=content, headers=AUTHORIZED | JSON | named)

    async def _ask(self, method: str, path: str, how: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://ocs.test") as client:
            return await client.request(method, path, **how)

    # What most tests begin with

    def operator(self, name: str = "home", prefix: str = "00101", price: str = "1", per_octets: str = "1") -> None:
        body = {"name": name, "prefixes": [prefix], "tariff": {"price": price, "per_octets": per_octets}}
        assert self.post("/operators", body).status_code == 201

    def top_up(self, amount: int, name: str = "home", key: str = "key") -> httpx.Response:
        return self.post(
            f"/operators/{name}/top-ups", {"amount": str(amount), "reference": "test"}, Idempotency_Key=key
        )


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Check that an answer is this problem and has every member of one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["type"] == f"/problems/{slug}"
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    return told


class Broken(OcsError):
    """An error that no table knows."""
