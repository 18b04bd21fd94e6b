"""A group at rest is found out when any bit of it changes, and when one of its neighbours is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.errors import JournalFault
from ocs.shell.store.group import decode, encode, follows
from ocs.units import GroupIndex, UnixMillis

DATA_ID = bytes(range(16))

# Written down by hand from the layout in group.py; a journal of any release must stay readable.
GOLDEN = bytes.fromhex(
    "c601"  # magic, format
    "0000000000000007"  # index
    "0000018bcfe56800"  # at: 2023-11-14T22:13:20Z
    "000102030405060708090a0b0c0d0e0f"  # the group before
    "6869"  # payload
)


def test_a_group_lies_as_its_layout_says() -> None:
    blob = encode(GroupIndex(7), UnixMillis(1_700_000_000_000), DATA_ID, b"hi")
    assert blob[:-16] == GOLDEN
    group = decode(blob)
    assert (group.index, group.at, group.payload, group.previous) == (7, 1_700_000_000_000, b"hi", DATA_ID)
    assert group.digest == blob[-16:]


@pytest.mark.fault(51)
@given(payload=st.binary(max_size=200), bit=st.integers(0))
def test_any_flipped_bit_is_found(payload: bytes, bit: int) -> None:
    blob = bytearray(encode(GroupIndex(1), UnixMillis(1), DATA_ID, payload))
    place = bit % (8 * len(blob))
    blob[place // 8] ^= 1 << place % 8
    with pytest.raises(JournalFault):
        decode(bytes(blob))


@given(payload=st.binary(max_size=50), cut=st.integers(0, 91))
def test_any_cut_is_found(payload: bytes, cut: int) -> None:
    blob = encode(GroupIndex(1), UnixMillis(1), DATA_ID, payload)
    with pytest.raises(JournalFault):
        decode(blob[: min(cut, len(blob) - 1)])


def test_a_format_of_a_newer_release_is_named() -> None:
    blob = bytearray(encode(GroupIndex(1), UnixMillis(1), DATA_ID, b""))
    blob[1] = 9
    with pytest.raises(JournalFault, match="format 9"):
        decode(bytes(blob))


def test_a_missing_group_and_a_stranger_are_found() -> None:
    first = decode(encode(GroupIndex(1), UnixMillis(1), DATA_ID, b"a"))
    second = decode(encode(GroupIndex(2), UnixMillis(2), first.digest, b"b"))
    assert follows(second, first.index, first.digest) is second
    with pytest.raises(JournalFault, match="group 2 stands where group 1 belongs"):
        follows(second, GroupIndex(0), DATA_ID)
    with pytest.raises(JournalFault, match="does not continue"):
        follows(second, GroupIndex(1), DATA_ID)
