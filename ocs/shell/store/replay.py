"""Build the state at start: the newest whole snapshot, then every group after it."""

import gc
from pathlib import Path
from typing import Final

import apsw
import structlog

from ocs import image
from ocs.errors import JournalFault
from ocs.node import evolve
from ocs.shell.store import records, snapshot
from ocs.shell.store.archive import Archive, History
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.journal import Journal, JournalReader
from ocs.state import State
from ocs.tlog.merkle import LeafCount
from ocs.units import GroupIndex

BOOKS_BUSY_MS: Final = 1000
"""The follower of a core that was killed may still be posting its last groups."""

log = structlog.get_logger()


def load(folder: DataFolder, journal: Journal) -> State:
    """Build the state: the newest whole snapshot, then every group after it.

    Raises:
        JournalFault: the journal is damaged, or begins after the snapshot ends.
    """
    gc.disable()  # all that is loaded stays, and the collector would look at it again and again
    try:
        return _load(folder, journal)
    finally:
        gc.enable()


def _load(folder: DataFolder, journal: Journal) -> State:
    newest, restored, faults = snapshot.restored(folder.snapshots, image.restore)
    for fault in faults:
        log.error("snapshot damaged; an older one is used", detail=fault)
    state = restored if restored is not None else State()
    state.signed.log = LeafCount(state.signed.log.size)  # the follower makes the leaves
    after = newest.index if newest is not None else GroupIndex(0)
    archive = Archive(folder.archive)
    # All of these were made of groups that had been synced.
    _hold_against(journal, "the newest snapshot", after)
    _hold_against(journal, "the archive", archive.last())
    _hold_against(journal, "the books file", books_index(folder.books))
    replayed = 0
    reader = JournalReader.open(folder.journal)
    history = History(reader, archive)
    for group in history.iterate(after, newest.digest if newest is not None else None):
        state.group = group.index
        for event in records.decode(group.payload):
            evolve(state, event)
            replayed += 1
    reader.close()
    state.group = GroupIndex(journal.last + 1)
    log.info("state loaded", snapshot=after, replayed=replayed, sessions=len(state.charging.sessions))
    return state


def _hold_against(journal: Journal, what: str, index: GroupIndex) -> None:
    if index > journal.last:
        raise JournalFault(
            f"the journal ends with group {journal.last}, and {what} holds group {index}: "
            "groups were lost; bring the journal back from a copy"
        )


def books_index(path: Path) -> GroupIndex:
    """Give the newest group in the books, 0 where they cannot be read: that is their follower's to tell."""
    if not path.exists():
        return GroupIndex(0)
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.setbusytimeout(BOOKS_BUSY_MS)
            row = connection.execute("SELECT group_index FROM progress").fetchone()
        finally:
            connection.close()
    except apsw.Error:
        return GroupIndex(0)
    return GroupIndex(int(row[0])) if row is not None else GroupIndex(0)
