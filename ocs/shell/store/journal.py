"""The journal: commit groups in one SQLite file, synced one by one.  docs/adr/0003-journal.md.

`Journal` is the core's: it alone writes, and what `append` returned from is durable.  `JournalReader` is anybody's:
each read is one closed transaction, so no reader holds back the checkpoint of the write-ahead log.
"""

import os
import re
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Self

import apsw

from ocs.errors import BadConfiguration, JournalFault
from ocs.shell.store import folding
from ocs.shell.store.data_folder import FILE_MODE
from ocs.shell.store.group import DIGEST_OCTETS, Group, decode, encode
from ocs.shell.store.write_ahead_log import log_of, lost_commits
from ocs.units import GroupIndex, UnixMillis

APPLICATION_ID: Final = 0x4F435347
"""`OCSG`: what tells this file from any other SQLite database."""

SCHEMA_VERSION: Final = 1

BUSY_MS: Final = 5000

# Affected by the WAL-reset bug: two connections may corrupt the file (sqlite.org/wal.html, section 11).
_FIXED: Final = (3, 51, 3)
_FIXED_BACKPORTS: Final = ((3, 50, 7), (3, 44, 6))


def check_library(version: str | None = None) -> None:
    """Refuse an SQLite library that may corrupt a write-ahead log with two connections.

    Raises:
        BadConfiguration: the library is affected.
    """
    version = version or apsw.sqlite_lib_version()
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if numbers >= _FIXED:
        return
    if any(numbers[:2] == fixed[:2] and numbers >= fixed for fixed in _FIXED_BACKPORTS):
        return
    raise BadConfiguration(
        f"SQLite {version} has the WAL-reset bug, which can corrupt the journal; "
        "install an apsw built with SQLite 3.51.3 or newer (`pip install -U apsw`)"
    )


class Journal:
    """The one writer.

    Attributes:
        last, last_at, last_digest: of the newest group; 0, 0 and the data's identity before the first one.
        data_id: random octets that name this data folder; the first group is chained to them.
        created_at: when the journal was made; it never changes.
    """

    def __init__(self, connection: apsw.Connection, path: Path, beside: folding.Folding | None) -> None:
        self._connection = connection
        self._folding = beside
        self._path = path
        self.data_id, self.created_at = _about(connection, path)
        self.last, self.last_at, self.last_digest = GroupIndex(0), UnixMillis(0), self.data_id
        newest = _one(connection, "SELECT idx FROM groups ORDER BY idx DESC LIMIT 1")
        if newest is not None:
            group = _read(connection, path, GroupIndex(newest))
            self.last, self.last_at, self.last_digest = group.index, group.at, group.digest
        # The same statement text each time: it stays prepared in the connection's cache.
        self._insert = partial(connection.execute, "INSERT INTO groups (idx, body) VALUES (?, ?)")

    @classmethod
    def open(cls, path: Path, *, vfs: str | None = None, now_ms: Callable[[], int] | None = None) -> Self:
        """Open the journal, and make it where there is none.

        Args:
            vfs: an SQLite VFS other than the platform's; tests inject faults with it.
            now_ms: Unix time in milliseconds, for `created_at`.

        Raises:
            JournalFault: it cannot be opened, is damaged, or is no journal.
            BadConfiguration: the SQLite library is not safe, or a newer release wrote the file.
        """
        check_library()
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
        try:
            connection = apsw.Connection(str(path), vfs=vfs)
            connection.setbusytimeout(BUSY_MS)
            if vfs is not None:
                # A VFS of a test's has no shared memory, so nobody folds beside its commits: they do it themselves.
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.wal_autocheckpoint(folding.FOLD_PAGES)
            _leave_log(connection)  # as it is found, until it is known to be sound
            connection.execute("PRAGMA journal_mode = WAL")
            _check_log(connection, path)
            # What a torn write has left goes with the log it is in: it never lies behind the commits of this process.
            connection.execute("PRAGMA wal_checkpoint = TRUNCATE")
            connection.execute("PRAGMA synchronous = FULL")
            if not _one(connection, "PRAGMA user_version"):
                _create(connection, (now_ms or _wall_ms)())
            return cls(connection, path, None if vfs else folding.Folding(path, connection, BUSY_MS))
        except (apsw.Error, OSError) as error:
            raise _fault(path, "cannot be opened", error) from None

    def append(
        self,
        index: GroupIndex,
        at: UnixMillis,
        payload: bytes,
        *,
        remove_through: GroupIndex = GroupIndex(0),  # noqa: B008  # a NewType's call is no call
        at_most: int = 0,
    ) -> None:
        """Write one group and sync it; it is durable when this returns.

        Args:
            index: `last + 1`.
            at: of its newest event.
            remove_through: groups up to this one may go, as they lie in the archive; 0 for none.
            at_most: how many of them go with this commit, so that none is slow.

        Raises:
            JournalFault: nothing of the group may be taken as written; the process must end.
        """
        assert index == self.last + 1, "group indices are dense"
        assert at >= self.last_at, "time never goes back"
        assert remove_through < index
        body = encode(index, at, self.last_digest, payload)
        try:
            if remove_through:
                with self._connection:
                    self._connection.execute(
                        "DELETE FROM groups WHERE idx IN (SELECT idx FROM groups WHERE idx <= ? ORDER BY idx LIMIT ?)",
                        (remove_through, at_most),
                    )
                    self._insert((index, body))
            else:
                self._insert((index, body))
        except (apsw.Error, OSError) as error:
            raise _fault(self._path, f"cannot take group {index}", error) from None
        # Synced: from here on the group may be spoken of.
        self.last, self.last_at, self.last_digest = index, at, body[-DIGEST_OCTETS:]

    def close(self) -> None:
        """Fold the write-ahead log into the file, where nobody else has it open."""
        if self._folding is not None:
            self._folding.close()
        _leave_log(self._connection, leave=False)
        self._connection.close()


