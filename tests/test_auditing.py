"""An audit of real closures: what it finds is what the ledger says, and every attack on a closure has its first fault.

The rows are those of the settlement's attacks: 24 a wrong Close, 25 a leaf left out, 26 a log that was changed, 27 a
receipt that proves nothing.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec
import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import closures
from closures import LOG, LOG_KEY, PAIRS, TRUST, Handover, audited, settled
from ocs import auditing
from ocs.auditing import Audit, Fault, Receipt, Trust
from ocs.channel.channel import Summary as Counted
from ocs.channel.closure_file import read, write
from ocs.channel.leaf import head_of, join, take
from ocs.channel.record import CHANNEL_CLOSE_TYPE, CHANNEL_OPEN_TYPE, ChannelOpen, Commit, Summary
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner
from ocs.signed.refusal import Refusal
from ocs.tlog import checkpoint, proof
from ocs.tlog.checkpoint import Checkpoint, CosignerKey
from ocs.tlog.merkle import leaf_hash, node_hash
from ocs.tlog.note import VerifierKey
from ocs.tlog.proof import LogProof, Quorum
from ocs.units import UnixMillis
from signed_reports import SGW
from signing_node import OWNER

NODE = settled()
FIRST, SECOND = Handover(NODE, 1), Handover(NODE, 2)
OCTETS = FIRST.octets()
TOGETHER: Final = replace(TRUST, pairs=PAIRS)


def fault(octets: bytes, trust: Trust = TRUST, receipt: Receipt | None = None) -> Fault:
    found = audited(octets, trust, receipt)
    assert found.fault is not None
    assert not found.is_verified
    return found.fault


# What is right


@pytest.mark.parametrize("number", [1, 2])
def test_its_figures_are_the_ledgers(number: int) -> None:
    channel = NODE.state.signed.channels.by_number[number]
    found = audited(Handover(NODE, number).octets(), TOGETHER)
    assert found.fault is None
    assert found.is_verified
    assert found.recount is not None
    assert (found.recount.used, found.recount.commits) == (channel.used, channel.commits)
    assert found.recount.summaries == channel.summaries
    assert found.entries == len(NODE.leaves) - Handover(NODE, number).first


def test_a_plain_recount_agrees() -> None:
    """Add up what the Commits say, without any of the code that audits."""
    plain: dict[bytes, Counted] = {}
    for leaf in NODE.leaves:
        if leaf.startswith(head_of(FIRST.channel_id)):
            commit = take(leaf).commit
            summary = plain.setdefault(commit.miner_key, Counted())
            summary.count(commit.delta_dc, commit.delta_bytes, begins=commit.seq == 0)
    found = audited(OCTETS)
    assert found.recount is not None
    assert found.recount.summaries == plain
    assert len(plain) == 2


def test_the_closure_covers_what_it_should() -> None:
    assert SECOND.first > 0, "the second channel begins inside the log"
    assert len({leaf[:36] for leaf in NODE.leaves[SECOND.first :]}) == 2, "and the leaves of both are mixed"
    summary = NODE.state.signed.channels.by_number[1].summaries
    assert sum(one.sessions for one in summary.values()) == 3


def test_the_root_is_what_another_implementation_computes() -> None:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for leaf in NODE.leaves:
        tree.append_entry(leaf)
    found = audited(OCTETS)
    assert found.head is not None
    assert found.head.root == tree.get_root()


def test_without_keys_it_takes_those_of_the_file() -> None:
    found = audited(OCTETS, Trust())
    assert found.is_verified
    assert found.log_key == LOG_KEY
    assert found.opened is not None
    assert found.opened.owner_key[1:] == OWNER.public_key


def test_a_channel_without_a_commit() -> None:
    node = settled()
    node.channel(100, epochs=1)
    for _ in range(2):
        node.later(3 * closures.EPOCH_MS)
        node.tend()
    made = Handover(node, 3)
    found = audited(made.octets())
    assert found.fault is None
    assert (found.entries, found.close and found.close.summaries) == (0, ())


# Row 24: the Close


OTHER = Summary(b"\x01" + bytes(32), 0, 0, 0, 0)
CLOSE = FIRST.proposed()


def summaries(**changes: Any) -> dict[str, Any]:
    return {"summaries": (msgspec.structs.replace(CLOSE.summaries[0], **changes), *CLOSE.summaries[1:])}


WRONG_CLOSES: dict[str, tuple[dict[str, Any], Refusal, str]] = {
    "another channel's": ({"channel_id": SECOND.channel_id}, Refusal.WRONG_CHANNEL, "the Close"),
    "a second one": ({"nonce": 2}, Refusal.STALE_NONCE, "the Close"),
    "an older nonce": ({"nonce": 0}, Refusal.STALE_NONCE, "the Close"),
    "used above the amount": ({"used_dc": 2001, "refund_dc": 0}, Refusal.OVERSPENT, "the Close"),
    "unsorted": ({"summaries": CLOSE.summaries[::-1]}, Refusal.SUMMARIES_UNSORTED, "the Close"),
    "one key twice": ({"summaries": (CLOSE.summaries[0], *CLOSE.summaries)}, Refusal.SUMMARIES_DUPLICATE, "the Close"),
    "a credit too many": ({"used_dc": CLOSE.used_dc + 1}, Refusal.WRONG_SUM, "the Close"),
    "a miner's credits": (summaries(num_dcs=CLOSE.summaries[0].num_dcs - 1), Refusal.WRONG_SUM, "the Close"),
    "a miner's octets": (summaries(num_bytes=CLOSE.summaries[0].num_bytes + 1), Refusal.WRONG_SUM, "the Close"),
    "a miner left out": ({"summaries": CLOSE.summaries[1:]}, Refusal.WRONG_SUM, "the Close"),
    "a miner too many": ({"summaries": (OTHER, *CLOSE.summaries)}, Refusal.WRONG_SUM, "the Close"),
    "another root": ({"log_root": bytes(32)}, Refusal.WRONG_ROOT, "the checkpoint"),
    "another size": ({"log_size": CLOSE.log_size - 1}, Refusal.WRONG_ROOT, "the checkpoint"),
    "a refund too large": ({"refund_dc": CLOSE.refund_dc + 1}, Refusal.WRONG_REFUND, "the Close"),
    "a refund too small": ({"refund_dc": CLOSE.refund_dc - 1}, Refusal.WRONG_REFUND, "the Close"),
}


@pytest.mark.fault(65)
@pytest.mark.parametrize("name", WRONG_CLOSES)
def test_24_a_close_that_is_wrong_in_one_thing(name: str) -> None:
    changes, code, place = WRONG_CLOSES[name]
    assert fault(Handover(NODE, close=changes).octets())[:2] == (code, place)


def test_24_two_closes_are_no_closure() -> None:
    closed = FIRST.file().closed
    record = b"\x02" + len(closed).to_bytes(4, "big") + closed
    at = OCTETS.index(record)
    told = fault(OCTETS[:at] + record + OCTETS[at:])
    assert (told.code, told.place) == (Refusal.MALFORMED, "the file")
    assert "its kind is 2, and PRICE belongs here" in told.detail


def test_24_only_the_owner_closes() -> None:
    assert fault(Handover(NODE, owner=SGW).octets(), Trust())[:2] == (Refusal.SIGNER_MISMATCH, "the Close")


# Open, log key, price and register


def resealed_open(by: SeedSigner, **changes: Any) -> bytes:
    opened = ChannelOpen.decode(envelope.decode(FIRST.opened).payload)
    return envelope.seal(CHANNEL_OPEN_TYPE, msgspec.structs.replace(opened, **changes).encode(), by)


def test_another_amount_is_another_channel() -> None:
    told = fault(FIRST.octets(opened=resealed_open(OWNER, amount_dc=10**6)))
    assert told[:2] == (Refusal.WRONG_CHANNEL, "the Close")


def test_an_open_is_signed_by_the_owner_it_names() -> None:
    assert fault(FIRST.octets(opened=resealed_open(SGW)))[:2] == (Refusal.SIGNER_MISMATCH, "the Open")


def test_envelopes_of_other_types_are_none() -> None:
    payload = envelope.decode(FIRST.opened).payload
    opened = envelope.seal(CHANNEL_CLOSE_TYPE, payload, OWNER)
    assert fault(FIRST.octets(opened=opened))[:2] == (Refusal.MALFORMED, "the Open")


@pytest.mark.parametrize(
    ("trust", "code", "place"),
    [
        (replace(TRUST, owner=SGW.public_key), Refusal.BAD_KEY, "the Open"),
        (replace(TRUST, log_key=VerifierKey(LOG_KEY.name, SGW.public_key)), Refusal.BAD_KEY, "the log's key"),
        (replace(TRUST, log_key=VerifierKey("another.example", LOG.public_key)), Refusal.BAD_KEY, "the log's key"),
        (replace(TRUST, per_octets=100_000), Refusal.WRONG_SUM, "the price"),
        (replace(TRUST, pairs=frozenset()), Refusal.UNPAIRED, "entry 0, commit 0 of the channel"),
    ],
)
def test_what_is_known_from_elsewhere_counts(trust: Trust, code: Refusal, place: str) -> None:
    assert fault(OCTETS, trust)[:2] == (code, place)


def test_a_pair_that_is_not_registered_is_named_where_it_first_signs() -> None:
    others = frozenset(pair for pair in PAIRS if pair[0][1:] != closures.OTHER_SGW.public_key)
    told = fault(OCTETS, replace(TRUST, pairs=others))
    assert told[:2] == (Refusal.UNPAIRED, "entry 2, commit 2 of the channel")


def test_another_price_shows_in_the_sums() -> None:
    assert fault(FIRST.octets(per_octets=10_000), replace(TRUST, per_octets=0)).code is Refusal.WRONG_SUM


# Cosigners


WITNESS = SeedSigner(bytes.fromhex("0c" * 32))
COSIGNER = CosignerKey("witness.example", WITNESS.public_key)


def cosigned() -> bytes:
    text = FIRST.signed_head().text
    return Handover(NODE, cosignatures=(checkpoint.cosign(text, COSIGNER, UnixMillis(1000), WITNESS.sign),)).octets()


def test_a_quorum_of_cosigners() -> None:
    asked = replace(TRUST, quorum=Quorum(frozenset({COSIGNER}), 1))
    assert audited(cosigned(), asked).is_verified
    assert audited(cosigned()).is_verified
    told = fault(OCTETS, asked)
    assert told[:2] == (Refusal.BAD_SIGNATURE, "the checkpoint")
    assert told.detail == "0 of the cosigners have signed; 1 must have"


# Row 25: the challenge


@pytest.mark.parametrize("index", [0, 3, 9])
def test_25_a_receipt_of_a_counted_leaf_is_held(index: int) -> None:
    found = audited(OCTETS, TRUST, FIRST.receipt(index))
    assert found.is_verified
    assert found.receipt_held is True


def test_25_a_leaf_may_be_shown_whole() -> None:
    receipt = FIRST.receipt(3)
    plain = replace(proof.parse(receipt.proof), extra=b"")
    assert audited(OCTETS, TRUST, Receipt(plain.octets, NODE.leaves[3])).receipt_held is True
    assert fault(OCTETS, TRUST, Receipt(plain.octets, receipt.report))[:2] == (Refusal.PROOF_INVALID, "the receipt")


def cut_off(size: int) -> Handover:
    """Close the channel by a log that ends before its last leaves, with sums that fit."""
    leaves = NODE.leaves[:size]
    counted: dict[bytes, Counted] = {}
    for leaf in leaves:
        if leaf.startswith(head_of(FIRST.channel_id)):
            commit = take(leaf).commit
            one = counted.setdefault(commit.miner_key, Counted())
            one.count(commit.delta_dc, commit.delta_bytes, begins=commit.seq == 0)
    used = sum(one.credits for one in counted.values())
    told = tuple(
        Summary(key, one.commits, one.credits, one.octets, one.sessions) for key, one in sorted(counted.items())
    )
    return Handover(NODE, leaves=leaves, close={"used_dc": used, "refund_dc": 2000 - used, "summaries": told})


@pytest.mark.fault(65)
def test_25_a_close_without_a_miners_last_leaf_loses_the_challenge() -> None:
    made = cut_off(10)
    assert audited(made.octets()).is_verified, "by itself nothing is wrong with it"
    left_out = next(at for at in range(10, 17) if NODE.leaves[at].startswith(head_of(FIRST.channel_id)))
    found = audited(made.octets(), TRUST, FIRST.receipt(left_out))
    assert found.receipt_held is False
    assert found.fault is not None
    assert found.fault[:2] == (Refusal.WRONG_SUM, "the receipt")
    assert f"the log has the receipt's leaf as its entry {left_out}" in found.fault.detail
    assert audited(made.octets(), TRUST, FIRST.receipt(3)).is_verified


def test_25_a_log_that_signed_another_entry_loses_the_challenge() -> None:
    """Make a second log, signed by the same key, in which the channel's last commit was made at another time."""
    last = max(at for at, leaf in enumerate(NODE.leaves) if leaf.startswith(head_of(FIRST.channel_id)))
    leaf = take(NODE.leaves[last])
    commit = msgspec.structs.replace(leaf.commit, committed_at_ms=leaf.commit.committed_at_ms + 1)
    leaves = [*NODE.leaves[:last], join(commit.encode(), leaf.countersigned), *NODE.leaves[last + 1 :]]
    forked = Handover(NODE, leaves=leaves)
    assert audited(forked.octets()).is_verified
    told = fault(forked.octets(), TRUST, FIRST.receipt(last))
    assert told[:2] == (Refusal.WRONG_ROOT, "the receipt")
    assert f"the log signed two entries {last}" in told.detail


