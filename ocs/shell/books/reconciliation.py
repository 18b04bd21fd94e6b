"""Read what the books say of both ledgers: Gy sessions compared, days, incidents.  docs/reconciliation.md."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, NamedTuple

import aiosqlite

from ocs.shell.books.comparing import ComparisonEntry

_FIGURES: Final = tuple(ComparisonEntry.__dataclass_fields__)
_COMPARED: Final = (
    "SELECT s.session_id, o.name, s.origin_host, s.began_at, s.state, s.end_cause, "
    f"{', '.join(f'c.{name}' for name in _FIGURES)} "
    "FROM comparisons c JOIN sessions s ON s.number = c.session JOIN operators o ON o.number = c.operator "
)
_INCIDENT: Final = (
    "SELECT i.number, i.at, o.name, s.session_id, s.began_at, i.kind, i.granted, i.used, i.charged, i.signed, "
    "i.committed, i.difference, i.unexplained, i.tolerance, i.detail FROM reconciliation_incidents i "
    "JOIN sessions s ON s.number = i.session JOIN operators o ON o.number = i.operator "
)
_SUMS: Final = ("granted", "used", "charged", "signed", "committed", "difference", "unexplained")
_BY_STATE: Final = ("open", "within_tolerance")
_LOW: Final = 2**32 - 1

EARLIER_MAX: Final = 20
REFUSALS_MAX: Final = 100
"""Of one session, in one answer."""


@dataclass(slots=True)
class ComparedRow:
    """One Gy session, as Gy and its signed usage say."""

    session_id: bytes
    operator: str
    origin_host: str
    began_at: int
    gy_state: str
    end_cause: str | None
    figures: ComparisonEntry


class SignedRow(NamedTuple):
    """One signed session; `signed` is the most that its SGW ever said."""

    session_id: bytes
    channel: int
    state: str
    began_at: int
    last_at: int
    seq: int
    up: int
    down: int
    signed: int
    flags: int


class RefusalRow(NamedTuple):
    at: int
    code: str
    detail: str
    session_id: bytes
    seq: int
    octets: int


class DifferenceRow(NamedTuple):
    """An incident, with the figures of its moment."""

    number: int
    at: int
    operator: str
    session_id: bytes
    began_at: int
    kind: str
    granted: int
    used: int
    charged: int
    signed: int
    committed: int
    difference: int
    unexplained: int
    tolerance: int
    detail: str


@dataclass(slots=True)
class DayRow:
    """One operator's sessions that began on one day, in UTC.

    Attributes:
        operator_number: with the day, the row's place in the list.
        states: how many sessions are in each state.
        sums: octets, but `charged`, by the name of the figure; `open` and `within_tolerance` are those parts of
            `difference`.
    """

    day: str
    operator_number: int
    operator: str
    states: dict[str, int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class SessionDetail:
    """One Gy session with what was signed of it, and other sessions with its Session-Id, the newest first."""

    row: ComparedRow
    signed: list[SignedRow]
    refusals: list[RefusalRow]
    incidents: list[DifferenceRow]
    earlier: list[ComparedRow]


class Reconciliation:
    """Queries on the books' connection."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def sessions(
        self, *, operator: str | None, day: str | None, state: str | None, before: int | None, limit: int
    ) -> list[ComparedRow]:
        """Give sessions that are compared, the newest first; `before` is a session's number."""
        where, values = _where(
            ("c.operator = (SELECT number FROM operators WHERE name = ?)", operator),
            ("c.day = ?", day),
            ("c.state = ?", state),
            ("c.session < ?", before),
        )
        return await self._compared(f"{where} ORDER BY c.session DESC LIMIT ?", *values, limit)

    async def session(self, session_id: bytes) -> SessionDetail | None:
        """Give the newest session of this Session-Id that is compared; None for one that is not."""
        rows = await self._compared(
            "WHERE s.session_id = ? ORDER BY c.session DESC LIMIT ?", session_id, EARLIER_MAX + 1
        )
        if not rows:
            return None
        number = rows[0].figures.session
        query = (
            "SELECT session_id, channel, state, began_at, last_at, seq, up, down, signed, flags FROM signed_sessions "
            "WHERE gy_session_id = ? AND session = ? ORDER BY began_at, session_id"
        )
        signed = [SignedRow(*row) for row in await self._connection.execute_fetchall(query, (session_id, number))]
        return SessionDetail(
            rows[0],
            signed,
            await self._refusals(session_id, signed, rows[0].began_at),
            await self._incidents("WHERE i.session = ? ORDER BY i.number", number),
            rows[1:],
        )

    async def incidents(self, *, operator: str | None, before: int | None, limit: int) -> list[DifferenceRow]:
        """Give incidents, the newest first."""
        where, values = _where(
            ("i.operator = (SELECT number FROM operators WHERE name = ?)", operator), ("i.number < ?", before)
        )
        return await self._incidents(f"{where} ORDER BY i.number DESC LIMIT ?", *values, limit)

    async def days(
        self,
        *,
        operator: str | None,
        since: date | None,
        until: date | None,
        before: tuple[date, int] | None,
        limit: int,
    ) -> list[DayRow]:
        """Give days and operators, the newest day first, both ends included; `before` is a row's day and number."""
        where, values = _where(
            ("c.operator = (SELECT number FROM operators WHERE name = ?)", operator),
            ("c.day >= ?", since.isoformat() if since is not None else None),
            ("c.day <= ?", until.isoformat() if until is not None else None),
        )
        if before is not None:
            where += f" {'AND' if where else 'WHERE'} (c.day, c.operator) < (?, ?)"
            values += [before[0].isoformat(), before[1]]
        # SQLite's sum fails beyond 63 bits, where one broken counter leads; halves of 32 bits do not.
        summed = [*(f"c.{name}" for name in _SUMS), *(f"iif(c.state = '{one}', c.difference, 0)" for one in _BY_STATE)]
        halves = ", ".join(f"sum({one} >> 32), sum({one} & {_LOW})" for one in summed)
        states = ("open", "matched", "within_tolerance", "difference")
        counts = ", ".join(f"sum(c.state = '{state}')" for state in states)
        query = (
            f"SELECT c.day, c.operator, (SELECT name FROM operators WHERE number = c.operator), {counts}, {halves} "
            f"FROM comparisons c INDEXED BY comparisons_by_day {where} "
            "GROUP BY c.day, c.operator ORDER BY c.day DESC, c.operator DESC LIMIT ?"
        )
        rows = []
        for day, number, name, *figures in await self._connection.execute_fetchall(query, (*values, limit)):
            sums = figures[len(states) :]
            whole = [(high << 32) + low for high, low in zip(sums[::2], sums[1::2], strict=True)]
            rows.append(
                DayRow(
                    *(day, number, name, dict(zip(states, figures, strict=False))),
                    dict(zip((*_SUMS, *_BY_STATE), whole, strict=True)),
                )
            )
        return rows

    async def _compared(self, clauses: str, *values: object) -> list[ComparedRow]:
        found = await self._connection.execute_fetchall(_COMPARED + clauses, values)
        rows = []
        for session_id, operator, origin_host, began_at, gy_state, end_cause, *figures in found:
            entry = ComparisonEntry(*figures)
            rows.append(ComparedRow(session_id, operator, origin_host, began_at, gy_state, end_cause, entry))
        return rows

    async def _incidents(self, clauses: str, *values: object) -> list[DifferenceRow]:
        found = await self._connection.execute_fetchall(_INCIDENT + clauses, values)
        return [DifferenceRow(*row) for row in found]

    async def _refusals(self, session_id: bytes, signed: Sequence[SignedRow], since: int) -> list[RefusalRow]:
        """Give the newest refused reports of a session: of its signed ones, and those that would have begun one."""
        names = [row.session_id for row in signed]
        marks = ", ".join("?" * len(names))
        query = (
            "SELECT at, code, detail, session_id, seq, octets FROM refused_reports "
            f"WHERE at >= ? AND (gy_session_id = ? OR session_id IN ({marks})) ORDER BY number DESC LIMIT ?"
        )
        found = await self._connection.execute_fetchall(query, (since, session_id, *names, REFUSALS_MAX))
        return [RefusalRow(*row) for row in found]


def _where(*clauses: tuple[str, object]) -> tuple[str, list[object]]:
    """Join the clauses that have a value."""
    wanted = [(clause, value) for clause, value in clauses if value is not None]
    where = f"WHERE {' AND '.join(clause for clause, _ in wanted)}" if wanted else ""
    return where, [value for _, value in wanted]
