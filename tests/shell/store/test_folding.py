"""The write-ahead log is folded beside the commits, stays short under any load, and a fault of the fold is told."""

import shutil
import time
from pathlib import Path

import pytest

from ocs.errors import JournalFault
from ocs.shell.store import folding
from ocs.shell.store.journal import Journal, JournalReader
from ocs.shell.store.write_ahead_log import log_of
from ocs.units import GroupIndex, UnixMillis

PAGE = 4096
GROUP_OCTETS = 5000
WAIT_SECONDS = 20


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FOLD_PAGES", 20)
    monkeypatch.setattr(folding, "LOG_PAGES", 100)


def payload(index: int) -> bytes:
    return bytes([index % 251]) * GROUP_OCTETS


def append(journal: Journal) -> None:
    index = GroupIndex(journal.last + 1)
    journal.append(index, UnixMillis(1000 + index), payload(index))


def append_for(journal: Journal, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        append(journal)


def test_the_log_begins_anew_though_commits_never_pause(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    reader = JournalReader.open(path)
    count = 3000
    for _ in range(count):
        append(journal)
        if journal.last % 100 == 0:  # a reader comes by now and then, as the follower does
            assert reader.read(GroupIndex(journal.last - 1), 10, 10**6)[0].payload == payload(journal.last)
    written = count * GROUP_OCTETS
    assert log_of(path).stat().st_size < written / 4, "it was begun anew again and again"
    assert path.stat().st_size > written / 2, "what it held is in the file"
    groups = reader.read(GroupIndex(0), count + 1, 10**9)
    assert [group.payload for group in groups] == [payload(index + 1) for index in range(count)]
    reader.close()
    journal.close()
    assert not log_of(path).exists()


def test_the_commits_themselves_do_not_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FOLD_PAGES", 10**6)
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    before = path.stat().st_size
    while log_of(path).stat().st_size < 1500 * PAGE:  # SQLite itself would fold at 1000 pages
        append(journal)
    assert path.stat().st_size == before
    journal.close()


def test_groups_of_a_killed_process_are_whole_at_any_fold(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    for count in range(1, 301):
        append(journal)
        if count % 30 == 0:  # as a kill leaves it, whatever the thread is about: no commit comes between
            left = tmp_path / f"left-{count}"
            left.mkdir()
            for each in (path, log_of(path)):
                shutil.copy(each, left / each.name)
            again = Journal.open(left / path.name)
            assert again.last == count
            again.close()
    journal.close()


def test_a_fault_of_the_fold_fails_the_next_commit(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    assert journal._folding is not None
    journal._folding._connection.close()  # under its hands
    with pytest.raises(JournalFault, match="cannot take group"):
        append_for(journal, WAIT_SECONDS)
