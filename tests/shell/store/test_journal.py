"""What `append` returned from is there after any crash; what is not right at rest is said."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import apsw
import pytest

from ocs.errors import BadConfiguration, JournalFault
from ocs.shell.store.journal import Journal, JournalReader, check_library
from ocs.units import GroupIndex, UnixMillis


def fill(journal: Journal, count: int, octets: int = 30) -> None:
    for _ in range(count):
        index = GroupIndex(journal.last + 1)
        journal.append(index, UnixMillis(1000 + index), bytes([index % 251]) * octets)


def test_groups_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path, now_ms=lambda: 42)
    fill(journal, 5)
    reader = JournalReader.open(path)
    assert [group.index for group in reader.read(GroupIndex(0), 100, 10**6)] == [1, 2, 3, 4, 5]
    assert [group.index for group in reader.read(GroupIndex(2), 2, 10**6)] == [3, 4]
    assert [group.index for group in reader.read(GroupIndex(0), 100, 1)] == [1], "one always comes"
    assert (reader.first(), reader.last(), reader.created_at, reader.data_id) == (1, 5, 42, journal.data_id)
    third = reader.group(GroupIndex(3))
    assert third is not None
    assert (third.at, third.payload) == (1003, b"\x03" * 30)
    assert reader.group(GroupIndex(6)) is None


def test_a_reopened_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    fill(journal, 3)
    before = (journal.last, journal.last_at, journal.last_digest, journal.data_id, journal.created_at)
    journal.close()
    again = Journal.open(path)
    assert (again.last, again.last_at, again.last_digest, again.data_id, again.created_at) == before
    fill(again, 1)
    assert JournalReader.open(path).last() == 4


def test_only_this_user_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        fill(Journal.open(tmp_path / "journal.sqlite"), 1)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    finally:
        os.umask(before)


def test_old_groups_go_a_few_with_each_commit(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    fill(journal, 10)
    reader = JournalReader.open(path)
    journal.append(GroupIndex(11), UnixMillis(2000), b"x", remove_through=GroupIndex(8), at_most=4)
    assert (reader.first(), reader.last()) == (5, 11)
    for index in (12, 13):
        journal.append(GroupIndex(index), UnixMillis(2000), b"x", remove_through=GroupIndex(8), at_most=4)
    assert (reader.first(), reader.last()) == (9, 13)


def test_misuse_is_a_bug(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.sqlite")
    fill(journal, 1)
    with pytest.raises(AssertionError, match="dense"):
        journal.append(GroupIndex(3), UnixMillis(5000), b"")
    with pytest.raises(AssertionError, match="never goes back"):
        journal.append(GroupIndex(2), UnixMillis(1), b"")


@pytest.mark.fault(51)
def test_a_changed_group_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    fill(journal, 3)
    journal.close()
    with apsw.Connection(str(path)) as connection:
        ((body,),) = connection.execute("SELECT body FROM groups WHERE idx = 2")
        connection.execute("UPDATE groups SET body = ? WHERE idx = 2", (body[:-20] + b"!" + body[-19:],))
    reader = JournalReader.open(path)
    with pytest.raises(JournalFault, match=r"row 2.*changed at rest"):
        reader.read(GroupIndex(0), 100, 10**6)


@pytest.mark.fault(51)
def test_a_moved_group_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    fill(journal, 3)
    journal.close()
    with apsw.Connection(str(path)) as connection:
        connection.execute("UPDATE groups SET idx = 9 WHERE idx = 3")
    with pytest.raises(JournalFault, match="row 9: holds group 3"):
        Journal.open(path)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database, but long enough to look at" * 50)
    with pytest.raises(JournalFault, match="cannot be opened"):
        Journal.open(path)
    other = tmp_path / "other.sqlite"
    with apsw.Connection(str(other)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(JournalFault, match="no journal of this server"):
        Journal.open(other)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal.open(path).close()
    with apsw.Connection(str(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(BadConfiguration, match="format 2"):
        Journal.open(path)


@pytest.mark.fault(57)
@pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.50.4", "3.51.2", "3.7.0"])
def test_a_library_with_the_wal_reset_bug_is_refused(version: str) -> None:
    with pytest.raises(BadConfiguration, match=version):
        check_library(version)


@pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.52.0", "4.0.0"])
def test_a_library_without_it_is_taken(version: str) -> None:
    check_library(version)


WRITER = """
    import sys
    from pathlib import Path
    from ocs.shell.store.journal import Journal
    journal = Journal.open(Path(sys.argv[1]))
    print(journal.last, flush=True)
    while True:
        journal.append(journal.last + 1, 1000, b"p" * 3000, remove_through=max(0, journal.last - 20), at_most=4)
        print(journal.last, flush=True)
"""


@pytest.mark.fault(46)
def test_no_kill_loses_what_was_synced(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    told = 0
    for lines in range(1, 16):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(lines * 3):
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split()
        told = int(rest[-1]) if rest else told
        reader = JournalReader.open(path)
        assert reader.last() in (told, told + 1), "one more may have been synced and not told"
        groups = reader.read(GroupIndex(0), 100, 10**7)
        assert [group.index for group in groups] == list(range(reader.first(), reader.last() + 1))
        assert all(after.previous == before.digest for before, after in itertools.pairwise(groups))
        reader.close()
