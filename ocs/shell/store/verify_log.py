"""Hold the public log against the events that made it: the part of `ocs journal verify` that reads the log's files."""

from itertools import islice
from typing import Final

from ocs.errors import JournalFault
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.log_files import LogFiles
from ocs.state import State

FAULTS_MAX: Final = 50


class LogCheck:
    """One look at the log; a server that runs makes it longer meanwhile, and never other."""

    def __init__(self, folder: DataFolder, faults: list[str]) -> None:
        """Begin; what is found is added to `faults`."""
        self._folder = folder
        self._faults = faults
        self._files: LogFiles | None = None

    def begin(self, state: State) -> None:
        """Compare the leaves that a state counts, and from now on each that is replayed on it."""
        size = state.signed.log.size
        try:
            files = LogFiles.open(self._folder.log, to_write=False)
        except JournalFault:
            files = None  # none was made yet
        held = files.size if files is not None else 0
        if held < size:
            self._faults.append(f"the log {self._folder.log} holds {held} of {size} leaves; bring it back from a copy")
        elif files is not None:
            if files.root(size) != state.signed.tree.root():
                self._faults.append(f"the log's first {size} leaves are not those that were committed")
            self._files = files
            state.signed.on_leaf = self._compare

    def _compare(self, place: int, leaf: bytes) -> None:
        files = self._files
        if files is not None and place < files.size and files.entry(place) != leaf and len(self._faults) < FAULTS_MAX:
            self._faults.append(f"the log's leaf {place} is not the one that was committed")

    def end(self, state: State) -> int:
        """Compute all hashes anew; how many leaves were read."""
        files, committed = self._files, state.signed.log.size
        if files is None:
            return 0
        try:
            if self._folder.holder() is None and files.size > committed:
                self._faults.append(f"the log holds {files.size} leaves, and {committed} were committed")
            self._faults += islice(files.check(), FAULTS_MAX)
        finally:
            files.close()
        return files.size
