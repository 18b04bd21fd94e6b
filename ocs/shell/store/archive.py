"""The archive: commit groups that snapshots have overtaken, compressed, in segments.

docs/adr/0004-snapshots-and-archive.md

    magic "OCSA" · format · { block } · table · length of the table (4) · digest of all before it (16)

A block is some groups one after another, each with its length, compressed together; the table says where each block
lies and which groups it holds.  The name of a segment says which groups are in it: `<first>-<last>.groups`.

`History` reads journal and archive as one.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from ocs.errors import JournalFault, NotFound, Unavailable
from ocs.shell.store.data_folder import ASIDE_SUFFIX, publish, sync_folder, write_all, writing_aside
from ocs.shell.store.group import DIGEST_OCTETS, Group, decode, encode, follows
from ocs.shell.store.journal import JournalReader
from ocs.shell.store.write_behind import PIECE_OCTETS, write_behind
from ocs.units import GroupIndex, UnixMillis

SUFFIX: Final = ".groups"
SEGMENT_OCTETS: Final = 64 * 1024 * 1024
"""Of groups, before compression: a segment is read and removed as one."""

BLOCK_OCTETS: Final = 256 * 1024
"""What is decompressed to read one group."""

READ_GROUPS: Final = 500
READ_OCTETS: Final = 4 * 1024 * 1024
COMPRESSION: Final = 1
"""A level more takes twice as long and saves a tenth."""

_MAGIC: Final = b"OCSA"
_FORMAT: Final = 1
_HEAD: Final = struct.Struct(">4sB")
_LENGTH: Final = struct.Struct(">I")


class _Block(msgspec.Struct, array_like=True):
    first: GroupIndex
    count: int
    offset: int
    octets: int


class _Table(msgspec.Struct, array_like=True):
    first_at: UnixMillis
    last_at: UnixMillis
    blocks: list[_Block]


class Segment:
    """One file of the archive.

    Attributes:
        first, last: the groups in it, both included.
    """

    def __init__(self, path: Path) -> None:
        first, _, last = path.name.removesuffix(SUFFIX).partition("-")
        if not (first.isdigit() and last.isdigit()):
            raise JournalFault(f"{path} is no segment of the archive: its name does not say which groups it holds")
        self.path = path
        self.first, self.last = GroupIndex(int(first)), GroupIndex(int(last))
        self._read: _Table | None = None

    @property
    def last_at(self) -> UnixMillis:
        return self._table().last_at

    def groups(self, after: GroupIndex) -> Iterator[Group]:
        """Give its groups that follow `after`.

        Raises:
            JournalFault: it is damaged.
        """
        for block in self._table().blocks:
            if block.first + block.count - 1 > after:
                yield from (group for group in self._block(block) if group.index > after)

    def group(self, index: GroupIndex) -> Group:
        for block in self._table().blocks:
            if block.first <= index < block.first + block.count:
                return self._block(block)[index - block.first]
        raise self._damaged(f"its table does not hold group {index}")

    def check(self) -> None:
        """Hold the whole file against its digest.

        Raises:
            JournalFault: it is damaged.
        """
        octets = self._octets()
        if blake2b(memoryview(octets)[:-DIGEST_OCTETS], digest_size=DIGEST_OCTETS).digest() != octets[-DIGEST_OCTETS:]:
            raise self._damaged("its digest does not match")

    def _table(self) -> _Table:
        if self._read is None:
            octets = self._octets()
            place = len(octets) - DIGEST_OCTETS - _LENGTH.size
            if place < _HEAD.size or octets[:4] != _MAGIC:
                raise self._damaged("it does not begin as a segment, or was cut")
            if octets[4] != _FORMAT:
                raise self._damaged(f"its format is {octets[4]}, and this release reads {_FORMAT}")
            (length,) = _LENGTH.unpack_from(octets, place)
            try:
                self._read = msgspec.msgpack.decode(octets[place - length : place], type=_Table)
            except msgspec.DecodeError as error:
                raise self._damaged(f"its table cannot be read ({error})") from None
        return self._read

    def _block(self, block: _Block) -> list[Group]:
        try:
            with self.path.open("rb") as file:
                file.seek(block.offset)
                octets = zlib.decompress(file.read(block.octets))
        except (OSError, zlib.error) as error:
            raise self._damaged(f"the block at {block.offset}: {error}") from None
        groups = []
        place = 0
        while place < len(octets):
            (length,) = _LENGTH.unpack_from(octets, place)
            place += _LENGTH.size
            groups.append(decode(octets[place : place + length]))
            place += length
        if [group.index for group in groups] != list(range(block.first, block.first + block.count)):
            raise self._damaged(f"the block at {block.offset} does not hold the groups its table says")
        return groups

    def _octets(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from None

    def _damaged(self, reason: str) -> JournalFault:
        return JournalFault(f"archive segment {self.path}: {reason}")


class Archive:
    """The segments of one folder; one process writes them, others may read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Segment] = {}

    def segments(self) -> list[Segment]:
        """Give the segments, the oldest first.

        Raises:
            JournalFault: one is missing between two others.
        """
        names = sorted(path.name for path in self._folder.glob(f"*{SUFFIX}"))
        self._known = {name: self._known.get(name) or Segment(self._folder / name) for name in names}
        found = list(self._known.values())
        for before, after in pairwise(found):
            if after.first != before.last + 1:
                raise JournalFault(
                    f"the archive {self._folder} has no groups {before.last + 1} to {after.first - 1}; "
                    "bring the segment back from a copy"
                )
        return found

    def first(self) -> GroupIndex:
        """Give the oldest group, 0 for none."""
        return next((segment.first for segment in self.segments()), GroupIndex(0))

    def last(self) -> GroupIndex:
        """Give the newest group, 0 for none."""
        return next((segment.last for segment in reversed(self.segments())), GroupIndex(0))

    def group(self, index: GroupIndex) -> Group:
        """Read one group.

        Raises:
            NotFound: it is not here.
            JournalFault: it is damaged.
        """
        for segment in self.segments():
            if segment.first <= index <= segment.last:
                return segment.group(index)
        raise NotFound(f"group {index} is not kept any more")

    def groups(self, after: GroupIndex) -> Iterator[Group]:
        """Give the groups that follow `after`."""
        for segment in self.segments():
            if segment.last > after:
                yield from segment.groups(after)

    def extend(self, reader: JournalReader, through: GroupIndex, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Copy groups up to `through` from the journal; say whether they are durable here now.

        Args:
            stopped: asked before each segment; what is left is copied another time.

        Raises:
            JournalFault: the journal no longer holds what comes next.
            Unavailable: the disk refused.
        """
        last = self.last()
        while last < through:
            first = GroupIndex(last + 1 if last else reader.first())
            if not first or stopped():
                return False
            written = self._write_segment(reader, first, through)
            if not written:
                raise JournalFault(f"the journal does not hold group {first}, which the archive lacks")
            last = written
        return True

    def expire(self, through: GroupIndex, before: UnixMillis, octets_max: int) -> None:
        """Remove segments older than `before`, and the oldest ones above `octets_max` in all.

        Args:
            through: no group behind this one goes; a snapshot there is to fall back on.
        """
        segments = self.segments()
        octets = sum(segment.path.stat().st_size for segment in segments)
        for segment in segments:
            if segment.last > through or (segment.last_at >= before and octets <= octets_max):
                break
            octets -= segment.path.stat().st_size
            segment.path.unlink()
            # Synced one by one, the oldest first: a crash leaves no gap between two segments.
            sync_folder(self._folder)

    def _write_segment(self, reader: JournalReader, first: GroupIndex, through: GroupIndex) -> GroupIndex:
        """Write one segment that begins with `first`; its last group, 0 where the journal does not have `first`."""
        blocks: list[_Block] = []
        times: list[UnixMillis] = []
        last = GroupIndex(first - 1)
        aside = self._folder / f"{first:020d}{SUFFIX}{ASIDE_SUFFIX}"
        try:
            with writing_aside(aside) as descriptor:
                checked = blake2b(_HEAD.pack(_MAGIC, _FORMAT), digest_size=DIGEST_OCTETS)
                write_all(descriptor, _HEAD.pack(_MAGIC, _FORMAT))
                offset, whole, begun = _HEAD.size, 0, 0
                while last < through and whole < SEGMENT_OCTETS:
                    groups = [group for group in reader.read(last, READ_GROUPS, BLOCK_OCTETS) if group.index <= through]
                    if not groups or groups[0].index != last + 1:
                        break
                    raw = b"".join(_framed(group) for group in groups)
                    packed = zlib.compress(raw, COMPRESSION)
                    blocks.append(_Block(groups[0].index, len(groups), offset, len(packed)))
                    times += [groups[0].at, groups[-1].at]
                    write_all(descriptor, packed)
                    checked.update(packed)
                    offset += len(packed)
                    whole += len(raw)
                    if offset - begun >= PIECE_OCTETS:
                        write_behind(descriptor)
                        begun = offset
                    last = groups[-1].index
                if last < first:
                    aside.unlink()
                    return GroupIndex(0)
                table = msgspec.msgpack.encode(_Table(times[0], times[-1], blocks))
                end = table + _LENGTH.pack(len(table))
                checked.update(end)
                write_all(descriptor, end + checked.digest())
                publish(descriptor, aside, self._folder / f"{first:020d}-{last:020d}{SUFFIX}")
                # Durable under its name: the journal may let go of these groups.
        except OSError as error:
            raise Unavailable(f"the archive {self._folder} cannot be written: {error.strerror or error}") from None
        return last


class History:
    """Journal and archive as one run of groups."""

    def __init__(self, reader: JournalReader, archive: Archive) -> None:
        self._reader = reader
        self._archive = archive

    def first(self) -> GroupIndex:
        """Give the oldest group kept, 0 for none."""
        return self._archive.first() or self._reader.first()

    def group(self, index: GroupIndex) -> Group:
        """Read one group.

        Raises:
            NotFound: it is not kept any more.
            JournalFault: it is damaged.
        """
        return self._reader.group(index) or self._archive.group(index)

    def iterate(self, after: GroupIndex, digest: bytes | None = None) -> Iterator[Group]:
        """Give every group after `after`, each checked to continue the one before it.

        Args:
            digest: of group `after`, where it is known; the first group of all is held against the data's identity.

        Raises:
            JournalFault: a group is missing, damaged, or not of this history.
        """
        before = self._reader.data_id if not after else digest
        while groups := self.some(after):
            for group in groups:
                yield group if before is None else follows(group, after, before)
                after, before = group.index, group.digest

    def some(self, after: GroupIndex, groups_max: int = READ_GROUPS, octets_max: int = READ_OCTETS) -> list[Group]:
        """Give some of the groups after `after`, [] for none; their chain is not checked.

        Args:
            groups_max, octets_max: no more is taken once so many are there.

        Raises:
            JournalFault: the next one is missing.
        """
        # Looked at anew for each batch: what was in the journal a moment ago may lie in the archive now.
        groups = self._reader.read(after, groups_max, octets_max)
        if groups and groups[0].index == after + 1:
            return groups
        found: list[Group] = []
        octets = 0
        for group in self._archive.groups(after):
            found.append(group)
            octets += len(group.payload)
            if len(found) >= groups_max or octets >= octets_max:
                break
        if found or not groups:
            return found
        raise JournalFault(
            f"group {after + 1} is neither in the journal, which begins with {groups[0].index}, nor archived"
        )


def _framed(group: Group) -> bytes:
    body = encode(group.index, group.at, group.previous, group.payload)
    assert body[-DIGEST_OCTETS:] == group.digest, "an archived group is the group that was synced"
    return _LENGTH.pack(len(body)) + body
