"""A receipt proves its report and nothing else; proofs are made by the server's own log, and checked apart from it."""

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey
from senders import LOG, MINER, miner, reading, sgw

from ocs.tlog import checkpoint, merkle
from ocs.tlog.checkpoint import Checkpoint
from ocs.tlog.note import Note
from ocs.tlog.proof import LogProof
from signing_door import LOG_KEY, LOG_SIGNER, NodeDoor
from signing_node import SigningNode
from simulator.settlement import wire
from simulator.settlement.door import Status
from simulator.settlement.messages import Counters, Envelope
from simulator.settlement.receipt import LogKey, Proof, Unproven, opened, root_of
from simulator.settlement.signer import Channel


def leaf(number: int) -> bytes:
    return hashlib.sha256(bytes([0]) + number.to_bytes(4, "big")).digest()


@given(st.integers(1, 200), st.data())
def test_every_leaf_of_every_tree_leads_to_its_root(size, data):
    index = data.draw(st.integers(0, size - 1))
    rows = [[leaf(number) for number in range(size)]]
    while len(row := rows[-1]) > 1:
        rows.append([merkle.node_hash(*pair) for pair in zip(row[::2], row[1::2], strict=False)])

    def read(level: int, at: int) -> bytes:
        return rows[level][at]

    hashes = merkle.inclusion_proof(index, size, read)
    root = merkle.root(size, read)
    assert root_of(leaf(index), index, size, hashes) == root
    other = data.draw(st.integers(0, 2 * size))
    if other != index:
        with contextlib.suppress(Unproven):  # another index has another number of hashes
            assert root_of(leaf(index), other, size, hashes) != root
    for wrong in (hashes[:-1], (*hashes, root)):
        if wrong != hashes:
            with pytest.raises(Unproven):
                root_of(leaf(index), index, size, wrong)


@pytest.fixture(scope="module")
def receipted() -> tuple[bytes, str]:
    """A report that a node has counted, and its proof, with other leaves before and after it."""
    node = SigningNode()
    node.channel(10**5)
    door = NodeDoor(node)
    for name in ("sgw;1;1", "sgw;1;2", "sgw;1;3"):
        node.attach(name, ask=10**6)
        session = node.begin(name)
        octets = node.usage(session, 10_000, 20_000)
        outcome = door.decide(octets)
        assert outcome.status is Status.ACCEPTED
        if name == "sgw;1;2":
            kept, index = octets, len(node.leaves) - 1
    return kept, door.proof(index)


def test_a_good_one_gives_its_commit(receipted):
    octets, proof = receipted
    commit = Proof.parse(proof).verify(octets, LOG)
    assert (commit.seq, commit.delta_bytes, commit.delta_dc) == (1, 30_000, 2)
    assert commit.countersign_id == Envelope.decode(octets).message_id
    assert commit.miner_key == MINER.signer


@given(data=st.data())
def test_no_flipped_bit_of_report_or_proof_is_believed(receipted, data):
    octets, proof = receipted
    changed = bytearray(octets + proof.encode())
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    envelope, text = bytes(changed[: len(octets)]), bytes(changed[len(octets) :])
    try:
        told = Proof.parse(text.decode()).verify(envelope, LOG)
    except (Unproven, UnicodeDecodeError, wire.Unreadable):
        return
    # Stray bits behind the last octet of base64 mean nothing; what is proved must be the same.
    assert told == Proof.parse(proof).verify(octets, LOG)
    assert envelope == octets


def test_another_logs_word_is_nothing(receipted):
    octets, proof = receipted
    stranger = LogKey("ocs.example.net/testnet", bytes(SigningKey(bytes([8]) * 32).verify_key))
    with pytest.raises(Unproven, match="no good signature"):
        Proof.parse(proof).verify(octets, stranger)
    with pytest.raises(Unproven, match="no good signature"):
        Proof.parse(proof).verify(octets, LogKey("other.example.net", LOG.public_key))


def test_a_commit_of_another_report_is_seen():
    """A log that holds Commit and envelope together, with the Commit of somebody else, proves nothing."""
    session, init = sgw().begin(reading("sgw;1;1", 0, 0, 1), Counters(), Channel(bytes([3]) * 32, 1, 100))
    octets = miner().countersign(init.encode(), 1, 1).encode()
    commit = b"".join(
        (
            wire.octets(2, session.channel_id),
            wire.octets(4, bytes([7]) * 32),
            wire.octets(5, MINER.signer),
            wire.octets(6, session.session_id),
            wire.octets(12, bytes([1]) * 32),
        )
    )
    root = merkle.leaf_hash(commit + octets)
    proof = LogProof(0, (), signed(Checkpoint(LOG.name, 1, root)).octets, commit).octets.decode()
    with pytest.raises(Unproven, match="counts another report"):
        Proof.parse(proof).verify(octets, LOG)


def signed(head: Checkpoint) -> Note:
    return checkpoint.sign(head, LOG_KEY, lambda message: LOG_SIGNER.sign(message).signature)


def test_cosignatures_are_passed_over():
    note = signed(Checkpoint(LOG.name, 5, bytes(32))).octets.decode()
    head = opened(note + "— witness.example.net AAAAAAAA\n", LOG)
    assert (head.origin, head.size, head.root) == (LOG.name, 5, bytes(32))


@pytest.mark.parametrize(
    "text",
    ["", "name", "name+00000000+AAAA", LOG_KEY.text.replace("+", "+0", 1), LOG_KEY.text[:-2], "x" + LOG_KEY.text],
)
def test_what_is_no_log_key_is_told(text):
    with pytest.raises(Unproven):
        LogKey.parse(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("extra")),
        lambda text: text.replace("\nindex ", "\nindex -"),
        lambda text: text.replace("\nindex ", "\nindex 9"),
        lambda text: text.split("\n\n")[0],
        lambda text: "",
    ],
)
def test_what_is_no_proof_is_told(receipted, change):
    octets, proof = receipted
    with pytest.raises(Unproven):
        Proof.parse(change(proof)).verify(octets, LOG)
