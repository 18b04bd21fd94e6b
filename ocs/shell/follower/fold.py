"""The follower's fold: the journal read after the core, group by group, into state, books, snapshots and archive.

What is read here has been synced.  The state is the core's own, a moment later; the books are at the same index.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Self

import structlog

from ocs import image
from ocs.credit_control.event import AnswerDropped, Expired, Refused, Stepped, TerminationAsked
from ocs.errors import JournalFault, NotFound, Unavailable
from ocs.node import evolve
from ocs.shell.books import seed as books_seed
from ocs.shell.books.books import Books
from ocs.shell.config import Config
from ocs.shell.store import records, snapshot
from ocs.shell.store.archive import Archive, History
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.group import Group, follows
from ocs.shell.store.journal import JournalReader
from ocs.shell.store.snapshot import Snapshot
from ocs.state import Event, State
from ocs.units import DAY, GroupIndex, SessionId, UnixMillis

REACH_SECONDS: Final = 1.0
"""A reader waits this long for the fold to reach the core's index."""

GATHER_SECONDS: Final = 0.05
"""How long groups gather before they are read, where no reader waits for them."""

BATCH_GROUPS: Final = 500
BATCH_OCTETS: Final = 4 * 1024 * 1024
HISTORY_GROUPS_MAX: Final = 10_000

log = structlog.get_logger()


