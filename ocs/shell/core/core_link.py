"""The core's end of the Unix socket: commands in, their events out once durable; notice of what is synced."""

import asyncio
import os
import socket
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import structlog

from ocs.credit_control.event import Stepped
from ocs.errors import OcsError, Unavailable
from ocs.node import Done
from ocs.reporting import Told
from ocs.shell import link
from ocs.shell.core.core import Core
from ocs.shell.frame import read_frame, send
from ocs.shell.listening_socket import ListeningSocket
from ocs.signed.malformed import Malformed
from ocs.units import GroupIndex, SessionId

RECOLLECT_SECONDS: Final = 0.8
"""The journal's reader must be done while the gateway still waits."""

SEND_BUFFER_OCTETS_MAX: Final = 64 * 1024 * 1024

NOTICE_SECONDS: Final = 0.01
"""Between two notices of what is synced, each of which wakes the follower.  Nobody waits for one: an answer to whoever
waits for a group bears its index itself.
"""

log = structlog.get_logger()


class CoreLink:
    """Serves the follower, and nobody else at the same time.

    Attributes:
        followed: how many followers have begun to follow.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.followed = 0
        self._follower: asyncio.StreamWriter | None = None
        self._asks = count(1)
        self._recollections: dict[int, asyncio.Future[Stepped | None]] = {}
        self._server: asyncio.Server | None = None
        self._noticed = GroupIndex(0)  # by the follower
        self._next_notice: asyncio.TimerHandle | None = None

    async def listen(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108  # left by a killed server; the data folder's lock says that none runs
        listening = ListeningSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(os.fspath(path))
        self._server = await asyncio.start_unix_server(self._connected, sock=listening)
        os.chmod(path, 0o600)  # noqa: PTH101

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._next_notice is not None:
            self._next_notice.cancel()
            self._notice()
        if self._follower is not None:
            self._follower.close()

    def synced(self) -> None:
        """Tell the follower of the newest group, at once or a moment after it was told of another."""
        if self._next_notice is None:
            self._notice()

    def _notice(self) -> None:
        self._next_notice = None
        index, writer = self._core.committer.synced, self._follower
        # One that is so far behind had better read in bulk.
        if writer is None or writer.transport.get_write_buffer_size() >= SEND_BUFFER_OCTETS_MAX:
            return
        if index > self._noticed:
            self._noticed = index
            self._next_notice = asyncio.get_running_loop().call_later(NOTICE_SECONDS, self._notice)
            send(writer, link.Synced(index))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (data := await read_frame(reader)) is not None:
                self._take(link.to_core.decode(data), writer)
        except msgspec.DecodeError as error:
            log.warning("a frame of the follower cannot be read", reason=str(error))
        finally:
            if self._follower is writer:
                self._follower = None
                self._core.recollect = None
                for future in self._recollections.values():
                    if not future.done():
                        future.set_exception(Unavailable("the journal's reader went away"))
                self._recollections.clear()
            writer.close()

    def _take(self, message: link.ToCore, writer: asyncio.StreamWriter) -> None:
        committer = self._core.committer
        match message:
            case link.Follow():
                self._follower = writer
                self.followed += 1
                self._core.recollect = self._recollect
                self._noticed = committer.synced
                send(writer, link.Synced(committer.synced))
            case link.Ask(ask, command):
                try:
                    self._core.administer(command, partial(self._told, writer, ask))
                except OcsError as error:
                    code = error.code.value if isinstance(error, Malformed) else ""
                    failed = link.Failed(ask, type(error).__name__, str(error), code)
                    committer.after_sync(partial(send, writer, failed))
            case link.AskIndex(ask):
                committer.after_sync(partial(self._index, writer, ask))
            case link.AskLive(ask):
                committer.after_sync(partial(self._live, writer, ask))
            case link.Recollection(ask, event):
                future = self._recollections.pop(ask, None)
                if future is not None and not future.done():
                    future.set_result(event)
            case link.Reports(ask, reports):
                self._core.usage.take(reports, partial(self._verdicts, writer, ask))
            case link.Trim(through):
                committer.trim(through)

    def _told(self, writer: asyncio.StreamWriter, ask: int, done: Done) -> None:
        send(writer, link.Told(ask, self._core.committer.synced, done.event, done.repeated))

    def _verdicts(self, writer: asyncio.StreamWriter, ask: int, told: list[Told] | None) -> None:
        if told is None:
            failed = link.Failed(ask, Unavailable.__name__, "this server failed; its log says more")
            send(writer, failed)
        else:
            send(writer, link.Verdicts(ask, self._core.committer.synced, told))

    def _index(self, writer: asyncio.StreamWriter, ask: int) -> None:
        send(writer, link.Index(ask, self._core.committer.synced))

    def _live(self, writer: asyncio.StreamWriter, ask: int) -> None:
        send(writer, link.LiveView(ask, self._core.live()))

    async def _recollect(self, session_id: SessionId, number: int) -> Stepped | None:
        """Ask the follower for the event that served a request; it must have seen all that is decided now."""
        writer = self._follower
        if writer is None:
            raise Unavailable("the journal's reader is not there")
        ask = next(self._asks)
        future: asyncio.Future[Stepped | None] = asyncio.get_running_loop().create_future()
        self._recollections[ask] = future
        self._core.committer.after_sync(
            lambda: send(writer, link.Recollect(ask, session_id, number, self._core.committer.synced))
        )
        try:
            return await asyncio.wait_for(future, RECOLLECT_SECONDS)
        except TimeoutError:
            raise Unavailable("the journal's reader is behind") from None
        finally:
            self._recollections.pop(ask, None)
