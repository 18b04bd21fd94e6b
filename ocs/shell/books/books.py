"""The books: what happened, as SQL tables that people can query.  docs/books.md, docs/adr/0009-books.md.

A projection of the journal in one SQLite file, written by the follower alone.  Each batch of groups is one transaction
that also moves `progress`, so every group counts once, whenever the follower dies.  The file can be made again from
the journal at any time.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final, Self

import aiosqlite
import structlog

from ocs.channel.event import ChannelStepped, SessionBegun
from ocs.channel.transition import Step
from ocs.errors import BadConfiguration, JournalFault
from ocs.shell.books.claims import claim_of
from ocs.shell.books.comparisons import Comparisons
from ocs.shell.books.posting import INTEGER_MAX, AccountEntry, Posting, ServiceEntry, SessionEntry, fit
from ocs.shell.books.reconciliation import Reconciliation
from ocs.shell.books.rows import OperatorRow, ServiceRow, SessionRow, TopUpRow
from ocs.shell.books.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES, UPGRADES
from ocs.shell.books.usage_posting import ChannelEntry, SignedEntry, UsagePosting
from ocs.shell.books.usage_reading import UsageReading
from ocs.shell.store.data_folder import FILE_MODE
from ocs.state import Event
from ocs.units import GroupIndex, SessionId, UnixMillis
from ocs.usage.event import ReportRefused

SIGNED_ID_OCTETS: Final = 16
IN_ONE_QUERY: Final = 500
"""Values in one `IN (...)`; SQLite takes more, this is enough."""

_SESSION_COLUMNS: Final = (
    "number, session_id, operator, imsi, msisdn, apn, context_id, peer, origin_host, state, began_at, last_at, "
    "ended_at, end_cause, termination_cause, requests, used, charged, overrun, result_code, notes, last_group"
)
_SESSION_ROW: Final = (
    "SELECT s.number, s.session_id, o.name, s.imsi, s.msisdn, s.apn, s.context_id, s.peer, s.origin_host, s.state, "
    "s.began_at, s.last_at, s.ended_at, s.end_cause, s.termination_cause, s.requests, s.used, s.charged, s.overrun, "
    "s.result_code, s.notes, s.last_group FROM sessions s LEFT JOIN operators o ON o.number = s.operator "
)
_ACCOUNT_COLUMNS: Final = "operator, available, reserved, consumed, overrun, written_off, funded, owed"

BUSY_SECONDS: Final = 30.0
"""People may query the file; a query that takes longer costs the follower a start."""

CACHE_KIBS: Final = 64 * 1024
"""A batch changes megabytes of pages: what does not fit is written, behind a sync of its own, in the middle of it."""

ROLLBACK_OCTETS: Final = 64 * 1024 * 1024
"""The rollback journal is cut to this after a batch that needed more."""

log = structlog.get_logger()


class Books:
    """The open file.

    Attributes:
        index: the newest group in it.
        reconciliation: reads what is compared with signed usage.
    """

    def __init__(self, connection: aiosqlite.Connection, path: Path, index: GroupIndex) -> None:
        self._connection = connection
        self._path = path
        self.index = index
        self.reconciliation = Reconciliation(connection)
        self._accounts: dict[int, AccountEntry] = {}
        self._next_session = 1
        self._channels: dict[int, ChannelEntry] = {}
        self.usage = UsageReading(connection)
        self._leaves = 0
        self._comparisons = Comparisons(connection)

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the books, and make them where there are none; a damaged file is set aside and made anew.

        Raises:
            BadConfiguration: a newer release wrote them.
        """
        try:
            return await cls._open(path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise JournalFault(f"the books {path} cannot be opened: {error}") from None
            log.warning("the books are damaged; they are made again", reason=str(error), aside=str(_set_aside(path)))
            return await cls._open(path)

    @classmethod
    async def _open(cls, path: Path) -> Self:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
        connection = await aiosqlite.connect(path, isolation_level=None, cached_statements=256, timeout=BUSY_SECONDS)
        try:
            # One connection and no write-ahead log: this library may be one with the WAL-reset bug.
            # Its rollback journal stays, and is written over: to cut it, and to let it grow again, is work for the disk
            # with each batch, which the syncs of the core would wait for.
            await connection.execute("PRAGMA journal_mode = PERSIST")
            await connection.execute(f"PRAGMA journal_size_limit = {ROLLBACK_OCTETS}")
            await connection.execute(f"PRAGMA cache_size = -{CACHE_KIBS}")
            # Its records are synced before its head counts them: behind them lies what an earlier batch has left.
            await connection.execute("PRAGMA synchronous = FULL")
            await connection.execute("PRAGMA foreign_keys = ON")
            version = await _number(connection, "PRAGMA user_version")
            if version == 0:
                await connection.executescript(
                    f"BEGIN; {TABLES} INSERT INTO progress VALUES (1, 0, 0); "
                    f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
            await _upgrade(connection, version)
            check_version(await _number(connection, "PRAGMA user_version"), path)
            books = cls(connection, path, GroupIndex(await _number(connection, "SELECT group_index FROM progress")))
            books._next_session = 1 + await _number(connection, "SELECT coalesce(max(number), 0) FROM sessions")
            async with connection.execute(f"SELECT {_ACCOUNT_COLUMNS} FROM accounts") as rows:
                async for operator, *balances in rows:
                    books._accounts[operator] = AccountEntry(*balances)
            async with connection.execute("SELECT number, per_octets, used, commits FROM channels") as rows:
                async for number, *values in rows:
                    books._channels[number] = ChannelEntry(*values)
            books._leaves = await _number(connection, "SELECT coalesce(max(leaf) + 1, 0) FROM commits")
            await books._comparisons.open()
        except BaseException:
            await connection.close()
            raise
        return books

    async def close(self) -> None:
        await self._connection.close()

    @property
    def incidents(self) -> int:
        """Count the incidents of reconciliation so far."""
        return self._comparisons.incidents

    # Writing

    async def apply(self, batch: Sequence[tuple[GroupIndex, UnixMillis, Sequence[Event]]]) -> Counter[str]:
        """Post some groups in one transaction; how many incidents of reconciliation they make, by their kind.

        Args:
            batch: index, time and events of each; they follow on `index`.

        Raises:
            JournalFault: the file is damaged, or cannot be written.
        """
        assert batch[0][0] == self.index + 1, "each group is posted once"
        events = [event for _, _, some in batch for event in some]
        claims = {event: claim_of(event) for event in events if isinstance(event, ReportRefused)}
        named = {event.session_id for event in events if hasattr(event, "session_id")}
        named.update(claim.session_id for claim in claims.values() if claim is not None)
        named.update(event.gy_session_id for event in events if isinstance(event, SessionBegun))
        settles = any(isinstance(event, ChannelStepped) and event.step == Step.SETTLE for event in events)
        try:
            entries, signed = await self._entries(named), await self._signed_entries(named)
            numbers = {one.number for one in entries.values()} | {one.session for one in signed.values()}
            comparing = await self._comparisons.of(numbers, settles=settles)
            usage = UsagePosting(self._channels, signed, self._leaves, comparing, claims)
            posting = Posting(self._accounts, entries, self._next_session, usage)
            for index, _, some in batch:
                posting.post(index, some)
            index, at, _ = batch[-1]
            await self._write(posting, index, at)
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                aside = _set_aside(self._path)
                raise JournalFault(f"the books were damaged ({error}); set aside as {aside}, made again next") from None
            raise JournalFault(f"the books {self._path} cannot be written: {error}") from None
        return comparing.told

    async def _write(self, posting: Posting, index: GroupIndex, at: UnixMillis) -> None:
        connection = self._connection
        await connection.execute("BEGIN IMMEDIATE")
        for statement, rows in groupby(posting.statements, key=itemgetter(0)):
            await connection.executemany(statement, [values for _, values in rows])
        await connection.executemany(
            f"INSERT OR REPLACE INTO accounts ({_ACCOUNT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [_account_row(number, self._accounts[number]) for number in sorted(posting.touched_accounts)],
        )
        await connection.executemany(
            f"INSERT INTO sessions ({_SESSION_COLUMNS}) VALUES ({', '.join('?' * 22)}) "
            "ON CONFLICT (number) DO UPDATE SET peer = excluded.peer, origin_host = excluded.origin_host, "
            "state = excluded.state, last_at = excluded.last_at, ended_at = excluded.ended_at, "
            "end_cause = excluded.end_cause, termination_cause = excluded.termination_cause, "
            "requests = excluded.requests, used = excluded.used, charged = excluded.charged, "
            "overrun = excluded.overrun, result_code = excluded.result_code, notes = excluded.notes, "
            "last_group = excluded.last_group",
            [_session_row(session) for session in posting.written],
        )
        await connection.executemany(
            "INSERT INTO session_services VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "tariff = excluded.tariff, granted = excluded.granted, used = excluded.used, charged = excluded.charged, "
            "overrun = excluded.overrun, reserved = excluded.reserved, result_code = excluded.result_code",
            [row for session in posting.written for row in _service_rows(session)],
        )
        await self._write_usage(posting.usage)
        await self._comparisons.write(posting.usage.comparing)
        await connection.execute("UPDATE progress SET group_index = ?, at = ?", (index, at))
        await connection.execute("COMMIT")
        # From here on these groups are in the books, and are not posted again.
        self._next_session, self._leaves = posting.next_session, posting.usage.leaves
        self._comparisons.wrote(posting.usage.comparing)
        self.index = index

    async def _write_usage(self, usage: UsagePosting) -> None:
        connection = self._connection
        if usage.touched_sessions:
            await connection.executemany(
                f"INSERT INTO signed_sessions VALUES ({_marks(SignedEntry.__dataclass_fields__)}) "
                "ON CONFLICT DO UPDATE SET state = excluded.state, last_at = excluded.last_at, seq = excluded.seq, "
                "up = excluded.up, down = excluded.down, credits = excluded.credits, flags = excluded.flags, "
                "signed = excluded.signed",
                [_signed_values(usage.sessions[session_id]) for session_id in sorted(usage.touched_sessions)],
            )
        if usage.commits:
            await connection.executemany(
                "INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                usage.commits,
            )
        if usage.touched_channels:
            await connection.executemany(
                "UPDATE channels SET used = ?, commits = ? WHERE number = ?",
                [
                    (usage.channels[number].used, usage.channels[number].commits, number)
                    for number in sorted(usage.touched_channels)
                ],
            )

    async def _signed_entries(self, session_ids: Iterable[bytes]) -> dict[bytes, SignedEntry]:
        """Read the rows of the signed sessions among these."""
        if not self._channels:
            return {}
        wanted = [one for one in session_ids if len(one) == SIGNED_ID_OCTETS]
        entries: dict[bytes, SignedEntry] = {}
        for place in range(0, len(wanted), IN_ONE_QUERY):
            some = wanted[place : place + IN_ONE_QUERY]
            query = f"SELECT * FROM signed_sessions WHERE session_id IN ({_marks(some)})"
            for row in await self._connection.execute_fetchall(query, some):
                entries[row[0]] = SignedEntry(*row)
        return entries

    async def replace(self, posting: Posting, index: GroupIndex, at: UnixMillis) -> None:
        """Begin empty books with the rows of a state; what was before it is kept nowhere any more."""
        assert self.index == 0
        self._accounts, self._channels = posting.accounts, posting.usage.channels
        await self._write(posting, index, at)

    async def _entries(self, session_ids: Iterable[bytes]) -> dict[bytes, SessionEntry]:
        """Read the newest row of each of these sessions, with its services."""
        entries: dict[bytes, SessionEntry] = {}
        wanted = list(session_ids)
        for place in range(0, len(wanted), IN_ONE_QUERY):
            some = wanted[place : place + IN_ONE_QUERY]
            query = (
                f"SELECT {_SESSION_COLUMNS} FROM sessions WHERE number IN (SELECT max(number) FROM sessions "
                f"WHERE session_id IN ({_marks(some)}) GROUP BY session_id)"
            )
            for row in await self._connection.execute_fetchall(query, some):
                entry = SessionEntry(*row)
                entries[entry.session_id] = entry
        by_number = {entry.number: entry for entry in entries.values()}
        numbers = list(by_number)
        for place in range(0, len(numbers), IN_ONE_QUERY):
            some_numbers = numbers[place : place + IN_ONE_QUERY]
            query = f"SELECT * FROM session_services WHERE session IN ({_marks(some_numbers)})"
            for number, rating_group, service_ids, *values in await self._connection.execute_fetchall(
                query, some_numbers
            ):
                by_number[number].services[rating_group, service_ids] = ServiceEntry(*values)
        return entries

    # Reading

    async def session_last_group(self, session_id: SessionId) -> GroupIndex | None:
        """Give the group of a session's newest event, None for a session that never was."""
        query = "SELECT last_group FROM sessions WHERE session_id = ? ORDER BY number DESC LIMIT 1"
        row = await self._row(query, session_id)
        return GroupIndex(row[0]) if row is not None else None

    async def sessions(
        self, *, operator: str | None, state: str | None, imsi: str | None, before: int | None, limit: int
    ) -> list[SessionRow]:
        """Give sessions, the newest first, without their services; `before` is a row's number."""
        clauses, values = [], []
        for clause, value in (
            ("s.operator = (SELECT number FROM operators WHERE name = ?)", operator),
            ("s.imsi = ?", imsi),
            ("s.number < ?", before),
        ):
            if value is not None:
                clauses.append(clause)
                values.append(value)
        if state is not None:
            clauses.append("s.state = ?")
            values.append(state)
            if state != "ended":
                clauses.append("s.state <> 'ended'")  # leads to the small index of what is alive
        where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
        async with self._connection.execute(
            f"{_SESSION_ROW}{where}ORDER BY s.number DESC LIMIT ?", (*values, limit)
        ) as rows:
            return [SessionRow(*row) async for row in rows]

    async def session(self, session_id: SessionId) -> SessionRow | None:
        """Give the newest session of this Session-Id, with its services."""
        row = await self._row(f"{_SESSION_ROW}WHERE s.session_id = ? ORDER BY s.number DESC LIMIT 1", session_id)
        if row is None:
            return None
        found = SessionRow(*row)
        query = "SELECT * FROM session_services WHERE session = ? ORDER BY rating_group, service_ids"
        async with self._connection.execute(query, (found.number,)) as rows:
            async for _, rating_group, service_ids, *values in rows:
                group = None if rating_group < 0 else rating_group
                found.services.append(ServiceRow(group, tuple(map(int, service_ids.split())), *values))
        return found

    async def top_ups(self, operator: str, *, after: int, limit: int) -> list[TopUpRow]:
        """Give an operator's top-ups in their order, from the one after number `after`."""
        query = (
            "SELECT t.number, t.at, o.name, t.amount, t.kind, t.reference, t.key, t.reversed FROM top_ups t "
            "JOIN operators o ON o.number = t.operator WHERE o.name = ? AND t.number > ? ORDER BY t.number LIMIT ?"
        )
        async with self._connection.execute(query, (operator, after, limit)) as rows:
            return [TopUpRow(*row) async for row in rows]

    async def commit(self, session_id: bytes, seq: int) -> tuple[int, bytes] | None:
        """Give leaf and report id of what is counted of a signed session under a seq; None for nothing."""
        query = "SELECT leaf, report_id FROM commits WHERE session_id = ? AND seq = ?"
        row = await self._row(query, session_id, seq)
        return (row[0], row[1]) if row is not None else None

    async def operators(self) -> list[OperatorRow]:
        """Give all operators with their balances, as the books count them."""
        query = (
            "SELECT o.number, o.name, a.available, a.reserved, a.consumed, a.overrun, a.written_off, a.funded, a.owed "
            "FROM operators o JOIN accounts a ON a.operator = o.number ORDER BY o.number"
        )
        async with self._connection.execute(query) as rows:
            return [OperatorRow(*row) async for row in rows]

    async def _row(self, query: str, *values: object) -> Any:
        async with self._connection.execute(query, values) as rows:
            return await rows.fetchone()


async def _upgrade(connection: aiosqlite.Connection, version: int) -> None:
    """Bring the tables of an older release to this one's format, each step at once or not at all."""
    while version in UPGRADES:
        await connection.executescript(
            f"BEGIN; {UPGRADES[version]} PRAGMA user_version = {version + 1}; COMMIT;",
        )
        version += 1


def check_version(version: int, path: Path) -> None:
    """Take the format that this release writes, and those it brings up to it.

    Raises:
        BadConfiguration: it is a newer one.
    """
    if version > SCHEMA_VERSION:
        raise BadConfiguration(
            f"the books {path} have format {version}, and this release writes {SCHEMA_VERSION}: a newer release made "
            "them; run that one, or move the file away and it is made again from the journal"
        )


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def _account_row(operator: int, account: AccountEntry) -> tuple[object, ...]:
    return (
        operator,
        *map(
            fit,
            (
                account.available,
                account.reserved,
                account.consumed,
                account.overrun,
                account.written_off,
                account.funded,
                account.owed,
            ),
        ),
    )


_session_values: Final = attrgetter(*_SESSION_COLUMNS.split(", "))
_signed_values: Final = attrgetter(*SignedEntry.__dataclass_fields__)
_service_values: Final = attrgetter("tariff", "granted", "used", "charged", "overrun", "reserved", "result_code")


def _session_row(session: SessionEntry) -> tuple[object, ...]:
    row = _session_values(session)
    is_odd = session.used > INTEGER_MAX or abs(session.charged) > INTEGER_MAX or session.overrun > INTEGER_MAX
    return tuple(map(fit, row)) if is_odd else row


def _service_rows(session: SessionEntry) -> Iterable[tuple[object, ...]]:
    for (rating_group, service_ids), service in session.services.items():
        values = _service_values(service)
        if max(values) > INTEGER_MAX or min(values) < -INTEGER_MAX:
            values = tuple(map(fit, values))
        yield session.number, rating_group, service_ids, *values


async def _number(connection: aiosqlite.Connection, query: str) -> int:
    async with connection.execute(query) as rows:
        row = await rows.fetchone()
    assert row is not None
    return int(row[0])


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _set_aside(path: Path) -> Path:
    """Rename a damaged file, and its rollback journal with it; nothing is thrown away."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    left = path.with_name(path.name + "-journal")
    if left.exists():
        left.rename(aside.with_name(aside.name + "-journal"))
    return aside
