"""The wire format: strict where protobuf libraries differ, and with them in all that they write alike."""

from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.signed import wire
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal


class Colour(IntEnum):
    RED = 1
    GREEN = 2


POINT = wire.Schema("Point", wire.uint64(1, "x"), wire.uint64(2, "y"), octets_max=40)
SHAPE = wire.Schema(
    "Shape",
    wire.uint32(1, "size", most=1000),
    wire.uint64(2, "area"),
    wire.boolean(3, "filled"),
    wire.enum(4, "colour", Colour),
    wire.octets(5, "id", least=2, most=200),
    wire.string(6, "name", most=200),
    wire.messages(9, "points", POINT, most=3),
    wire.uint32(15, "last"),
    octets_max=1000,
)

GREEN_AB = "2002" + "2a026162"  # the mandatory fields: colour 2, id "ab"


def read(text: str) -> list[Any]:
    return wire.read(SHAPE, bytes.fromhex(text))


@pytest.mark.parametrize(
    ("octets", "values"),
    [
        (GREEN_AB, [0, 0, False, Colour.GREEN, b"ab", "", (), 0]),
        ("0807" + "1096 01" + "1801" + GREEN_AB + "3203e28294" + "7801", [7, 150, True, 2, b"ab", "ₔ", (), 1]),
        ("10 ffffffffffffffffff01" + GREEN_AB, [0, 2**64 - 1, False, 2, b"ab", "", (), 0]),
        (GREEN_AB + "4a00" + "4a0408011002", [0, 0, False, 2, b"ab", "", ([0, 0], [1, 2]), 0]),
    ],
)
def test_messages_both_ways(octets: str, values: list[Any]) -> None:
    message = bytes.fromhex(octets)
    assert wire.read(SHAPE, message) == values
    assert wire.write(SHAPE, values) == message


@pytest.mark.parametrize("octets", ["2a0261622002", "08001000180032007800" + GREEN_AB], ids=["order", "defaults"])
def test_any_order_and_explicit_defaults_are_honest(octets: str) -> None:
    assert read(octets) == [0, 0, False, 2, b"ab", "", (), 0]


@pytest.mark.parametrize("length", [127, 128, 200])
def test_lengths_of_one_and_two_octets(length: int) -> None:
    values = [0, 0, False, Colour.RED, b"x" * length, "y" * length, (), 0]
    assert wire.read(SHAPE, wire.write(SHAPE, values)) == values


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        ("", "Shape.colour: it is 0"),
        ("2001", "Shape.id: it has 0 octets"),
        (GREEN_AB + "2001", "colour: it is there twice"),
        (GREEN_AB + "08010801", "size: it is there twice"),
        (GREEN_AB + "08000800", "size: it is there twice"),
        (GREEN_AB + "5000", "field 10 at octet 6 is unknown"),
        (GREEN_AB + "0000", "field 0 at octet 6 is unknown"),
        (GREEN_AB + "0a0101", "size at octet 6 has wire type 2"),
        (GREEN_AB + "3001", "name at octet 6 has wire type 0"),
        (GREEN_AB + "0d00000000", "field 1 at octet 6 is 32-bit"),
        (GREEN_AB + "0900000000 00000000", "field 1 at octet 6 is 64-bit"),
        (GREEN_AB + "0b0c", "field 1 at octet 6 is a group"),
        (GREEN_AB + "0c", "field 1 at octet 6 is the end of a group"),
        (GREEN_AB + "0f", "size at octet 6 has wire type 7"),
        (GREEN_AB + "800101", "more than one octet"),
        (GREEN_AB + "888000 01", "more than one octet"),
        (GREEN_AB + "08", "cut short"),
        (GREEN_AB + "0880", "cut short"),
        (GREEN_AB + "32", "cut short"),
        (GREEN_AB + "3205616263", "cut short"),
        (GREEN_AB + "4a0508011002", "cut short"),
        (GREEN_AB + "088100", "octets to spare"),
        (GREEN_AB + "32818000 61", "octets to spare"),
        (GREEN_AB + "10ffffffffffffffffff02", "more than 64 bits"),
        (GREEN_AB + "10ffffffffffffffffff8101", "more than 64 bits"),
        (GREEN_AB + "3201ff", "Shape.name: it is not UTF-8"),
        (GREEN_AB + "3203eda080", "Shape.name: it is not UTF-8"),  # a surrogate
        (GREEN_AB + "3202c080", "Shape.name: it is not UTF-8"),  # an overlong NUL
        ("20022a0161", "Shape.id: it has 1 octets"),
        ("20022ac901" + "61" * 201, "Shape.id: it has 201 octets"),
        (GREEN_AB + "4a00" * 4, "Shape.points: there are more than 3"),
        (GREEN_AB + "4a0408010802", "Point.x: it is there twice"),
        (GREEN_AB + "4a021801", "Point: field 3 at octet 0 is unknown"),
        (GREEN_AB + "32c801" + "61" * 200 + "2ac801" + "62" * 200 + "00" * 600, "Shape: 1012 octets"),
    ],
)
def test_what_breaks_the_grammar_is_malformed(octets: str, says: str) -> None:
    with pytest.raises(Malformed) as refused:
        read(octets)
    assert says in refused.value.detail
    expected = Refusal.OUT_OF_RANGE if "colour: it is 0" in says else Refusal.MALFORMED
    assert refused.value.code is expected


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (GREEN_AB + "08e907", "Shape.size: it is 1001, and may be 0 to 1000"),
        (GREEN_AB + "788080808010", "Shape.last: it is 4294967296"),
        (GREEN_AB + "1802", "Shape.filled: it is 2"),
        ("2003" + "2a026162", "Shape.colour: it is 3, and may be 1 to 2"),
        ("2000" + "2a026162", "Shape.colour: it is 0"),
        ("20ffffffffffffffffff01" + "2a026162", "Shape.colour: it is 18446744073709551615"),
    ],
)
def test_a_number_that_its_field_cannot_hold_is_out_of_range(octets: str, says: str) -> None:
    with pytest.raises(Malformed) as refused:
        read(octets)
    assert says in refused.value.detail
    assert refused.value.code is Refusal.OUT_OF_RANGE


@given(st.binary(max_size=60))
def test_hostile_octets_are_a_message_or_malformed(octets: bytes) -> None:
    for message in (octets, bytes.fromhex(GREEN_AB) + octets):
        try:
            values = wire.read(SHAPE, message)
        except Malformed:
            continue
        assert wire.read(SHAPE, wire.write(SHAPE, values)) == values


@given(st.integers(0, 2**64 - 1))
def test_numbers_survive(number: int) -> None:
    values = [0, number, False, Colour.RED, b"ab", "", (), 0]
    assert wire.read(SHAPE, wire.write(SHAPE, values)) == values


def test_each_cut_of_a_message_is_refused_or_lacks_its_last_fields() -> None:
    whole = wire.write(SHAPE, [7, 300, True, Colour.RED, b"ab", "name", ([1, 2],), 9])
    for end in range(len(whole)):
        try:
            values = wire.read(SHAPE, whole[:end])
        except Malformed:
            continue
        assert wire.write(SHAPE, values) == whole[:end]