class JournalReader:
    """Reads groups while another process writes them."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self.data_id, self.created_at = _about(connection, path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing journal for reading.

        Raises:
            JournalFault: there is none, or it cannot be read.
        """
        check_library()
        try:
            # Not read-only: a reader that comes first after a crash must be able to recover the write-ahead log.
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            connection.setbusytimeout(BUSY_MS)
            connection.execute("PRAGMA query_only = ON")
            _leave_log(connection)
            return cls(connection, path)
        except apsw.Error as error:
            raise _fault(path, "cannot be read", error) from None

    def first(self) -> GroupIndex:
        """Give the oldest group still here, 0 for none."""
        return GroupIndex(self._one("SELECT idx FROM groups ORDER BY idx LIMIT 1") or 0)

    def last(self) -> GroupIndex:
        """Give the newest group, 0 for none."""
        return GroupIndex(self._one("SELECT idx FROM groups ORDER BY idx DESC LIMIT 1") or 0)

    def group(self, index: GroupIndex) -> Group | None:
        """Read one group; None where it is not here (any more, or yet).

        Raises:
            JournalFault: it is damaged.
        """
        blobs = self._all("SELECT idx, body FROM groups WHERE idx = ?", (index,))
        return _checked(self._path, *blobs[0]) if blobs else None

    def read(self, after: GroupIndex, limit_groups: int, limit_octets: int) -> list[Group]:
        """Read the groups that follow `after`; the octet limit ends a batch, yet one group always comes.

        Raises:
            JournalFault: one is damaged.
        """
        found: list[Group] = []
        octets = 0
        try:
            cursor = self._connection.execute(
                "SELECT idx, body FROM groups WHERE idx > ? ORDER BY idx LIMIT ?", (after, limit_groups)
            )
            for index, body in cursor:
                found.append(_checked(self._path, index, body))
                octets += len(body)
                if octets >= limit_octets:
                    break
            cursor.close()  # the read transaction ends here, and the checkpoint may go on
        except apsw.Error as error:
            raise _fault(self._path, "cannot be read", error) from None
        return found

    def check_log(self) -> None:
        """Look for groups that were synced, and that SQLite does not see; nobody may write meanwhile.

        Raises:
            JournalFault: there are some.
        """
        try:
            _check_log(self._connection, self._path)
        except apsw.Error as error:
            raise _fault(self._path, "cannot be read", error) from None

    def close(self) -> None:
        log = log_of(self._path)
        if not log.exists() or not log.stat().st_size:
            _leave_log(self._connection, leave=False)  # it holds nothing: what opening made goes again
        self._connection.close()

    def _one(self, query: str) -> int | None:
        rows = self._all(query, ())
        return int(rows[0][0]) if rows else None

    def _all(self, query: str, values: tuple[int, ...]) -> list[tuple[int, bytes]]:
        try:
            return list(self._connection.execute(query, values))
        except apsw.Error as error:
            raise _fault(self._path, "cannot be read", error) from None


