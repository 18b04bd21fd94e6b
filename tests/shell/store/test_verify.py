"""What is sound is clean, and each single damage is found and named."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from made_folder import MadeFolder, made
from ocs import image
from ocs.errors import JournalFault
from ocs.shell.books.books import check_version
from ocs.shell.cli.app import main
from ocs.shell.store import snapshot
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.verify import verify
from ocs.state import State
from ocs.units import Credits


@pytest.mark.parametrize("seed", range(4))
def test_a_sound_folder_is_clean(tmp_path: Path, seed: int) -> None:
    folder = made(tmp_path / "data", seed)
    events = len(folder.node.events)
    last = folder.journal.last
    report = verify(folder.close())
    assert report.faults == []
    assert (report.first, report.last, report.replayed_after) == (1, last, 0)
    assert (report.groups, report.events) == (last, events)
    assert report.snapshots >= 2
    assert report.segments >= 1
    assert report.books_index == last
    assert report.operators == 2


def test_it_may_run_beside_the_writer(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    assert verify(folder.folder).faults == []
    folder.close()


def test_books_behind_the_journal_are_compared_where_they_are(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    at = folder.journal.last
    folder.go_on(10)
    report = verify(folder.close())
    assert report.faults == []
    assert report.books_index == at < report.last


def test_without_books_and_snapshots(tmp_path: Path) -> None:
    folder = MadeFolder(tmp_path / "data")
    folder.go_on(20)
    report = verify(folder.close())
    assert report.faults == []
    assert (report.books_index, report.snapshots) == (0, 0)


def test_it_begins_with_the_oldest_snapshot_where_older_groups_are_gone(tmp_path: Path) -> None:
    folder = made(tmp_path / "data").close()
    for segment in sorted(folder.archive.glob("*.groups"))[:1]:
        segment.unlink()
    report = verify(folder)
    assert report.faults == []
    assert report.replayed_after > 0
    assert report.first == report.replayed_after + 1 or report.first <= report.replayed_after


def test_a_server_may_remove_the_snapshot_that_is_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "data").close()
    min(folder.archive.glob("*.groups")).unlink()
    oldest, following, *_ = snapshot.all(folder.snapshots)
    restore = image.restore

    def removing(chunks: Iterator[bytes]) -> State:
        oldest.path.unlink(missing_ok=True)  # it has been checked, and is opened next
        return restore(chunks)

    monkeypatch.setattr(image, "restore", removing)
    report = verify(folder)
    assert report.faults == []
    assert report.replayed_after == following.index


def test_books_that_nothing_so_old_can_be_held_against_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = MadeFolder(tmp_path / "data")
    folder.go_on(10)
    folder.follow()
    behind, books = folder.journal.last, folder.folder.books.read_bytes()
    for _ in range(3):
        folder.go_on(30)
        folder.follow(snapshot=True)
    folder.folder.books.write_bytes(books)
    for segment in sorted(folder.folder.archive.glob("*.groups"))[:1]:
        segment.unlink()
    folder.trim()
    report = verify(folder.close())
    assert (report.books_index, report.books_behind) == (0, behind)
    assert main(["journal", "verify", "--data", str(folder.folder.path)]) == 0
    assert f"not compared: they end with group {behind}" in " ".join(capsys.readouterr().out.split())


def test_books_of_an_older_format_are_compared_too(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    last, path = folder.journal.last, folder.close().books
    with sqlite3.connect(path) as connection:
        for table in ("disputes", "refused_reports", "commits", "signed_sessions", "channels", "purchases", "signers"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    report = verify(folder.folder)
    assert report.faults == []
    assert report.books_index == last
    check_version(1, path)


def flip(path: Path, place: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[place] ^= 0x10
    path.write_bytes(octets)


def damage_a_group(folder: DataFolder) -> None:
    with apsw.Connection(str(folder.journal)) as connection:
        ((index, body),) = connection.execute("SELECT idx, body FROM groups ORDER BY idx DESC LIMIT 1 OFFSET 3")
        body = bytearray(body)
        body[len(body) // 2] ^= 1
        connection.execute("UPDATE groups SET body = ? WHERE idx = ?", (bytes(body), index))


def lose_a_group(folder: DataFolder) -> None:
    with apsw.Connection(str(folder.journal)) as connection:
        connection.execute("DELETE FROM groups WHERE idx = (SELECT max(idx) - 3 FROM groups)")


def damage_a_segment(folder: DataFolder) -> None:
    path = next(iter(sorted(folder.archive.glob("*.groups"))))
    flip(path, path.stat().st_size // 2)


def lose_a_segment(folder: DataFolder) -> None:
    sorted(folder.archive.glob("*.groups"))[1].unlink()


def damage_a_snapshot(folder: DataFolder) -> None:
    path = max(folder.snapshots.glob("*.snapshot"))
    flip(path, path.stat().st_size // 2)


def exchange_a_snapshot(folder: DataFolder) -> None:
    """Write one that is whole, and tells of another balance."""
    newest = snapshot.all(folder.snapshots)[-1]
    state = image.restore(newest.chunks())
    account = state.charging.operators.all()[0].account
    account.available = Credits(account.available + 1)
    account.funded = Credits(account.funded + 1)
    writer = snapshot.SnapshotWriter(folder.snapshots, newest.index, newest.at, newest.digest)
    for chunk in image.chunks(state):
        writer.add(chunk)
    writer.finish()


def in_books(statement: str) -> Callable[[DataFolder], None]:
    def change(folder: DataFolder) -> None:
        with sqlite3.connect(folder.books) as connection:
            assert connection.execute(statement).rowcount > 0
        connection.close()

    return change


def books_of_later(folder: DataFolder) -> None:
    in_books("UPDATE progress SET group_index = 100000")(folder)


DAMAGES: dict[str, tuple[Callable[[DataFolder], None], str]] = {
    "a flipped bit in a group": (damage_a_group, "was changed at rest"),
    "a missing group": (lose_a_group, "group"),
    "a flipped bit in a segment": (damage_a_segment, "archive segment"),
    "a missing segment": (lose_a_segment, "neither in the journal"),
    "a flipped bit in a snapshot": (damage_a_snapshot, "digest does not match"),
    "a snapshot of another state": (exchange_a_snapshot, "is not the replayed state"),
    "a changed balance": (in_books("UPDATE accounts SET available = available + 1 WHERE operator = 1"), "home has"),
    "a lost account": (in_books("DELETE FROM accounts WHERE operator = 1"), "home has None"),
    "a changed session": (
        in_books("UPDATE session_services SET used = used + 1 WHERE reserved > 0"),
        "session b's;",
    ),
    "a changed charge": (in_books("UPDATE sessions SET charged = charged + 1 WHERE number = 1"), "were charged"),
    "books of a later time": (books_of_later, "the books hold group 100000"),
    "an unreadable file of books": (lambda folder: folder.books.write_bytes(b"x" * 5000), "cannot be read"),
}


@pytest.mark.fault(51)
@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_found(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    act, told = DAMAGES[name]
    folder = made(tmp_path / "data").close()
    act(folder)
    report = verify(folder)
    assert report.faults
    assert any(told in fault for fault in report.faults), report.faults
    assert main(["journal", "verify", "--data", str(folder.path)]) == 1
    assert "FAULT" in capsys.readouterr().out


def test_no_journal_is_no_clean_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = DataFolder.open(tmp_path / "data")
    with pytest.raises(JournalFault):
        verify(folder)
    assert main(["journal", "verify", "--data", str(folder.path)]) == 4
    assert "cannot be read" in capsys.readouterr().err


def test_nothing_is_changed_by_looking(tmp_path: Path) -> None:
    folder = made(tmp_path / "data").close()
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    verify(folder)
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before
