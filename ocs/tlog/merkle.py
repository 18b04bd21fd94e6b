"""The Merkle tree of a log, and what proves that a leaf is in it and that it only grew.  RFC 6962 section 2.1, SHA-256.

A tree of n > 1 leaves is two: the largest power of two below n stands left, the rest right.  So a tree is a row of
perfect subtrees, one for each bit of its size, and growing it never changes a perfect subtree.  A perfect subtree is
named by its level and its place: node (l, i) spans the leaves from i * 2^l up to, without, (i + 1) * 2^l.

`Frontier` holds that row and is all that appending needs.  Proofs are made from nodes that the store reads; both making
and checking one follow `_turns`, the way from the root down.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from ocs.tlog.errors import Malformed, ProofInvalid

HASH_OCTETS: Final = 32
EMPTY_ROOT: Final = sha256().digest()
SIZE_MAX: Final = 2**63 - 1
"""What other implementations hold in a signed 64-bit integer; at a million leaves a second it lasts for ever."""

NodeReader = Callable[[int, int], bytes]
"""Gives the hash of node (level, index), 32 octets; it is asked for perfect subtrees inside the tree only."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry as a leaf: a prefix of its own, so that no interior node passes for one."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into the one above them."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The perfect subtrees of a tree, left to right: what it takes to append and to know the root.

    At rest: size (8, big-endian), then the hashes (32 each), as many as the size has bits set.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self) -> None:
        self.size = 0
        self._hashes: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add one leaf by its hash; costs one node hash on average."""
        hashes = self._hashes
        bits = self.size
        node = leaf
        while bits & 1:  # a subtree of this height stands already: join the two
            node = sha256(b"\x01" + hashes.pop() + node).digest()
            bits >>= 1
        hashes.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Give the root of the tree as it is."""
        if not self._hashes:
            return EMPTY_ROOT
        *left, root = self._hashes
        for node in reversed(left):
            root = node_hash(node, root)
        return root

    @staticmethod
    def at(size: int, read: NodeReader) -> "Frontier":
        """Give the frontier of a larger tree's first `size` leaves, as it was when there were no more."""
        frontier = Frontier()
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                frontier._hashes.append(read(level, frontier.size >> level))
                frontier.size += 1 << level
        return frontier

    def copy(self) -> "Frontier":
        """Give one that grows apart from this one."""
        other = Frontier()
        other.size = self.size
        other._hashes = self._hashes.copy()
        return other

    def packed(self) -> bytes:
        """Write it for a snapshot."""
        return self.size.to_bytes(8, "big") + b"".join(self._hashes)

    @staticmethod
    def unpacked(octets: bytes) -> "Frontier":
        """Read it from a snapshot.

        Raises:
            Malformed: it is cut, too long or above 2^63 - 1 leaves.
        """
        size = int.from_bytes(octets[:8], "big")
        if size > SIZE_MAX or len(octets) != 8 + HASH_OCTETS * size.bit_count():
            raise Malformed(f"a packed frontier of {size} leaves cannot have {len(octets)} octets")
        frontier = Frontier()
        frontier.size = size
        frontier._hashes = [octets[at : at + HASH_OCTETS] for at in range(8, len(octets), HASH_OCTETS)]
        return frontier


class LeafCount:
    """How many leaves a tree has that somebody else grows."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size


class _Turn(NamedTuple):
    """One step down from the root: the way goes to one side, and the other side, D[start:end], goes into the proof."""

    start: int
    end: int
    left: bool  # the side that goes into the proof stands left


def _middle(start: int, end: int) -> int:
    """Give where D[start:end] is split: the largest power of two below its width, from its start."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def _turns(index: int, size: int) -> Iterator[_Turn]:
    """Walk from the root of D[0:size] to the leaf `index`."""
    start, end = 0, size
    while end - start > 1:
        middle = _middle(start, end)
        if index < middle:
            yield _Turn(middle, end, left=False)
            end = middle
        else:
            yield _Turn(start, middle, left=True)
            start = middle


def _turns_to_edge(old_size: int, size: int) -> Iterator[_Turn]:
    """Walk from the root of D[0:size] to the subtree in which the tree of `old_size` leaves ended.

    Everything left of that subtree, and the subtree itself, is common to both trees.
    """
    start, end = 0, size
    while end != old_size:
        middle = _middle(start, end)
        if old_size <= middle:
            yield _Turn(middle, end, left=False)
            end = middle
        else:
            yield _Turn(start, middle, left=True)
            start = middle


