"""A receipt convinces with keys alone, stays small, and no changed one convinces."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_samples import ORIGIN, Tree, cosigner_key, entry, flipped, log_key, signed, signer, verify

from ocs.tlog import checkpoint, merkle, proof
from ocs.tlog.checkpoint import Checkpoint
from ocs.tlog.errors import Malformed, NotTrusted, ProofInvalid
from ocs.tlog.line import base64
from ocs.tlog.note import Note
from ocs.tlog.proof import NO_COSIGNERS, LogProof, Quorum
from ocs.units import UnixMillis

NOW = UnixMillis(1_700_000_000_000)
TREE = Tree([entry(index) for index in range(100)])
WITNESSES = frozenset({cosigner_key(7), cosigner_key(8)})
BOTH = Quorum(WITNESSES, 2)


def cosigned(head: Checkpoint, *seeds: int) -> bytes:
    witnesses = tuple(checkpoint.cosign(head.text, cosigner_key(seed), NOW, signer(seed)) for seed in seeds)
    return Note(head.text, (*signed(head).signatures, *witnesses)).octets


def receipt(index: int, *seeds: int, size: int = 100) -> LogProof:
    return LogProof(index, merkle.inclusion_proof(index, size, TREE), cosigned(TREE.head(size), *seeds))


def check(octets: bytes, index: int, quorum: Quorum = BOTH) -> Checkpoint:
    return proof.verify(octets, entry(index), ORIGIN, [log_key()], quorum, verify)


@given(st.integers(1, 100), st.data())
def test_a_receipt_proves_its_entry(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    assert check(receipt(index, 7, 8, size=size).octets, index) == TREE.head(size)


def test_a_receipt_lies_as_its_format_says() -> None:
    made = receipt(2, size=3)
    assert made.octets.split(b"\n")[:4] == [
        b"c2sp.org/tlog-proof@v1",
        b"index 2",
        base64(TREE.roots[2]).encode(),  # the sibling of the last of three
        b"",
    ]
    assert made.octets.endswith(b"\n\n" + made.checkpoint)
    assert replace(made, extra=b"\0\1\2").octets.split(b"\n")[1] == b"extra AAEC"


def test_a_receipt_is_small() -> None:
    size = 10_000_000

    def read(level: int, index: int) -> bytes:
        return sha256(b"%d/%d" % (level, index)).digest()

    longest = max(
        (merkle.inclusion_proof(index, size, read) for index in (0, 1, size // 2, size - 1, 8_388_607)), key=len
    )
    made = LogProof(0, longest, cosigned(Checkpoint(ORIGIN, size, bytes(32)), 7))
    assert len(longest) == (size - 1).bit_length() == 24
    assert sum(len(one) for one in longest) < 1000
    assert len(made.octets) < 2000


@given(st.data())
def test_any_flipped_bit_is_caught(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, 99))
    octets = receipt(index, 7, 8).octets
    with pytest.raises((Malformed, NotTrusted, ProofInvalid)):
        check(flipped(octets, data.draw(st.integers(0, 8 * len(octets) - 1))), index)


def test_another_entry_is_not_proved() -> None:
    octets = receipt(5, 7, 8).octets
    for other in (b"", entry(4), entry(5)[:-1], entry(5) + b"\0"):
        with pytest.raises(ProofInvalid, match="is not in the tree"):
            proof.verify(octets, other, ORIGIN, [log_key()], BOTH, verify)
    # Two leaf hashes side by side, shown as one entry, are no leaf.
    shorter = replace(receipt(4), hashes=receipt(4).hashes[1:]).octets
    with pytest.raises(ProofInvalid):
        proof.verify(shorter, TREE.leaves[4] + TREE.leaves[5], ORIGIN, [log_key()], NO_COSIGNERS, verify)


@pytest.mark.parametrize("index", [100, 2**63 - 1])
def test_an_index_outside_the_tree_is_refused(index: int) -> None:
    with pytest.raises(ProofInvalid, match="has no leaf"):
        check(replace(receipt(5, 7, 8), index=index).octets, 5)


def test_the_log_must_be_the_one_meant_and_its_key_known() -> None:
    octets = receipt(5, 7, 8).octets
    with pytest.raises(ProofInvalid, match="of the log"):
        proof.verify(octets, entry(5), "another.log", [log_key()], BOTH, verify)
    with pytest.raises(NotTrusted, match="itself"):
        proof.verify(octets, entry(5), ORIGIN, [log_key(2)], BOTH, verify)
    with pytest.raises(NotTrusted, match="no signature"):
        proof.verify(octets, entry(5), ORIGIN, [log_key(2)], NO_COSIGNERS, verify)
    # An old key and a new one: either will do.
    assert proof.verify(octets, entry(5), ORIGIN, [log_key(2), log_key()], BOTH, verify) == TREE.head()


def test_as_many_cosigners_as_the_quorum_asks_for() -> None:
    one, both = Quorum(WITNESSES, 1), BOTH
    assert check(receipt(5).octets, 5, NO_COSIGNERS) == TREE.head()
    assert check(receipt(5, 7).octets, 5, one) == TREE.head()
    assert check(receipt(5, 9, 8).octets, 5, one) == TREE.head()
    for seeds, quorum in [((), one), ((9,), one), ((7,), both), ((7, 7), both), ((8, 9), both)]:
        with pytest.raises(NotTrusted, match="must have"):
            check(receipt(5, *seeds).octets, 5, quorum)
    with pytest.raises(AssertionError):
        Quorum(WITNESSES, 3)


def test_a_bad_cosignature_of_a_known_cosigner_refuses_the_receipt() -> None:
    elsewhere = checkpoint.cosign(TREE.head(99).text, cosigner_key(8), NOW, signer(8))
    octets = receipt(5, 7).octets + elsewhere.line.encode()
    with pytest.raises(NotTrusted, match="does not hold"):
        check(octets, 5, Quorum(WITNESSES, 1))
    assert check(octets, 5, Quorum(frozenset({cosigner_key(7)}), 1)) == TREE.head()


HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple)


@given(st.builds(LogProof, st.integers(0, 2**63 - 1), HASHES, st.binary(max_size=50), st.binary(max_size=50)))
def test_a_proof_reads_back(made: LogProof) -> None:
    assert proof.parse(made.octets) == made


HASH = "A" * 43 + "="


@pytest.mark.parametrize(
    "head",
    [
        "",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v2\nindex 1",
        "\nc2sp.org/tlog-proof@v1\nindex 1",
        "c2sp.org/tlog-proof@v1 \nindex 1",
        "c2sp.org/tlog-proof@v1\r\nindex 1",
        "c2sp.org/tlog-proof@v1\nindex",
        "c2sp.org/tlog-proof@v1\nindex ",
        "c2sp.org/tlog-proof@v1\nindex 01",
        "c2sp.org/tlog-proof@v1\nindex -1",
        "c2sp.org/tlog-proof@v1\nindex  1",
        "c2sp.org/tlog-proof@v1\nindex 9223372036854775808",
        "c2sp.org/tlog-proof@v1\nextra AAEC",
        "c2sp.org/tlog-proof@v1\nextra \nindex 1",
        "c2sp.org/tlog-proof@v1\nextra AAE\nindex 1",
        "c2sp.org/tlog-proof@v1\nextra AAEC\nextra AAEC\nindex 1",
        "c2sp.org/tlog-proof@v1\nindex 1\nextra AAEC",
        "c2sp.org/tlog-proof@v1\nindex 1\nAAEC",
        f"c2sp.org/tlog-proof@v1\nindex 1\n{HASH} ",
        f"c2sp.org/tlog-proof@v1\nindex 1\n{HASH[:-2]}B=",
        "c2sp.org/tlog-proof@v1\nindex 1" + f"\n{HASH}" * 64,
        "c2sp.org/tlog-proof@v1\nindex ١",
    ],
)
def test_what_is_no_proof(head: str) -> None:
    with pytest.raises(Malformed):
        proof.parse(f"{head}\n\n".encode() + cosigned(TREE.head()))


def test_a_proof_has_an_end() -> None:
    with pytest.raises(Malformed, match="at most"):
        proof.parse(bytes(10_000_000))
    with pytest.raises(Malformed, match="empty line"):
        proof.parse(b"c2sp.org/tlog-proof@v1\nindex 1\n")


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_hostile_octets_meet_the_documented_errors_only(head: bytes, tail: bytes) -> None:
    for octets in (head, b"c2sp.org/tlog-proof@v1\nindex 1\n\n" + head, receipt(5).octets[: len(head)] + tail):
        with pytest.raises((Malformed, NotTrusted, ProofInvalid)):
            check(octets, 5)
