"""A flipped bit in a log is told from every crash, unless it hits the last transaction alone."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import apsw
import pytest

from faulty_disk import Disk
from ocs.errors import JournalFault
from ocs.shell.store.journal import Journal, JournalReader
from ocs.shell.store.write_ahead_log import log_of, lost_commits
from ocs.units import GroupIndex, UnixMillis

FRAME_OCTETS = 24 + 4096


def fill(journal: Journal, count: int, octets: int = 3000) -> None:
    for _ in range(count):
        index = GroupIndex(journal.last + 1)
        journal.append(index, UnixMillis(1000 + index), bytes([index % 251]) * octets)


CRASHES = int(os.environ.get("CRASHES", "12"))


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A journal whose writer was killed: all its groups are in the log alone."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    fill(journal, 12)
    content = {each: each.read_bytes() for each in (path, log_of(path))}
    journal.close()
    for each, octets in content.items():
        each.write_bytes(octets)
    return path


def test_a_sound_log_is_taken(crashed: Path) -> None:
    assert log_of(crashed).stat().st_size > 12 * 3000
    journal = Journal.open(crashed)
    assert journal.last == 12
    assert not log_of(crashed).stat().st_size, "it is folded in, and what comes next begins a new one"
    journal.close()


@pytest.mark.fault(51)
@pytest.mark.parametrize("seed", range(30))
def test_any_flipped_bit_before_the_last_transaction_is_found(crashed: Path, seed: int) -> None:
    rng = Random(seed)
    log = log_of(crashed)
    octets = bytearray(log.read_bytes())
    commits = [
        place
        for place in range(32, len(octets) - FRAME_OCTETS + 1, FRAME_OCTETS)
        if int.from_bytes(octets[place + 4 : place + 8], "big")
    ]
    # The two transactions at the end look like one that was torn where the first of them loses its commit mark.
    bit = rng.randrange(8 * commits[-3])
    octets[bit // 8] ^= 1 << bit % 8
    log.write_bytes(octets)
    with pytest.raises(JournalFault):  # it may have been made in that log
        JournalReader.open(crashed).check_log()
    for _ in range(2):  # the first look does not fold the damage in
        with pytest.raises(JournalFault, match="was changed at rest"):
            Journal.open(crashed)
        assert log.read_bytes() == octets


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk("tearing")
    yield disk
    disk.unregister()


@pytest.mark.fault(48)
@pytest.mark.parametrize("seed", range(CRASHES))
def test_no_crash_looks_like_damage(disk: Disk, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Writes that were not synced are kept, dropped and torn, in transactions of many frames."""
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: bytes(disk.files[str(path)].content) if str(path) in disk.files else b""
    )
    rng = Random(seed)
    for _ in range(12):
        journal = Journal.open(Path("/journal.sqlite"), vfs="tearing", now_ms=lambda: 1)
        fill(journal, rng.randrange(1, 4), rng.randrange(100, 60_000))
        disk.operations, disk.fail_at, disk.error = 0, rng.randrange(1, 25), apsw.IOError
        disk.stored = rng.random() < 0.5
        with suppress(JournalFault):
            fill(journal, 3, 30_000)
        disk.fail_at = 0
        disk.lose_power(journal, rng)


def test_a_log_that_was_only_begun() -> None:
    assert not lost_commits(b"", 4096, 0)
    assert not lost_commits(bytes(5000), 4096, 0)
    assert lost_commits(b"\1" + bytes(5000), 4096, 0)