def _create(connection: apsw.Connection, created_at: int) -> None:
    """Make the tables and the identity in one transaction: a crash leaves all of it or nothing."""
    with connection:
        connection.execute("CREATE TABLE groups (idx INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        connection.execute("CREATE TABLE about (data_id BLOB NOT NULL, created_at INTEGER NOT NULL)")
        connection.execute("INSERT INTO about VALUES (?, ?)", (secrets.token_bytes(DIGEST_OCTETS), created_at))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _leave_log(connection: apsw.Connection, *, leave: bool = True) -> None:
    """Let whoever closes the file last leave its write-ahead log there; folding it in is the writer's."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave)


def _check_log(connection: apsw.Connection, path: Path) -> None:
    log = log_of(path)
    page_octets = _one(connection, "PRAGMA page_size")
    assert page_octets is not None
    ((_, believed, _),) = connection.execute("PRAGMA wal_checkpoint = NOOP")
    try:
        octets = log.read_bytes()
    except FileNotFoundError:
        return
    if lost_commits(octets, page_octets, max(0, believed)):
        raise JournalFault(
            f"the write-ahead log {log} was changed at rest: groups that were answered lie behind the damage; "
            "bring the journal and its log back from a copy"
        )


def _about(connection: apsw.Connection, path: Path) -> tuple[bytes, UnixMillis]:
    if _one(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise JournalFault(f"{path} is an SQLite database, but no journal of this server")
    version = _one(connection, "PRAGMA user_version")
    if version != SCHEMA_VERSION:
        raise BadConfiguration(
            f"{path} has format {version}, and this release reads {SCHEMA_VERSION}; run the release that wrote it"
        )
    rows = list(connection.execute("SELECT data_id, created_at FROM about"))
    if len(rows) != 1:
        raise JournalFault(f"{path} does not name its data: table `about` has {len(rows)} rows")
    return bytes(rows[0][0]), UnixMillis(rows[0][1])


def _read(connection: apsw.Connection, path: Path, index: GroupIndex) -> Group:
    ((body,),) = connection.execute("SELECT body FROM groups WHERE idx = ?", (index,))
    return _checked(path, index, body)


def _checked(path: Path, index: int, body: bytes) -> Group:
    """Decode a row's group, which must be the one its row says."""
    try:
        group = decode(body)
    except JournalFault as fault:
        raise JournalFault(f"{path}, row {index}: {fault}") from None
    if group.index != index:
        raise JournalFault(f"{path}, row {index}: holds group {group.index}")
    return group


def _one(connection: apsw.Connection, query: str) -> int | None:
    row = connection.execute(query).fetchone()
    return None if row is None else int(row[0])


def _fault(path: Path, what: str, error: Exception) -> JournalFault:
    mend = "; bring the journal back from a copy" if isinstance(error, apsw.CorruptError | apsw.NotADBError) else ""
    return JournalFault(f"the journal {path} {what}: {error}{mend}")


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