def test_25_a_leaf_that_is_left_out_of_the_log_is_missed() -> None:
    for place in range(len(NODE.leaves) - 1):
        leaves = [*NODE.leaves[:place], *NODE.leaves[place + 1 :]]
        made = Handover(NODE, leaves=leaves)
        if NODE.leaves[place].startswith(head_of(FIRST.channel_id)):
            assert fault(made.octets()).code is Refusal.WRONG_SUM
        else:  # no leaf of this channel: whoever needs it has a log of another root
            assert audited(made.octets()).is_verified


# Row 26: the log


def with_leaf(place: int, leaf: bytes) -> list[bytes]:
    return [*NODE.leaves[:place], leaf, *NODE.leaves[place + 1 :]]


def forged(place: int, forge: Callable[[Commit], Commit]) -> bytes:
    leaf = take(NODE.leaves[place])
    return join(forge(leaf.commit).encode(), leaf.countersigned)


@pytest.mark.parametrize("place", range(len(NODE.leaves)))
def test_26_an_entry_that_was_rewritten(place: int) -> None:
    leaf = forged(place, lambda commit: msgspec.structs.replace(commit, committed_at_ms=1))
    told = fault(FIRST.octets(entries=with_leaf(place, leaf)))
    follows = any(one.startswith(head_of(FIRST.channel_id)) for one in NODE.leaves[place + 1 :]) and NODE.leaves[
        place
    ].startswith(head_of(FIRST.channel_id))
    # The chain of the channel's commits shows it, or else the root does.
    assert told.code is (Refusal.WRONG_SUM if follows else Refusal.WRONG_ROOT)


