"""What is read of channels, signed sessions and what was refused, from the books."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiosqlite


@dataclass(frozen=True, slots=True)
class ChannelRow:
    number: int
    channel_id: bytes
    amount: int
    tariff: int
    per_octets: int
    opened_at: int
    expires_at: int
    state: str
    reason: str | None
    changed_at: int
    used: int
    commits: int


@dataclass(frozen=True, slots=True)
class MinerRow:
    """What one miner carried in one channel; the key has 33 octets."""

    miner_key: bytes
    commits: int
    credits: int
    octets: int
    sessions: int


@dataclass(frozen=True, slots=True)
class SignedSessionRow:
    """A signed session; `leaf` is that of its SessionInit, and so rises from one session to the next."""

    leaf: int
    session_id: bytes
    gy_session_id: bytes
    channel: int
    sgw_key: bytes
    miner_key: bytes
    state: str
    began_at: int
    last_at: int
    seq: int
    up: int
    down: int
    credits: int
    flags: int


@dataclass(frozen=True, slots=True)
class PurchaseRow:
    number: int
    at: int
    amount: int
    reference: str
    key: str


@dataclass(frozen=True, slots=True)
class RefusedRow:
    number: int
    at: int
    code: str
    detail: str
    miner_key: bytes


@dataclass(frozen=True, slots=True)
class DisputeRow:
    number: int
    at: int
    session_id: bytes
    kind: str


_CHANNEL = (
    "SELECT number, channel_id, amount, tariff, per_octets, opened_at, expires_at, state, reason, changed_at, used, "
    "commits FROM channels "
)
_SESSION = (
    "SELECT c.leaf, s.session_id, s.gy_session_id, s.channel, s.sgw_key, s.miner_key, s.state, s.began_at, s.last_at, "
    "s.seq, s.up, s.down, s.credits, s.flags FROM signed_sessions s "
    "JOIN commits c ON c.session_id = s.session_id AND c.seq = 0 "
)


class UsageReading:
    """Reads over the books' own connection."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def channels(self, *, state: str | None, before: int | None, limit: int) -> list[ChannelRow]:
        """Give channels, the newest first, those before number `before`."""
        where, values = _where(("state = ?", state), ("number < ?", before))
        query = f"{_CHANNEL}{where}ORDER BY number DESC LIMIT ?"
        return [ChannelRow(*row) for row in await self._all(query, *values, limit)]

    async def channel(self, channel_id: bytes | int) -> ChannelRow | None:
        """Give one channel, by its id or its number."""
        column = "number" if isinstance(channel_id, int) else "channel_id"
        rows = await self._all(f"{_CHANNEL}WHERE {column} = ?", channel_id)
        return ChannelRow(*rows[0]) if rows else None

    async def miners(self, channel: int) -> list[MinerRow]:
        """Give what each miner carried in a channel, rising by key."""
        query = (
            "SELECT s.miner_key, count(*), sum(c.credits), sum(c.octets), sum(c.seq = 0) FROM commits c "
            "JOIN signed_sessions s USING (session_id) WHERE c.channel = ? GROUP BY s.miner_key ORDER BY s.miner_key"
        )
        return [MinerRow(*row) for row in await self._all(query, channel)]

    async def signed_sessions(
        self, *, channel: int | None, gy_session_id: bytes | None, state: str | None, before: int | None, limit: int
    ) -> list[SignedSessionRow]:
        """Give signed sessions, the newest first, those whose first leaf is before number `before`."""
        where, values = _where(
            ("c.channel = ?", channel),
            ("s.gy_session_id = ?", gy_session_id),
            ("s.state = ?", state),
            ("c.leaf < ?", before),
        )
        query = f"{_SESSION}{where}ORDER BY c.leaf DESC LIMIT ?"
        return [SignedSessionRow(*row) for row in await self._all(query, *values, limit)]

    async def purchases(self, *, after: int, limit: int) -> list[PurchaseRow]:
        """Give top-ups of data credits in their order, from the one after number `after`."""
        query = "SELECT number, at, amount, reference, key FROM purchases WHERE number > ? ORDER BY number LIMIT ?"
        return [PurchaseRow(*row) for row in await self._all(query, after, limit)]

    async def refused(self, *, code: str | None, before: int | None, limit: int) -> list[RefusedRow]:
        """Give refused reports, the newest first, without their octets."""
        where, values = _where(("code = ?", code), ("number < ?", before))
        query = f"SELECT number, at, code, detail, miner_key FROM refused_reports {where}ORDER BY number DESC LIMIT ?"
        return [RefusedRow(*row) for row in await self._all(query, *values, limit)]

    async def refused_report(self, number: int) -> tuple[RefusedRow, bytes] | None:
        """Give one refused report with its octets."""
        query = "SELECT number, at, code, detail, miner_key, report FROM refused_reports WHERE number = ?"
        rows = await self._all(query, number)
        return (RefusedRow(*rows[0][:-1]), rows[0][-1]) if rows else None

    async def disputes(self, *, before: int | None, limit: int) -> list[DisputeRow]:
        """Give disputes, the newest first, without their messages."""
        where, values = _where(("number < ?", before))
        query = f"SELECT number, at, session_id, kind FROM disputes {where}ORDER BY number DESC LIMIT ?"
        return [DisputeRow(*row) for row in await self._all(query, *values, limit)]

    async def dispute(self, number: int) -> tuple[DisputeRow, bytes, bytes] | None:
        """Give one dispute with both messages."""
        query = "SELECT number, at, session_id, kind, first, second FROM disputes WHERE number = ?"
        rows = await self._all(query, number)
        return (DisputeRow(*rows[0][:-2]), rows[0][-2], rows[0][-1]) if rows else None

    async def _all(self, query: str, *values: object) -> list[Any]:
        return list(await self._connection.execute_fetchall(query, values))


def _where(*clauses: tuple[str, object]) -> tuple[str, Iterable[object]]:
    asked = [(clause, value) for clause, value in clauses if value is not None]
    if not asked:
        return "", ()
    return f"WHERE {' AND '.join(clause for clause, _ in asked)} ", [value for _, value in asked]
