"""Leaves: Commit and envelope without a delimiter, and only one way to part them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_channel_record import commit

from ocs.channel import leaf
from ocs.channel.record import NO_COMMIT, Commit
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
