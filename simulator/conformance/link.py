"""One connection of a probe: octets out, whole messages in, and nothing judged."""

import socket
import time
from typing import Final

from simulator.conformance.octets import HEADER_OCTETS

MESSAGE_OCTETS_MAX: Final = 1 << 20
DEVICE_WATCHDOG: Final = 280


class Link:
    """A TCP connection to the server.

    Args:
        seconds: how long an answer may take.

    Raises:
        OSError: nobody listens there.
    """

    def __init__(self, host: str, port: int, seconds: float) -> None:
        self._seconds = seconds
        self._socket = socket.create_connection((host, port), seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.is_closed = False

    def send(self, octets: bytes) -> None:
        """Send; a connection that is gone is noticed by `receive`."""
        try:
            self._socket.sendall(octets)
        except OSError:
            self.is_closed = True

    def receive(self) -> bytes | None:
        """Give the next message, or what came of one; None when nothing comes in time or the server closed."""
        until = time.monotonic() + self._seconds
        while not (whole := self._whole()):
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            try:
                part = self._socket.recv(65536)
            except TimeoutError:
                return self._rest()
            except OSError:
                part = b""
            if not part:
                self.is_closed = True
                return self._rest()
            self._received += part
        return whole

    def closes(self) -> bool:
        """Tell whether the server closes the connection in time; messages before that are passed over."""
        while not self.is_closed:
            if self.receive() is None:
                break
        return self.is_closed

    def close(self) -> None:
        self._socket.close()

    def _whole(self) -> bytes | None:
        if len(self._received) < HEADER_OCTETS:
            return None
        length = int.from_bytes(self._received[1:4], "big")
        if not HEADER_OCTETS <= length <= MESSAGE_OCTETS_MAX:
            return self._rest()
        if len(self._received) < length:
            return None
        whole, self._received = self._received[:length], self._received[length:]
        return whole

    def _rest(self) -> bytes | None:
        """Give what came and is no message; only where there is enough of it to be shown as one."""
        rest, self._received = self._received, b""
        return rest if len(rest) >= HEADER_OCTETS else None
