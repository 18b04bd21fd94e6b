"""The comparisons in the books' file, and beside them what comparing takes from the whole deployment."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Final

import aiosqlite

from ocs.shell.books.comparing import TOLERANCE_DEFAULT, Comparing, ComparisonEntry, SigningGateways, Unsettled

IN_ONE_QUERY: Final = 500

_COLUMNS: Final = tuple(ComparisonEntry.__dataclass_fields__)
_values: Final = attrgetter(*_COLUMNS)
_MARKS: Final = ", ".join("?" * len(_COLUMNS))
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM comparisons"
_WRITE: Final = (
    f"INSERT INTO comparisons ({', '.join(_COLUMNS)}) VALUES ({_MARKS}) "
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[3:])}"
)


class Comparisons:
    """Reads and writes rows of `comparisons` for the postings of one connection.

    Attributes:
        incidents: of reconciliation, so far.
    """

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self.incidents = 0
        self._connection = connection
        self._gateways = SigningGateways()
        self._channels = Unsettled()
        self._tolerance: int = TOLERANCE_DEFAULT

    async def open(self) -> None:
        """Read who signs, which channels there are, and what is tolerated."""
        query = "SELECT public_key, origin_host FROM signers WHERE role = 'sgw' AND revoked_at IS NULL"
        for key, host in await self._connection.execute_fetchall(query):
            self._gateways.add(key, host)
        for number, state in await self._connection.execute_fetchall("SELECT number, state FROM channels"):
            self._channels.opened(number)
            if state == "settled":
                self._channels.settled(number)
        query = "SELECT tolerance FROM starts ORDER BY group_index DESC LIMIT 1"
        for (tolerance,) in await self._connection.execute_fetchall(query):
            self._tolerance = tolerance
        for (count,) in await self._connection.execute_fetchall("SELECT count(*) FROM reconciliation_incidents"):
            self.incidents = count

    async def of(self, sessions: Iterable[int | None], *, settles: bool) -> Comparing:
        """Read the comparisons of these sessions; where a channel settles, also of all that wait for one."""
        comparing = Comparing(self._gateways, self._channels, self._tolerance)
        if not self._gateways.hosts and not self._channels.newest:
            return comparing  # nobody signs here, and nobody did
        wanted = [number for number in sessions if number is not None]
        found: list[aiosqlite.Row] = []
        for place in range(0, len(wanted), IN_ONE_QUERY):
            some = wanted[place : place + IN_ONE_QUERY]
            marks = ", ".join("?" * len(some))
            found += await self._connection.execute_fetchall(f"{_SELECT} WHERE session IN ({marks})", some)
        if settles:
            found += await self._connection.execute_fetchall(f"{_SELECT} WHERE due_at IS NULL AND ended_at IS NOT NULL")
        comparing.entries = {row[0]: ComparisonEntry(*row) for row in found}
        return comparing

    async def write(self, comparing: Comparing) -> None:
        """Write what a batch touched, within its transaction."""
        if comparing.touched:
            await self._connection.executemany(_WRITE, list(map(_values, comparing.rows())))
        if comparing.incidents:
            await self._connection.executemany(
                "INSERT INTO reconciliation_incidents VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                comparing.incidents,
            )

    def wrote(self, comparing: Comparing) -> None:
        """Take over what a batch changed for the whole deployment; its transaction is committed."""
        self._gateways, self._channels = comparing.gateways, comparing.channels
        self._tolerance = comparing.tolerance
        self.incidents += comparing.told.total()
