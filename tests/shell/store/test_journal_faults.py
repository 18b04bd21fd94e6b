"""Whatever write or sync fails, and whatever a power cut leaves of the rest: what `append` returned from is there."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import apsw
import pytest

from faulty_disk import Disk
from ocs.errors import JournalFault
from ocs.shell.store import folding
from ocs.shell.store import journal as journal_module
from ocs.shell.store.group import follows
from ocs.shell.store.journal import Journal
from ocs.units import GroupIndex, UnixMillis

# SQLite swallows a failure within a checkpoint (the log stays), and apsw then tells of the injected exception.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PATH = Path("/journal.sqlite")
GROUPS = 60


@pytest.fixture(autouse=True)
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fold the write-ahead log back often, so that faults meet checkpoints too."""
    monkeypatch.setattr(folding, "FOLD_PAGES", 12)
    monkeypatch.setattr(Path, "exists", lambda path: True)  # the file is the disk's matter here


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk("faulty")
    yield disk
    disk.unregister()


def open_journal() -> Journal:
    return Journal.open(PATH, vfs="faulty", now_ms=lambda: 1)


def payload(index: int) -> bytes:
    return bytes([index % 251]) * (50 + 997 * index % 6000)


def fill(journal: Journal, until: int) -> int:
    """Append up to group `until`, or to the first failure; the newest group that was acknowledged."""
    while journal.last < until:
        index = GroupIndex(journal.last + 1)
        remove = GroupIndex(max(0, index - 20))
        try:
            journal.append(index, UnixMillis(1000 + index), payload(index), remove_through=remove, at_most=2)
        except JournalFault:
            break
    return journal.last


def check(acknowledged: int) -> Journal:
    """Open what a crash left: all that was acknowledged is there, whole, and at most the one that failed besides."""
    journal = open_journal()
    assert acknowledged <= journal.last <= acknowledged + 1
    rows = list(journal._connection.execute("SELECT idx, body FROM groups ORDER BY idx"))
    groups = [journal_module.decode(body) for _, body in rows]
    assert [group.index for group in groups] == list(range(journal.last - len(groups) + 1, journal.last + 1))
    assert [group.payload for group in groups] == [payload(group.index) for group in groups]
    for before, after in pairwise(groups):
        follows(after, before.index, before.digest)
    return journal


def operations_of_a_run(disk: Disk) -> int:
    journal = open_journal()
    assert fill(journal, GROUPS) == GROUPS
    journal.close()
    assert disk.syncs > GROUPS, "each group was synced"
    return disk.operations


@pytest.mark.fault(48, 49, 50)
def test_writes_and_syncs_that_fail(disk: Disk) -> None:
    """Every ninth of them, with what failed stored and not stored, as an I/O error and as a full disk."""
    total = operations_of_a_run(disk)
    met = 0
    for fail_at in range(1, total, 9):
        rng = Random(fail_at)
        disk.files.clear()
        disk.operations, disk.fail_at = 0, fail_at
        disk.stored = rng.random() < 0.5
        disk.error = rng.choice((apsw.IOError, apsw.FullError))
        acknowledged = 0
        try:
            journal = open_journal()
        except JournalFault:
            journal = None  # it failed while the journal was made
        if journal is not None:
            acknowledged = fill(journal, GROUPS)
            met += acknowledged < GROUPS
        disk.fail_at = 0
        disk.lose_power(journal, rng)
        again = check(acknowledged)
        assert fill(again, again.last + 5) == again.last
        again.close()
    assert met > total / 18, "most faults fell into a commit"


@pytest.mark.fault(48)
@pytest.mark.parametrize("seed", range(40))
def test_power_cuts_at_any_time(disk: Disk, seed: int) -> None:
    """Cut between two commits, again and again, on the same disk."""
    rng = Random(seed)
    last = 0
    for _ in range(8):
        journal = open_journal()
        assert journal.last == last
        last = fill(journal, last + rng.randrange(1, 12))
        disk.lose_power(journal, rng)
        check(last).close()
    assert last >= 8
