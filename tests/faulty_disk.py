"""A disk in memory that loses power: what was not synced is kept, dropped or torn, write by write.

It is an SQLite VFS, so what runs on it is the real journal.
"""

import gc
from random import Random
from typing import Any, Final

import apsw

from ocs.shell.store.journal import Journal

SECTOR_OCTETS: Final = 512
Write = tuple[int, bytes | int]


class File:
    """One file: what is surely on the disk, and the writes that may be.

    Attributes:
        content: as whoever has it open sees it.
        synced: the content that survives a power cut.
        pending: offset and data of each write since, or -1 and a new length.
    """

    def __init__(self) -> None:
        self.content = bytearray()
        self.synced = bytearray()
        self.pending: list[Write] = []

    def write(self, offset: int, data: bytes | int) -> None:
        self.pending.append((offset, data))
        _apply(self.content, offset, data)

    def sync(self) -> None:
        for write in self.pending:
            _apply(self.synced, *write)
        self.pending.clear()

    def lose_power(self, rng: Random) -> None:
        kept: list[Write] = []
        for offset, data in self.pending:
            fate = rng.choice(("kept", "dropped", "torn"))
            if fate == "kept" or (fate == "torn" and isinstance(data, int)):
                kept.append((offset, data))
            elif fate == "torn":
                assert isinstance(data, bytes)
                sectors = range(0, len(data), SECTOR_OCTETS)
                kept += [
                    (offset + place, data[place : place + SECTOR_OCTETS]) for place in sectors if rng.random() < 0.5
                ]
        for write in kept:
            _apply(self.synced, *write)
        self.pending.clear()
        self.content = bytearray(self.synced)


class Disk(apsw.VFS):
    """All files, and the fault that comes.

    Attributes:
        fail_at: the number of the write or sync, counted from 1, that fails; 0 for none.
        stored: whether what failed has reached the disk all the same.
        dead: the process is: what SQLite still does when its connection is collected reaches nothing.
    """

    def __init__(self, name: str) -> None:
        self.files: dict[str, File] = {}
        self.fail_at = 0
        self.stored = False
        self.dead = False
        self.error: type[apsw.Error] = apsw.IOError
        self.operations = 0
        self.syncs = 0
        super().__init__(name, "")

    def lose_power(self, journal: Journal | None, rng: Random) -> None:
        """End the process that holds `journal`, and leave of its writes what a disk may leave."""
        self.dead = True
        if journal is not None:
            journal.close()
        gc.collect()  # a connection whose opening failed may still hang on its exception
        self.dead = False
        for file in self.files.values():
            file.lose_power(rng)

    def fails_now(self) -> bool:
        self.operations += 1
        return self.operations == self.fail_at

    # SQLite's side

    def xFullPathname(self, name: str) -> str:  # noqa: N802  # SQLite's names
        return name

    def xAccess(self, path: str, flags: int) -> bool:  # noqa: N802
        return path in self.files

    def xDelete(self, path: str, sync: bool) -> None:  # noqa: N802
        if not self.dead:
            self.files.pop(path, None)

    def xOpen(self, name: Any, flags: list[int]) -> "_Open":  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        flags[1] = flags[0]
        return _Open(self, self.files.setdefault(path, File()))


class _Open:
    def __init__(self, disk: Disk, file: File) -> None:
        self._disk = disk
        self._file = file

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return bytes(self._file.content[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self._disk.dead:
            return
        if not self._disk.fails_now():
            self._file.write(offset, bytes(data))
            return
        if self._disk.stored:
            self._file.write(offset, bytes(data))
        raise self._disk.error("injected")

    def xTruncate(self, size: int) -> None:  # noqa: N802
        if not self._disk.dead:
            self._file.write(-1, size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._disk.dead:
            return
        self._disk.syncs += 1
        if not self._disk.fails_now():
            self._file.sync()
            return
        if self._disk.stored:
            self._file.sync()
        raise self._disk.error("injected")

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._file.content)

    def xLock(self, level: int) -> None:  # noqa: N802
        pass

    def xUnlock(self, level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR_OCTETS

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return int(apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE)  # as SQLite holds of every disk on Unix

    def xClose(self) -> None:  # noqa: N802
        pass


def _apply(content: bytearray, offset: int, data: bytes | int) -> None:
    if isinstance(data, int):
        del content[data:]
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data
