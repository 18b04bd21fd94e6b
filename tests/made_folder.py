"""Data folders as a server makes them, through the real journal and the real fold, without sockets."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

from ledger_node import INITIAL, TERMINATION, UPDATE, Node, ccr, service
from ocs import command as cmd
from ocs.shell.config import JournalSettings
from ocs.shell.follower.reading import Reading
from ocs.shell.store import records
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.journal import Journal
from ocs.state import Event
from ocs.units import Credits, GroupIndex, SessionId, UnixMillis


class MadeFolder:
    """A folder, the node whose events are in it, and ways to go on.

    Attributes:
        groups: the events of each group, the first one at 0.
    """

    def __init__(self, path: Path, seed: int = 0) -> None:
        self.folder = DataFolder.open(path)
        self.journal = Journal.open(self.folder.journal, now_ms=lambda: 1_800_000_000_000)
        self.node = Node()
        self.groups: list[list[Event]] = []
        self._rng = Random(seed)
        self._next = 0
        self._open: dict[str, int] = {}
        self.commit(lambda: self.node.step(cmd.Start("0.1.0", self.node.now)))
        self.commit(self._begin)

    def _begin(self) -> None:
        self.node.operator("home", "00101", 3, 1000)
        self.node.operator("away", "00202", 1, 1)
        self.node.top_up(10**9, "home")
        self.node.top_up(30_000_000, "away")
        self.node.step(cmd.ReverseTopUp("home", 1, Credits(1000), "paid twice"))
        self.node.step(cmd.AllowPeer("sgw.visited.example", ("192.0.2.0/24",), None))

    def commit(self, act: Callable[[], object]) -> None:
        """Carry out `act` on the node; what it decides is one group, and durable."""
        before = len(self.node.events)
        self.node.group = self.journal.last + 1
        act()
        events = self.node.events[before:]
        if events:
            index = GroupIndex(self.journal.last + 1)
            self.journal.append(index, events[-1].at, records.encode(events))
            self.groups.append(events)

    def go_on(self, steps: int) -> None:
        """Let gateways do `steps` things, a few to a group."""
        while steps > 0:
            some = self._rng.randrange(1, 4)
            steps -= some
            self.commit(lambda some=some: [self._do() for _ in range(some)])  # type: ignore[misc]

    def _do(self) -> None:
        self.node.now = UnixMillis(self.node.now + self._rng.randrange(2000))
        used = self._rng.randrange(5_000_000)
        kind = self._rng.random()
        if kind < 0.3 or not self._open:
            self._next += 1
            name = f"s;{self._next}"
            imsi = self._rng.choice(("001010000000001", "002020000000001"))
            self.node.charge(ccr(INITIAL, 0, service(1), service(2), session=name, imsi=imsi))
            self._open[name] = 0
            return
        name = self._rng.choice(sorted(self._open))
        self._open[name] += 1
        if kind < 0.8:
            self.node.charge(ccr(UPDATE, self._open[name], service(self._rng.choice((1, 2)), used=used), session=name))
        elif kind < 0.85:
            self.node.step(cmd.DropAnswer(SessionId(name.encode()), self._open[name] - 1))
        else:
            self.node.charge(ccr(TERMINATION, self._open[name], service(1, ask=None, used=used), session=name))
            del self._open[name]

    def follow(self, *, snapshot: bool = False) -> None:
        """Fold what is new into the books, as a follower would; then write a snapshot, and archive behind it."""
        asyncio.run(self._follow(snapshot))

    async def _follow(self, snapshot: bool) -> None:
        reading = await Reading.open(JournalSettings(), self.folder)
        archived: list[GroupIndex] = []
        reading.fold.on_archived = archived.append
        running = asyncio.get_running_loop().create_task(reading.run())
        try:
            await reading.fold.reach(self.journal.last)
            await reading.bookkeeper.reach(self.journal.last)
            if snapshot:
                await reading.fold.write_snapshot()
                await reading.fold.archive_behind()
        finally:
            running.cancel()
            await reading.close()
        self._trim = archived[-1] if archived else GroupIndex(0)

    def trim(self) -> None:
        """Let the journal drop what lies in the archive, with one more group."""
        before = len(self.node.events)
        self.node.group = self.journal.last + 1
        self.node.top_up(1, "home")
        events = self.node.events[before:]
        index = GroupIndex(self.journal.last + 1)
        self.journal.append(index, events[-1].at, records.encode(events), remove_through=self._trim, at_most=10_000)
        self.groups.append(events)

    def close(self) -> DataFolder:
        self.journal.close()
        return self.folder


def made(path: Path, seed: int = 0) -> MadeFolder:
    """Make a folder with three snapshots, an archive, a trimmed journal and books, all of them sound."""
    folder = MadeFolder(path, seed)
    for _ in range(3):
        folder.go_on(60)
        folder.follow(snapshot=True)
    folder.trim()
    folder.go_on(20)
    folder.follow()
    return folder
