"""A network that misbehaves: a TCP proxy between a gateway and the server, for what the kernel cannot be asked to do.

It never makes octets up, and never passes any twice: TCP does not either.
"""

import asyncio
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Self

CHUNK_OCTETS = 65536
TICK_SECONDS = 0.005
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: a close is a RST


@dataclass
class Way:
    """What befalls the octets of one direction; may be changed while they flow.

    Attributes:
        delay_seconds: each chunk waits so long.
        drip_seconds: octets pass one by one, with such a pause behind each; 0: as they come.
        frozen: nothing passes, not even the end of the stream: to the other side the sender has vanished.
        cut_after: so many octets of each connection pass, and then it is reset on both sides.
    """

    delay_seconds: float = 0.0
    drip_seconds: float = 0.0
    frozen: bool = False
    cut_after: int | None = None


@dataclass
class ChaosProxy:
    """Stands on a port of its own before the server's `target`, from `with` to its end."""

    target: int
    up: Way = field(default_factory=Way)  # to the server
    down: Way = field(default_factory=Way)  # to the gateway
    port: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)
        self._open: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        self._loop.close()

    def freeze(self) -> None:
        """Let each side vanish from the other's sight, without FIN or RST."""
        self.up.frozen = self.down.frozen = True

    async def _run(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for writer in list(self._open):
            _reset(writer)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        both = {writer, server_writer}
        self._open |= both
        try:
            await asyncio.gather(
                self._pass_on(self.up, reader, server_writer, both),
                self._pass_on(self.down, server_reader, writer, both),
            )
        except ConnectionError:
            for one in both:
                _reset(one)
        finally:
            self._open -= both
            for one in both:
                one.close()

    async def _pass_on(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, both: set[asyncio.StreamWriter]
    ) -> None:
        passed = 0
        while True:
            data = await reader.read(CHUNK_OCTETS)
            while way.frozen:
                await asyncio.sleep(TICK_SECONDS)
            if not data:
                writer.write_eof()
                return
            await asyncio.sleep(way.delay_seconds)
            while data:
                step = 1 if way.drip_seconds else len(data)
                if way.cut_after is not None:
                    step = min(step, way.cut_after - passed)
                    if step <= 0:
                        raise ConnectionResetError
                writer.write(data[:step])
                await writer.drain()
                data, passed = data[step:], passed + step
                if way.drip_seconds:
                    await asyncio.sleep(way.drip_seconds)
            if way.cut_after is not None and passed >= way.cut_after:
                raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.transport.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