def test_26_an_entry_that_was_dropped_or_comes_twice() -> None:
    foreign = next(at for at, leaf in enumerate(NODE.leaves) if leaf.startswith(head_of(SECOND.channel_id)))
    dropped = [*NODE.leaves[:foreign], *NODE.leaves[foreign + 1 :]]
    assert fault(FIRST.octets(entries=dropped))[:2] == (Refusal.WRONG_ROOT, "the log")
    told = fault(FIRST.octets(entries=[*NODE.leaves, NODE.leaves[foreign]]))
    assert told == (Refusal.WRONG_ROOT, "the end of the file", "the Close cites fewer entries")


@pytest.mark.parametrize("size", [0, 1, 16])
def test_26_a_log_that_was_truncated(size: int) -> None:
    assert fault(FIRST.octets(entries=NODE.leaves[:size]))[:2] == (Refusal.WRONG_ROOT, "the log")


def test_26_a_frontier_of_another_log() -> None:
    octets = SECOND.octets(before=closures.tree_of([b"x"] * SECOND.first))
    assert fault(octets)[:2] == (Refusal.WRONG_ROOT, "the log")


def test_26_a_channel_that_began_before_the_first_entry() -> None:
    told = fault(FIRST.octets(before=closures.tree_of(NODE.leaves[:1]), entries=NODE.leaves[1:]))
    assert told[:2] == (Refusal.WRONG_SUM, "entry 1, commit 0 of the channel")


