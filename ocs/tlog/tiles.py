"""The log as files that never change: tiles of hashes and bundles of entries.  c2sp.org/tlog-tiles.

A tile holds up to 256 neighbouring nodes of one level in eight; at tile level l a hash spans 256^l leaves.  The last
tile of a level is partial: it has its width in its name, so it is another file each time the log grows, and a full
tile is written once.  An entry bundle holds the entries of one tile of level 0.

    tile/<level>/<index>[.p/<width>]        tile/entries/<index>[.p/<width>]

The index is in groups of three digits, all but the last with an `x`: 1234067 is x001/x234/067.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ocs.tlog.errors import Malformed, ProofInvalid
from ocs.tlog.line import shown
from ocs.tlog.merkle import HASH_OCTETS, SIZE_MAX, inclusion_proof, node_hash

WIDTH_MAX: Final = 256
LEVEL_MAX: Final = 63
ENTRY_OCTETS_MAX: Final = 2**16 - 1
"""What the length before an entry can say."""

_TILE_BITS: Final = 8

# No log of 2^63 leaves needs more than six groups of digits.
_PATH: Final = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([0-9]{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tile:
    """Which hash tile.

    Attributes:
        level: 0 to 63; 0 holds leaf hashes.
        index: its place in the level.
        width: how many hashes it holds, 1 to 256; below 256 it is partial.
    """

    level: int
    index: int
    width: int = WIDTH_MAX

    @property
    def path(self) -> str:
        return f"tile/{self.level}/{_name(self.index, self.width)}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Which entry bundle; `index` and `width` are those of the tile of level 0 with the same leaves."""

    index: int
    width: int = WIDTH_MAX

    @property
    def path(self) -> str:
        return f"tile/entries/{_name(self.index, self.width)}"


def _name(index: int, width: int) -> str:
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03}")
    return "/".join(groups) + (f".p/{width}" if width < WIDTH_MAX else "")


def parse(path: str) -> Tile | Bundle:
    """Read a path, relative to the log's prefix, as a client asks for it.

    Raises:
        Malformed: no tile or bundle is spelled so, or it would be above level 63 or beyond 2^63 leaves.
    """
    found = _PATH.fullmatch(path)
    if not found:
        raise Malformed(f"no tile and no entry bundle has the path {shown(path)}")
    level, groups, width = found.groups()
    index = int(groups.replace("x", "").replace("/", ""))
    columns = WIDTH_MAX if width is None else int(width)
    asked = Bundle(index, columns) if level == "entries" else Tile(int(level), index, columns)
    # Spelled in one way only: no leading zeros or groups, and a full tile does not say its width.
    if asked.path != path or columns == 0 or index > SIZE_MAX >> _TILE_BITS:
        raise Malformed(f"no tile and no entry bundle has the path {shown(path)}")
    if isinstance(asked, Tile) and asked.level > LEVEL_MAX:
        raise Malformed(f"tile levels end at {LEVEL_MAX}")
    return asked


def width_at(size: int, level: int, index: int) -> int:
    """Give the width of a tile in a log of `size` leaves: 256 for a full one, 0 where there is none."""
    return max(0, min(WIDTH_MAX, (size >> _TILE_BITS * level) - index * WIDTH_MAX))


def changed_tiles(old_size: int, size: int) -> Iterator[Tile]:
    """Give the tiles to be written when the log grows from `old_size` to `size` leaves, the lowest level first.

    From 0 they are all the tiles of the log.
    """
    assert 0 <= old_size <= size
    level = 0
    while size:
        if size > old_size:
            for index in range(old_size >> _TILE_BITS, (size - 1 >> _TILE_BITS) + 1):
                yield Tile(level, index, width_at(size, 0, index))
        old_size, size, level = old_size >> _TILE_BITS, size >> _TILE_BITS, level + 1


def changed_bundles(old_size: int, size: int) -> Iterator[Bundle]:
    """Give the entry bundles to be written when the log grows from `old_size` to `size` leaves."""
    assert 0 <= old_size <= size
    if size > old_size:
        for index in range(old_size >> _TILE_BITS, (size - 1 >> _TILE_BITS) + 1):
            yield Bundle(index, width_at(size, 0, index))