class Fold:
    """The state as of `index`, and what is built on it.

    Attributes:
        state: changes in place at every `await`.
        index: the newest group folded into it.
        target: the newest group known to be synced.
        books: at `index` too, once `reach` has returned.
        on_archived: told how far the archive reaches, so that the core may drop those groups.
    """

    def __init__(self, config: Config, folder: DataFolder, books: Books) -> None:
        self.state = State()
        self.books = books
        self.index = GroupIndex(0)
        self.target = GroupIndex(0)
        self.on_archived: Callable[[GroupIndex], None] = lambda through: None
        self._settings = config.journal
        self._folder = folder
        self._reader = JournalReader.open(folder.journal)
        self._archive = Archive(folder.archive)
        self._history = History(self._reader, self._archive)
        self._digest = self._reader.data_id
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._behind_since = 0.0
        self._reached: list[tuple[GroupIndex, asyncio.Future[None]]] = []
        self._records_since_snapshot = 0
        self._snapshot_at = asyncio.get_running_loop().time()

    @classmethod
    async def open(cls, config: Config, folder: DataFolder) -> Self:
        """Start from the newest snapshot that the books have reached, or from the beginning.

        Raises:
            JournalFault: journal, snapshots and books are not of one history.
        """
        books = await Books.open(folder.books)
        try:
            fold = cls(config, folder, books)
            await fold._begin()
        except BaseException:
            await books.close()  # its thread would keep a process alive that has nothing to do
            raise
        log.info("following", after=fold.index, books=books.index, sessions=len(fold.state.charging.sessions))
        return fold

    async def _begin(self) -> None:
        """Take the newest state that the books have reached."""
        last = self._reader.last()
        if self.books.index + 1 < self._history.first():
            await self._begin_books()
        if self.books.index > last:
            raise JournalFault(
                f"the books hold group {self.books.index}, and the journal ends with {last}: it was replaced; "
                f"move {self._folder.books} away, and the books are made again from the journal"
            )
        start, faults = snapshot.newest(self._folder.snapshots, self.books.index)
        for fault in faults:
            log.error("snapshot damaged; an older one is used", detail=fault)
        if start is not None:
            self.state = image.restore(start.chunks())
            self.index, self._digest = start.index, start.digest
        elif self._history.first() > 1:
            raise JournalFault(
                f"the books end with group {self.books.index}, and no snapshot up to there is whole; "
                f"move {self._folder.books} away, and books begin with the oldest snapshot"
            )

    async def _begin_books(self) -> None:
        """Begin empty books with the oldest snapshot there is: the groups before it are not kept any more.

        Raises:
            JournalFault: there is none that is whole, or books that are not empty lack groups that are gone.
        """
        if self.books.index:
            raise JournalFault(
                f"the books end with group {self.books.index}, and the groups after it are not kept any more; "
                f"move {self._folder.books} away, and books begin with the oldest snapshot"
            )
        found = self._oldest_snapshot()
        state = image.restore(found.chunks())
        await self.books.replace(books_seed.posting(state), found.index, found.at)
        log.warning("books begin with a snapshot", index=found.index)

    def _oldest_snapshot(self) -> Snapshot:
        """Give the oldest whole snapshot whose next group is still kept."""
        first = self._history.first()
        for one in snapshot.all(self._folder.snapshots):
            if one.index + 1 < first:
                continue
            try:
                one.check()
            except JournalFault as fault:
                log.warning("snapshot damaged; a newer one is used", detail=str(fault))
            else:
                return one
        raise JournalFault(
            f"the groups before {first} are not kept any more, and no snapshot up from there is whole; "
            "bring the data back from a copy"
        )

    async def close(self) -> None:
        await self.books.close()
        self._reader.close()

    def aim(self, index: GroupIndex) -> None:
        """Learn that `index` is synced."""
        if self.index >= self.target:
            self._behind_since = asyncio.get_running_loop().time()
        self.target = max(self.target, index)
        self._wake.set()

    def behind_seconds(self) -> float:
        """Tell for how long the fold has not caught up with what is synced; 0 where it has."""
        return asyncio.get_running_loop().time() - self._behind_since if self.index < self.target else 0.0

    async def reach(self, index: GroupIndex) -> None:
        """Wait until state and books have reached `index`.

        Raises:
            Unavailable: they have not within a second.
        """
        if self.index >= index:
            return
        self.aim(index)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reached.append((index, future))
        self._hurry.set()
        try:
            await asyncio.wait_for(future, REACH_SECONDS)
        except TimeoutError:
            raise Unavailable(
                f"the reader is {index - self.index} groups behind; what was asked is durable, try to read again"
            ) from None

    async def run(self) -> None:
        """Follow for as long as the process lives.

        Raises:
            JournalFault: a group is missing, damaged, or not of this history.
        """
        while True:
            if self.index >= self.target:
                self._wake.clear()
                await self._wake.wait()
                continue
            groups = [group for group in self._next() if group.index <= self.target]
            if not groups:
                raise JournalFault(f"group {self.index + 1} was synced and cannot be read")
            gathered = asyncio.get_running_loop().time() + GATHER_SECONDS
            await self._apply(groups)
            await self._snapshot_if_due()
            rest = gathered - asyncio.get_running_loop().time()
            if not self._reached and rest > 0:
                # Nobody waits: a few groups at a time cost the disk, which the core needs, fewer syncs.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), rest)
            self._hurry.clear()

    def _next(self) -> Sequence[Group]:
        if self.index + 1 < self._reader.first():
            return self._history.some(self.index)
        return self._reader.read(self.index, BATCH_GROUPS, BATCH_OCTETS)

    async def _apply(self, groups: Sequence[Group]) -> None:
        """Evolve the state by all of these groups, then the books, in one transaction."""
        fresh: list[tuple[GroupIndex, UnixMillis, Sequence[Event]]] = []
        digest, index = self._digest, self.index
        for group in groups:
            follows(group, index, digest)
            events = records.decode(group.payload)
            self.state.group = group.index
            for event in events:
                evolve(self.state, event)
            self._records_since_snapshot += len(events)
            index, digest = group.index, group.digest
            if index > self.books.index:
                fresh.append((index, group.at, events))
        if fresh:
            await self.books.apply(fresh)
        self.index, self._digest = index, digest
        self._tell_reached()

    def _tell_reached(self) -> None:
        still = []
        for index, future in self._reached:
            if index > self.index:
                still.append((index, future))
            elif not future.done():
                future.set_result(None)
        self._reached = still

    # Snapshots and archive

    async def _snapshot_if_due(self) -> None:
        waited = asyncio.get_running_loop().time() - self._snapshot_at
        by_time = self._records_since_snapshot > 0 and waited >= self._settings.snapshot_every_seconds
        # A snapshot costs as much as there are sessions, and so does reading it: replaying as many records is no worse.
        enough = max(self._settings.snapshot_every_records, len(self.state.charging.sessions))
        if not by_time and self._records_since_snapshot < enough:
            return
        self._snapshot_at, self._records_since_snapshot = asyncio.get_running_loop().time(), 0
        try:
            await self._write_snapshot()
            await self._archive_behind()
        except Unavailable as error:
            # The journal holds everything; the next turn tries again.
            log.exception("no snapshot", reason=str(error))

    async def _write_snapshot(self) -> None:
        """Write the state as it stands; the fold waits, the door goes on."""
        writer = snapshot.SnapshotWriter(self._folder.snapshots, self.index, self.state.at, self._digest)
        try:
            for chunk in image.chunks(self.state):
                writer.add(chunk)
                await asyncio.sleep(0)
            await asyncio.to_thread(writer.finish)
        except BaseException:
            writer.abandon()
            raise
        log.info("snapshot written", index=self.index, sessions=len(self.state.charging.sessions))

    async def _archive_behind(self) -> None:
        """Copy groups behind the snapshot before the newest to the archive, then let the core drop them."""
        before, _ = await asyncio.to_thread(snapshot.newest, self._folder.snapshots, GroupIndex(self.index - 1))
        if before is not None:
            await asyncio.to_thread(self._extend, before.index)
            self.on_archived(before.index)

    def _extend(self, through: GroupIndex) -> None:
        """Run on a thread: copy, then remove what is kept long enough, the archive before its snapshots."""
        reader = JournalReader.open(self._folder.journal)  # a connection of this thread's own
        try:
            self._archive.extend(reader, through)
        finally:
            reader.close()
        keep_ms = self._settings.keep_days * DAY
        self._archive.expire(through, UnixMillis(self.state.at - keep_ms), self._settings.keep_octets)
        snapshot.expire(self._folder.snapshots, self.state.at, keep_ms, self._archive.first())

    # History

    async def history(self, session_id: SessionId) -> list[tuple[GroupIndex, Event]]:
        """Give a session's events, the oldest first, as far back as they are kept."""
        found: list[tuple[GroupIndex, Event]] = []
        with suppress(Unavailable):
            for each in self._back(session_id, await self._last_group(session_id)):
                found.append(each)  # noqa: PERF402  # what was found before the end of what is kept stays found
        return found[::-1]

    async def served(self, session_id: SessionId, number: int) -> Stepped | None:
        """Give the event that served a request, None where no request of this number was served.

        Raises:
            Unavailable: the session is open, and its history is not kept as far back: it cannot be told.
        """
        try:
            for _, event in self._back(session_id, await self._last_group(session_id)):
                if isinstance(event, Stepped) and event.number == number:
                    return event
        except Unavailable:
            if session_id in self.state.charging.sessions:
                raise
            # Over for weeks: whatever this is, it is no repeat.
        return None

    async def _last_group(self, session_id: SessionId) -> GroupIndex | None:
        session = self.state.charging.sessions.get(session_id)
        return session.last if session is not None else await self.books.session_last_group(session_id)

    def _back(self, session_id: SessionId, index: GroupIndex | None) -> Iterator[tuple[GroupIndex, Event]]:
        """Walk back through a session's events, from group to group, the newest first.

        Raises:
            Unavailable: where the next is kept no longer, or too many have passed.
        """
        for _ in range(HISTORY_GROUPS_MAX):
            if not index:
                return
            try:
                events = records.decode(self._history.group(index).payload)
            except NotFound:
                raise Unavailable(f"group {index} is older than the journal is kept") from None
            mine = [event for event in events if _session_of(event) == session_id]
            for event in reversed(mine):
                yield index, event
            before = min((_previous(event, index) for event in mine), default=GroupIndex(0))
            if before >= index:
                return
            index = before
        raise Unavailable(f"the session has more than {HISTORY_GROUPS_MAX} groups")


def _session_of(event: Event) -> bytes | None:
    match event:
        case Stepped() | Expired() | AnswerDropped() | TerminationAsked() | Refused():
            return event.session_id
        case _:
            return None


def _previous(event: Event, index: GroupIndex) -> GroupIndex:
    """Name the group of the session's event before this one; a refusal is no link of the chain."""
    match event:
        case Stepped() | Expired() | AnswerDropped() | TerminationAsked():
            return event.previous
        case _:
            return index
