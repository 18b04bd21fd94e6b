"""The tree is RFC 6962's, every proof holds, and no changed one does."""

from contextlib import suppress
from functools import cache
from hashlib import sha256

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_samples import Tree, entry, flipped

from ocs.tlog import merkle
from ocs.tlog.errors import Malformed, ProofInvalid
from ocs.tlog.merkle import EMPTY_ROOT, Frontier, verify_consistency, verify_inclusion

# The vectors of the reference code of Certificate Transparency (merkle_tree_test.cc).
CT = Tree(
    [
        bytes.fromhex(text)
        for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
    ]
)
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
CT_INCLUSION = {
    (0, 1): [],
    (0, 8): [A, B, C],
    (5, 8): [D, E, CT_ROOTS[4]],
    (2, 3): [CT_ROOTS[2]],
    (1, 5): [CT_ROOTS[1], B, D],
}
CT_CONSISTENCY = {(1, 1): [], (1, 8): [A, B, C], (6, 8): [F, E, CT_ROOTS[4]], (2, 5): [B, D]}

TREE = Tree([entry(index) for index in range(300)])


@pytest.mark.parametrize("size", range(0, 300, 7))
def test_a_frontier_is_found_in_a_larger_tree(size: int) -> None:
    grown = Frontier()
    for leaf in TREE.leaves[:size]:
        grown.append(leaf)
    found = Frontier.at(size, TREE)
    assert found.packed() == grown.packed()
    for leaf in TREE.leaves[size:]:
        found.append(leaf)
    assert found.root() == TREE.roots[300]


def test_the_published_roots() -> None:
    assert [root.hex() for root in CT.roots] == CT_ROOTS
    assert [merkle.root(size, CT).hex() for size in range(9)] == CT_ROOTS


@pytest.mark.parametrize(("place", "proof"), CT_INCLUSION.items())
def test_the_published_inclusion_proofs(place: tuple[int, int], proof: list[str]) -> None:
    index, size = place
    made = merkle.inclusion_proof(index, size, CT)
    assert [one.hex() for one in made] == proof
    verify_inclusion(CT.leaves[index], index, size, made, bytes.fromhex(CT_ROOTS[size]))


@pytest.mark.parametrize(("sizes", "proof"), CT_CONSISTENCY.items())
def test_the_published_consistency_proofs(sizes: tuple[int, int], proof: list[str]) -> None:
    old, new = sizes
    made = merkle.consistency_proof(old, new, CT)
    assert [one.hex() for one in made] == proof
    verify_consistency(old, new, made, bytes.fromhex(CT_ROOTS[old]), bytes.fromhex(CT_ROOTS[new]))


def test_another_implementation_makes_the_same_roots_and_inclusion_proofs() -> None:
    other = pymerkle.InmemoryTree("sha256")
    other.append_entries(TREE.entries[:70])
    for size in range(1, 71):
        assert other.get_root(size) == TREE.roots[size]
        for index in range(size):
            # Its paths begin with the leaf itself, and it counts leaves from one.
            path = other.prove_inclusion(index + 1, size).path
            assert tuple(path) == (TREE.leaves[index], *merkle.inclusion_proof(index, size, TREE))


