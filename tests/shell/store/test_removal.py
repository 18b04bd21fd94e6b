"""A large file goes bit by bit, and a crash in the middle leaves nothing that looks whole."""

from pathlib import Path

import pytest

from ocs.shell.store import removal
from ocs.shell.store.data_folder import ASIDE_SUFFIX, DataFolder


def test_a_large_file_goes_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 1000)
    seen: list[tuple[list[str], int]] = []

    def look(_: float) -> None:
        (path,) = tmp_path.iterdir()
        seen.append(([path.name], path.stat().st_size))

    monkeypatch.setattr(removal, "PIECE_OCTETS", 300)
    monkeypatch.setattr(removal.time, "sleep", look)
    removal.remove(large)
    assert seen == [(["large" + ASIDE_SUFFIX], size) for size in (700, 400, 100)]
    assert list(tmp_path.iterdir()) == []


def test_it_loses_its_name_before_anything_else_and_a_start_removes_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DataFolder.open(tmp_path / "data")
    large = folder.snapshots / "large"
    large.write_bytes(b"x" * 1000)
    aside = folder.snapshots / ("large" + ASIDE_SUFFIX)
    synced: list[list[int]] = []

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    def sync(path: Path) -> None:
        assert list(path.iterdir()) == [aside]
        synced.append([one.stat().st_size for one in path.iterdir()])

    monkeypatch.setattr(removal, "PIECE_OCTETS", 300)
    monkeypatch.setattr(removal, "sync_folder", sync)
    monkeypatch.setattr(removal.time, "sleep", crash)
    with pytest.raises(KeyboardInterrupt):
        removal.remove(large)
    assert synced == [[1000]]
    assert folder.sweep() == []
    assert folder.sweep_copies() == [aside]
    assert list(folder.snapshots.iterdir()) == []


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        removal.remove(tmp_path / "gone")
