"""Numbers in groups of seven bits: the writer against the definition, the quick reader against the writer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.signed.varint import SEVERAL_OCTETS_MAX, UINT64_MAX, several_octets, varint

EDGES = sorted({number for bits in range(65) for number in (2**bits - 1, 2**bits) if number <= UINT64_MAX})


def by_definition(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


@given(st.integers(0, 64).flatmap(lambda bits: st.integers(0, 2**bits - 1)))
def test_a_number_is_written_as_defined(number: int) -> None:
    assert varint(number) == by_definition(number)


def test_numbers_at_the_edge_of_a_size_both_ways() -> None:
    for number in EDGES:
        octets = varint(number)
        assert octets == by_definition(number)
        if 0x80 <= number <= SEVERAL_OCTETS_MAX:
            assert several_octets(b"\x08" + octets + b"\xff", 1) == (number, 1 + len(octets))


@pytest.mark.parametrize("number", [-1, UINT64_MAX + 1])
def test_what_has_not_64_bits_is_not_written(number: int) -> None:
    with pytest.raises(AssertionError):
        varint(number)


@pytest.mark.parametrize("octets", ["8000", "ff8000", "808080808080808001", "ffffffffffffffff01"])
def test_what_the_quick_reader_leaves_to_the_general_one(octets: str) -> None:
    with pytest.raises(ValueError, match="one to spare"):
        several_octets(bytes.fromhex(octets), 0)
    with pytest.raises(IndexError):
        several_octets(bytes.fromhex(octets)[:1], 0)
