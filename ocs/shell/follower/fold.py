"""The follower's fold: the journal read after the core, group by group, into state, snapshots and archive.

What is read here has been synced.  The state is the core's own, a moment later.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import structlog

from ocs import image
from ocs.channel.event import ChannelOpened, ChannelStepped
from ocs.errors import JournalFault, Unavailable
from ocs.node import evolve
from ocs.shell.config import JournalSettings
from ocs.shell.follower.channel_keeper import ChannelKeeper
from ocs.shell.follower.pursuit import Pursuit
from ocs.shell.store import records, snapshot
from ocs.shell.store.archive import Archive, History
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.group import Group, follows
from ocs.shell.store.journal import JournalReader
from ocs.shell.store.log_files import LogFiles
from ocs.shell.store.write_behind import PIECE_OCTETS
from ocs.state import State
from ocs.units import DAY, GroupIndex, UnixMillis

BATCH_OCTETS: Final = 512 * 1024
"""Folded in one go, some ten milliseconds: so long the door waits."""

GATHER_SECONDS: Final = 0.05

SESSIONS_PER_RECORD: Final = 3
"""Replaying a record takes some four times as long as reading a session from a snapshot does."""

WRITING_PART: Final = 1 / 3
"""At most, of the time in which a snapshot became due, for writing it: the journal's syncs pass between its chunks."""

