"""Connections of a `ListeningSocket`, on an event loop whose own servers pass its `accept` by, as uvloop's do."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from ocs.shell.listening_socket import OUT_OF, ListeningSocket

AT_ONCE: Final = 100
"""Accepted between two looks at what else there is to do."""

PAUSE_SECONDS: Final = 1.0
"""Where not even a descriptor is spare, as asyncio does."""


class Accepting:
    """Accepts until it is closed; the socket stays open."""

    def __init__(
        self, listening: ListeningSocket, protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None
    ) -> None:
        """Begin, on the loop that runs.

        Args:
            protocol: makes one for each connection.
        """
        listening.setblocking(False)
        self._listening = listening
        self._protocol = protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._begin()

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening.fileno())
        for task in self._opening:
            task.cancel()

    def _begin(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # for now: whoever waits yet is seen in the next turn
            except OSError as error:
                if error.errno not in OUT_OF:
                    raise
                self._loop.remove_reader(self._listening.fileno())
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._begin)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection, ssl=self._tls)
        except (OSError, asyncio.CancelledError):  # it went, or no TLS came of it: nobody is left to tell
            connection.close()
