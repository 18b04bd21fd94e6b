"""Snapshots and segments come back as they were written, or say that they do not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.errors import JournalFault, NotFound
from ocs.shell.store import archive as archives
from ocs.shell.store import snapshot
from ocs.shell.store.archive import Archive, History
from ocs.shell.store.journal import Journal, JournalReader
from ocs.shell.store.snapshot import SnapshotWriter
from ocs.units import DAY, GroupIndex, UnixMillis

DIGEST = b"d" * 16


def write(folder: Path, index: int, at: int = 5, chunks: tuple[bytes, ...] = (b"one", b"two")) -> Path:
    writer = SnapshotWriter(folder, GroupIndex(index), UnixMillis(at), DIGEST)
    for chunk in chunks:
        writer.add(chunk)
    writer.finish()
    return folder / f"{index:020d}.snapshot"


def filled(folder: Path, count: int) -> tuple[Journal, JournalReader]:
    journal = Journal.open(folder / "journal.sqlite")
    for _ in range(count):
        index = GroupIndex(journal.last + 1)
        journal.append(index, UnixMillis(1000 * index), b"%d" % index * 40)
    return journal, JournalReader.open(folder / "journal.sqlite")


@given(chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_chunks_come_back(chunks: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("snapshots")
    write(folder, 7, chunks=tuple(chunks))
    (found,) = snapshot.all(folder)
    assert (found.index, found.at, found.digest, list(found.chunks())) == (7, 5, DIGEST, chunks)


@pytest.mark.fault(51)
@given(bit=st.integers(0))
def test_any_flipped_bit_of_a_snapshot_is_found(bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("snapshots")
    path = write(folder, 7)
    octets = bytearray(path.read_bytes())
    place = bit % (8 * len(octets))
    octets[place // 8] ^= 1 << place % 8
    path.write_bytes(octets)
    found, faults = snapshot.newest(folder)
    assert found is None
    assert len(faults) == 1


@pytest.mark.fault(51)
def test_a_damaged_snapshot_gives_way_to_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, 3)
    damaged = write(tmp_path, 9)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    found, faults = snapshot.newest(tmp_path)
    assert found is not None
    assert found.index == 3
    assert [str(damaged) in fault for fault in faults] == [True]


def test_an_abandoned_snapshot_leaves_nothing(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path, GroupIndex(1), UnixMillis(1), DIGEST)
    writer.add(b"x")
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_the_newest_two_and_one_a_day_stay(tmp_path: Path) -> None:
    for index, at in ((1, 0), (2, DAY + 1), (3, DAY + 2), (4, 2 * DAY), (5, 2 * DAY + 1), (6, 2 * DAY + 2)):
        write(tmp_path, index, at)
    snapshot.expire(tmp_path, UnixMillis(2 * DAY + 2), 10 * DAY, GroupIndex(1))
    assert [one.index for one in snapshot.all(tmp_path)] == [1, 2, 4, 5, 6]
    snapshot.expire(tmp_path, UnixMillis(2 * DAY + 2), DAY, GroupIndex(1))
    assert [one.index for one in snapshot.all(tmp_path)] == [4, 5, 6]
    assert snapshot.expire(tmp_path, UnixMillis(2 * DAY + 2), DAY, GroupIndex(6), GroupIndex(4)) == []
    assert [one.index for one in snapshot.all(tmp_path)] == [4, 5, 6], "what lags is held against one"
    snapshot.expire(tmp_path, UnixMillis(2 * DAY + 2), DAY, GroupIndex(6))
    assert [one.index for one in snapshot.all(tmp_path)] == [5, 6]


def test_who_is_told_to_stop_leaves_the_rest_for_another_time(tmp_path: Path) -> None:
    for index in range(1, 6):
        write(tmp_path, index, index)
    stops = iter([False, True, True])
    snapshot.expire(tmp_path, UnixMillis(DAY), 0, GroupIndex(1), stopped=lambda: next(stops))
    assert [one.index for one in snapshot.all(tmp_path)] == [2, 3, 4, 5]
    snapshot.expire(tmp_path, UnixMillis(DAY), 0, GroupIndex(1))
    assert [one.index for one in snapshot.all(tmp_path)] == [4, 5]


def test_journal_and_archive_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SEGMENT_OCTETS", 2000)
    monkeypatch.setattr(archives, "BLOCK_OCTETS", 300)
    journal, reader = filled(tmp_path, 100)
    folder = tmp_path / "archive"
    folder.mkdir()
    archive = Archive(folder)
    whole = list(History(reader, archive).iterate(GroupIndex(0)))
    assert archive.extend(reader, GroupIndex(80))
    assert len(archive.segments()) > 2
    assert (archive.first(), archive.last()) == (1, 80)
    for _ in range(20):
        index = GroupIndex(journal.last + 1)
        journal.append(index, UnixMillis(200_000), b"", remove_through=GroupIndex(80), at_most=4)
    assert reader.first() == 81
    history = History(reader, Archive(folder))
    assert list(history.iterate(GroupIndex(0)))[:100] == whole
    assert [group.index for group in history.iterate(GroupIndex(79), whole[78].digest)] == list(range(80, 121))
    assert history.group(GroupIndex(33)) == whole[32]
    for segment in archive.segments():
        segment.check()
    with pytest.raises(NotFound):
        archive.group(GroupIndex(81))
    # Nothing new: nothing is written again.
    before = [segment.path for segment in archive.segments()]
    assert archive.extend(reader, GroupIndex(80))
    assert [segment.path for segment in archive.segments()] == before


def test_a_missing_segment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SEGMENT_OCTETS", 500)
    monkeypatch.setattr(archives, "BLOCK_OCTETS", 100)
    _, reader = filled(tmp_path, 30)
    archive = Archive(tmp_path)
    archive.extend(reader, GroupIndex(30))
    middle = archive.segments()[1]
    middle.path.unlink()
    with pytest.raises(JournalFault, match=f"no groups {middle.first} to {middle.last}"):
        archive.segments()


@pytest.mark.fault(51)
def test_a_changed_segment_is_found(tmp_path: Path) -> None:
    _, reader = filled(tmp_path, 30)
    Archive(tmp_path).extend(reader, GroupIndex(30))
    (segment,) = Archive(tmp_path).segments()
    whole = segment.path.read_bytes()
    for place in range(0, len(whole), 7):
        octets = bytearray(whole)
        octets[place] ^= 0x10
        segment.path.write_bytes(octets)
        with pytest.raises(JournalFault):
            Archive(tmp_path).segments()[0].check()


def test_what_is_kept_long_enough_goes_oldest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SEGMENT_OCTETS", 500)
    monkeypatch.setattr(archives, "BLOCK_OCTETS", 100)
    _, reader = filled(tmp_path, 30)
    archive = Archive(tmp_path)
    archive.extend(reader, GroupIndex(30))
    segments = archive.segments()
    archive.expire(GroupIndex(30), UnixMillis(segments[0].last_at + 1), 10**9)
    assert archive.segments() == segments[1:]
    archive.expire(segments[1].last, UnixMillis(0), 0)
    assert archive.segments() == segments[2:], "a segment behind no snapshot stays, however large the whole is"


def test_another_data_folder_is_another_history(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    filled(one, 3)
    _, reader = filled(two, 3)
    (tmp_path / "archive").mkdir()
    history = History(JournalReader.open(one / "journal.sqlite"), Archive(tmp_path / "archive"))
    strange = reader.read(GroupIndex(0), 1, 1)[0].digest
    with pytest.raises(JournalFault, match="does not continue"):
        list(history.iterate(GroupIndex(1), strange))
