"""Folding the write-ahead log back into the journal's file, beside the commits.  docs/adr/0003-journal.md.

A checkpoint copies pages and syncs the file: tens of milliseconds for as many megabytes.  Within a commit, every answer
would wait for that.  Here a second connection does it on a thread of its own, and commits go on meanwhile: SQLite lets
one connection append to the log while another one copies from it.

A log is begun anew only once all of it is folded, and under load there is always a commit that came after the last page
that was copied.  So when the log is long, the writer itself folds what is left: the pages that came while the thread
was at work, which are few.
"""

import ctypes
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

FOLD_PAGES: Final = 250
"""The log is folded each megabyte: a commit that meets a fold waits for some milliseconds, and not for ten or more."""

LOG_PAGES: Final = 8000
"""From 32 MB on the log is to begin anew; shorter, and the writer would have to help more often."""

GROWTH_OCTETS: Final = 16 * 1024 * 1024
"""The file grows in steps: fewer changes of its size to sync."""


class Folding:
    """The thread and its connection; all else here is called by the writer's thread."""

    def __init__(self, path: Path, writer: apsw.Connection, busy_ms: int) -> None:
        """Take the folding over from `writer`, which is open and in write-ahead mode.

        Raises:
            apsw.Error: the file cannot be opened once more.
        """
        self._connection = apsw.Connection(str(path))
        self._connection.setbusytimeout(busy_ms)
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        self._connection.execute("PRAGMA synchronous = FULL")  # the log before it is copied, the file after it
        self._connection.execute("PRAGMA schema_version")  # until it has read the file, it knows of no log
        for connection in (self._connection, writer):
            octets = ctypes.c_int(GROWTH_OCTETS)  # read within the call
            connection.file_control("main", apsw.SQLITE_FCNTL_CHUNK_SIZE, ctypes.addressof(octets))
        self._folded = 0  # pages of the log as it is now
        self._is_long = False
        self._error: Exception | None = None
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="folding", daemon=True)
        self._thread.start()
        writer.set_wal_hook(self._committed)

    def close(self) -> None:
        """End the thread, and with it a fold that is under way."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        self._connection.close()

    def _committed(self, writer: apsw.Connection, _: str, log_pages: int) -> int:
        """See to the log after a commit: SQLite calls this once it is synced."""
        if self._error is not None:
            raise self._error
        if log_pages < self._folded:
            self._folded = 0  # it has begun anew
        if self._is_long:
            with suppress(apsw.BusyError, apsw.FullError):  # the thread folds, or the disk is full: at the next commit
                writer.wal_checkpoint("main")
                self._is_long = False
        elif log_pages - self._folded >= FOLD_PAGES:
            self._wake.set()
        return apsw.SQLITE_OK

    def _run(self) -> None:
        while self._wake.wait() and not self._closing:
            self._wake.clear()
            try:
                log_pages, self._folded = self._connection.wal_checkpoint("main")
            except (apsw.BusyError, apsw.FullError):
                continue  # the writer folds, or the disk is full: the log has it all, and grows or fails a commit
            except Exception as error:  # noqa: BLE001  # whatever it is, the next commit ends the process
                self._error = error
                return
            self._is_long = log_pages >= LOG_PAGES