def test_26_a_checkpoint_that_forks() -> None:
    """Cite a tree that the log has signed too, and show the entries of the other one."""
    other = closures.tree_of(NODE.leaves[::-1])
    head = Checkpoint(LOG_KEY.name, other.size, other.root())
    signed = checkpoint.sign(head, LOG_KEY, LOG.sign).octets
    assert fault(FIRST.octets(checkpoint=signed))[:2] == (Refusal.WRONG_ROOT, "the checkpoint")
    made = Handover(NODE, close={"log_root": other.root()})
    assert fault(made.octets(checkpoint=signed))[:2] == (Refusal.WRONG_ROOT, "the log")


def test_26_a_checkpoint_of_another_log_or_signer() -> None:
    head = Checkpoint("another.example", len(NODE.leaves), closures.tree_of(NODE.leaves).root())
    signed = checkpoint.sign(head, VerifierKey("another.example", LOG.public_key), LOG.sign).octets
    assert fault(FIRST.octets(checkpoint=signed))[:2] == (Refusal.PROOF_INVALID, "the checkpoint")
    own = checkpoint.sign(replace(head, origin=LOG_KEY.name), LOG_KEY, SGW.sign).octets
    assert fault(FIRST.octets(checkpoint=own))[:2] == (Refusal.BAD_SIGNATURE, "the checkpoint")


