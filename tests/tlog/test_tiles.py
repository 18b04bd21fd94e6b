"""Tiles cover the tree: what they hold at any size gives every node, and every path has one spelling."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_samples import Tree, entry, tiled

from ocs.tlog import merkle, tiles
from ocs.tlog.errors import Malformed, ProofInvalid
from ocs.tlog.merkle import leaf_hash
from ocs.tlog.tiles import Bundle, Tile, TileReader, changed_bundles, changed_tiles, read_bundle, width_at, write_bundle

LEAVES = 1500
TREE = Tree([entry(index) for index in range(LEAVES)])


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("tile/0/000", Tile(0, 0)),
        ("tile/0/x001/x234/067", Tile(0, 1234067)),
        ("tile/1/x001/000.p/17", Tile(1, 1000, 17)),
        ("tile/2/999.p/1", Tile(2, 999, 1)),
        ("tile/63/000.p/255", Tile(63, 0, 255)),
        ("tile/entries/x273/000", Bundle(273000)),
        ("tile/entries/273.p/112", Bundle(273, 112)),
    ],
)
def test_a_path_and_what_it_names(path: str, asked: Tile | Bundle) -> None:
    assert asked.path == path
    assert tiles.parse(path) == asked


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/x000/001",
        "tile/0/001/234",
        "tile/0/x001",
        "tile/0/X001/234",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/../000",
        "tile/0/٠٠٠",
        "tile/entry/000",
        "tile/entries/000.p/300",
        "tile/0/x999/x999/x999/x999/x999/999",
        "tile/0/x001/x000/x000/x000/x000/x000/000",
    ],
)
def test_a_path_is_spelled_in_one_way(path: str) -> None:
    with pytest.raises(Malformed):
        tiles.parse(path)


@given(st.integers(0, 63), st.integers(0, 2**55 - 1), st.integers(1, 256))
def test_a_path_reads_back(level: int, index: int, width: int) -> None:
    for asked in (Tile(level, index, width), Bundle(index, width)):
        assert tiles.parse(asked.path) == asked


@given(st.one_of(st.text(), st.from_regex(r"tile/[0-9a-z]{0,7}/[x0-9/]{0,20}(\.p/[0-9]{0,4})?", fullmatch=True)))
def test_any_other_text_is_refused(path: str) -> None:
    try:
        asked = tiles.parse(path)
    except Malformed:
        return
    assert asked.path == path


def test_seventy_thousand_leaves() -> None:
    """The example of c2sp.org/tlog-tiles."""
    found = list(changed_tiles(0, 70_000))
    assert found == [
        *(Tile(0, index) for index in range(273)),
        Tile(0, 273, 112),
        Tile(1, 0),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert [one.index for one in changed_bundles(0, 70_000)] == list(range(274))
    assert [width_at(70_000, *place) for place in [(0, 272), (0, 273), (0, 274), (1, 1), (2, 0), (3, 0)]] == [
        256,
        112,
        0,
        17,
        1,
        0,
    ]


def test_a_full_tile_stands_in_the_one_above() -> None:
    assert list(changed_tiles(0, 256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(changed_tiles(256, 256)) == []
    assert list(changed_tiles(255, 257)) == [Tile(0, 0), Tile(0, 1, 1), Tile(1, 0, 1)]
    assert list(changed_bundles(256, 256)) == []
    assert list(changed_bundles(255, 257)) == [Bundle(0), Bundle(1, 1)]


@given(st.integers(0, 2**40), st.integers(0, 3000))
def test_what_growth_changes_is_what_has_another_width(old: int, more: int) -> None:
    new = old + more
    changed = list(changed_tiles(old, new))
    for tile in changed:
        assert tile.width == width_at(new, tile.level, tile.index) > width_at(old, tile.level, tile.index)
    for level in range(6):
        last = (new >> 8 * level) // 256
        places = {tile.index for tile in changed if tile.level == level}
        for index in range(max(0, last - 14), last + 2):
            grown = width_at(new, level, index) > width_at(old, level, index)
            assert grown == (index in places)


@given(st.lists(st.integers(0, LEAVES), min_size=1, max_size=5).map(sorted))
def test_growing_writes_what_changes_and_covers_the_tree(sizes: list[int]) -> None:
    files: dict[str, bytes] = {}
    for old, new in pairwise([0, *sizes]):
        written = list(tiles.grow(old, TREE.leaves[old:new], files.__getitem__))
        assert [tile for tile, _ in written] == list(changed_tiles(old, new))
        files |= {tile.path: content for tile, content in written}
    for tile in changed_tiles(0, sizes[-1]):
        nodes = TREE.rows[8 * tile.level][tile.index * 256 :][: tile.width]
        assert files[tile.path] == b"".join(nodes)


@given(st.data())
def test_proofs_made_from_tiles_are_those_of_the_tree(data: st.DataObject) -> None:
    sizes = sorted(data.draw(st.sets(st.integers(1, LEAVES), min_size=1, max_size=4)))
    files = tiled(TREE.leaves, *sizes)
    reader = TileReader(sizes[0], files.__getitem__, tiles_max=data.draw(st.integers(1, 8)))
    for size in sizes:
        reader.size = size
        index = data.draw(st.integers(0, size - 1))
        old = data.draw(st.integers(0, size))
        assert merkle.root(size, reader) == TREE.roots[size]
        assert merkle.inclusion_proof(index, size, reader) == merkle.inclusion_proof(index, size, TREE)
        assert merkle.consistency_proof(old, size, reader) == merkle.consistency_proof(old, size, TREE)


def test_a_tile_is_read_once_and_kept() -> None:
    files = tiled(TREE.leaves, LEAVES)
    read: list[str] = []

    def fetch(path: str) -> bytes:
        read.append(path)
        return files[path]

    reader = TileReader(LEAVES, fetch)
    for index in range(LEAVES):
        merkle.inclusion_proof(index, LEAVES, reader)
    assert sorted(read) == sorted(files)


@pytest.mark.parametrize("change", [b"", bytes(31), bytes(32 * 221)])
def test_a_tile_of_another_length_is_damaged(change: bytes) -> None:
    files = tiled(TREE.leaves, LEAVES) | {"tile/0/005.p/220": change}
    with pytest.raises(Malformed, match="220 hashes"):
        merkle.root(LEAVES, TileReader(LEAVES, files.__getitem__))
    with pytest.raises(Malformed, match="220 hashes"):
        list(tiles.grow(LEAVES, TREE.leaves[:1], files.__getitem__))


def test_a_node_outside_the_tree_is_a_bug_of_whoever_asks() -> None:
    reader = TileReader(300, tiled(TREE.leaves, 300).__getitem__)
    for level, index in [(0, 300), (8, 1), (9, 0)]:
        with pytest.raises(AssertionError):
            reader(level, index)


def test_a_bundle_lies_as_its_layout_says() -> None:
    assert write_bundle([b"ab", b"", b"c"]) == bytes.fromhex("0002 6162 0000 0001 63")


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    content = write_bundle(entries)
    assert read_bundle(content, len(entries)) == entries
    for width in (len(entries) - 1, len(entries) + 1):
        with pytest.raises(Malformed):
            read_bundle(content, width)
    for changed in (content[:-1], content + b"\0", content + b"\0\0"):
        with pytest.raises(Malformed):
            read_bundle(changed, len(entries))


@given(st.binary(max_size=60), st.integers(1, 256))
def test_other_octets_are_refused_or_read_back(content: bytes, width: int) -> None:
    try:
        entries = read_bundle(content, width)
    except Malformed:
        return
    assert len(entries) == width
    assert write_bundle(entries) == content


def test_an_entry_has_an_end() -> None:
    assert read_bundle(write_bundle([bytes(65_535)]), 1) == [bytes(65_535)]
    with pytest.raises(Malformed, match="65535"):
        write_bundle([bytes(65_536)])


@given(st.integers(1, 1500), st.data())
def test_a_reader_proves_as_the_tree_does(size: int, data: st.DataObject) -> None:
    tiles_held: dict[str, bytes] = {}
    for tile, content in tiles.grow(0, [leaf_hash(b"%d" % number) for number in range(size)], tiles_held.__getitem__):
        tiles_held[tile.path] = content
    reader = tiles.TileReader(size, tiles_held.__getitem__)
    for _ in range(5):
        asked = data.draw(st.just(size) | st.integers(1, size))
        index = data.draw(st.integers(0, asked - 1))
        assert reader.inclusion(index, asked) == merkle.inclusion_proof(index, asked, reader)
    for index in (-1, size, size + 1):
        with pytest.raises(ProofInvalid):
            reader.inclusion(index, size)
