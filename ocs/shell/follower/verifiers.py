"""Some processes that verify reports side by side, started with the first report and again where one dies."""

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from ocs.errors import Unavailable
from ocs.shell import processors
from ocs.shell.follower import verifier
from ocs.shell.frame import read_frame, send
from ocs.units import UnixMillis
from ocs.usage.opening import Opened, Refused
from ocs.usage.register import KeyRegister

MOST: Final = 4
IN_ONE_FRAME: Final = 50
"""Reports that one process opens at a time: some 5 ms."""

END_SECONDS: Final = 2.0

log = structlog.get_logger()

_Answer = asyncio.Future[list[Opened | Refused]]


class Verifiers:
    """Opens reports in other processes."""

    def __init__(self, network: str, register: Callable[[], KeyRegister]) -> None:
        """Begin; no process is started yet.

        Args:
            register: gives the keys as they are known here.
        """
        self._network = network
        self._register = register
        self._workers: list[_Worker] = []
        self._starting = asyncio.Lock()

    async def open(self, reports: Sequence[bytes], now: UnixMillis) -> list[Opened | Refused]:
        """Open reports; what came of each, in their order.

        Args:
            now: keys must be in date at this time.

        Raises:
            Unavailable: a process ended, or cannot be started; the reports may be sent again.
        """
        if not reports:
            return []
        await self._start()
        register = self._register()
        answers = []
        for place in range(0, len(reports), IN_ONE_FRAME):
            worker = min(self._workers, key=lambda one: one.under_way)
            worker.know(register)
            some = list(reports[place : place + IN_ONE_FRAME])
            answers.append(worker.ask(verifier.Check(self._network, now, some), len(some)))
        return [one for some in await asyncio.gather(*answers) for one in some]

    async def _start(self) -> None:
        """Start what is not running."""
        if all(worker.alive for worker in self._workers) and self._workers:
            return
        async with self._starting:
            self._workers = [worker for worker in self._workers if worker.alive]
            while len(self._workers) < min(MOST, processors.count()):
                try:
                    self._workers.append(await _Worker.start())
                except OSError as error:
                    raise Unavailable(f"no process to verify signatures can be started: {error.strerror}") from None

    async def close(self) -> None:
        """End every process."""
        await asyncio.gather(*(worker.close() for worker in self._workers))
        self._workers.clear()


def _process(descriptor: int) -> subprocess.Popen[bytes]:
    """Start a process that is asked, and answers, over a socket.

    Not by the event loop: uvloop forks, and a child forked among gRPC's threads runs what gRPC does after a fork, which
    now and then ends in a segmentation fault.  Popen's vfork runs nothing.

    Raises:
        OSError: the system refuses.
    """
    return subprocess.Popen([sys.executable, "-m", verifier.__name__], stdin=descriptor, stdout=descriptor)  # noqa: S603


class _Worker:
    """One process; it answers in the order in which it was asked.

    Attributes:
        under_way: reports that it has not answered yet.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.under_way = 0
        self._process = process
        self._reader = reader
        self._writer = writer
        self._known = -1
        self._waiting: deque[tuple[_Answer, int]] = deque()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def start(cls) -> "_Worker":
        ours, its = socket.socketpair()
        try:
            with its:
                process = _process(its.fileno())
        except OSError:
            ours.close()
            raise
        return cls(process, *await asyncio.open_connection(sock=ours))

    @property
    def alive(self) -> bool:
        return not self._reading.done()

    def know(self, register: KeyRegister) -> None:
        """Send the keys, where they have changed since it was told of them."""
        if self._known != register.changes:
            self._known = register.changes
            self._send(verifier.Keys(list(register.keys.items())))

    def ask(self, check: verifier.Check, count: int) -> _Answer:
        answer: _Answer = asyncio.get_running_loop().create_future()
        if not self.alive:
            answer.set_exception(Unavailable("a process that verifies signatures has ended"))
            return answer
        self._waiting.append((answer, count))
        self.under_way += count
        self._send(check)
        return answer

    def _send(self, message: verifier.Keys | verifier.Check) -> None:
        send(self._writer, message)

    async def _read(self) -> None:
        while (octets := await read_frame(self._reader)) is not None:
            answer, count = self._waiting.popleft()
            self.under_way -= count
            if not answer.done():
                answer.set_result(verifier.to_follower.decode(octets))
        self._writer.close()  # one that lives reads this and ends
        code = await asyncio.to_thread(self._process.wait)
        if self._waiting:
            log.error("a process that verifies signatures ended", code=code)
        for answer, _ in self._waiting:
            if not answer.done():
                answer.set_exception(Unavailable("a process that verifies signatures has ended"))

    async def close(self) -> None:
        if not self._writer.is_closing():
            self._writer.write_eof()  # it answers what it was asked before it ends
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reading), END_SECONDS)
        if self.alive:
            self._process.kill()
            await self._reading
