"""`ocs serve` with faults: `python faulty_ocs.py FOLDER serve ...`.  What comes over it stands in files of FOLDER.

    fault     `<act> <point> <passings>`: what befalls the core once it has passed the point so many times; a point of a
              commit may be of those alone that hold an event: `UsageCommitted.before_sync`, `ChannelStepped-SETTLE.…`
    once      beside it: the act is carried out once, not at each further passing
    clock     seconds that the wall clock of the machine is wrong, in core and follower
    library   the version that SQLite says it has
    threads   where it is there, the core gets no further thread
    power     where it is there: what was written and not synced is noted in `unsynced-…`, for `lose_power`

Everything else is the product: its own process, its own follower, its own files.
"""

import asyncio
import errno
import os
import runpy
import signal
import sqlite3
import struct
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import apsw

from ocs.channel.transition import Step

FOLDER: Final = Path(sys.argv[1]) if __name__ == "__main__" else Path()
FOLD_PAGES: Final = 30
LOG_PAGES: Final = 60
"""The write-ahead log is folded back and begun anew often, so that faults meet that too."""

NOTE: Final = struct.Struct(">qqqq")
"""Before a write: its offset, its length, how much of the old content follows, and the file's old size.

Without a length the file was cut at the offset."""


class Fault:
    """What the file `fault` says, and how often its point was passed since it says so."""

    def __init__(self) -> None:
        self._text = ""
        self._passed = 0

    def at(self, point: str, holds: Collection[str] = ()) -> str:
        """Pass a point, of a group that `holds` these events; the act that is due here, or ""."""
        try:
            text = (FOLDER / "fault").read_text()
        except FileNotFoundError:
            return ""
        act, where, passings = text.split()
        if text != self._text:
            self._text, self._passed = text, 0
        if where != point and where not in {f"{event}.{point}" for event in holds}:
            return ""
        self._passed += 1
        if self._passed <= int(passings):
            return ""
        if act == "cut":  # of power: nobody lives on to close a file
            for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        if act in ("kill", "cut"):
            os.kill(os.getpid(), signal.SIGKILL)
        if (FOLDER / "once").exists():
            (FOLDER / "fault").unlink()
        return act


FAULT: Final = Fault()
WRITTEN: set[str] = set()
"""The events of the group that is being written."""


def named(event: Any) -> str:
    """Name an event by its type, a channel's step also by what it is."""
    kind = type(event).__name__
    return f"{kind}-{Step(event.step).name}" if kind == "ChannelStepped" else kind


class Disk(apsw.VFS):
    """The platform's files, with faults in those of the journal."""

    def __init__(self) -> None:
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  # SQLite's names
        path = str(name.filename() if isinstance(name, apsw.URIFilename) else name)
        return _File(name, flags) if "journal.sqlite" in path else apsw.VFSFile("unix", name, flags)


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int]) -> None:
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else str(name))
        self._log = path.name.endswith("-wal")
        notes = FOLDER / f"unsynced-{path.name}"
        self._notes = notes.open("ab", buffering=0) if (FOLDER / "power").exists() else None
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self._log and FAULT.at("write") == "full":
            raise apsw.FullError(os.strerror(errno.ENOSPC))
        if not self._log and FAULT.at("fold_write") == "full":
            raise apsw.FullError(os.strerror(errno.ENOSPC))
        if self._notes is not None:
            size = self.xFileSize()
            old = self.xRead(min(len(data), max(0, size - offset)), offset) if offset < size else b""
            self._notes.write(NOTE.pack(offset, len(data), len(old), size) + old + data)
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        old_size = self.xFileSize()
        if self._notes is not None and size < old_size:
            old = self.xRead(old_size - size, size)
            self._notes.write(NOTE.pack(size, 0, len(old), old_size) + old)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        act = FAULT.at("before_sync", WRITTEN) if self._log else FAULT.at("before_fold_sync")
        if act == "error":
            raise apsw.IOError(os.strerror(errno.EIO))
        super().xSync(flags)
        if self._notes is not None:
            self._notes.truncate(0)  # all of it is on the disk now


def steer_clock() -> None:
    """Make the wall clock wrong by what `clock` says; the monotonic one runs on."""
    true_ns = time.time_ns

    def wrong_ns() -> int:
        try:
            return true_ns() + int((FOLDER / "clock").read_text() or 0) * 10**9
        except FileNotFoundError:
            return true_ns()

    time.time_ns = wrong_ns
    time.time = lambda: wrong_ns() / 10**9


def steer_books() -> None:
    """Make each statement to the books a point that is passed."""
    connect = sqlite3.connect

    def at_statement(statement: str) -> None:
        FAULT.at("statement")

    def traced(*values: Any, **more: Any) -> sqlite3.Connection:
        connection = connect(*values, **more)
        connection.set_trace_callback(at_statement)
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]


def steer_library() -> None:
    """Let SQLite be of the version that `library` says."""
    if (FOLDER / "library").exists():
        version = (FOLDER / "library").read_text()
        apsw.sqlite_lib_version = lambda: version  # type: ignore[assignment]


def steer_core() -> None:
    """Name the points of a commit, and start the follower through this file as well."""
    from ocs.shell.core.committer import Committer
    from ocs.shell.store import folding, journal, records

    folding.FOLD_PAGES, folding.LOG_PAGES = FOLD_PAGES, LOG_PAGES  # type: ignore[misc]  # smaller than the product's
    append, landed = journal.Journal.append, Committer._landed
    start = asyncio.create_subprocess_exec

    def faulty_append(self: journal.Journal, index: Any, at: Any, payload: bytes, **more: Any) -> None:
        WRITTEN.clear()
        WRITTEN.update(map(named, records.decode(payload)))
        FAULT.at("before_write", WRITTEN)
        append(self, index, at, payload, **more)
        FAULT.at("before_answer", WRITTEN)

    def faulty_landed(self: Committer) -> None:
        assert self._in_flight is not None
        holds = set(map(named, self._in_flight.events))
        if FAULT.at("answering", holds) == "bug":
            raise RuntimeError("injected")
        landed(self)
        FAULT.at("after_answer", holds)

    begin = threading.Thread.start

    def start_thread(self: threading.Thread) -> None:
        if (FOLDER / "threads").exists():
            raise RuntimeError("can't start new thread")
        begin(self)

    def start_follower(program: str, *arguments: str, **more: Any) -> Any:
        assert arguments == ("-m", "ocs.shell.follower")
        return start(program, __file__, str(FOLDER), "follower", **more)

    journal.Journal.append = faulty_append  # type: ignore[method-assign]
    Committer._landed = faulty_landed  # type: ignore[method-assign]
    threading.Thread.start = start_thread  # type: ignore[method-assign]
    asyncio.create_subprocess_exec = start_follower


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file is no place to import from
    steer_clock()  # before anything takes the clock by its name
    del sys.argv[1]
    if sys.argv[1:] == ["follower"]:
        steer_books()
        runpy.run_module("ocs.shell.follower", run_name="__main__", alter_sys=True)
    else:
        steer_library()
        disk = Disk()
        steer_core()
        runpy.run_module("ocs", run_name="__main__", alter_sys=True)
