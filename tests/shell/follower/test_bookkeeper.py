"""The bookkeeper tells of sessions that do not match: once for all that it caught up with, then for each batch."""

import asyncio
from pathlib import Path

import pytest

from ocs.shell.config import JournalSettings
from ocs.shell.follower.reading import Reading
from ocs.shell.store import records
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.journal import Journal
from ocs.state import Event
from ocs.units import GroupIndex
from two_ledgers import TwoLedgers

MB = 1_000_000


def differ(node: TwoLedgers) -> list[Event]:
    """Let one session sign more than it reports, and give the events."""
    before = len(node.events)
    session = node.attach_one()
    assert session is not None
    session.flowed = 3 * MB
    node.begin_one(session)
    node.end(session)
    node.sign(session, 5 * MB, final=True)
    return node.events[before:]


@pytest.mark.fault(63)
def test_it_tells_of_differences_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = DataFolder.open(tmp_path / "data")
    journal = Journal.open(folder.journal, now_ms=lambda: 1_800_000_000_000)
    node = TwoLedgers(amount=200_000)

    def append(events: list[Event]) -> None:
        for event in events:
            journal.append(GroupIndex(journal.last + 1), event.at, records.encode([event]))

    append(list(node.events))
    for _ in range(300):
        append(differ(node))

    async def run() -> None:
        reading = await Reading.open(JournalSettings(), folder)
        running = asyncio.get_running_loop().create_task(reading.run())
        books = reading.bookkeeper
        try:
            for expected in (300, 1, 1):
                books.aim(journal.last)
                while books.index < journal.last:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.01)
                told = capsys.readouterr().out
                assert told.count("do not match") == 1
                assert f"sessions={expected}" in told
                assert "'over_signed'" in told
                append(differ(node))
            assert books.books.incidents == 302
        finally:
            running.cancel()
            await reading.close()

    asyncio.run(run())
    journal.close()
