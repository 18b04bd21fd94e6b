"""Leaves: Commit and envelope without a delimiter, and only one way to part them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_channel_record import commit

from ocs.channel import leaf, record
from ocs.channel.record import NO_COMMIT, Commit
from ocs.signed import wire
from ocs.signed.malformed import Malformed
from signed_reports import report

ENVELOPE = report()
UINT64 = st.integers(0, 2**64 - 1)
AMOUNT = st.integers(0, 2**63 - 1)

# Octets that look like prev_commit wherever a field may hold any.
CONFUSING = st.sampled_from([b"\x62\x20" * 16, bytes(32), b"\x0a\x20" * 16]) | st.binary(min_size=32, max_size=32)


@given(
    st.builds(
        commit,
        channel_id=CONFUSING,
        index=UINT64,
        countersign_id=CONFUSING,
        session_id=CONFUSING.map(lambda octets: octets[:16]),
        miner_key=CONFUSING.map(lambda octets: b"\x01" + octets),
        seq=UINT64,
        delta_bytes=AMOUNT,
        delta_dc=AMOUNT,
        channel_total_dc=AMOUNT,
        committed_at_ms=UINT64,
        prev_commit=CONFUSING,
    )
)
def test_a_leaf_is_parted_where_it_was_joined(kept: Commit) -> None:
    payload = kept.encode()
    for countersigned in (ENVELOPE, b"", b"\x62\x20" * 40, payload):
        assert leaf.join(payload, countersigned) == payload + countersigned
        assert leaf.split(payload + countersigned) == (payload, countersigned)
        assert leaf._AS_WRITTEN.match(payload + countersigned).end() == leaf._walked(payload + countersigned)


@given(
    index=st.sampled_from([0, 7, 2**40]),
    seq=st.sampled_from([0, 300]),
    place=st.integers(0, 200),
    octets=st.binary(max_size=3) | st.sampled_from([b"\x00", b"\x80", b"\x62\x20"]),
    cut=st.integers(0, 3),
)
def test_what_is_found_at_once_is_what_a_walk_finds(index: int, seq: int, place: int, octets: bytes, cut: int) -> None:
    whole = commit(index=index, seq=seq).encode() + ENVELOPE
    changed = whole[:place] + octets + whole[place + cut :]
    if found := leaf._AS_WRITTEN.match(changed):
        assert found.end() == leaf._walked(changed)


def test_the_leaves_of_a_channel_begin_alike_and_no_others_do() -> None:
    one, other = bytes(32), b"\x01" + bytes(31)
    for kept in (commit(channel_id=one), commit(channel_id=one, index=7, seq=0)):
        assert kept.encode().startswith(leaf.head_of(one))
        assert not kept.encode().startswith(leaf.head_of(other))
        assert leaf.take(kept.encode() + ENVELOPE) == (kept, kept.encode(), ENVELOPE)


@pytest.mark.parametrize(
    "spelling",
    [
        commit().encode()[2:34] + commit().encode()[:2] + commit().encode()[34:],
        b"\x08\x81\x00" + commit().encode()[2:],
        commit(seq=0).encode().replace(b"\x40", b"\x38\x00\x40", 1),
    ],
    ids=["order", "octets to spare", "explicit default"],
)
def test_only_one_spelling_of_a_commit_is_taken(spelling: bytes) -> None:
    with pytest.raises(Malformed):
        leaf.split(spelling + ENVELOPE)


@given(data=st.data(), index=st.sampled_from([0, 7]), seq=st.sampled_from([0, 300]))
def test_a_spelling_is_taken_if_it_is_the_one_that_is_written(data: st.DataObject, index: int, seq: int) -> None:
    kept = commit(index=index, seq=seq, prev_commit=NO_COMMIT)
    fields = [
        wire.write(wire.Schema("one", row, octets_max=64), [value]) or bytes([row.number << 3, 0])
        for row, value in zip(record._COMMIT.fields, msgspec.structs.astuple(kept), strict=True)
    ]
    chosen = data.draw(st.permutations(fields[:-1]) | st.just(fields[:-1]))
    left_out = [field for field in chosen if field[1:] != b"\0" or data.draw(st.booleans())]
    spelling = b"".join(left_out) + fields[-1]
    assert Commit.decode(spelling) == kept
    try:
        assert leaf.take(spelling + ENVELOPE).payload == kept.encode()
    except Malformed:
        assert spelling != kept.encode()
    else:
        assert spelling == kept.encode()


def test_a_cut_commit_is_no_leaf() -> None:
    payload = commit(prev_commit=NO_COMMIT).encode()
    for end in range(len(payload)):
        with pytest.raises(Malformed):
            leaf.split(payload[:end])


@given(st.binary(max_size=300))
def test_hostile_octets_are_parted_or_malformed(octets: bytes) -> None:
    for entry in (octets, commit().encode()[:60] + octets, octets + commit().encode()):
        try:
            payload, rest = leaf.split(entry)
        except Malformed:
            continue
        assert payload + rest == entry
        assert Commit.decode(payload).encode() == payload
