"""What a forwarder must not forget, in one SQLite file: readings, reports under way, receipts, refusals.

    reading ──▶ readings ──sign──▶ reports ──receipt──▶ receipts (the newest of each signed session)
                                      └────refusal────▶ refused

A reading is stored before it is signed; a report is stored, with the SGW's place in its session, before it is sent;
it leaves `reports` in the transaction that stores its receipt, or its refusal.  So wherever a process is killed, the
next one finds each report in one place, sends again what has no receipt, and never signs two reports under one `seq`.

One process holds the file at a time.  Its connection is the only one, so the log needs no index in shared memory.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from simulator.settlement.messages import Counters
from simulator.settlement.reading import Reading
from simulator.settlement.signer import SignedSession

FILE_MODE: Final = 0o600
"""Readings bear IMSIs until they are signed."""

VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE pair (sgw BLOB NOT NULL, miner BLOB NOT NULL, network TEXT NOT NULL, miner_seq INTEGER NOT NULL,
  log_key TEXT NOT NULL);
CREATE TABLE books (gy_session_id TEXT PRIMARY KEY, book BLOB NOT NULL, open INTEGER NOT NULL,
  awaited INTEGER NOT NULL, due_at_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE readings (gy_session_id TEXT NOT NULL, incarnation INTEGER NOT NULL, reading BLOB NOT NULL,
  received_at_ms INTEGER NOT NULL, PRIMARY KEY (gy_session_id, incarnation)) WITHOUT ROWID;
CREATE TABLE reports (number INTEGER PRIMARY KEY AUTOINCREMENT, gy_session_id TEXT NOT NULL, session_id BLOB NOT NULL,
  seq INTEGER NOT NULL, up INTEGER NOT NULL, down INTEGER NOT NULL, final INTEGER NOT NULL, message_id BLOB NOT NULL,
  octets BLOB NOT NULL, due_at_ms INTEGER NOT NULL, UNIQUE (session_id, seq));
CREATE TABLE receipts (session_id BLOB PRIMARY KEY, gy_session_id TEXT NOT NULL, seq INTEGER NOT NULL,
  up INTEGER NOT NULL, down INTEGER NOT NULL, message_id BLOB NOT NULL, octets BLOB NOT NULL, proof TEXT NOT NULL,
  at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE refused (number INTEGER PRIMARY KEY, gy_session_id TEXT NOT NULL, session_id BLOB NOT NULL,
  seq INTEGER NOT NULL, code TEXT NOT NULL, detail TEXT NOT NULL, octets BLOB NOT NULL, at_ms INTEGER NOT NULL);
"""
# Numbers of octets fit: SQLite's integers end at 2^63 - 1, and both counters together at 2^63.

_ALONE: Final = ("PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")


class SpoolError(Exception):
    """The file cannot be used as it is."""


class Report(NamedTuple):
    """A countersigned report under way.

    Attributes:
        number: its place in the spool.
        seq: 0 for a SessionInit.
        octets: its counters.
        message_id: of the countersigned envelope, whose octets are `envelope`.
    """

    number: int
    gy_session_id: str
    session_id: bytes
    seq: int
    octets: Counters
    final: bool
    message_id: bytes
    envelope: bytes


class Signed(NamedTuple):
    """A report about to be stored."""

    session_id: bytes
    seq: int
    octets: Counters
    final: bool
    message_id: bytes
    envelope: bytes


class Told(NamedTuple):
    """A reading that waits to be signed; `received_at_ms` is when the forwarder had it."""

    reading: Reading
    received_at_ms: int


