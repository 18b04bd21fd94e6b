"""Post to the rows that hold Gy against what was signed, one for each Gy session whose gateway signs.

A comparison is due once nothing more can be charged, signed or counted, as the ledger of channels has it: a signed
session ends after its Gy session has; the Gy session ends with all signed for that was granted; or every channel that
could hold its grants is settled.  Each of these is an event, so the books find the same however they are made.  Who
does not match then is an incident, once.  docs/adr/0019-reconciliation.md
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from ocs.reconciling import Cause, Comparison, Figures, State, compare
from ocs.units import CREDITS_MAX, SECOND, GroupIndex, Octets, UnixMillis

TOLERANCE_DEFAULT: Final = Octets(1_000_000)
"""Before any start told it."""


@dataclass(slots=True)
class ComparisonEntry:
    """A row of `comparisons`, as it will be written; docs/books.md."""

    session: int
    operator: int
    day: str
    granted: int = 0
    used: int = 0
    charged: int = 0
    committed: int = 0
    signed: int = 0
    refusal: str | None = None
    begun: int = 0
    finals: int = 0
    closed: int = 0
    frozen: int = 0
    running_in: int | None = None
    terminated: int = 0
    ended_at: int | None = None
    waits_for: int = 0
    due_at: int | None = None
    tolerance: int = TOLERANCE_DEFAULT
    state: str = State.OPEN.value
    cause: str | None = None
    difference: int = 0
    unexplained: int = 0

    def compared(self) -> Comparison:
        """Compare the figures as they are, and note the outcome in the row."""
        found = compare(figures_of(self), Octets(self.tolerance))
        self.state, self.cause = found.state.value, found.cause.value if found.cause is not None else None
        self.difference, self.unexplained = found.difference, found.unexplained
        return found


def figures_of(row: ComparisonEntry) -> Figures:
    return Figures(
        granted=Octets(row.granted),
        used=Octets(row.used),
        committed=Octets(row.committed),
        signed=Octets(row.signed),
        is_due=row.due_at is not None,
        is_terminated=bool(row.terminated),
        is_begun=row.begun > 0,
        is_complete=bool(row.closed) and row.begun == row.finals,
        is_frozen=row.frozen > 0,
    )


@dataclass(slots=True)
class SigningGateways:
    """Which gateways sign, by their SGWs' keys: registered, and not revoked."""

    hosts: dict[bytes, str] = field(default_factory=dict)  # by public key
    keys: Counter[str] = field(default_factory=Counter)

    def add(self, key: bytes, origin_host: str) -> None:
        self.hosts[key] = origin_host.lower()
        self.keys[origin_host.lower()] += 1

    def revoke(self, key: bytes) -> None:
        host = self.hosts.pop(key, None)
        if host is not None:
            self.keys[host] -= 1

    def rotate(self, old: bytes, new: bytes) -> None:
        if old in self.hosts:
            self.add(new, self.hosts[old])

    def signs(self, origin_host: str) -> bool:
        return self.keys[origin_host.lower()] > 0


@dataclass(slots=True)
class Unsettled:
    """Channels by number: which there are, and which of them have not settled."""

    newest: int = 0
    numbers: set[int] = field(default_factory=set)

    def opened(self, number: int) -> None:
        self.newest = max(self.newest, number)
        self.numbers.add(number)

    def settled(self, number: int) -> None:
        self.numbers.discard(number)

    @property
    def oldest(self) -> int:
        """Give the number below which all are settled."""
        return min(self.numbers, default=self.newest + 1)


