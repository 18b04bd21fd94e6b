"""Reports and CCAs at the same time: what is being written goes first, and reports are not kept waiting for ever."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from ledger_node import Node
from ocs.command import ReportCommand
from ocs.node import Decision
from ocs.reporting import Told
from ocs.shell.core import committer
from ocs.shell.core.committer import GATHERS_FROM, Committer, Promise
from ocs.shell.core.usage_desk import AT_ONCE, UsageDesk
from ocs.shell.store.journal import Journal
from ocs.units import GroupIndex, UnixMillis

REPORTS = [cast(ReportCommand, number) for number in range(3 * AT_ONCE)]
CCA = cast(Promise, "a CCA")


class HeldJournal(Journal):
    """Writes once it is allowed to."""

    allowed: threading.Event

    def append(
        self,
        index: GroupIndex,
        at: UnixMillis,
        payload: bytes,
        *,
        remove_through: GroupIndex = GroupIndex(0),  # noqa: B008  # a NewType's call is no call
        at_most: int = 0,
    ) -> None:
        assert self.allowed.wait(10)
        super().append(index, at, payload, remove_through=remove_through, at_most=at_most)


class Scene:
    """A real committer and a desk that decides nothing but notes it."""

    def __init__(self, journal: HeldJournal) -> None:
        self.noted: list[object] = []
        self.done = asyncio.Event()
        node = Node()
        node.operator(price=1, per=1000)
        self.event = node.events[0]
        self.groups = 0
        self.owes_always = False
        self.committer = Committer(journal, asyncio.get_running_loop(), self.noted.extend, self._landed)
        self.desk = UsageDesk(self._decide, self.committer)

    def _landed(self) -> None:
        self.groups += 1
        if self.owes_always:
            self.owe()
        self.desk.landed()

    def _decide(self, report: ReportCommand) -> Decision:
        self.noted.append(report)
        return Decision(None, cast(Told, report))

    def owe(self) -> None:
        """Decide what a CCA waits for."""
        self.committer.submit(self.event)
        self.committer.promise([CCA])

    def take(self) -> None:
        self.desk.take(REPORTS, self._told)

    def _told(self, told: list[Told] | None) -> None:
        assert told == REPORTS
        self.done.set()

    async def end(self) -> None:
        await asyncio.wait_for(self.done.wait(), 10)
        await self.committer.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[HeldJournal]:
    journal = HeldJournal.open(tmp_path / "journal.sqlite", now_ms=lambda: 1)
    journal.allowed = threading.Event()
    yield journal
    journal.allowed.set()


def test_reports_wait_while_a_group_is_written(journal: HeldJournal) -> None:
    async def run() -> list[object]:
        scene = Scene(journal)
        scene.owe()
        scene.take()
        await asyncio.sleep(0.02)
        assert not scene.noted
        journal.allowed.set()
        await scene.end()
        return scene.noted

    assert asyncio.run(run()) == [CCA, *REPORTS]


def test_reports_go_on_where_ccas_are_always_owed(journal: HeldJournal) -> None:
    journal.allowed.set()

    async def run() -> list[object]:
        scene = Scene(journal)
        scene.owes_always = True
        scene.owe()
        scene.take()
        await asyncio.wait_for(scene.done.wait(), 10)
        scene.owes_always = False
        await scene.end()
        return scene.noted

    noted = asyncio.run(run())
    assert noted[0] == CCA
    assert [one for one in noted if one != CCA] == REPORTS


def test_a_cca_owed_in_the_midst_waits_for_a_few_reports_at_most(journal: HeldJournal) -> None:
    journal.allowed.set()

    async def run() -> list[object]:
        scene = Scene(journal)
        scene.take()
        await asyncio.sleep(0)  # the first few are decided, and the next few have their turn before the group
        scene.owe()
        await scene.end()
        return scene.noted

    assert asyncio.run(run()) == [*REPORTS[: 2 * AT_ONCE], CCA, *REPORTS[2 * AT_ONCE :]]


@pytest.mark.parametrize(("reports", "groups"), [(False, 2), (True, 1)])
def test_groups_gather_while_reports_come(
    journal: HeldJournal, monkeypatch: pytest.MonkeyPatch, reports: bool, groups: int
) -> None:
    monkeypatch.setattr(committer, "GATHER_BESIDE_SECONDS", 0.5)
    journal.allowed.set()

    async def run() -> int:
        scene = Scene(journal)
        scene.owe()
        await scene.committer.drain()
        if reports:
            scene.take()
        before = scene.groups
        for _ in range(2):
            scene.owe()
            await asyncio.sleep(0.05)  # by itself a group would be written meanwhile
        await scene.committer.close()
        return scene.groups - before

    assert asyncio.run(run()) == groups


@pytest.mark.parametrize(("many", "groups"), [(GATHERS_FROM - 1, 3), (GATHERS_FROM, 1)])
def test_groups_gather_where_many_come(
    journal: HeldJournal, monkeypatch: pytest.MonkeyPatch, many: int, groups: int
) -> None:
    monkeypatch.setattr(committer, "GATHER_SECONDS", 5.0)
    journal.allowed.set()

    async def run() -> int:
        scene = Scene(journal)
        for _ in range(many):
            scene.owe()
        await scene.committer.drain()
        assert scene.groups == 1, "what comes at once is written together"
        for _ in range(2):
            scene.owe()
            await asyncio.sleep(0.05)
        gathered = scene.groups
        for _ in range(many - 2):
            scene.owe()
        await asyncio.wait_for(scene.committer.drain(), 2)  # as many as before: nothing more is waited for
        assert scene.noted == [CCA] * 2 * many
        await scene.committer.close()
        return gathered

    assert asyncio.run(run()) == groups
