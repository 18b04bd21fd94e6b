"""All that a follower makes of the journal: the state, the books, and histories of sessions."""

import asyncio
from dataclasses import dataclass
from typing import Final, Self

import structlog

from ocs.channel.leaf import split
from ocs.reporting import Earlier
from ocs.shell import key_file
from ocs.shell.config import JournalSettings
from ocs.shell.follower.bookkeeper import Bookkeeper
from ocs.shell.follower.channel_keeper import ChannelKeeper
from ocs.shell.follower.fold import Fold
from ocs.shell.follower.session_history import SessionHistory
from ocs.shell.store.archive import Archive, History
from ocs.shell.store.channel_files import ChannelFiles
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.journal import JournalReader
from ocs.shell.store.log_files import LogFiles
from ocs.units import GroupIndex

NOTHING_EARLIER: Final = Earlier(b"", b"", -1)

log = structlog.get_logger()


@dataclass(slots=True)
class Reading:
    """Fold and books, each at a pace of its own."""

    fold: Fold
    bookkeeper: Bookkeeper
    sessions: SessionHistory
    _reader: JournalReader

    @classmethod
    async def open(cls, settings: JournalSettings, folder: DataFolder) -> Self:
        """Open journal, newest snapshot and books.

        Raises:
            JournalFault: they are not of one history, or what is needed of it is gone.
        """
        reader = JournalReader.open(folder.journal)
        history = History(reader, Archive(folder.archive))
        bookkeeper = await Bookkeeper.open(folder, reader, history)
        try:
            log_files = LogFiles.open(folder.log)
            keeper = ChannelKeeper(ChannelFiles(folder.log), key_file.load_or_make(folder.owner_key))
            fold = Fold.open(settings, folder, reader, history, log_files, keeper)
        except BaseException:
            await bookkeeper.close()
            raise
        fold.needed_after = lambda: bookkeeper.index
        sessions = len(fold.state.charging.sessions)
        log.info("following", after=fold.index, books=bookkeeper.index, sessions=sessions, log=log_files.size)
        return cls(fold, bookkeeper, SessionHistory(fold, bookkeeper, history), reader)

    async def close(self) -> None:
        await self.fold.close()
        await self.bookkeeper.close()
        self._reader.close()

    async def look(self, session_id: bytes, seq: int) -> Earlier:
        """Find what the log holds of a signed session under a seq.

        Raises:
            Unavailable: the books have not come as far as the state.
        """
        await self.bookkeeper.reach(self.fold.index)
        found = await self.bookkeeper.books.commit(session_id, seq)
        if found is None:
            return NOTHING_EARLIER
        leaf, report_id = found
        _, countersigned = split(self.fold.log.entry(leaf))
        return Earlier(report_id, countersigned, leaf)

    def aim(self, index: GroupIndex) -> None:
        """Learn that `index` is synced."""
        self.fold.aim(index)
        self.bookkeeper.aim(index)

    async def run(self) -> None:
        """Follow for as long as the process lives.

        Raises:
            JournalFault: a group is missing, damaged, or not of this history.
        """
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self.fold.run())
                both.create_task(self.bookkeeper.run())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # whichever failed first is the reason