PACE_SECONDS_MAX: Final = 0.05
"""Between two chunks of a snapshot."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Begun:
    """A snapshot to write: the state as it was at `index`, a chunk each `pace` seconds."""

    index: GroupIndex
    sessions: int
    chunks: Iterator[bytes]
    writer: snapshot.SnapshotWriter
    pace: float


class Fold(Pursuit):
    """The state as of `index`, and what is built on it.

    Attributes:
        state: changes in place at every `await`.
        log: the public log, with every leaf up to `index`.
        on_archived: told how far the archive reaches, so that the core may drop those groups.
        needed_after: gives the group behind which others still read; the archive keeps what follows it.
    """

    name = "the reader is"
    batch_octets = BATCH_OCTETS
    gather_seconds = GATHER_SECONDS

    def __init__(
        self,
        settings: JournalSettings,
        folder: DataFolder,
        history: History,
        log_files: LogFiles,
        keeper: ChannelKeeper,
        state: State,
        index: GroupIndex,
    ) -> None:
        super().__init__(history, index)
        self.state = state
        self.log = log_files
        log_files.rewind(state.signed.log.size)
        self._keeper = keeper
        self._leaves: list[bytes] = []
        self._newest = 0  # octets of the log that the disk was not asked to write yet
        state.signed.on_leaf = self._add_leaf
        self.on_archived: Callable[[GroupIndex], None] = lambda through: None
        self.needed_after: Callable[[], GroupIndex] = lambda: self.index
        self._settings = settings
        self._folder = folder
        self._archive = Archive(folder.archive)
        self._digest = b""
        self._writing: asyncio.Task[None] | None = None
        self._newest_snapshot = index
        self._stopping = threading.Event()
        self._records_since_snapshot = 0
        self._snapshot_at = asyncio.get_running_loop().time()

    @classmethod
    def open(
        cls,
        settings: JournalSettings,
        folder: DataFolder,
        reader: JournalReader,
        history: History,
        log_files: LogFiles,
        keeper: ChannelKeeper,
    ) -> Self:
        """Start from the newest snapshot, or from the beginning.

        Raises:
            JournalFault: the journal begins after every snapshot that is whole and whose leaves the log has.
        """

        def restore(chunks: Iterator[bytes]) -> State:
            state = image.restore(chunks)
            _hold_log_against(log_files, state)
            return state

        start, state, faults = snapshot.restored(folder.snapshots, restore)
        for fault in faults:
            log.error("a snapshot cannot be used; an older one is", detail=fault)
        if start is not None and state is not None:
            fold = cls(settings, folder, history, log_files, keeper, state, start.index)
            fold._digest = start.digest
            return fold
        if (first := history.first()) > 1:
            raise JournalFault(
                f"the groups before {first} are not kept any more, and no snapshot can be used; "
                f"bring the data back from a copy ({'; '.join(faults) or 'there is no snapshot'})"
            )
        fold = cls(settings, folder, history, log_files, keeper, State(), GroupIndex(0))
        fold._digest = reader.data_id
        return fold

    async def take(self, groups: Sequence[Group]) -> None:
        """Evolve the state by all of these groups."""
        index = self.index
        for group in groups:
            follows(group, index, self._digest)
            events = records.decode(group.payload)
            self.state.group = group.index
            for event in events:
                evolve(self.state, event)
                if isinstance(event, ChannelOpened | ChannelStepped):
                    await self._keeper.see(event, self.state)
            self._records_since_snapshot += len(events)
            index, self._digest = group.index, group.digest
        if self._leaves:
            self.log.append(self._leaves)
            self._newest += sum(map(len, self._leaves))
            self._leaves.clear()
            if self._newest >= PIECE_OCTETS:
                self._newest = 0
                await _to_its_end(self.log.write_behind)

    def _add_leaf(self, place: int, leaf: bytes) -> None:
        assert place == self.log.size + len(self._leaves), "the log is as long as the state says"
        self._leaves.append(leaf)

    async def between(self) -> None:
        """Begin a snapshot where one is due; writing it, and archiving behind it, goes on beside the fold."""
        if self._writing is not None:
            if not self._writing.done():
                return  # a snapshot more would only mean a second one to wait for
            self._writing.result()
            self._writing = None
        waited = asyncio.get_running_loop().time() - self._snapshot_at
        by_time = self._records_since_snapshot > 0 and waited >= self._settings.snapshot_every_seconds
        # A snapshot costs as much as there are sessions; a start reads it, and replays what came since.
        sessions = len(self.state.charging.sessions)
        enough = max(self._settings.snapshot_every_records, sessions // SESSIONS_PER_RECORD)
        if not by_time and self._records_since_snapshot < enough:
            return
        self._snapshot_at, self._records_since_snapshot = asyncio.get_running_loop().time(), 0
        try:
            begun = await self._begin_snapshot(waited * WRITING_PART)
        except Unavailable as error:
            # The journal holds everything; the next turn tries again.
            log.exception("no snapshot", reason=str(error))
        else:
            self._writing = asyncio.get_running_loop().create_task(self._write_apart(begun))

    async def _write_apart(self, begun: _Begun) -> None:
        try:
            await self._write(begun)
        except Unavailable as error:
            log.exception("no snapshot", reason=str(error))
            return
        try:
            await self.archive_behind()
        except Unavailable as error:
            log.exception("nothing archived", reason=str(error))

    async def write_snapshot(self) -> None:
        """Write the state as it stands, as fast as it goes.

        Raises:
            Unavailable: the disk refused.
        """
        await self._write(await self._begin_snapshot(0.0))

    async def _begin_snapshot(self, seconds: float) -> _Begun:
        """Take the state as it stands; from then on it may change.

        Args:
            seconds: over which the snapshot is to be written.

        Raises:
            Unavailable: the disk refused.
        """
        # All leaves that the snapshot counts are durable before it is there: a start makes only later ones again.
        self._newest = 0
        await _to_its_end(self.log.sync)
        writer = snapshot.SnapshotWriter(self._folder.snapshots, self.index, self.state.at, self._digest)
        sessions = len(self.state.charging.sessions)
        pace = min(seconds / (1 + sessions // image.SESSIONS_PER_CHUNK), PACE_SECONDS_MAX)
        return _Begun(self.index, sessions, image.chunks(self.state), writer, pace)

    async def _write(self, begun: _Begun) -> None:
        loop = asyncio.get_running_loop()
        try:
            for chunk in begun.chunks:
                next_at = loop.time() + begun.pace
                begun.writer.add(chunk)
                await _to_its_end(begun.writer.write_behind)
                await asyncio.sleep(max(0.0, next_at - loop.time()))
            await _to_its_end(begun.writer.finish)
        except BaseException:
            begun.writer.abandon()
            raise
        self._newest_snapshot = begun.index
        log.info("snapshot written", index=begun.index, sessions=begun.sessions)

    async def archive_behind(self) -> None:
        """Copy groups behind the snapshot before the newest to the archive, then let the core drop them.

        Raises:
            Unavailable: the disk refused.
        """
        before, _ = await asyncio.to_thread(
            snapshot.newest, self._folder.snapshots, GroupIndex(self._newest_snapshot - 1)
        )
        if before is None or not await asyncio.to_thread(self._extend, before.index):
            return
        self.on_archived(before.index)
        for fault in await asyncio.to_thread(self._expire, min(before.index, self.needed_after())):
            log.error("snapshot damaged; it is left where it is", detail=fault)

    async def close(self) -> None:
        """Give up the snapshot that is being written, and close the log.

        What is copied or removed on a thread ends with the file that it is at; the process waits for that.
        """
        self._stopping.set()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
        self.log.close()

    def _extend(self, through: GroupIndex) -> bool:
        """Run on a thread: copy; say whether all of it is durable."""
        reader = JournalReader.open(self._folder.journal)  # a connection of this thread's own
        try:
            return self._archive.extend(reader, through, self._stopping.is_set)
        finally:
            reader.close()

    def _expire(self, unneeded: GroupIndex) -> list[str]:
        """Run on a thread: remove what is kept long enough, the archive before its snapshots; what cannot be read."""
        keep_ms = self._settings.keep_days * DAY
        try:
            self._archive.expire(unneeded, UnixMillis(self.state.at - keep_ms), self._settings.keep_octets)
            return snapshot.expire(
                self._folder.snapshots,
                self.state.at,
                keep_ms,
                self._archive.first(),
                self.needed_after(),
                self._stopping.is_set,
            )
        except OSError as error:
            raise Unavailable(f"what is old cannot be removed: {error.strerror or error}") from None


async def _to_its_end(act: Callable[[], None]) -> None:
    """Run on a thread; whoever is cancelled meanwhile goes on only when it has ended, for it has a file under way."""
    running = asyncio.ensure_future(asyncio.to_thread(act))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        running.exception()  # looked at: nobody wants it any more
        raise


def _hold_log_against(log_files: LogFiles, state: State) -> None:
    """Check that the log has the leaves that a state counts.

    Raises:
        JournalFault: it lacks some, or has others.
    """
    size = state.signed.log.size
    if log_files.size < size:
        raise JournalFault(f"the log holds {log_files.size} leaves, and this state counts {size}")
    if log_files.root(size) != state.signed.tree.root():
        raise JournalFault(f"the first {size} leaves of the log are not those that this state counts")
