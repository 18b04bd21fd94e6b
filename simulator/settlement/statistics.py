"""Between a gateway and its forwarder: the proposal's SessionStaticsStreamer, both sides of it.  proto/proposal.proto.

    gateway: `Statistics` ── stream of SessionStatisticsUpdate ──▶ forwarder: `subscribe`

The stream has no acknowledgement, so whoever subscribes is first told the newest reading of every session that the
gateway knows, ended ones for a while yet: whatever was lost with the last stream is in it, for counters are cumulative.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc

from simulator.settlement import wire
from simulator.settlement.grpc_door import OPTIONS
from simulator.settlement.reading import Reading

SERVICE: Final = "SessionStaticsStreamer"
METHOD: Final = "SessionStatistics"

ENDED_KEPT_SECONDS: Final = 600.0
"""How long a gateway tells of a session that is over: as long as a forwarder may be down without losing its end."""

AGAIN_SECONDS: Final = 1.0
TOGETHER_MAX: Final = 500
STOP_SECONDS: Final = 1.0


_Counted = tuple[str, int]
"""A Gy session and the incarnation of its counters: the newest reading of each says all."""


class Statistics:
    """A gateway's side: the newest reading of each session, and who listens."""

    def __init__(self) -> None:
        self._newest: dict[_Counted, Reading] = {}
        self._ended: list[tuple[float, str]] = []
        self._changed: dict[asyncio.Event, dict[_Counted, Reading]] = {}

    def tell(self, reading: Reading) -> None:
        """Tell a reading to all who listen; a slow one is told the newest of each session when it comes to it."""
        counted = reading.gy_session_id, reading.incarnation
        self._newest[counted] = reading
        now = time.monotonic()
        if reading.final:
            self._ended.append((now, reading.gy_session_id))
        while self._ended and self._ended[0][0] < now - ENDED_KEPT_SECONDS:
            gone = self._ended.pop(0)[1]
            self._newest = {counted: kept for counted, kept in self._newest.items() if counted[0] != gone}
        for listener, changed in self._changed.items():
            changed[counted] = reading
            listener.set()

    async def stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """Serve one subscriber until it leaves."""
        listener = asyncio.Event()
        changed = self._changed[listener] = dict(self._newest)
        try:
            while True:
                while changed:
                    yield changed.pop(next(iter(changed))).encode()
                listener.clear()
                await listener.wait()
        finally:
            del self._changed[listener]

    @contextlib.asynccontextmanager
    async def serving(self, listen: str) -> AsyncIterator[int]:
        """Serve on this address, and give the port.

        Raises:
            RuntimeError: it cannot be listened on.
        """
        server = grpc.aio.server(options=OPTIONS)
        handler = grpc.unary_stream_rpc_method_handler(self.stream)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        port = server.add_insecure_port(listen)
        await server.start()
        try:
            yield port
        finally:
            await server.stop(STOP_SECONDS)


async def subscribe(target: str, tell: Callable[[str], None] = print) -> AsyncIterator[list[Reading]]:
    """Give a gateway's readings as they come, some at a time, and subscribe again whenever the stream ends."""
    while True:
        arrived: asyncio.Queue[Reading | None] = asyncio.Queue(TOGETHER_MAX)
        reader = asyncio.create_task(_read(target, arrived, tell))
        try:
            while (some := await _some(arrived)) is not None:
                yield some
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        await asyncio.sleep(AGAIN_SECONDS)


async def _read(target: str, arrived: "asyncio.Queue[Reading | None]", tell: Callable[[str], None]) -> None:
    try:
        async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
            async for octets in channel.unary_stream(f"/{SERVICE}/{METHOD}")(b""):
                try:
                    await arrived.put(Reading.decode(octets))
                except wire.Unreadable as error:
                    tell(f"{target}: a reading is passed over, it cannot be read: {error}")
    except grpc.aio.AioRpcError as error:
        tell(f"{target}: {error.code().name} {error.details()}")
    finally:
        await arrived.put(None)


async def _some(arrived: "asyncio.Queue[Reading | None]") -> list[Reading] | None:
    """Give what has arrived, at least one reading; None at the end."""
    one = await arrived.get()
    if one is None:
        return None
    some = [one]
    while len(some) < TOGETHER_MAX and not arrived.empty():
        if (another := arrived.get_nowait()) is None:
            arrived.put_nowait(None)  # the end, for the next call
            break
        some.append(another)
    return some