@dataclass(slots=True, kw_only=True)
class Book:
    """A Gy session as its SGW knows it.

    Attributes:
        home: of the counters of `incarnation`, what signed sessions that have ended brought home.
        session: the signed session that runs, or whose final report has no receipt yet.
        newest: the reading that was signed last, and when it came; it is signed anew where its report fell with its
            session.
        over: the last reading of the Gy session is signed.
        halted: the code for which nothing more of this Gy session is signed; "" while all is well.
        tries: how often in a row the session could not go on; `due_at_ms`: not tried again before that.
    """

    gy_session_id: str
    incarnation: int = 0
    home: Counters = Counters()
    session: SignedSession | None = None
    newest: Reading | None = None
    newest_at_ms: int = 0
    over: bool = False
    halted: str = ""
    tries: int = 0
    due_at_ms: int = 0

    @property
    def awaited(self) -> bool:
        """Whether nothing can be signed before the receipt of a final report is there."""
        return self.session is not None and self.session.final

    @property
    def open(self) -> bool:
        """Whether anything is still to be signed, or to be brought home."""
        return not self.halted and not (self.over and self.session is None)


class Spool:
    """The open file.  Everything that changes it happens inside `commit`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path, sgw: bytes, miner: bytes, network: str) -> Self:
        """Open the spool of a pair of keys, and make it where there is none.

        Raises:
            SpoolError: another process has it, it is another pair's, or no spool that this version reads.
        """
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
            connection = sqlite3.connect(path, isolation_level=None, timeout=0.0)
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"{path} cannot be opened: {error}") from None
        spool = cls(connection)
        try:
            spool._begin(path, (sgw, miner, network))
        except sqlite3.Error as error:
            spool.close()
            raise SpoolError(f"{path} cannot be used: {error}; does another forwarder run on it?") from None
        except SpoolError:
            spool.close()
            raise
        return spool

    def _begin(self, path: Path, pair: tuple[bytes, bytes, str]) -> None:
        for one in _ALONE:
            self._connection.execute(one)
        with self.commit():
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute("INSERT INTO pair VALUES (?, ?, ?, 0, '')", pair)
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise SpoolError(f"{path} is a spool of version {version}; this forwarder reads {VERSION}")
        if self._connection.execute("SELECT sgw, miner, network FROM pair").fetchone() != pair:
            raise SpoolError(f"{path} is the spool of other keys or another network; name another file")

    def close(self) -> None:
        self._connection.close()

    @contextlib.contextmanager
    def commit(self) -> Iterator[None]:
        """Make what happens inside durable when it ends, all of it or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    # The pair

    def next_miner_seq(self) -> int:
        ((seq,),) = self._connection.execute("UPDATE pair SET miner_seq = miner_seq + 1 RETURNING miner_seq").fetchall()
        return int(seq)

    @property
    def log_key(self) -> str:
        """The log's verifier key that receipts were first held against; "" before that."""
        return str(self._connection.execute("SELECT log_key FROM pair").fetchone()[0])

    def pin_log_key(self, text: str) -> None:
        self._connection.execute("UPDATE pair SET log_key = ?", (text,))

    # Readings

    def take(self, reading: Reading, now_ms: int) -> None:
        """Store a reading; it replaces one of the same incarnation that still waits, for it says all of it and more."""
        waiting = self._connection.execute(
            "SELECT reading FROM readings WHERE gy_session_id = ? AND incarnation = ?",
            (reading.gy_session_id, reading.incarnation),
        ).fetchone()
        if waiting is None or not Reading.decode(waiting[0]).final:
            self._connection.execute("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", _row(reading, now_ms))

    def take_back(self, reading: Reading, received_at_ms: int) -> None:
        """Store a reading again whose report fell, unless a newer one waits."""
        self._connection.execute("INSERT OR IGNORE INTO readings VALUES (?, ?, ?, ?)", _row(reading, received_at_ms))

    def told(self, gy_session_id: str) -> Told | None:
        """Give the oldest reading of a Gy session that waits."""
        return next(iter(self.all_told(gy_session_id)), None)

    def all_told(self, gy_session_id: str) -> list[Told]:
        """Give the readings of a Gy session that wait, the oldest first; at most one of each incarnation does."""
        rows = self._connection.execute(
            "SELECT reading, received_at_ms FROM readings WHERE gy_session_id = ? ORDER BY incarnation",
            (gy_session_id,),
        )
        return [Told(Reading.decode(octets), received_at_ms) for octets, received_at_ms in rows]

    def drop(self, told: Told) -> None:
        """Forget a reading that is signed, or that says nothing new."""
        self._connection.execute(
            "DELETE FROM readings WHERE gy_session_id = ? AND incarnation = ?",
            (told.reading.gy_session_id, told.reading.incarnation),
        )

    def signable(self, now_ms: int, limit: int) -> list[str]:
        """Give the Gy sessions with readings to sign now, the longest waiting first; none that waits for a receipt."""
        rows = self._connection.execute(
            "SELECT gy_session_id FROM readings LEFT JOIN books USING (gy_session_id)"
            " WHERE coalesce(due_at_ms, 0) <= ? AND NOT coalesce(awaited, 0)"
            " GROUP BY gy_session_id ORDER BY min(received_at_ms) LIMIT ?",
            (now_ms, limit),
        )
        return [row[0] for row in rows]

    # Books

    def book(self, gy_session_id: str) -> Book:
        """Give the book of a Gy session; a new one where there is none."""
        row = self._connection.execute("SELECT book FROM books WHERE gy_session_id = ?", (gy_session_id,)).fetchone()
        return Book(gy_session_id=gy_session_id) if row is None else msgspec.json.decode(row[0], type=Book)

    def keep(self, book: Book, now_ms: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO books VALUES (?, ?, ?, ?, ?, ?)",
            (book.gy_session_id, msgspec.json.encode(book), book.open, book.awaited, book.due_at_ms, now_ms),
        )

    # Reports

    def add(self, gy_session_id: str, signed: Signed) -> None:
        """Store a report; it is due no sooner than those of its session before it."""
        self._connection.execute(
            "INSERT INTO reports (gy_session_id, session_id, seq, up, down, final, message_id, octets, due_at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?,"
            " (SELECT coalesce(max(due_at_ms), 0) FROM reports WHERE session_id = ?))",
            (
                gy_session_id,
                signed.session_id,
                signed.seq,
                *signed.octets,
                signed.final,
                signed.message_id,
                signed.envelope,
                signed.session_id,
            ),
        )

    def due(self, now_ms: int, limit: int) -> list[Report]:
        """Give reports to send now, in the order in which they were signed."""
        rows = self._connection.execute(
            f"SELECT {_REPORT} FROM reports WHERE due_at_ms <= ? ORDER BY number LIMIT ?", (now_ms, limit)
        )
        return [_report(row) for row in rows]

    def postpone(self, session_id: bytes, due_at_ms: int) -> None:
        """Let all reports of a signed session wait: none may overtake another."""
        self._connection.execute("UPDATE reports SET due_at_ms = ? WHERE session_id = ?", (due_at_ms, session_id))

    def envelope_of(self, message_id: bytes) -> bytes | None:
        """Find a countersigned envelope, under way or with its receipt, by its message id."""
        for table in ("reports", "receipts"):
            row = self._connection.execute(f"SELECT octets FROM {table} WHERE message_id = ?", (message_id,)).fetchone()
            if row is not None:
                return bytes(row[0])
        return None

    def receipted(self, report: Report, proof: str | None, now_ms: int) -> None:
        """Let a report go: its receipt is good.

        Args:
            proof: of this very report; None where it is counted in a newer one, whose receipt is there or will come.
        """
        self._connection.execute("DELETE FROM reports WHERE number = ?", (report.number,))
        if proof is not None:
            self._connection.execute(
                "INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (session_id) DO UPDATE SET seq = excluded.seq, up = excluded.up, down = excluded.down,"
                " message_id = excluded.message_id, octets = excluded.octets, proof = excluded.proof,"
                " at_ms = excluded.at_ms WHERE excluded.seq > seq",
                (
                    report.session_id,
                    report.gy_session_id,
                    report.seq,
                    *report.octets,
                    report.message_id,
                    report.envelope,
                    proof,
                    now_ms,
                ),
            )

    def refuse(self, report: Report, code: str, detail: str, now_ms: int) -> None:
        """Set a report aside, with why it was refused."""
        self._connection.execute("DELETE FROM reports WHERE number = ?", (report.number,))
        self._set_aside(report.gy_session_id, report.session_id, report.seq, code, detail, report.envelope, now_ms)

    def refuse_reading(self, told: Told, code: str, detail: str, now_ms: int) -> None:
        """Set a reading aside that was never signed, with why."""
        self.drop(told)
        reading = told.reading
        self._set_aside(reading.gy_session_id, b"", 0, code, detail, reading.encode(), now_ms)

    def _set_aside(
        self, gy_session_id: str, session_id: bytes, seq: int, code: str, detail: str, octets: bytes, now_ms: int
    ) -> None:
        self._connection.execute(
            "INSERT INTO refused (gy_session_id, session_id, seq, code, detail, octets, at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (gy_session_id, session_id, seq, code, detail, octets, now_ms),
        )

    # What there is

    def open_sessions(self) -> int:
        """Count the Gy sessions of which something is still to be signed or to be receipted."""
        return int(self._connection.execute("SELECT count(*) FROM books WHERE open").fetchone()[0])

    def under_way(self) -> int:
        """Count the reports that have neither receipt nor refusal."""
        return int(self._connection.execute("SELECT count(*) FROM reports").fetchone()[0])

    def busy(self) -> bool:
        """Tell whether a reading waits or a report is under way."""
        query = "SELECT EXISTS (SELECT 1 FROM readings) OR EXISTS (SELECT 1 FROM reports)"
        return bool(self._connection.execute(query).fetchone()[0])

    def counts(self) -> dict[str, int]:
        """Count what waits, what is under way, what has its receipt and what was refused."""
        tables = ("readings", "reports", "receipts", "refused")
        return {table: int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in tables}

    def signed_octets(self, gy_session_id: str) -> Counters:
        """Give what receipts prove of a Gy session, all its signed sessions together."""
        row = self._connection.execute(
            "SELECT coalesce(sum(up), 0), coalesce(sum(down), 0) FROM receipts WHERE gy_session_id = ?",
            (gy_session_id,),
        ).fetchone()
        return Counters(*row)

    def receipts(self, gy_session_id: str) -> list[tuple[bytes, str]]:
        """Give the newest envelope of each signed session of a Gy session, with its proof."""
        rows = self._connection.execute(
            "SELECT octets, proof FROM receipts WHERE gy_session_id = ? ORDER BY at_ms", (gy_session_id,)
        )
        return [(bytes(octets), proof) for octets, proof in rows]

    def refusals(self, gy_session_ids: Iterable[str] | None = None) -> list[tuple[str, str, str]]:
        """Give Gy session, code and detail of what was refused; of these Gy sessions, or of all."""
        rows = self._connection.execute("SELECT gy_session_id, code, detail FROM refused ORDER BY number").fetchall()
        wanted = None if gy_session_ids is None else set(gy_session_ids)
        return [row for row in rows if wanted is None or row[0] in wanted]

    def prune(self, before_ms: int) -> None:
        """Forget Gy sessions that were over before then, and their receipts: their channels are settled."""
        over = "SELECT gy_session_id FROM books WHERE NOT open AND at_ms < ?"
        busy = "SELECT gy_session_id FROM reports"
        self._connection.execute(
            f"DELETE FROM receipts WHERE at_ms < ? AND gy_session_id IN ({over})", (before_ms, before_ms)
        )
        self._connection.execute(
            f"DELETE FROM books WHERE NOT open AND at_ms < ? AND gy_session_id NOT IN ({busy})", (before_ms,)
        )


def _row(reading: Reading, received_at_ms: int) -> tuple[str, int, bytes, int]:
    return reading.gy_session_id, reading.incarnation, reading.encode(), received_at_ms


_REPORT: Final = "number, gy_session_id, session_id, seq, up, down, final, message_id, octets"


def _report(row: Sequence[object]) -> Report:
    number, gy_session_id, session_id, seq, up, down, final, message_id, envelope = row
    return Report(number, gy_session_id, session_id, seq, Counters(up, down), bool(final), message_id, envelope)  # type: ignore[arg-type]  # as the schema says
