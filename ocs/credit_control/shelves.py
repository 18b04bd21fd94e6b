"""Sessions at rest by Session-Id, on many small shelves.

One dict of a million entries is copied as a whole whenever it has to grow, which takes a tenth of a second, and a
session that ends and another that comes make it grow again and again.  A shelf of a few thousand takes a millisecond.
"""

from collections.abc import Iterator
from typing import Final
from zlib import crc32

from ocs.units import SessionId

SHELVES: Final = 256
"""With ten million sessions each still holds less than what is copied in three milliseconds."""

_LAST: Final = SHELVES - 1


class Shelves:
    """A mapping of Session-Id to packed session; its order is the same in every process that filled it alike."""

    __slots__ = ("_shelves",)

    def __init__(self) -> None:
        # A checksum and not Python's hash, which is another one in each process.
        self._shelves: list[dict[SessionId, bytes]] = [{} for _ in range(SHELVES)]

    def __len__(self) -> int:
        return sum(map(len, self._shelves))

    def __contains__(self, session_id: SessionId) -> bool:
        return session_id in self._shelves[crc32(session_id) & _LAST]

    def __iter__(self) -> Iterator[SessionId]:
        for shelf in self._shelves:
            yield from shelf

    def __setitem__(self, session_id: SessionId, packed: bytes) -> None:
        self._shelves[crc32(session_id) & _LAST][session_id] = packed

    def __getitem__(self, session_id: SessionId) -> bytes:
        return self._shelves[crc32(session_id) & _LAST][session_id]

    def get(self, session_id: SessionId) -> bytes | None:
        return self._shelves[crc32(session_id) & _LAST].get(session_id)

    def copy(self) -> "Shelves":
        """Give the mapping as it is now: shelf by shelf, a million sessions in some 50 ms, and not what is in them."""
        copied = Shelves()
        copied._shelves = [shelf.copy() for shelf in self._shelves]
        return copied

    def pop(self, session_id: SessionId) -> bytes:
        """Take a session away that is there."""
        return self._shelves[crc32(session_id) & _LAST].pop(session_id)

    def items(self) -> Iterator[tuple[SessionId, bytes]]:
        for shelf in self._shelves:
            yield from shelf.items()