def subproof(m: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) word for word as section 2.1.2 has it; pymerkle's path takes another way."""
    n = len(leaves)
    if m == n:
        return [] if whole else [mth(leaves)]
    k = 1 << (n - 1).bit_length() - 1
    if m <= k:
        return [*subproof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


def mth(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return merkle.node_hash(mth(leaves[:k]), mth(leaves[k:]))


def test_consistency_proofs_are_those_of_the_text() -> None:
    for size in range(1, 50):
        for old in range(1, size + 1):
            proof = subproof(old, TREE.leaves[:size], whole=True)
            assert merkle.consistency_proof(old, size, TREE) == tuple(proof)


def test_every_leaf_of_every_size_is_proved() -> None:
    for size in [*range(1, 66), 127, 128, 129, 255, 256, 257, 300]:
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, TREE)
            verify_inclusion(TREE.leaves[index], index, size, proof, TREE.roots[size])


def test_every_two_sizes_are_consistent() -> None:
    for size in [*range(66), 127, 128, 129, 255, 256, 257, 300]:
        for old in range(size + 1):
            proof = merkle.consistency_proof(old, size, TREE)
            verify_consistency(old, size, proof, TREE.roots[old], TREE.roots[size])


@given(st.data())
def test_any_change_of_an_inclusion_proof_is_caught(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    parts = [TREE.leaves[index], TREE.roots[size], *merkle.inclusion_proof(index, size, TREE)]
    place = data.draw(st.integers(0, len(parts) - 1))
    parts[place] = flipped(parts[place], data.draw(st.integers(0, 255)))
    with pytest.raises(ProofInvalid):
        verify_inclusion(parts[0], index, size, parts[2:], parts[1])


@given(st.data())
def test_a_leaf_is_proved_at_its_own_place_only(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    index, other = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    proof = merkle.inclusion_proof(index, size, TREE)
    with pytest.raises(ProofInvalid):
        verify_inclusion(TREE.leaves[index], other, size, proof, TREE.roots[size])


@given(st.data())
def test_any_change_of_a_consistency_proof_is_caught(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    old = data.draw(st.integers(1, size - 1))
    parts = [TREE.roots[old], TREE.roots[size], *merkle.consistency_proof(old, size, TREE)]
    place = data.draw(st.integers(0, len(parts) - 1))
    parts[place] = flipped(parts[place], data.draw(st.integers(0, 255)))
    with pytest.raises(ProofInvalid):
        verify_consistency(old, size, parts[2:], parts[0], parts[1])


@given(st.data())
def test_a_proof_of_another_length_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size - 1))
    inclusion = [*merkle.inclusion_proof(index, size, TREE)]
    consistency = [*merkle.consistency_proof(old, size, TREE)]
    for proof in (inclusion, consistency):
        if data.draw(st.booleans()):
            proof.insert(data.draw(st.integers(0, len(proof))), bytes(32))
        else:
            del proof[data.draw(st.integers(0, len(proof) - 1))]
    with pytest.raises(ProofInvalid, match="is proved by"):
        verify_inclusion(TREE.leaves[index], index, size, inclusion, TREE.roots[size])
    with pytest.raises(ProofInvalid, match="is proved by"):
        verify_consistency(old, size, consistency, TREE.roots[old], TREE.roots[size])


@given(st.integers(2, 300), st.data())
def test_an_interior_node_is_no_leaf(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size // 2 * 2 - 1))
    proof = merkle.inclusion_proof(index, size, TREE)
    node = TREE(1, index // 2)
    for place in (index, index // 2):
        with pytest.raises(ProofInvalid):
            verify_inclusion(node, place, size, proof[1:], TREE.roots[size])
    # And an entry that is two hashes side by side has another hash than the node above them.
    assert merkle.leaf_hash(TREE.leaves[index & ~1] + TREE.leaves[index | 1]) != node


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (8, 8), (-1, 8), (0, 2**63), (2**70, 2**71)])
def test_an_index_outside_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(ProofInvalid, match="has no leaf"):
        merkle.inclusion_proof(index, size, TREE)
    with pytest.raises(ProofInvalid, match="has no leaf"):
        verify_inclusion(bytes(32), index, size, [], bytes(32))


@pytest.mark.parametrize(("old", "size"), [(2, 1), (-1, 1), (1, 0), (1, 2**63)])
def test_a_tree_does_not_shrink(old: int, size: int) -> None:
    with pytest.raises(ProofInvalid, match="does not grow"):
        merkle.consistency_proof(old, size, TREE)
    with pytest.raises(ProofInvalid, match="does not grow"):
        verify_consistency(old, size, [], bytes(32), bytes(32))


def test_what_takes_no_proof_takes_none() -> None:
    root = TREE.roots[5]
    verify_consistency(0, 5, [], EMPTY_ROOT, root)
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    for old, size, proof, old_root in [
        (5, 5, [], TREE.roots[4]),
        (5, 5, [root], root),
        (0, 5, [root], EMPTY_ROOT),
        (0, 5, [], bytes(32)),
    ]:
        with pytest.raises(ProofInvalid):
            verify_consistency(old, size, proof, old_root, root)
    with pytest.raises(ProofInvalid):
        verify_consistency(0, 0, [], EMPTY_ROOT, root)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_has_32_octets(length: int) -> None:
    short = bytes(length)
    for leaf, proof, root in [(short, [bytes(32)], bytes(32)), (bytes(32), [short], bytes(32)), (bytes(32), [], short)]:
        with pytest.raises(ProofInvalid, match="32 octets"):
            verify_inclusion(leaf, 0, 2, proof, root)
        with pytest.raises(ProofInvalid, match="32 octets"):
            verify_consistency(1, 2, proof, leaf, root)


@given(st.integers(0, 299))
def test_a_frontier_lives_on_in_a_snapshot(size: int) -> None:
    frontier = Frontier()
    for leaf in TREE.leaves[:size]:
        frontier.append(leaf)
    again = Frontier.unpacked(frontier.packed())
    apart = frontier.copy()
    assert (again.size, again.root(), again.packed()) == (size, TREE.roots[size], frontier.packed())
    again.append(TREE.leaves[size])
    assert again.root() == TREE.roots[size + 1]
    assert frontier.root() == apart.root() == TREE.roots[size]
    assert len(frontier.packed()) == 8 + 32 * size.bit_count()


@given(st.binary(max_size=120))
def test_a_damaged_frontier_is_refused_or_reads_back(octets: bytes) -> None:
    with suppress(Malformed):
        assert Frontier.unpacked(octets).packed() == octets


@settings(max_examples=50)
@given(st.integers(2, merkle.SIZE_MAX), st.data())
def test_proofs_hold_in_trees_of_any_size(size: int, data: st.DataObject) -> None:
    """In a tree whose nodes are made up where no proof looks below them."""
    index = data.draw(st.integers(0, size - 1))

    @cache
    def read(level: int, place: int) -> bytes:
        # Nodes above the leaf, and above the one after it, are true to their children.
        if level and place in (index >> level, index + 1 >> level):
            return merkle.node_hash(read(level - 1, 2 * place), read(level - 1, 2 * place + 1))
        return sha256(b"%d/%d" % (level, place)).digest()

    root = merkle.root(size, read)
    proof = merkle.inclusion_proof(index, size, read)
    assert len(proof) <= 63
    verify_inclusion(read(0, index), index, size, proof, root)
    old = index + 1
    verify_consistency(old, size, merkle.consistency_proof(old, size, read), merkle.root(old, read), root)
