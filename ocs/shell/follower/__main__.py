"""The follower: a process beside the core that folds the same journal, and is the door for everything but Diameter.

It keeps the books, writes snapshots and the archive, serves HTTP, and sends commands to the core.  It may die at any
time: the core starts it again, and Gy goes on meanwhile.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import structlog
import uvicorn
import uvloop

from ocs import errors
from ocs.channel.event import ChannelOpened
from ocs.command import AdministratorCommand, ReportCommand
from ocs.node import Done
from ocs.shell import collector, key_file, link, logs, processors
from ocs.shell.accepting import Accepting
from ocs.shell.api import create_app
from ocs.shell.books.books import Books
from ocs.shell.config import Config
from ocs.shell.follower import usage_grpc
from ocs.shell.follower.backend import Progress
from ocs.shell.follower.key_listing import KeyListing
from ocs.shell.follower.owner import Owner
from ocs.shell.follower.public_log import PublicLog, origin_of
from ocs.shell.follower.reading import Reading
from ocs.shell.follower.usage_door import UsageDoor, Verdicts
from ocs.shell.follower.witnessing import Witnessing
from ocs.shell.frame import read_frame, send
from ocs.shell.inheritance import Inheritance
from ocs.shell.listening_socket import ListeningSocket
from ocs.shell.live import Live
from ocs.shell.store.channel_files import ChannelFiles
from ocs.shell.store.data_folder import DataFolder, holding_books
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.state import Event, State
from ocs.units import DataCredits, GroupIndex, SessionId, UnixMillis

ASK_SECONDS: Final = 10.0
PREDECESSOR_SECONDS: Final = 10.0
"""How long a follower waits for the one before it, which the core may have lost sight of, to end."""

BEHIND_SECONDS: Final = 5.0
"""Under a burst the reader lags a moment; only a lasting lag is worth a word."""

DOOR_CLOSING_SECONDS: Final = 3.0
NICENESS: Final = 10
"""Where cores are few the follower waits for the core, and an answer never for the follower."""

EXIT_STORE: Final = 4
EXIT_BUG: Final = 70
"""As in sysexits.h: an internal software error."""

log = structlog.get_logger()


class Follower:
    """Joins the fold, the way to the core and the door.  Implements `ocs.shell.follower.backend.Backend`."""

    def __init__(
        self,
        config: Config,
        folder: DataFolder,
        reading: Reading,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.config = config
        self._reading = reading
        self._reader = reader
        self._writer = writer
        self._connected = True
        self._asks = count(1)
        self._waiting: dict[int, asyncio.Future[link.ToFollower]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        public_log = PublicLog(
            reading.fold.log,
            ChannelFiles(folder.log),
            origin_of(config.usage.network, config.origin_host),
            key_file.load(folder.log_key),
            lambda: reading.fold.state.signed.witnessed,
        )
        self.usage = UsageDoor(
            config.usage.network,
            config.usage.waiting_max,
            public_log,
            lambda: reading.fold.state,
            self._decide,
            reading.fold.reach,
            reading.look,
            self.state,
            lambda: UnixMillis(time.time_ns() // 1_000_000),
        )
        self.owner = Owner(config.usage, key_file.load(folder.owner_key), lambda: reading.fold.state, self.command)
        self.key_listing = KeyListing(folder.key_list, lambda: reading.fold.state.signed.register)
        self.witnessing = Witnessing(config.usage, public_log, lambda: reading.fold.state, self.command)
        reading.fold.on_archived = lambda through: send(writer, link.Trim(through))
        send(writer, link.Follow())

    # Backend

    @property
    def healthy(self) -> dict[str, str]:
        faults = {}
        if not self._connected:
            faults["core"] = "not connected"
        fold = self._reading.fold
        if fold.behind_seconds() > BEHIND_SECONDS:
            faults["journal"] = f"{fold.target - fold.index} groups are still to be read"
        return faults

    @property
    def progress(self) -> Progress:
        bookkeeper = self._reading.bookkeeper
        return Progress(self._reading.fold.index, bookkeeper.index, bookkeeper.books.incidents)

    async def state(self) -> State:
        reply = await self._ask(link.AskIndex(next(self._asks)))
        assert isinstance(reply, link.Index)
        await self._reading.fold.reach(reply.index)
        return self._reading.fold.state

    async def books(self) -> Books:
        await self.state()
        await self._reading.bookkeeper.reach(self._reading.fold.index)
        return self._reading.bookkeeper.books

    async def command(self, command: AdministratorCommand) -> Done:
        reply = await self._ask(link.Ask(next(self._asks), command))
        if isinstance(reply, link.Failed):
            raise _error_of(reply)
        assert isinstance(reply, link.Told)
        await self._reading.fold.reach(reply.index)
        return Done(reply.event, reply.repeated)

    async def open_channel(self, amount: DataCredits | None) -> ChannelOpened:
        await self.state()  # its newest nonce is the one to follow
        return await self.owner.open(amount)

    async def _decide(self, reports: list[ReportCommand]) -> Verdicts:
        reply = await self._ask(link.Reports(next(self._asks), reports))
        if isinstance(reply, link.Failed):
            raise _error_of(reply)
        assert isinstance(reply, link.Verdicts)
        return Verdicts(reply.index, list(reply.told))

    async def live(self) -> Live:
        reply = await self._ask(link.AskLive(next(self._asks)))
        assert isinstance(reply, link.LiveView)
        return reply.live

    async def history(self, session_id: SessionId) -> list[tuple[GroupIndex, Event]]:
        await self.state()
        return await self._reading.sessions.events(session_id)

    # The core's messages

    async def listen(self) -> None:
        """Take what the core says, until it has gone."""
        while (data := await read_frame(self._reader)) is not None:
            message = link.to_follower.decode(data)
            match message:
                case link.Synced(index):
                    self._reading.aim(index)
                case link.Recollect():
                    task = asyncio.get_running_loop().create_task(self._recollect(message))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                case _:
                    future = self._waiting.pop(message.ask, None)
                    if future is not None and not future.done():
                        future.set_result(message)
        self._connected = False
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(errors.Unavailable("the core has gone"))

    async def _ask(self, message: link.Ask | link.AskIndex | link.AskLive | link.Reports) -> link.ToFollower:
        if not self._connected:
            raise errors.Unavailable("the core does not answer; look at its log, or start it with `ocs serve`")
        future: asyncio.Future[link.ToFollower] = asyncio.get_running_loop().create_future()
        self._waiting[message.ask] = future
        send(self._writer, message)
        try:
            return await asyncio.wait_for(future, ASK_SECONDS)
        except TimeoutError:
            raise errors.Unavailable(f"the core did not answer within {ASK_SECONDS:g} s") from None
        finally:
            self._waiting.pop(message.ask, None)

    async def _recollect(self, message: link.Recollect) -> None:
        """Find the event that served a request, if the journal knows one.

        Where that cannot be known the core is left without an answer: it then asks the gateway to come again, for "not
        served before" would charge a repeat.
        """
        session_id = SessionId(message.session_id)
        try:
            await self._reading.fold.reach(message.index)
            served = await self._reading.sessions.served(session_id, message.number)
        except errors.OcsError as error:
            log.warning("a request cannot be looked up", reason=str(error))
            return
        send(self._writer, link.Recollection(message.ask, served))


def _error_of(reply: link.Failed) -> errors.OcsError:
    """Give the error with which the core refused, here as it was there."""
    if reply.code:
        return Malformed(reply.detail, Refusal(reply.code))
    kind: type[errors.OcsError] = getattr(errors, reply.error, errors.OcsError)
    return kind(reply.detail)


class _Door(uvicorn.Server):
    """Uvicorn, with the signals left to the follower, and a listening socket that says whom it turns away."""

    def __init__(self, config: uvicorn.Config, listening: ListeningSocket) -> None:
        super().__init__(config)
        self._listening = listening
        self._accepting: Accepting | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._accepting = Accepting(self._listening, self._protocol, self.config.ssl)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._accepting is not None:
            self._accepting.close()
        self._listening.close()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        kind = self.config.http_protocol_class
        assert not isinstance(kind, str), "the configuration is loaded"
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(follower: Follower, reading: Reading, token: str, descriptor: int, stop: asyncio.Event) -> None:
    """Fold, listen to the core, and keep the door open, until one of them ends."""
    loop = asyncio.get_running_loop()
    tls = follower.config.api.tls
    door = _Door(
        uvicorn.Config(
            create_app(follower, token),
            ssl_certfile=tls.certificate if tls is not None else None,
            ssl_keyfile=tls.key if tls is not None else None,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            limit_concurrency=512,
        ),
        ListeningSocket(fileno=descriptor),
    )
    serving = loop.create_task(door.serve(sockets=[]))
    following = loop.create_task(reading.run())
    tasks = [
        loop.create_task(follower.listen()),
        following,
        serving,
        loop.create_task(follower.owner.run()),
        loop.create_task(follower.witnessing.run()),
        loop.create_task(follower.key_listing.run()),
        loop.create_task(usage_grpc.serve(follower.config.usage, token, follower.usage)),
        loop.create_task(stop.wait()),
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    door.should_exit = True  # at once: where the core was killed, the next one waits for this socket
    if not following.done():
        # The core's last groups belong in the books before this process ends.
        with contextlib.suppress(errors.Unavailable):
            await reading.bookkeeper.reach(reading.fold.target)
    await asyncio.wait({serving}, timeout=DOOR_CLOSING_SECONDS)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def follow(config: Config, token: str, descriptor: int) -> int:
    """Follow until the core goes or a signal comes; the exit code.

    Raises:
        JournalFault: what was read is not what was written.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    folder = DataFolder.open(Path(config.data))
    folder.sweep_copies()
    reading = await Reading.open(config.journal, folder)
    collector.rest()
    try:
        try:
            reader, writer = await asyncio.open_unix_connection(folder.socket)
        except OSError as error:
            raise errors.Unavailable(f"the core has gone ({error.strerror})") from None
        follower = Follower(config, folder, reading, reader, writer)
        try:
            await _serve(follower, reading, token, descriptor, stop)
        finally:
            await follower.usage.close()
        writer.close()
    finally:
        await reading.close()
    return 0


def main() -> int:
    """Run a follower for the core that started this process; the exit code."""
    inherited = msgspec.json.decode(sys.stdin.buffer.readline(), type=Inheritance)
    config = Config.model_validate_json(inherited.config)
    logs.configure(config.logging)
    try:
        with holding_books(DataFolder.open(Path(config.data)), PREDECESSOR_SECONDS):
            os.nice(NICENESS)
            processors.stay_on(inherited.cpus)
            return uvloop.run(follow(config, inherited.token, inherited.descriptor))
    except errors.OcsError as error:
        log.error("the follower cannot go on", reason=str(error))  # noqa: TRY400  # the reason says it all
        return EXIT_STORE
    except Exception:
        log.critical("a bug in the follower", exc_info=True)
        return EXIT_BUG


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Not `sys.exit`: a thread that hangs, in a sync for one, would keep the lock and the HTTP socket from the next one.
    os._exit(code)