def grow(old_size: int, leaves: Iterable[bytes], read: Callable[[str], bytes]) -> Iterator[tuple[Tile, bytes]]:
    """Append leaves, and give each tile that `changed_tiles` names with its content.

    Args:
        old_size: leaves before.
        leaves: their hashes, in order.
        read: gives the content of a tile by its path; asked for the partial tiles of `old_size`, once each.

    Raises:
        Malformed: a tile that was read has another length than its width says.
    """
    level, size, hashes = 0, old_size, list(leaves)
    while hashes:
        index, width = divmod(size, WIDTH_MAX)
        before = _content(Tile(level, index, width), read) if width else b""
        content = before + b"".join(hashes)
        above = []
        for start in range(0, len(content), WIDTH_MAX * HASH_OCTETS):
            part = content[start : start + WIDTH_MAX * HASH_OCTETS]
            tile = Tile(level, index, len(part) // HASH_OCTETS)
            yield tile, part
            if tile.width == WIDTH_MAX:
                above.append(tile_root(part))
            index += 1
        level, size, hashes = level + 1, size >> _TILE_BITS, above


def _content(tile: Tile, read: Callable[[str], bytes]) -> bytes:
    content = read(tile.path)
    if len(content) != tile.width * HASH_OCTETS:
        raise Malformed(f"{tile.path} has {len(content)} octets; {tile.width} hashes have {tile.width * HASH_OCTETS}")
    return content


def tile_root(content: bytes) -> bytes:
    """Give the root of a full tile: its hash in the level above."""
    assert len(content) == WIDTH_MAX * HASH_OCTETS
    return _rows(content)[-1][0]


def _rows(content: bytes) -> list[list[bytes]]:
    """Give the nodes inside a tile: its hashes, then row by row what stands above them, up to the root of them all.

    The last node of a row may span less than its neighbours: an odd one below stands in the next row as it is.
    """
    row = [content[at : at + HASH_OCTETS] for at in range(0, len(content), HASH_OCTETS)]
    rows = [row]
    while len(row) > 1:
        odd = row[-1:] if len(row) & 1 else []
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=False)] + odd
        rows.append(row)
    return rows


class TileReader:
    """Nodes read from tiles, for the proofs of `ocs.tlog.merkle`: an instance is a `NodeReader`.

    The tiles read last are kept with all nodes inside them, about 35 kB each, for one proof asks a tile eight times
    and proofs of neighbours share most of theirs.

    Attributes:
        size: leaves of the log whose tiles there are; may be raised when it has grown.
    """

    __slots__ = ("_above", "_kept", "_read", "_tiles_max", "size")

    def __init__(self, size: int, read: Callable[[str], bytes], tiles_max: int = 64) -> None:
        """Read tiles through `read`, which is given a path and raises its own error where it has none."""
        assert tiles_max > 0
        self.size = size
        self._read = read
        self._tiles_max = tiles_max
        self._above: tuple[int, int, tuple[bytes, ...]] = (-1, -1, ())  # tile, size, and what proves that tile
        self._kept: dict[tuple[int, int, int], list[list[bytes]]] = {}  # the one used last stands last

    def __call__(self, level: int, index: int) -> bytes:
        """Give the hash of node (level, index).

        Raises:
            Malformed: a tile has another length than its width says.
        """
        assert (index + 1) << level <= self.size, "a node is asked for inside the tree"
        tile_level, row = divmod(level, _TILE_BITS)
        tile_index, place = divmod(index, WIDTH_MAX >> row)
        return self._rows(tile_level, tile_index)[row][place]

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Prove that leaf `index` is in the tree of `size` leaves: `merkle.inclusion_proof`, in less time for many.

        Leaves of one tile share what lies above it, and what lies below is looked up where the tile is as it was then.

        Raises:
            ProofInvalid: that tree has no such leaf.
            Malformed: a tile has another length than its width says.
        """
        if not 0 <= index < size:
            raise ProofInvalid(f"a tree of {size} leaves has no leaf {index}")
        tile, place = divmod(index, WIDTH_MAX)
        width = min(WIDTH_MAX, size - tile * WIDTH_MAX)
        if self._above[:2] != (tile, size):
            whole = inclusion_proof(tile * WIDTH_MAX, size, self)
            self._above = tile, size, whole[(width - 1).bit_length() :]
        if width < width_at(self.size, 0, tile):
            below = inclusion_proof(place, width, lambda level, node: self(level, (tile * WIDTH_MAX >> level) + node))
            return below + self._above[2]
        proof = []
        for row in self._rows(0, tile):
            place ^= 1
            if place < len(row):  # else the node has no sibling, and stands in the next row as it is
                proof.append(row[place])
            place >>= 1
        return (*proof, *self._above[2])

    def _rows(self, level: int, index: int) -> list[list[bytes]]:
        """Give the nodes inside a tile, row by row."""
        tile = level, index, width_at(self.size, level, index)
        rows = self._kept.pop(tile, None)
        if rows is None:
            rows = _rows(_content(Tile(*tile), self._read))
            if len(self._kept) >= self._tiles_max:
                del self._kept[next(iter(self._kept))]
        self._kept[tile] = rows
        return rows


def write_bundle(entries: Sequence[bytes]) -> bytes:
    """Write 1 to 256 entries, each behind its length (2, big-endian).

    Raises:
        Malformed: an entry has more than 65,535 octets.
    """
    assert 0 < len(entries) <= WIDTH_MAX
    for entry in entries:
        if len(entry) > ENTRY_OCTETS_MAX:
            raise Malformed(f"an entry has at most {ENTRY_OCTETS_MAX} octets, not {len(entry)}")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def read_bundle(content: bytes, width: int) -> list[bytes]:
    """Read the entries of a bundle of this width.

    Raises:
        Malformed: it is cut, or holds more or fewer entries.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(content) and len(entries) < width:
        start = at + 2
        at = start + int.from_bytes(content[at:start], "big")
        if start > len(content) or at > len(content):
            raise Malformed(f"entry {len(entries)} of a bundle is cut short")
        entries.append(content[start:at])
    if at != len(content) or len(entries) != width:
        raise Malformed(
            f"a bundle of {width} entries ends after {len(entries)} of them, at octet {at} of {len(content)}"
        )
    return entries