@dataclass(slots=True)
class Comparing:
    """The comparisons that one batch of groups touches.

    Attributes:
        gateways, channels: of the whole deployment.
        tolerance: octets, as the newest start told it.
        entries: those that the batch names and the books know; with a settling, all that wait for one too.
        incidents: rows of `reconciliation_incidents` that the batch adds, without their numbers.
    """

    gateways: SigningGateways = field(default_factory=SigningGateways)
    channels: Unsettled = field(default_factory=Unsettled)
    tolerance: int = TOLERANCE_DEFAULT
    entries: dict[int, ComparisonEntry] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    incidents: list[tuple[object, ...]] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)

    def rows(self) -> Iterable[ComparisonEntry]:
        """Give the rows to write, compared as they now are."""
        for number in sorted(self.touched):
            entry = self.entries[number]
            entry.compared()
            yield entry

    # Gy

    def opened(self, session: int, operator: int, began_at: int) -> None:
        """Begin to compare a session; its gateway signs."""
        day = datetime.fromtimestamp(began_at // SECOND, UTC).date().isoformat()
        self.entries[session] = ComparisonEntry(session, operator, day, tolerance=self.tolerance)

    def stepped(self, session: int, used: int, charged: int, outstanding: int) -> None:
        """Note what was used, and what may be used without asking; both in octets, over all services."""
        entry = self._touch(session)
        if entry is not None:
            entry.used, entry.charged = _fit(used), _fit(charged)
            entry.granted = max(entry.granted, _fit(used + outstanding))

    def ended(self, index: GroupIndex, at: UnixMillis, session: int, *, terminated: bool) -> None:
        """Note that a Gy session ended.  Its grants are held in a channel that there is by now, whichever that is."""
        entry = self._touch(session)
        if entry is None:
            return
        entry.ended_at, entry.terminated, entry.waits_for = at, int(terminated), self.channels.newest
        is_running = entry.running_in in self.channels.numbers
        if (not is_running and entry.committed >= entry.granted) or self._is_over(entry):
            self._due(index, at, entry)

    # SGW and miner

    def begun(self, session: int | None, channel: int) -> None:
        """Note that a signed session of it begins."""
        entry = self._touch(session)
        if entry is not None:
            entry.begun += 1
            entry.running_in = channel

    def said(self, session: int | None, octets: int, refusal: str | None) -> None:
        """Note that the SGW signed for `octets` more than ever before.

        Args:
            refusal: the rule that the report broke; None where it is counted.
        """
        entry = self._touch(session)
        if entry is not None:
            entry.signed = _fit(entry.signed + octets)
            entry.refusal = refusal or entry.refusal

    def committed(self, session: int | None, octets: int) -> None:
        """Note that `octets` more are counted, which were signed."""
        entry = self._touch(session)
        if entry is not None:
            entry.committed += octets
            if entry.committed == entry.signed:
                entry.refusal = None  # it was mended, and signed anew

    def finished(self, index: GroupIndex, at: UnixMillis, session: int | None) -> None:
        """Note that a signed session ended by its final report."""
        entry = self._touch(session)
        if entry is not None:
            entry.finals += 1
            entry.running_in = None
            if entry.ended_at is not None:
                entry.closed = 1
                self._due(index, at, entry)

    def froze(self, index: GroupIndex, at: UnixMillis, session: int | None, dispute: str) -> None:
        """Note that a signed session ended by a contradiction, which is an incident whatever was counted."""
        entry = self._touch(session)
        if entry is None:
            return
        entry.frozen += 1
        entry.running_in = None
        if entry.ended_at is not None:
            self._due(index, at, entry)
        entry.compared()
        self._tell(index, at, entry, Cause.FROZEN, dispute)

    # Channels

    def settled(self, index: GroupIndex, at: UnixMillis, number: int) -> None:
        """Compare the sessions for which the last channel is settled that could hold their grants."""
        self.channels.settled(number)
        for session in sorted(self.entries):
            entry = self.entries[session]
            if entry.ended_at is not None and entry.due_at is None and self._is_over(entry):
                self.touched.add(session)
                self._due(index, at, entry)

    def _is_over(self, entry: ComparisonEntry) -> bool:
        return entry.waits_for < self.channels.oldest

    def _due(self, index: GroupIndex, at: UnixMillis, entry: ComparisonEntry) -> None:
        """Compare a session for good, and tell of it where it does not match; a freeze is told by itself."""
        if entry.due_at is not None:
            return
        entry.due_at, entry.tolerance = at, self.tolerance
        found = entry.compared()
        if found.state is State.DIFFERENCE and found.cause is not None and found.cause is not Cause.FROZEN:
            self._tell(index, at, entry, found.cause, entry.refusal or "")

    def _tell(self, index: GroupIndex, at: UnixMillis, entry: ComparisonEntry, kind: Cause, detail: str) -> None:
        figures = (entry.granted, entry.used, entry.charged, entry.signed, entry.committed)
        outcome = (entry.difference, entry.unexplained, entry.tolerance)
        self.incidents.append((at, index, entry.operator, entry.session, kind.value, *figures, *outcome, detail))
        self.told[kind.value] += 1

    def _touch(self, session: int | None) -> ComparisonEntry | None:
        """Give a session's entry; None for one that is not compared."""
        entry = self.entries.get(session) if session is not None else None
        if entry is not None:
            self.touched.add(entry.session)
        return entry


def _fit(octets: int) -> int:
    """Keep a sum within what a column holds; only broken counters come near."""
    return max(-CREDITS_MAX, min(octets, CREDITS_MAX))
