"""All that a follower makes of the journal: the state, the books, and histories of sessions."""

import asyncio
from dataclasses import dataclass
from typing import Self

import structlog

from ocs.shell.config import JournalSettings
from ocs.shell.follower.bookkeeper import Bookkeeper
from ocs.shell.follower.fold import Fold
from ocs.shell.follower.session_history import SessionHistory
from ocs.shell.store.archive import Archive, History
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.journal import JournalReader
from ocs.units import GroupIndex

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
            fold = Fold.open(settings, folder, reader, history)
        except BaseException:
            await bookkeeper.close()
            raise
        fold.needed_after = lambda: bookkeeper.index
        sessions = len(fold.state.charging.sessions)
        log.info("following", after=fold.index, books=bookkeeper.index, sessions=sessions)
        return cls(fold, bookkeeper, SessionHistory(fold, bookkeeper, history), reader)

    async def close(self) -> None:
        self.fold.stop()
        await self.bookkeeper.close()
        self._reader.close()

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
