"""A connection's octets on their way to the server, over as good or as bad a line as a scene asks for.

Nothing is lost on the way unless the line is cut off, as when a gateway vanishes without a FIN.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

GATHER_SECONDS_MAX: Final = 0.3
"""Messages that wait for company go alone after this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a line does to messages.

    Attributes:
        split: octets that leave at a time; 0 leaves a message whole.
        merge: messages that wait for each other and leave in one piece.
        backwards: the last of them leaves first.
        delay: seconds on the way.
        read_pause: seconds after each message before the next one is read: a slow reader.
    """

    split: int = 0
    merge: int = 1
    backwards: bool = False
    delay: float = 0.0
    read_pause: float = 0.0


GOOD: Final = Shape()


class Observer(Protocol):
    """Sees one connection's octets as they leave and as they come."""

    def sent(self, octets: bytes) -> None: ...

    def received(self, octets: bytes) -> None: ...

    def closed(self) -> None: ...


class Line:
    """One connection's writing side.

    Args:
        observer: sees what leaves; None where nobody looks.

    Attributes:
        shape: may be changed at any time, for what is sent from then on.
        cut_off: what is sent arrives nowhere, and nobody is told.
    """

    def __init__(self, writer: asyncio.StreamWriter, observer: Observer | None = None) -> None:
        self.writer = writer
        self.observer = observer
        self.shape = GOOD
        self.cut_off = False
        self._waiting: list[bytes] = []
        self._last: asyncio.TimerHandle | None = None

    def send(self, message: bytes) -> None:
        """Put a whole message on its way."""
        if self.cut_off:
            return
        self._waiting.append(message)
        if len(self._waiting) >= self.shape.merge:
            self._flush()
        elif self._last is None:
            self._last = asyncio.get_running_loop().call_later(GATHER_SECONDS_MAX, self._flush)

    def close(self) -> None:
        """Close the connection; what waits for company is gone."""
        self.writer.close()
        if self.observer is not None:
            self.observer.closed()

    def _flush(self) -> None:
        if self._last is not None:
            self._last.cancel()
            self._last = None
        order = -1 if self.shape.backwards else 1
        octets = b"".join(self._waiting[::order])
        self._waiting.clear()
        if self.shape.delay:
            asyncio.get_running_loop().call_later(self.shape.delay, self._write, octets)
        else:
            self._write(octets)

    def _write(self, octets: bytes) -> None:
        if self.writer.is_closing():
            return
        # asyncio sends each write at once while the socket takes it, and Nagle's algorithm is off.
        for start in range(0, len(octets), step := self.shape.split or len(octets) or 1):
            piece = octets[start : start + step]
            self.writer.write(piece)
            if self.observer is not None:
                self.observer.sent(piece)
