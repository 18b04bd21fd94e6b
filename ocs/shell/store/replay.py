"""Build the state at start: the newest whole snapshot, then every group after it."""

import gc

import structlog

from ocs import image
from ocs.errors import JournalFault
from ocs.node import evolve
from ocs.shell.store import records, snapshot
from ocs.shell.store.archive import Archive, History
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.journal import Journal, JournalReader
from ocs.state import State
from ocs.units import GroupIndex

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
    newest, faults = snapshot.newest(folder.snapshots)
    for fault in faults:
        log.error("snapshot damaged; an older one is used", detail=fault)
    state = image.restore(newest.chunks()) if newest is not None else State()
    after = newest.index if newest is not None else GroupIndex(0)
    if after > journal.last:
        raise JournalFault(
            f"the journal ends with group {journal.last} and the newest snapshot holds group {after}: "
            "groups were lost; bring the journal back from a copy"
        )
    replayed = 0
    reader = JournalReader.open(folder.journal)
    history = History(reader, Archive(folder.archive))
    for group in history.iterate(after, newest.digest if newest is not None else None):
        state.group = group.index
        for event in records.decode(group.payload):
            evolve(state, event)
            replayed += 1
    reader.close()
    state.group = GroupIndex(journal.last + 1)
    log.info("state loaded", snapshot=after, replayed=replayed, sessions=len(state.charging.sessions))
    return state
