"""Faults planted into a good server's answers, on their way: over Gy by a proxy, and on the money side by a transport.

What is planted is a function of an answer; everything else passes as it came.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from simulator.profile import RequestType
from simulator.settlement.door import Outcome, Status
from simulator.settlement.http_door import HttpDoor
from simulator.wire import Avp, Command, Message, avp, message_octets

Change = Callable[[Message], Iterable[tuple[float, Message]]]
"""What becomes of an answer (or a request of the server's): what leaves instead, each after so many seconds."""


@dataclass
class Plant:
    """A fault in the server's `nth` message of this kind, and in all that follow unless `once`.

    Attributes:
        kind: the command code, requests and answers alike.
        of: the CC-Request-Type; None: any.
        repeats: only in answers to requests that came before: known by Session-Id and CC-Request-Number.
    """

    change: Change
    kind: int = Command.CREDIT_CONTROL
    of: RequestType | None = None
    nth: int = 1
    once: bool = False
    repeats: bool = False
    planted: int = 0

    def __post_init__(self) -> None:
        self._met = 0
        self._answered: set[tuple[bytes, int | None]] = set()

    def sort(self, octets: bytes) -> list[tuple[float, bytes]]:
        """Give what goes on to the gateway in place of these octets."""
        if int.from_bytes(octets[5:8], "big") != self.kind:
            return [(0.0, octets)]
        message = Message.decode(octets)
        if not self._is_meant(message):
            return [(0.0, octets)]
        self.planted += 1
        return [(seconds, changed.encode()) for seconds, changed in self.change(message)]

    def _is_meant(self, message: Message) -> bool:
        known = message.session_id, message.number("CC-Request-Number")
        again = known in self._answered
        self._answered.add(known)
        if self.of is not None and message.number("CC-Request-Type") != self.of:
            return False
        if self.repeats and not again:
            return False
        self._met += 1
        return self._met == self.nth if self.once else self._met >= self.nth


@contextlib.asynccontextmanager
async def planted(port: int, plant: Plant) -> AsyncIterator[int]:
    """Stand between gateways and the server on `port`, and give the port to connect to."""
    passing: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, server_writer))
        for work in (_up(reader, server_writer), _down(server_reader, writer, plant)):
            task = asyncio.create_task(work)
            passing.add(task)
            task.add_done_callback(passing.discard)

    proxy = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        for writer in writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):
        while octets := await reader.read(65536):
            writer.write(octets)


async def _down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, plant: Plant) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            start = await reader.readexactly(4)
            octets = start + await reader.readexactly(message_octets(start) - len(start))
            for seconds, message in plant.sort(octets):
                if seconds:
                    asyncio.get_running_loop().call_later(seconds, _write, writer, message)
                else:
                    writer.write(message)


def _write(writer: asyncio.StreamWriter, octets: bytes) -> None:
    if not writer.is_closing():
        writer.write(octets)


# What can be planted over Gy


def wrong_code(code: int) -> Change:
    """Say another Result-Code for the whole command."""
    return lambda message: [(0.0, _with(message, avp("Result-Code", code)))]


def late(seconds: float) -> Change:
    return lambda message: [(seconds, message)]


def lost(message: Message) -> Iterable[tuple[float, Message]]:
    return []


def another_session(message: Message) -> Iterable[tuple[float, Message]]:
    return [(0.0, _with(message, avp("Session-Id", b"somebody;else;1")))]


def grants(times: int) -> Change:
    """Grant so many times what the server did; 0 leaves the Granted-Service-Unit out."""
    return lambda message: [(0.0, _services(message, lambda service: _granting(service, times)))]


def without(name: str) -> Change:
    """Leave an AVP out of every service."""
    return lambda message: [
        (0.0, _services(message, lambda service: [one for one in service.members if one.name != name]))
    ]


def two_grants(message: Message) -> Iterable[tuple[float, Message]]:
    return [
        (0.0, _services(message, lambda service: [*service.members, *service.all("Granted-Service-Unit")])),
    ]


def _with(message: Message, changed: Avp) -> Message:
    return replace(message, avps=tuple(changed if one.name == changed.name else one for one in message.avps))


def _services(message: Message, members: Callable[[Avp], Iterable[Avp]]) -> Message:
    return replace(
        message,
        avps=tuple(
            replace(one, value=tuple(members(one))) if one.name == "Multiple-Services-Credit-Control" else one
            for one in message.avps
        ),
    )


def _granting(service: Avp, times: int) -> Iterable[Avp]:
    for one in service.members:
        if one.name != "Granted-Service-Unit":
            yield one
        elif times:
            octets = times * (one.number("CC-Total-Octets") or 0)
            yield avp("Granted-Service-Unit", [avp("CC-Total-Octets", octets)])


# What can be planted on the money side


class MoneyShim(httpx.AsyncBaseTransport):
    """The API's answers with their amounts changed: `change` takes a balance, or a channel, as it is shown."""

    def __init__(self, change: Callable[[dict[str, Any]], None]) -> None:
        self._change = change
        self._there = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._there.handle_async_request(request)
        octets = await answer.aread()
        if request.method == "GET" and answer.status_code == 200 and request.url.path.startswith("/api/"):
            shown = json.loads(octets)
            for one in (shown.get("balance"), *shown.get("items", ())):
                if one:
                    self._change(one)
            octets = json.dumps(shown).encode()
        return httpx.Response(answer.status_code, content=octets)

    async def aclose(self) -> None:
        await self._there.aclose()


def lost_charge(balance: dict[str, Any]) -> None:
    """Show what was charged last as if it never was."""
    _move(balance, "consumed", "available", min(1, int(balance["consumed"])))


def charged_twice(balance: dict[str, Any]) -> None:
    """Show every charge twice; what is not available for it is owed."""
    charged = int(balance["consumed"])
    there = min(charged, int(balance["available"]))
    _move(balance, "available", "consumed", there)
    balance["overrun"] = str(int(balance["overrun"]) + charged - there)


def kept_reserved(balance: dict[str, Any]) -> None:
    _move(balance, "available", "reserved", min(1, int(balance["available"])))


def credited_twice(balance: dict[str, Any]) -> None:
    for account in ("credited", "available"):
        balance[account] = str(int(balance[account]) + 50)


def dearer_channel(channel: dict[str, Any]) -> None:
    """Show one data credit more for each report that a channel has."""
    if "used" in channel:
        channel["used"] = str(int(channel["used"]) + channel["commits"])


def _move(balance: dict[str, Any], source: str, target: str, amount: int) -> None:
    balance[source] = str(int(balance[source]) - amount)
    balance[target] = str(int(balance[target]) + amount)


class CredulousDoor(HttpDoor):
    """A server that counts whatever is signed: no refusal is told."""

    async def report(self, envelopes: Sequence[bytes]) -> list[Outcome]:
        return [replace(one, status=Status.ACCEPTED, code="") for one in await super().report(envelopes)]


class ForgetfulDoor(HttpDoor):
    """A server whose log holds less than it gave receipts for."""

    async def checkpoint(self, key: Any) -> Any:
        return replace(await super().checkpoint(key), size=0)
