"""The public log on disk: every leaf there ever was, and the hashes that prove its place.  docs/adr/0020-public-log.md.

    log/
      entries        each leaf behind its length (2, big-endian), as a bundle of c2sp.org/tlog-tiles has it
      ends           where each leaf ends in `entries` (8, big-endian)
      hashes-0       leaf hashes (32 each); a tile of level 0 is 256 of them
      hashes-1 ..    the root of each full tile of the level below

The journal comes first: a leaf follows from its event, so nothing here is synced before a receipt leaves.  It is synced
before a snapshot is written, and so everything that a snapshot counts is here; what comes after one is dropped at a
start, and made again from the journal.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from ocs.errors import JournalFault, NotFound, Unavailable
from ocs.shell.store.data_folder import FILE_MODE, sync_folder
from ocs.shell.store.write_behind import write_behind
from ocs.tlog import merkle, tiles
from ocs.tlog.merkle import HASH_OCTETS, Frontier
from ocs.tlog.tiles import WIDTH_MAX, Bundle, Tile, TileReader, width_at

LEVELS: Final = 8
"""A log of 2^64 leaves has no more."""

READ_OCTETS: Final = 1024 * 1024
"""Entries that are read at once where many are."""

NEWEST_LEAVES: Final = 2048
"""Kept in memory too, some two megabytes: a receipt is written a moment after its leaf."""

_END_OCTETS: Final = 8
_LENGTH_OCTETS: Final = 2


class LogFiles:
    """The log of one deployment; one writer at a time, and readers on the same object.

    Attributes:
        size: leaves that can be read.
    """

    def __init__(self, folder: Path, descriptors: dict[str, int]) -> None:
        self._folder = folder
        self._descriptors = descriptors
        self._octets = 0  # of `entries`
        self._newest: deque[bytes] = deque(maxlen=NEWEST_LEAVES)
        self._nodes = TileReader(0, self.read)
        self.size = 0

    @classmethod
    def open(cls, folder: Path, *, to_write: bool = True) -> Self:
        """Open the files; `size` is what all of them hold.

        Args:
            to_write: make those that are missing.

        Raises:
            JournalFault: the disk refuses, or one is missing.
        """
        descriptors: dict[str, int] = {}
        names = ["entries", "ends", *(f"hashes-{level}" for level in range(LEVELS))]
        how = os.O_RDWR | os.O_CREAT if to_write else os.O_RDONLY
        try:
            for name in names:
                descriptors[name] = os.open(folder / name, how | os.O_CLOEXEC, FILE_MODE)
            if to_write:
                sync_folder(folder)
        except OSError as error:
            for descriptor in descriptors.values():
                os.close(descriptor)
            raise JournalFault(f"the log in {folder} cannot be opened: {error.strerror}") from None
        files = cls(folder, descriptors)
        files._take(files._held())
        return files

    def close(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def _held(self) -> int:
        """Count the leaves of which every file has its part."""
        size = min(self._length("ends") // _END_OCTETS, self._length("hashes-0") // HASH_OCTETS)
        # After a power cut a file may be shorter than its neighbours; a level that lacks roots holds fewer leaves.
        for level in range(1, LEVELS):
            size = min(size, (self._length(f"hashes-{level}") // HASH_OCTETS + 1) * WIDTH_MAX**level - 1)
        octets = self._length("entries")
        while size and self._end(size - 1) > octets:
            size -= 1
        return size

    def _take(self, size: int) -> None:
        self._octets = self._end(size - 1) if size else 0
        self._nodes = TileReader(size, self.read)
        self._newest.clear()
        self.size = size

    # Writing

    def rewind(self, size: int) -> None:
        """Drop the leaves after the first `size`: those that follow are made again.

        Raises:
            JournalFault: the disk refuses.
        """
        assert size <= self.size
        self._take(size)
        try:
            os.ftruncate(self._descriptors["entries"], self._octets)
            os.ftruncate(self._descriptors["ends"], size * _END_OCTETS)
            for level in range(LEVELS):
                os.ftruncate(self._descriptors[f"hashes-{level}"], (size // WIDTH_MAX**level) * HASH_OCTETS)
        except OSError as error:
            raise self._failed(error) from None

    def append(self, leaves: Sequence[bytes]) -> None:
        """Write leaves behind those there are; they can be read at once, and are durable after `sync`.

        Raises:
            JournalFault: the disk refuses; what is written of them is dropped at the next start.
        """
        if not leaves:
            return
        entries, ends = bytearray(), bytearray()
        for leaf in leaves:
            entries += len(leaf).to_bytes(_LENGTH_OCTETS, "big") + leaf
            ends += (self._octets + len(entries)).to_bytes(_END_OCTETS, "big")
        try:
            _write(self._descriptors["entries"], self._octets, entries)
            _write(self._descriptors["ends"], self.size * _END_OCTETS, ends)
            self._append_hashes([merkle.leaf_hash(leaf) for leaf in leaves])
        except OSError as error:
            raise self._failed(error) from None
        self._octets += len(entries)
        self._newest.extend(leaves)
        self.size += len(leaves)
        self._nodes.size = self.size

    def _append_hashes(self, hashes: list[bytes]) -> None:
        level, size = 0, self.size
        while hashes:
            descriptor = self._descriptors[f"hashes-{level}"]
            _write(descriptor, size * HASH_OCTETS, b"".join(hashes))
            full = range(size // WIDTH_MAX, (size + len(hashes)) // WIDTH_MAX)
            octets = WIDTH_MAX * HASH_OCTETS
            hashes = [tiles.tile_root(os.pread(descriptor, octets, tile * octets)) for tile in full]
            level, size = level + 1, size // WIDTH_MAX

    def write_behind(self) -> None:
        """Have the disk begin to write the newest leaves.

        Raises:
            Unavailable: the disk refuses.
        """
        self._each(write_behind)

    def sync(self) -> None:
        """Make every leaf durable.

        Raises:
            Unavailable: the disk refuses.
        """
        self._each(os.fdatasync)

    def _each(self, do: Callable[[int], None]) -> None:
        try:
            for descriptor in self._descriptors.values():
                do(descriptor)
        except OSError as error:
            raise Unavailable(f"the log in {self._folder} cannot be synced: {error.strerror}") from None

    # Reading

    def entry(self, index: int) -> bytes:
        """Give a leaf.

        Raises:
            NotFound: the log has no such leaf.
        """
        if not 0 <= index < self.size:
            raise NotFound(f"the log has {self.size} leaves, and none with index {index}")
        if self.size - index <= len(self._newest):
            return self._newest[index - self.size]
        start = self._start(index)
        return self._pread("entries", self._end(index) - start, start)[_LENGTH_OCTETS:]

    def entries(self, start: int, end: int) -> Iterator[bytes]:
        """Give the leaves from `start` up to, without, `end`, some at a time."""
        assert 0 <= start <= end <= self.size
        while start < end:
            at = self._start(start)
            upto = start
            ends = self._pread("ends", _END_OCTETS * min(end - start, WIDTH_MAX), start * _END_OCTETS)
            for place in range(0, len(ends), _END_OCTETS):
                stop = int.from_bytes(ends[place : place + _END_OCTETS], "big")
                if stop - at > READ_OCTETS and upto > start:
                    break
                upto, last = upto + 1, stop
            yield from tiles.read_bundle(self._pread("entries", last - at, at), upto - start)
            start = upto

    def read(self, path: str) -> bytes:
        """Give a tile or an entry bundle by its path (c2sp.org/tlog-tiles).

        Raises:
            NotFound: the log has none of that width.
            Malformed: no tile is spelt so.
        """
        asked = tiles.parse(path)
        level = 0 if isinstance(asked, Bundle) else asked.level
        if level >= LEVELS or asked.width > width_at(self.size, level, asked.index):
            raise NotFound(f"the log has {self.size} leaves, and no {path}")
        first = asked.index * WIDTH_MAX
        if isinstance(asked, Tile):
            return self._pread(f"hashes-{level}", asked.width * HASH_OCTETS, first * HASH_OCTETS)
        start = self._start(first)
        return self._pread("entries", self._end(first + asked.width - 1) - start, start)

    def check(self) -> Iterator[str]:
        """Compute every hash anew, and tell each tile that holds another; nothing where all is well."""
        for level in range(LEVELS):
            for index in range(-(-(self.size // WIDTH_MAX**level) // WIDTH_MAX)):
                tile = Tile(level, index, width_at(self.size, level, index))
                first = index * WIDTH_MAX
                if level == 0:
                    leaves = self.entries(first, first + tile.width)
                    expected = b"".join(map(merkle.leaf_hash, leaves))
                else:
                    full = (Tile(level - 1, first + place) for place in range(tile.width))
                    expected = b"".join(tiles.tile_root(self.read(one.path)) for one in full)
                if self.read(tile.path) != expected:
                    yield f"the log: {tile.path} does not hold the hashes of what lies below it"

    def root(self, size: int) -> bytes:
        """Give the root of the first `size` leaves."""
        return merkle.root(size, self._nodes)

    def frontier(self, size: int) -> Frontier:
        """Give what it takes to append to the first `size` leaves."""
        hashes, at = [], 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                hashes.append(self._nodes(level, at >> level))
                at += 1 << level
        return Frontier.unpacked(size.to_bytes(8, "big") + b"".join(hashes))

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Prove that a leaf is among the first `size`.

        Raises:
            ProofInvalid: it is not.
        """
        return self._nodes.inclusion(index, size)

    def consistency(self, old_size: int, size: int) -> tuple[bytes, ...]:
        """Prove that the first `old_size` leaves begin the first `size`.

        Raises:
            ProofInvalid: the old tree is the larger one.
        """
        return merkle.consistency_proof(old_size, size, self._nodes)

    def _start(self, index: int) -> int:
        return self._end(index - 1) if index else 0

    def _end(self, index: int) -> int:
        return int.from_bytes(self._pread("ends", _END_OCTETS, index * _END_OCTETS), "big")

    def _pread(self, name: str, count: int, at: int) -> bytes:
        octets = os.pread(self._descriptors[name], count, at)
        if len(octets) != count:
            raise JournalFault(f"the log's file {self._folder / name} ends at {at + len(octets)}, before {at + count}")
        return octets

    def _length(self, name: str) -> int:
        return os.fstat(self._descriptors[name]).st_size

    def _failed(self, error: OSError) -> JournalFault:
        return JournalFault(f"the log in {self._folder} cannot be written: {error.strerror or error}")


def _write(descriptor: int, at: int, octets: bytes | bytearray) -> None:
    """Write at a place of its own: a read of another thread moves no position."""
    view = memoryview(octets)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
