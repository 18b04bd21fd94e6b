"""The quick reader of each message of ours, held against the general one: the same is taken, to be the same.

What is wrong with a message the general one says in both cases; so what matters is that the quick one takes nothing
that the other refuses, and that it takes what senders send.
"""

from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.signed import wire
from ocs.signed.malformed import Malformed
from ocs.signed.varint import SEVERAL_OCTETS_MAX
from signed_messages import SCHEMAS, values_of

NAMES = sorted(name for name, schema in SCHEMAS.items() if schema.read_quick is not None)
ALONE = {name: [wire.Schema(field.name, field, octets_max=2**20) for field in SCHEMAS[name].fields] for name in NAMES}


class Only(IntEnum):
    ONE = 1


ODD = wire.Schema(
    "Odd",
    wire.enum(1, "only", Only),
    wire.string(2, "code", least=3, most=3),
    wire.uint64(3, "seven", least=7, most=7),
    wire.octets(4, "long", least=128, most=128),
    wire.uint32(5, "last"),
    octets_max=200,
)
"""What no message of ours has yet: values and sizes that are known, and yet not to be taken as they stand."""


def outcome(read: Any, schema: wire.Schema, message: bytes) -> Any:
    """Give the values with their types, as True is not 1 here; or what is wrong."""
    try:
        values = read(schema, message)
    except Malformed as error:
        return error.code, error.detail
    return values, list(map(type, values))


def same(schema: wire.Schema, message: bytes) -> None:
    if len(message) <= schema.octets_max:
        assert outcome(wire.read, schema, message) == outcome(wire.read_general, schema, message)


def test_only_a_message_with_repeated_ones_has_no_quick_reader() -> None:
    assert set(SCHEMAS) - set(NAMES) == {"ChannelClose"}


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_what_is_written_in_order_is_read_quickly(name: str, data: st.DataObject) -> None:
    schema = SCHEMAS[name]
    values = data.draw(values_of(schema))
    message = wire.write(schema, values)
    same(schema, message)
    assert schema.read_quick is not None
    if all(not isinstance(value, int) or value <= SEVERAL_OCTETS_MAX for value in values):
        assert schema.read_quick(message) == values


@given(st.sampled_from(NAMES), st.data())
def test_bent_messages_are_read_alike(name: str, data: st.DataObject) -> None:
    schema = SCHEMAS[name]
    octets = bytearray(wire.write(schema, data.draw(values_of(schema))))
    for _ in range(data.draw(st.integers(1, 2))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    same(schema, bytes(octets))


@given(st.sampled_from(NAMES), st.data())
def test_fields_moved_repeated_left_out_and_at_their_default_are_read_alike(name: str, data: st.DataObject) -> None:
    schema = SCHEMAS[name]
    values = data.draw(values_of(schema))
    parts = [
        wire.write(alone, [value]) or bytes([field.tag, 0])
        for alone, field, value in zip(ALONE[name], schema.fields, values, strict=True)
    ]
    assert outcome(wire.read, schema, b"".join(parts))[0] == values
    places = data.draw(st.permutations(range(len(parts))) | st.lists(st.sampled_from(range(len(parts)))).map(sorted))
    same(schema, b"".join(parts[place] for place in places))


@given(st.sampled_from(NAMES), st.data())
def test_every_cut_is_read_alike_and_what_is_behind_the_end(name: str, data: st.DataObject) -> None:
    schema = SCHEMAS[name]
    message = wire.write(schema, data.draw(values_of(schema)))
    for end in range(len(message)):
        same(schema, message[:end])
    same(schema, message + data.draw(st.binary(min_size=1, max_size=4)))


@pytest.mark.parametrize("schema", [ODD, *(SCHEMAS[name] for name in NAMES)], ids=lambda schema: schema.name)
def test_every_octet_with_a_bit_flipped_is_read_alike(schema: wire.Schema) -> None:
    """Of one message with all its fields: here stand the lengths, tags and high bits that a random change may miss."""
    message = wire.write(schema, [_some(field) for field in schema.fields])
    assert outcome(wire.read, schema, message)[0] == [_some(field) for field in schema.fields]
    for place in range(len(message)):
        for bit in range(8):
            octets = bytearray(message)
            octets[place] ^= 1 << bit
            same(schema, bytes(octets))


def _some(field: wire.Field) -> Any:
    """Give a value that is not the default: a number of several octets, where one may be."""
    if not field.is_number:
        text = b"1" * max(1, field.least)
        return field.convert(text) if field.convert is not None else text
    number = min(max(field.least, 1_790_000_000_000), field.most)
    return field.convert(number) if field.convert is not None else number
