"""The log's files hold what was appended, prove it, and lose nothing that a snapshot counts."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.errors import JournalFault, NotFound
from ocs.shell.store.log_files import LogFiles
from ocs.tlog import merkle, tiles
from ocs.tlog.merkle import Frontier, leaf_hash


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LogFiles]:
    opened = LogFiles.open(tmp_path)
    yield opened
    opened.close()


def leaf(number: int) -> bytes:
    return sha256(b"leaf %d" % number).digest() * (1 + number % 40)


def leaves(start: int, end: int) -> list[bytes]:
    return [leaf(number) for number in range(start, end)]


def frontier(size: int) -> Frontier:
    told = Frontier()
    for one in leaves(0, size):
        told.append(leaf_hash(one))
    return told


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 600])
def test_the_root_is_that_of_the_tree(files: LogFiles, size: int) -> None:
    files.append(leaves(0, size))
    assert files.root(size) == frontier(size).root()


def test_beyond_two_levels_of_tiles(files: LogFiles) -> None:
    size = 256 * 256 + 300
    for start in range(0, size, 1000):
        files.append([b"%d" % number for number in range(start, min(size, start + 1000))])
    told = Frontier()
    for number in range(size):
        told.append(leaf_hash(b"%d" % number))
    assert files.root(size) == told.root()
    for index in (0, 255, 256, 65_535, 65_536, size - 1):
        proof = files.inclusion(index, size)
        merkle.verify_inclusion(leaf_hash(b"%d" % index), index, size, proof, told.root())
    assert len(files.read("tile/2/000.p/1")) == 32
    assert len(files.read("tile/1/000")) == 256 * 32
    with pytest.raises(NotFound, match="no tile/1/001"):
        files.read("tile/1/001.p/2")


@given(st.lists(st.integers(0, 300), max_size=6), st.data())
@settings(max_examples=40)
def test_however_it_grew_it_proves_all(tmp_path_factory: pytest.TempPathFactory, steps: list[int], data: st.DataObject):
    files = LogFiles.open(tmp_path_factory.mktemp("log"))
    sizes = [0]
    for step in steps:
        files.append(leaves(sizes[-1], sizes[-1] + step))
        sizes.append(files.size)
    size = files.size
    assert size == sum(steps)
    root = files.root(size)
    old = data.draw(st.sampled_from(sizes))
    merkle.verify_consistency(old, size, files.consistency(old, size), frontier(old).root(), root)
    if size:
        index = data.draw(st.integers(0, size - 1))
        assert files.entry(index) == leaf(index)
        merkle.verify_inclusion(leaf_hash(leaf(index)), index, size, files.inclusion(index, size), root)
        start = data.draw(st.integers(0, index))
        assert list(files.entries(start, size)) == leaves(start, size)
    files.close()


def test_a_bundle_is_what_the_format_says(files: LogFiles) -> None:
    files.append(leaves(0, 300))
    assert tiles.read_bundle(files.read("tile/entries/000"), 256) == leaves(0, 256)
    assert tiles.read_bundle(files.read("tile/entries/001.p/44"), 44) == leaves(256, 300)
    assert tiles.read_bundle(files.read("tile/entries/001.p/7"), 7) == leaves(256, 263), "as it was once"
    with pytest.raises(NotFound):
        files.read("tile/entries/001.p/45")
    with pytest.raises(NotFound):
        files.entry(300)


@pytest.mark.parametrize("rewound", [0, 1, 255, 256, 299, 300])
def test_what_is_dropped_is_made_again(tmp_path: Path, rewound: int) -> None:
    files = LogFiles.open(tmp_path)
    files.append(leaves(0, 300))
    files.sync()
    files.close()
    files = LogFiles.open(tmp_path)
    assert files.size == 300
    files.rewind(rewound)
    assert files.root(rewound) == frontier(rewound).root()
    files.append(leaves(rewound, 700))
    assert files.root(700) == frontier(700).root()
    assert list(files.entries(0, 700)) == leaves(0, 700)
    assert [files.entry(index) for index in range(700)] == leaves(0, 700), "from the disk and from memory"
    files.close()


@pytest.mark.parametrize("name", ["entries", "ends", "hashes-0", "hashes-1"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_a_file_that_was_cut_counts_no_more_than_it_holds(tmp_path: Path, name: str, kept: float) -> None:
    files = LogFiles.open(tmp_path)
    files.append(leaves(0, 1000))
    files.close()
    path = tmp_path / name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    files = LogFiles.open(tmp_path)
    size = files.size
    assert size < 1000
    files.rewind(size)
    assert files.root(size) == frontier(size).root()
    assert list(files.entries(0, size)) == leaves(0, size)
    files.append(leaves(size, 1000))
    assert files.root(1000) == frontier(1000).root()
    files.close()


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalFault, match="cannot be opened: No such file"):
        LogFiles.open(tmp_path / "missing")