def _subtree(start: int, end: int, read: NodeReader) -> bytes:
    """Hash D[start:end], one side of a split: its perfect subtrees, folded from the right."""
    node = b""
    while width := end - start:
        level = (width & -width).bit_length() - 1
        end -= 1 << level
        perfect = read(level, end >> level)
        node = node_hash(perfect, node) if node else perfect
    return node


def root(size: int, read: NodeReader) -> bytes:
    """Give the root of the first `size` leaves."""
    return _subtree(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: NodeReader) -> tuple[bytes, ...]:
    """Prove that leaf `index` is in the tree of `size` leaves.  Section 2.1.1.

    Returns:
        hashes from the leaf's sibling to the child of the root, at most 63.

    Raises:
        ProofInvalid: that tree has no such leaf.
    """
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofInvalid(f"a tree of {size} leaves has no leaf {index}")
    return tuple(_subtree(turn.start, turn.end, read) for turn in [*_turns(index, size)][::-1])


def consistency_proof(old_size: int, size: int, read: NodeReader) -> tuple[bytes, ...]:
    """Prove that the tree of `size` leaves begins with the tree of `old_size` leaves.  Section 2.1.2.

    Returns:
        hashes, the lowest first; none where the sizes are equal or the old tree was empty.

    Raises:
        ProofInvalid: the old tree is the larger one.
    """
    if not 0 <= old_size <= size <= SIZE_MAX:
        raise ProofInvalid(f"a tree of {size} leaves does not grow from one of {old_size}")
    if old_size == 0:
        return ()
    turns = [*_turns_to_edge(old_size, size)][::-1]
    hashes = [_subtree(turn.start, turn.end, read) for turn in turns]
    # Where the old tree is itself a subtree of the new one, who checks knows its hash: it is the old root.
    if start := _edge_start(turns):
        hashes.insert(0, _subtree(start, old_size, read))
    return tuple(hashes)


def _edge_start(turns: Sequence[_Turn]) -> int:
    """Give where the common subtree begins, from the turns that lead to it, the lowest first."""
    return next((turn.end for turn in turns if turn.left), 0)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf with hash `leaf` stands at `index` in the tree of `size` leaves with this root.

    Raises:
        ProofInvalid: it is not shown to; the text says why.
    """
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofInvalid(f"a tree of {size} leaves has no leaf {index}")
    _check_lengths(leaf, root, *proof)
    turns = [*_turns(index, size)][::-1]
    # An interior node shown as a leaf is nearer to the root than any leaf of this place: its proof is too short.
    if len(proof) != len(turns):
        raise ProofInvalid(f"leaf {index} of {size} is proved by {len(turns)} hashes, not by {len(proof)}")
    node = leaf
    for turn, other in zip(turns, proof, strict=True):
        node = node_hash(other, node) if turn.left else node_hash(node, other)
    if node != root:
        raise ProofInvalid(
            f"leaf {index} with hash {leaf.hex()} is not in the tree of {size} leaves, root {root.hex()}"
        )


def verify_consistency(old_size: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes) -> None:
    """Check that the tree of `size` leaves begins with the tree of `old_size` leaves.

    Any tree begins with the empty one, and a tree of the same size is the same tree; both take no hashes.

    Raises:
        ProofInvalid: it is not shown to; the text says why.
    """
    if not 0 <= old_size <= size <= SIZE_MAX:
        raise ProofInvalid(f"a tree of {size} leaves does not grow from one of {old_size}")
    _check_lengths(old_root, root, *proof)
    turns = [*_turns_to_edge(old_size, size)][::-1] if old_size else []
    start = _edge_start(turns)
    expected = len(turns) + (start > 0)
    if len(proof) != expected:
        raise ProofInvalid(f"growth from {old_size} to {size} is proved by {expected} hashes, not by {len(proof)}")
    if old_size == 0:
        old, new = EMPTY_ROOT, root if size else EMPTY_ROOT
    else:
        old = new = proof[0] if start else old_root
    for turn, other in zip(turns, proof[1:] if start else proof, strict=True):
        if turn.left:
            old, new = node_hash(other, old), node_hash(other, new)
        else:
            new = node_hash(new, other)
    if old != old_root:
        raise ProofInvalid(f"the proof is not for the tree of {old_size} leaves with root {old_root.hex()}")
    if new != root:
        raise ProofInvalid(f"the tree of {size} leaves with root {root.hex()} does not begin with that of {old_size}")


def _check_lengths(*hashes: bytes) -> None:
    for one in hashes:
        if len(one) != HASH_OCTETS:
            raise ProofInvalid(f"a hash has {HASH_OCTETS} octets, not {len(one)}")
