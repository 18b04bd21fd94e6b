"""A socket to listen on that turns connections away when no file descriptor is left for them.

`asyncio` would leave them unanswered, try again each second, and write hundreds of lines to the log each time.  One
descriptor is held spare, so that whoever connects can be told at once; who is connected already is served meanwhile.
"""

import errno
import os
import socket
import time
from contextlib import suppress
from typing import Final

import structlog

OUT_OF: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
TOLD_SECONDS: Final = 60.0
"""Between two lines of the log: what happens thousands of times a minute needs one."""

log = structlog.get_logger()


class ListeningSocket(socket.socket):
    """A socket whose `accept` closes what it has no descriptor for."""

    __slots__ = ("_pausing", "_spare", "_told_at", "_turned_away")

    def __init__(self, family: int = -1, kind: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        super().__init__(family, kind, proto, fileno)
        self._pausing = False
        self._turned_away = 0
        self._told_at = -TOLD_SECONDS
        self._spare: int | None = None
        self._hold()

    def accept(self) -> tuple[socket.socket, object]:
        """Accept one connection.

        Raises:
            BlockingIOError: there is none, or it was turned away; one at a time, so that a crowd holds nobody up.
        """
        if self._spare is None:
            self._hold()  # another thread was quicker last time
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in OUT_OF:
                raise
            if self._spare is not None:
                self._turn_away(error)
            elif not self._pausing:
                # `asyncio` waits a second now, and asks on all the same, as often as the backlog is long.
                self._pausing = True
                raise
        self._pausing = False
        raise BlockingIOError

    def close(self) -> None:
        super().close()
        self._release()

    def _turn_away(self, reason: OSError) -> None:
        self._release()
        try:
            connection, _ = super().accept()
            connection.close()
        finally:
            self._hold()
        self._turned_away += 1
        if time.monotonic() - self._told_at >= TOLD_SECONDS:
            self._told_at = time.monotonic()
            log.error(
                "connections turned away",
                reason=reason.strerror,
                so_far=self._turned_away,
                mend="allow more open files (`ulimit -n`, LimitNOFILE= in a systemd unit)",
            )

    def _hold(self) -> None:
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _release(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
