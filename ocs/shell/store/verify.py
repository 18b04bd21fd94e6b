"""Replay everything kept and hold it against itself: the check behind `ocs journal verify`.

    every group         follows the one before it, and matches its digest; archive segments match theirs
    every event         can be read, and `evolve` takes it
    every snapshot      is the replayed state, octet for octet
    every balance       obeys double entry; what is reserved is what the sessions hold, what is credited the top-ups
    the public log      holds every replayed leaf at its place, and the hashes of all
    the books           at their own index, hold the replayed balances and sessions, and charge what was consumed

It only reads, and a server may run on the same data meanwhile.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

import apsw
import msgspec

from ocs import image
from ocs.credit_control.event import State as SessionState
from ocs.errors import JournalFault
from ocs.node import evolve
from ocs.shell.books.posting import fit
from ocs.shell.books.schema import CHANNELS_SINCE, SCHEMA_VERSION, UPGRADES
from ocs.shell.store import records, snapshot
from ocs.shell.store.archive import Archive, History
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.group import Group
from ocs.shell.store.journal import JournalReader
from ocs.shell.store.snapshot import Snapshot
from ocs.shell.store.verify_log import LogCheck
from ocs.state import State
from ocs.units import GroupIndex

FAULTS_MAX: Final = 50
"""Of one kind; a thousand more would say the same."""

BOOKS_BUSY_MS: Final = 10_000

_Services = dict[tuple[int, str], tuple[object, ...]]


class Report(msgspec.Struct):
    """What was checked, and every fault found.

    Attributes:
        first, last: the oldest and newest group read; 0 for none.
        replayed_after: the state was replayed from the snapshot of this group, or from nothing at 0.
        books_index: the group at which the books were compared; 0 where there are none.
        leaves: of the public log, which were read.
        books_behind: the group that the books end with, where nothing that old can be replayed; else 0.
    """

    first: int = 0
    last: int = 0
    replayed_after: int = 0
    groups: int = 0
    events: int = 0
    segments: int = 0
    snapshots: int = 0
    books_index: int = 0
    books_behind: int = 0
    leaves: int = 0
    operators: int = 0
    sessions: int = 0
    faults: list[str] = []  # a list of its own for each report


def verify(folder: DataFolder) -> Report:
    """Check one data folder.

    Raises:
        JournalFault: there is no journal that could be opened.
    """
    reader = JournalReader.open(folder.journal)
    try:
        return _Check(folder, reader).run()
    finally:
        reader.close()


@dataclass(slots=True)
class _Books:
    """What the books said in one read transaction."""

    index: int
    accounts: dict[int, tuple[object, ...]]
    alive: dict[bytes, _Services]
    charged: dict[int, int]
    whole: bool  # they were written from the first group on, not begun with a snapshot
    channels: dict[int, tuple[int, int]]


class _Check:
    def __init__(self, folder: DataFolder, reader: JournalReader) -> None:
        self._folder = folder
        self._reader = reader
        self._archive = Archive(folder.archive)
        self._history = History(reader, self._archive)
        self._until = reader.last()
        self._report = Report(last=self._until)
        self._state = State()
        self._log = LogCheck(folder, self._report.faults)

    def run(self) -> Report:
        report = self._report
        self._check_write_ahead_log()
        # The books first: they are behind the journal, and so will be met on the way.
        books = self._read_books()
        try:
            self._check_segments()
            report.first = self._history.first()
            self._replay(books)
        except JournalFault as fault:
            # Behind a broken place nothing can be said.
            report.faults.append(str(fault))
        report.operators = len(self._state.charging.operators)
        report.sessions = len(self._state.charging.sessions)
        return report

    def _check_write_ahead_log(self) -> None:
        if self._folder.holder() is not None:
            return  # it writes on while we would look, and has looked itself
        try:
            self._reader.check_log()
        except JournalFault as fault:
            if self._folder.holder() is None:
                self._report.faults.append(str(fault))

    def _check_segments(self) -> None:
        for segment in self._archive.segments():
            try:
                segment.check()
            except JournalFault as fault:
                if segment.path.exists():
                    self._report.faults.append(str(fault))
                continue  # a server removed it meanwhile, as it may
            self._report.segments += 1

    def _replay(self, books: _Books | None) -> None:
        report, state = self._report, self._state
        waiting = self._sound_snapshots()
        start = None
        if report.first > 1 or (not report.first and waiting):
            start = self._restore_oldest(waiting)
            if start is None:
                report.faults.append(
                    f"groups are kept from {report.first} on, and no snapshot reaches there: nothing can be replayed"
                )
                return
        if start is not None:
            state = self._state
            report.replayed_after = start.index
            report.snapshots = 1
            waiting = waiting[waiting.index(start) + 1 :]
        index = report.replayed_after
        if books is not None and books.index < index:
            report.books_behind = books.index
        self._log.begin(state)
        self._meet(index, None, waiting, books)
        for group in self._groups(start):
            if group.index > self._until:
                break
            report.groups += 1
            if group.index <= index:
                # Not after the oldest snapshot: its chain is checked, and there is nothing to replay it on.
                if start is not None and group.index == start.index and group.digest != start.digest:
                    report.faults.append(f"snapshot {start.path} was made of another history")
                continue
            state.group = index = group.index
            for event in records.decode(group.payload):
                self._evolve(group, event)
                report.events += 1
            self._meet(index, group, waiting, books)
        if index != self._until:
            report.faults.append(f"the journal ends with group {self._until}; its groups could be read up to {index}")
        if books is not None and books.index > self._until:
            report.faults.append(f"the books hold group {books.index}; the journal ends with {self._until}")
        self._check_balances()
        report.leaves = self._log.end(state)

    def _restore_oldest(self, waiting: list[Snapshot]) -> Snapshot | None:
        """Restore the oldest snapshot that the groups kept reach back to; None where there is none."""
        while (one := next((one for one in waiting if one.index + 1 >= self._report.first), None)) is not None:
            try:
                self._state = image.restore(one.chunks())
            except JournalFault:
                if one.path.exists():
                    raise
            else:
                return one
            # A server removed it meanwhile, as it may, and perhaps the groups behind it.
            waiting.remove(one)
            self._report.first = self._history.first()
        return None

    def _groups(self, start: Snapshot | None) -> Iterator[Group]:
        first = GroupIndex(self._report.first)
        if first > 1:
            yield from self._history.iterate(GroupIndex(first - 1))
        elif first:
            yield from self._history.iterate(GroupIndex(0))
        elif start is not None:
            yield from self._history.iterate(start.index, start.digest)

    def _evolve(self, group: Group, event: object) -> None:
        try:
            evolve(self._state, event)  # type: ignore[arg-type]  # `records.decode` gives events
        except (AssertionError, LookupError, ValueError) as error:
            raise JournalFault(
                f"group {group.index}: {type(event).__name__} does not fit the state it meets ({error!r})"
            ) from error

    def _meet(self, index: int, group: Group | None, waiting: list[Snapshot], books: _Books | None) -> None:
        """Compare what was made of exactly these groups."""
        while waiting and waiting[0].index <= index:
            self._compare_snapshot(waiting.pop(0), group)
        if books is not None and books.index == index:
            self._compare_books(books)
            self._report.books_index = index

    # Snapshots

    def _sound_snapshots(self) -> list[Snapshot]:
        found = []
        for one in snapshot.all(self._folder.snapshots):
            try:
                one.check()
            except JournalFault as fault:
                if one.path.exists():
                    self._report.faults.append(str(fault))
                continue
            found.append(one)
        return found

    def _compare_snapshot(self, one: Snapshot, group: Group | None) -> None:
        if group is not None and one.digest != group.digest:
            self._report.faults.append(f"snapshot {one.path} was made of another history: its group has another digest")
        try:
            # Read and written again: an older release's snapshot lacks what has been appended since.
            kept_state = image.restore(one.chunks())
            for number, (kept, replayed) in enumerate(zip_longest(image.chunks(kept_state), image.chunks(self._state))):
                if kept != replayed:
                    what = "operators, tariffs, peers or top-ups" if number == 0 else f"sessions (chunk {number})"
                    self._report.faults.append(f"snapshot {one.path} is not the replayed state: {what} differ")
                    return
        except JournalFault as fault:
            if one.path.exists():
                self._report.faults.append(str(fault))
            return
        self._report.snapshots += 1

    # Balances

    def _check_balances(self) -> None:
        state, faults = self._state, self._report.faults
        reserved: dict[int, int] = defaultdict(int)
        sessions = state.charging.sessions
        for session_id in sessions:
            session = sessions.get(session_id)
            assert session is not None
            held = sum(service.reserved for service in session.services)
            if held and session.state == SessionState.ENDED:
                faults.append(f"session {session_id!r} has ended and still holds {held} credits")
            reserved[session.operator] += held
        funded: dict[int, int] = defaultdict(int)
        try:
            state.signed.channels.check()
        except AssertionError as law:
            faults.append(f"channels: broken law: {law}")
        for number, top_up in state.top_ups.items():
            funded[top_up.operator] += top_up.amount - state.reversed_credits.get(number, 0)
        for operator in state.charging.operators.all():
            account = operator.account
            try:
                account.check()
            except AssertionError as law:
                faults.append(f"operator {operator.name}: broken law: {law}")
            if account.reserved != reserved[operator.number]:
                faults.append(
                    f"operator {operator.name}: {account.reserved} credits reserved, "
                    f"its sessions hold {reserved[operator.number]}"
                )
            if account.funded != funded[operator.number]:
                faults.append(
                    f"operator {operator.name}: {account.funded} credits funded, "
                    f"its top-ups less reversals are {funded[operator.number]}"
                )

    # Books

    def _read_books(self) -> _Books | None:
        path = self._folder.books
        if not path.exists() or not path.stat().st_size:
            return None
        try:
            return _read_books(path)
        except apsw.Error as error:
            self._report.faults.append(
                f"the books {path} cannot be read ({error}); stop the server, move the file away, and start it: "
                "they are made again from the journal"
            )
            return None

    def _compare_books(self, books: _Books) -> None:
        found: list[str] = []
        for operator in self._state.charging.operators.all():
            account = operator.account
            ours = tuple(map(fit, msgspec.structs.astuple(account)))
            theirs = books.accounts.pop(operator.number, None)
            if ours != theirs:
                found.append(
                    f"the books at group {books.index}: operator {operator.name} has {theirs}, replayed {ours}"
                )
            charged = account.consumed + account.overrun + account.written_off
            if books.whole and books.charged.get(operator.number, 0) != charged:
                found.append(
                    f"the books at group {books.index}: the sessions of {operator.name} were charged "
                    f"{books.charged.get(operator.number, 0)}, its account {charged}"
                )
        found += [f"the books at group {books.index}: operator {number} is unknown" for number in books.accounts]
        found += self._compare_sessions(books)
        found += self._compare_channels(books)
        self._report.faults += found[:FAULTS_MAX]
        if len(found) > FAULTS_MAX:
            self._report.faults.append(f"the books differ in {len(found) - FAULTS_MAX} more places")

    def _compare_sessions(self, books: _Books) -> Iterator[str]:
        sessions = self._state.charging.sessions
        for session_id in sessions:
            session = sessions.get(session_id)
            assert session is not None
            if session.state == SessionState.ENDED:
                continue
            ours: _Services = {
                (one.rating_group, " ".join(map(str, one.service_ids))): tuple(
                    map(fit, (one.used, one.charged, one.granted, one.reserved))
                )
                for one in session.services
            }
            theirs = books.alive.pop(session_id, None)
            if theirs is None or any(theirs.get(key) != values for key, values in ours.items()):
                yield f"the books at group {books.index}: session {session_id!r} has {theirs}, replayed {ours}"
        for left in books.alive:
            yield f"the books at group {books.index}: session {left!r} is not there when replayed"

    def _compare_channels(self, books: _Books) -> Iterator[str]:
        for number, channel in self._state.signed.channels.by_number.items():
            ours = channel.used, channel.commits
            theirs = books.channels.get(number)
            if ours != theirs:
                yield f"the books at group {books.index}: channel {number} has {theirs}, replayed {ours}"


def _read_books(path: Path) -> _Books:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)  # to recover after a crash
    try:
        connection.setbusytimeout(BOOKS_BUSY_MS)
        connection.execute("PRAGMA query_only = ON")
        version = connection.execute("PRAGMA user_version").get
        if version not in UPGRADES and version != SCHEMA_VERSION:
            raise apsw.SQLError(f"it is of format {version}, and this release reads those up to {SCHEMA_VERSION}")
        # One transaction, and no longer than it must be: the follower cannot write meanwhile.
        with connection:
            index = int(connection.execute("SELECT group_index FROM progress").get)
            accounts = {
                int(number): tuple(values)
                for number, *values in connection.execute(
                    "SELECT operator, available, reserved, consumed, overrun, written_off, funded, owed FROM accounts"
                )
            }
            alive: dict[bytes, _Services] = {}
            for session_id, rating_group, service_ids, *values in connection.execute(
                "SELECT s.session_id, v.rating_group, v.service_ids, v.used, v.charged, v.granted, v.reserved "
                "FROM sessions s LEFT JOIN session_services v ON v.session = s.number WHERE s.state <> 'ended'"
            ):
                services = alive.setdefault(session_id, {})
                if rating_group is not None:
                    services[rating_group, service_ids] = tuple(values)
            charged = {
                int(number): int(total)
                for number, total in connection.execute(
                    "SELECT operator, sum(charged) FROM sessions WHERE operator IS NOT NULL GROUP BY operator"
                )
            }
            channels: dict[int, tuple[int, int]] = {}
            if version >= CHANNELS_SINCE:
                for number, used, commits in connection.execute("SELECT number, used, commits FROM channels"):
                    channels[number] = used, commits
            whole = bool(connection.execute("SELECT count(*) FROM starts WHERE group_index = 1").get)
        return _Books(index, accounts, alive, charged, whole, channels)
    finally:
        connection.close()