def test_26_a_report_is_counted_by_one_channel_and_with_its_own_signatures() -> None:
    place = 4
    leaf = take(NODE.leaves[place])
    signed = bytearray(leaf.countersigned)
    signed[-1] ^= 1
    told = fault(Handover(NODE, leaves=with_leaf(place, join(leaf.payload, bytes(signed)))).octets())
    assert told[:2] == (Refusal.BAD_SIGNATURE, f"entry {place}, commit {leaf.commit.index} of the channel")
    cut = fault(Handover(NODE, leaves=with_leaf(place, leaf.payload)).octets())
    assert cut[:2] == (Refusal.MALFORMED, f"entry {place}, commit {leaf.commit.index} of the channel")


def test_26_a_leaf_is_bounded() -> None:
    place = 4
    large = NODE.leaves[place] + bytes(auditing.CHANNEL_LEAF_OCTETS_MAX)
    assert fault(Handover(NODE, leaves=with_leaf(place, large)).octets())[:2] == (Refusal.MALFORMED, f"entry {place}")


def test_26_a_leaf_has_one_spelling() -> None:
    place = 4
    leaf = take(NODE.leaves[place])
    twice = head_of(FIRST.channel_id) + leaf.payload
    told = fault(Handover(NODE, leaves=with_leaf(place, twice + leaf.countersigned)).octets())
    assert told[:2] == (Refusal.MALFORMED, f"entry {place}")


def test_the_first_of_two_faults_is_told() -> None:
    """A fault that waits in a window comes before one that is seen while reading on."""
    wrong = forged(3, lambda commit: msgspec.structs.replace(commit, delta_dc=commit.delta_dc + 1))
    octets = FIRST.octets(entries=with_leaf(3, wrong))
    at = octets.index(NODE.leaves[6]) - 5
    assert fault(octets[:at] + b"\x00" + octets[at + 1 :])[:2] == (
        Refusal.WRONG_SUM,
        f"entry 3, commit {take(wrong).commit.index} of the channel",
    )


@pytest.mark.parametrize("window", [1, 2, 5])
def test_windows_change_nothing(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "WINDOW", window)
    assert audited(OCTETS, TOGETHER).is_verified
    wrong = forged(8, lambda commit: msgspec.structs.replace(commit, delta_dc=commit.delta_dc + 1))
    assert fault(FIRST.octets(entries=with_leaf(8, wrong))).place.startswith("entry 8, ")


# Row 27: receipts that prove nothing


def test_27_a_receipt_beyond_the_tree_proves_nothing() -> None:
    receipt = FIRST.receipt(3)
    beyond = replace(proof.parse(receipt.proof), index=len(NODE.leaves))
    told = fault(OCTETS, TRUST, Receipt(beyond.octets, receipt.report))
    assert told[:2] == (Refusal.PROOF_INVALID, "the receipt")


def test_27_an_interior_node_is_no_leaf() -> None:
    parsed = proof.parse(FIRST.receipt(0).proof)
    interior = leaf_hash(NODE.leaves[0]) + leaf_hash(NODE.leaves[1])
    for shown in (interior, b"\x01" + interior):
        made = LogProof(0, parsed.hashes[1:], parsed.checkpoint)
        assert fault(OCTETS, TRUST, Receipt(made.octets, shown)).code is Refusal.PROOF_INVALID
    # As an entry of the log, two leaves joined into one do not give the root that they give as two.
    assert node_hash(leaf_hash(NODE.leaves[0]), leaf_hash(NODE.leaves[1])) != leaf_hash(interior)
    octets = FIRST.octets(entries=[interior, *NODE.leaves[2:]])
    assert fault(octets).code in {Refusal.WRONG_ROOT, Refusal.WRONG_SUM}


