"""Reports and CCAs that are owed at the same time: the CCAs go first, and the reports are not kept waiting for ever."""

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
from ocs.shell.core import usage_desk
from ocs.shell.core.committer import Committer, Promise
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
        self.committer = Committer(journal, asyncio.get_running_loop(), self.noted.extend, lambda _: self.desk.landed())
        self.desk = UsageDesk(self._decide, self.committer)

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


def test_a_cca_that_is_owed_goes_first(journal: HeldJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_desk, "PATIENCE_SECONDS", 60.0)

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
    async def run() -> list[object]:
        scene = Scene(journal)
        scene.owe()
        scene.take()
        while len(scene.noted) < len(REPORTS):
            await asyncio.sleep(0.001)
        assert not scene.done.is_set(), "nobody is told before what was decided is durable"
        journal.allowed.set()
        await scene.end()
        return scene.noted

    assert asyncio.run(asyncio.wait_for(run(), 10)) == [*REPORTS, CCA]


def test_a_cca_owed_in_the_midst_waits_for_a_few_reports_at_most(
    journal: HeldJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_desk, "PATIENCE_SECONDS", 60.0)
    journal.allowed.set()

    async def run() -> list[object]:
        scene = Scene(journal)
        scene.take()
        await asyncio.sleep(0)  # the first few are decided
        scene.owe()
        await scene.end()
        return scene.noted

    assert asyncio.run(run()) == [*REPORTS[:AT_ONCE], CCA, *REPORTS[AT_ONCE:]]
