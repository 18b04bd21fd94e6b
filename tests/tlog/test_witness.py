"""The witness cosigns growth and nothing else, and answers each fault with its own status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from log_samples import ORIGIN, Tree, cosigner_key, entry, log_key, signed, signer, verify

from ocs.tlog import checkpoint, merkle, note, witness
from ocs.tlog.checkpoint import Checkpoint
from ocs.tlog.errors import Malformed
from ocs.tlog.note import Note
from ocs.tlog.witness import AddCheckpoint, Answer, Change, Seen, Status, Witness
from ocs.units import UnixMillis

NOW = UnixMillis(1_700_000_000_000)
KEY = cosigner_key(7)
TREE = Tree([entry(index) for index in range(60)])
FORK = Tree([entry(index) for index in [*range(19), *range(1000, 1041)]])
WITNESS = Witness(KEY, signer(7), {ORIGIN: [log_key(1), log_key(2)]}, verify)


def request(old: int, size: int, tree: Tree = TREE, seed: int = 1, old_said: int | None = None) -> bytes:
    proof = merkle.consistency_proof(old, size, tree)
    return AddCheckpoint(old if old_said is None else old_said, proof, signed(tree.head(size), seed).octets).octets


def ask(body: bytes, size: int = 0) -> Answer:
    return WITNESS.add_checkpoint(body, {ORIGIN: Seen(size, TREE.roots[size])}.__getitem__, NOW)


@given(st.data())
def test_growth_is_cosigned(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 60))
    old = data.draw(st.integers(0, size))
    answer = ask(request(old, size), old)
    head = TREE.head(size)
    assert answer.status is Status.COSIGNED
    assert answer.change == Change(ORIGIN, Seen(old, TREE.roots[old]), Seen(size, TREE.roots[size]))
    lines = note.parse_signatures(answer.body.decode())
    assert note.verified(Note(head.text, lines), [KEY], verify) == {KEY}
    assert [checkpoint.cosigned_at(one) for one in lines] == [NOW]


def test_any_key_of_the_log_will_do_and_unknown_ones_are_passed_over() -> None:
    head = TREE.head(5)
    signatures = (*signed(head, 9).signatures, *signed(head, 2).signatures)
    body = AddCheckpoint(0, (), Note(head.text, signatures).octets).octets
    assert ask(body).status is Status.COSIGNED


def elsewhere(head: Checkpoint) -> bytes:
    """A checkpoint under the signature of another one."""
    return Note(head.text, signed(TREE.head(6)).signatures).octets


OTHER = Checkpoint("another.log", 5, bytes(32))

REFUSALS = {
    "no body": (b"", 0, Status.MALFORMED),
    "no checkpoint": (b"old 0\n\n", 0, Status.MALFORMED),
    "an old size above the checkpoint's": (request(20, 20, old_said=21), 20, Status.MALFORMED),
    "another log": (AddCheckpoint(0, (), signed(OTHER).octets).octets, 0, Status.UNKNOWN_LOG),
    "a key that is not trusted": (request(20, 30, seed=9), 20, Status.NOT_TRUSTED),
    "a signature of another checkpoint": (AddCheckpoint(0, (), elsewhere(TREE.head(5))).octets, 0, Status.NOT_TRUSTED),
    "a log that lags": (request(10, 30), 20, Status.STALE),
    "a log that knows of more": (request(25, 30), 20, Status.STALE),
    "a log that forgot": (request(0, 30), 20, Status.STALE),
    "a checkpoint before the last": (request(10, 15), 20, Status.STALE),
    "another tree": (request(20, 30, FORK), 20, Status.INCONSISTENT),
    "another tree of the same size": (request(20, 20, FORK), 20, Status.INCONSISTENT),
    "a proof of other sizes": (request(19, 30, old_said=20), 20, Status.INCONSISTENT),
    "a proof where none belongs": (request(1, 30, old_said=0), 0, Status.INCONSISTENT),
    "a proof for the same size": (request(19, 20, old_said=20), 20, Status.INCONSISTENT),
    "an empty log with a root": (
        AddCheckpoint(0, (), signed(Checkpoint(ORIGIN, 0, bytes(32))).octets).octets,
        0,
        Status.INCONSISTENT,
    ),
}


@pytest.mark.parametrize(("body", "size", "status"), REFUSALS.values(), ids=REFUSALS)
def test_each_fault_has_its_status(body: bytes, size: int, status: Status) -> None:
    answer = ask(body, size)
    assert answer.status is status
    assert answer.change is None
    if status is Status.STALE:
        assert (answer.body, answer.content_type) == (b"20\n", "text/x.tlog.size")
        assert witness.parse_size(answer.body) == 20
    else:
        assert answer.body.endswith(b"\n")
        assert answer.content_type.startswith("text/plain")


def test_a_refusal_is_plain_to_whoever_wrote_the_request() -> None:
    assert [int(one) for one in Status] == [400, 404, 403, 409, 422, 200]
    assert ask(request(0, 5)[4:]).body == b"old <size> belongs where '0' stands\n"


def test_what_is_not_known_to_be_true_is_not_signed() -> None:
    signatures: list[bytes] = []
    strict = Witness(
        KEY, lambda message: signatures.append(message) or bytes(64), {ORIGIN: [log_key(1), log_key(2)]}, verify
    )
    for body, size, _ in REFUSALS.values():
        strict.add_checkpoint(body, lambda _, size=size: Seen(size, TREE.roots[size]), NOW)
    assert signatures == []


@pytest.mark.parametrize(
    "head",
    [
        "",
        "old",
        "old ",
        "old 01",
        "old -1",
        "old  1",
        "Old 1",
        "old 1 ",
        "old 9223372036854775808",
        "old 1\r",
        "old 1\nAAEC",
        "old 1\n" + "A" * 42 + "B=",
        "old 1\nold 1",
        "old 1" + ("\n" + "A" * 43 + "=") * 64,
        "old ١",
    ],
)
def test_what_is_no_request(head: str) -> None:
    body = f"{head}\n\n".encode() + signed(TREE.head(5)).octets
    with pytest.raises(Malformed):
        witness.parse(body)
    assert ask(body).status is Status.MALFORMED


def test_a_request_has_an_end() -> None:
    assert len(witness.parse(AddCheckpoint(1, (bytes(32),) * 63, b"").octets).hashes) == 63
    with pytest.raises(Malformed, match="at most"):
        witness.parse(bytes(10_000_000))


HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple)


@given(st.builds(AddCheckpoint, st.integers(0, 2**63 - 1), HASHES, st.binary(max_size=50)))
def test_a_request_reads_back(made: AddCheckpoint) -> None:
    assert witness.parse(made.octets) == made


@given(st.binary(max_size=300), st.integers(0, 500), st.binary(max_size=20))
def test_hostile_octets_are_answered(octets: bytes, cut: int, tail: bytes) -> None:
    whole = request(20, 30)
    for body in (octets, b"old 0\n\n" + octets, whole[:cut] + tail + whole[cut:]):
        answer = ask(body, 20)
        assert (answer.status is Status.COSIGNED) == (answer.change is not None)
        assert answer.status is not Status.COSIGNED or body == whole


@pytest.mark.parametrize("body", [b"", b"50", b"050\n", b"\n", b"50\n\n", b"\xff\n", b"-1\n"])
def test_a_size_is_a_line(body: bytes) -> None:
    with pytest.raises(Malformed):
        witness.parse_size(body)


class WitnessedLog(RuleBasedStateMachine):
    """Whatever a log with two faces asks for, all that was cosigned is one history."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self.cosigned: list[Checkpoint] = []

    @rule(
        old=st.integers(0, 60),
        size=st.integers(0, 60),
        tree=st.sampled_from([TREE, FORK]),
        honest=st.booleans(),
        said=st.integers(0, 60),
    )
    def ask(self, old: int, size: int, tree: Tree, honest: bool, said: int) -> None:
        if honest:
            old = said = self.seen.size
        body = request(min(old, size), size, tree, old_said=said)
        answer = WITNESS.add_checkpoint(body, lambda origin: self.seen, NOW)
        if answer.change:
            assert answer.change.before == self.seen
            self.seen = answer.change.after
            self.cosigned.append(tree.head(size))

    @precondition(lambda self: self.cosigned)
    @invariant()
    def one_history(self) -> None:
        last = self.cosigned[-1]
        tree = next(tree for tree in (TREE, FORK) if tree.roots[last.size] == last.root)
        assert all(head.root == tree.roots[head.size] and head.size <= last.size for head in self.cosigned)
        assert self.seen == Seen(last.size, last.root)


TestWitnessedLog = WitnessedLog.TestCase
