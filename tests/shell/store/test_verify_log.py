"""`ocs journal verify` finds each leaf of the public log that is not what was committed."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ocs.shell.config import JournalSettings
from ocs.shell.follower.reading import Reading
from ocs.shell.store import records
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.journal import Journal
from ocs.shell.store.verify import verify
from ocs.units import GroupIndex
from signing_node import SigningNode

LEAVES = 600


def made(path: Path, *, snapshot: bool = False) -> DataFolder:
    """Make a folder in which one session was signed for in many reports; with a snapshot in the middle or none."""
    folder = DataFolder.open(path)
    node = SigningNode()
    node.channel(10_000)
    node.attach("s;1")
    sgw = node.begin("s;1")
    for _ in range(LEAVES - 1):
        node.report(node.usage(sgw, 10))
    journal = Journal.open(folder.journal)
    for place in range(0, len(node.events), 7):
        events = node.events[place : place + 7]
        journal.append(GroupIndex(journal.last + 1), events[-1].at, records.encode(events))
    half, last = GroupIndex(journal.last // 2), journal.last
    journal.close()
    asyncio.run(_fold(folder, half if snapshot else last, last))
    return folder


async def _fold(folder: DataFolder, snapshot_at: GroupIndex, last: GroupIndex) -> None:
    reading = await Reading.open(JournalSettings(), folder)
    following = asyncio.get_running_loop().create_task(reading.run())
    for index in (snapshot_at, last):
        reading.aim(index)
        while reading.fold.index < index or reading.bookkeeper.index < index:
            await asyncio.sleep(0.01)
        if index < last:
            await reading.fold.write_snapshot()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await reading.close()


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_sound_log_is_clean(tmp_path: Path, snapshot: bool) -> None:
    report = verify(made(tmp_path / "data", snapshot=snapshot))
    assert report.faults == []
    assert report.leaves == LEAVES
    assert report.snapshots == snapshot


def change(name: str, place: int) -> Callable[[DataFolder], None]:
    def damage(folder: DataFolder) -> None:
        path = folder.log / name
        octets = bytearray(path.read_bytes())
        octets[place] ^= 1
        path.write_bytes(octets)

    return damage


def cut(folder: DataFolder) -> None:
    path = folder.log / "ends"
    path.write_bytes(path.read_bytes()[: 8 * 100])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (change("entries", 10), "leaf 0 is not the one"),
        (change("entries", -10), f"leaf {LEAVES - 1} is not the one"),
        (change("hashes-0", 5), "tile/0/000"),
        (change("hashes-0", -5), "tile/0/002.p/88"),
        (change("hashes-1", 0), "tile/1/000.p/2"),
    ],
)
def test_each_damage_is_found(tmp_path: Path, damage: Callable[[DataFolder], None], told: str) -> None:
    folder = made(tmp_path / "data")
    damage(folder)
    assert any(told in fault for fault in verify(folder).faults)


def test_a_log_that_lacks_leaves_is_made_again_where_no_snapshot_counts_them(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    cut(folder)
    report = verify(folder)
    assert (report.faults, report.leaves) == ([], 100), "the next start makes them again"
    asyncio.run(_fold(folder, report_last := GroupIndex(report.last), report_last))
    assert verify(folder).leaves == LEAVES


def test_a_snapshot_whose_leaves_are_gone_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made(tmp_path / "data", snapshot=True)
    cut(folder)
    asyncio.run(_fold(folder, last := GroupIndex(verify(folder).last), last))
    assert "the log holds 100 leaves" in capsys.readouterr().out
    report = verify(folder)
    assert (report.faults, report.leaves) == ([], LEAVES)