def test_27_a_receipt_is_of_this_log_channel_and_report() -> None:
    receipt = FIRST.receipt(3)
    parsed = proof.parse(receipt.proof)
    signed = checkpoint.sign(checkpoint.parse(FIRST.signed_head().text), LOG_KEY, SGW.sign).octets
    badly = replace(parsed, checkpoint=signed)
    assert fault(OCTETS, TRUST, Receipt(badly.octets, receipt.report)).code is Refusal.BAD_SIGNATURE
    assert fault(OCTETS, TRUST, receipt._replace(report=FIRST.receipt(4).report)).code is Refusal.PROOF_INVALID
    told = fault(OCTETS, TRUST, SECOND.receipt(SECOND.first))
    assert told == (Refusal.WRONG_CHANNEL, "the receipt", "it is for a leaf of another channel")
    assert fault(OCTETS, TRUST, receipt._replace(proof=b"")).code is Refusal.MALFORMED


# Properties


@settings(max_examples=400)
@given(which=st.sampled_from([FIRST, SECOND]), data=st.data())
def test_a_bit_that_flips_is_never_verified(which: Handover, data: st.DataObject) -> None:
    octets = bytearray(which.octets())
    at = data.draw(st.integers(0, 8 * len(octets) - 1))
    octets[at // 8] ^= 1 << at % 8
    assert fault(bytes(octets), TOGETHER)
    assert fault(bytes(octets))


BODIES = ("opened", "closed", "log_key", "checkpoint", "before", "per_octets")


def flipped(which: Handover, part: str, data: st.DataObject) -> bytes:
    """Flip a bit of one part, and write the file anew, with a good digest at its end."""
    file = which.file()
    if part == "entries":
        entries = list(file.entries)
        place = data.draw(st.integers(0, len(entries) - 1))
        entries[place] = flip(entries[place], data)
        return which.octets(entries=entries)
    if part == "per_octets":
        return which.octets(per_octets=file.per_octets ^ 1 << data.draw(st.integers(0, 63)))
    if part == "log_key":
        return which.octets(log_key=flip(file.log_key.encode(), data).decode("latin-1"))
    if part == "before":
        packed = flip(file.before.packed(), data, least=8)
        return which.octets(before=closures.Frontier.unpacked(packed))
    return which.octets(**{part: flip(getattr(file, part), data)})


def flip(octets: bytes, data: st.DataObject, least: int = 0) -> bytes:
    at = data.draw(st.integers(8 * least, 8 * len(octets) - 1))
    changed = bytearray(octets)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@settings(max_examples=600)
@given(part=st.sampled_from([*BODIES, "entries", "entries"]), data=st.data())
def test_nor_is_one_behind_which_the_file_was_sealed_anew(part: str, data: st.DataObject) -> None:
    assert fault(flipped(SECOND, part, data))


@given(at=st.integers(0, len(OCTETS) - 1))
def test_a_cut_is_never_verified(at: int) -> None:
    assert fault(OCTETS[:at]).code is Refusal.MALFORMED


@given(more=st.binary(min_size=1, max_size=100))
def test_nor_is_more(more: bytes) -> None:
    assert fault(OCTETS + more).place == "the end of the file"


@settings(max_examples=200)
@given(octets=st.one_of(st.binary(max_size=200), st.binary(max_size=300).map(lambda more: OCTETS[:1000] + more)))
def test_whatever_the_octets_are_it_says_what_is_wrong(octets: bytes) -> None:
    assert fault(octets)


def test_what_is_read_can_be_written_again() -> None:
    assert b"".join(write(read(io.BytesIO(OCTETS).read))) == OCTETS


def test_an_audit_that_found_a_fault_says_how_far_it_came() -> None:
    found: Audit = audited(FIRST.octets(entries=NODE.leaves[:5]))
    assert (found.entries, found.is_done, found.channel_id) == (5, False, FIRST.channel_id)
    assert found.recount is not None
    assert found.recount.commits == 5
