"""The protobuf wire format, read strictly: what a signature covers has one meaning.  protobuf.dev, "Encoding".

Protobuf libraries read the same octets in more than one way: of a field that comes twice the last counts, an unknown
one is kept or dropped, a number may have octets to spare.  Here all of these are refused.  Fields may come in any
order, and one at its default may be written out: an honest sender in another language may do both.

A message is described by a `Schema`, a table of its fields.  Field numbers end at 15, so a tag is one octet and a
table of tags is all that there is to look up; no message of ours has more.  What a number or a length may be stands
in the table too.

Nearly all messages have their fields in order, each once.  Of these `ocs.signed.wire_quick` makes shorter work, with a
function for each schema; the general reader takes every message, says of one what is wrong, and is the rule.
"""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Final, NamedTuple

from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.signed.varint import UINT64_MAX
from ocs.signed.wire_quick import UNUSUAL, Reader, Writer, reader, writer

UINT32_MAX: Final = 2**32 - 1

_FIELD_NUMBER_MAX: Final = 15
_VARINT: Final = 0
_DELIMITED: Final = 2
_WIRE_TYPES: Final = {1: "64-bit", 3: "a group", 4: "the end of a group", 5: "32-bit"}


class Field(NamedTuple):
    """One row of a schema; made by the functions below, which bear the names of protobuf's types.

    Attributes:
        least, most: of a number, its bounds; of bytes or a string, those of its octets; of messages, of their count.
        convert: makes the value of a number, or of octets; None leaves them as they are.
        default: the value where the field is absent.
    """

    number: int
    name: str
    wire_type: int
    least: int
    most: int
    convert: Callable[[Any], Any] | None
    default: object
    members: "Schema | None" = None

    @property
    def tag(self) -> int:
        return self.number << 3 | self.wire_type

    @property
    def is_number(self) -> bool:
        return self.wire_type == _VARINT


def uint32(number: int, name: str, *, least: int = 0, most: int = UINT32_MAX) -> Field:
    return Field(number, name, _VARINT, least, most, None, 0)


def uint64(number: int, name: str, *, least: int = 0, most: int = UINT64_MAX) -> Field:
    return Field(number, name, _VARINT, least, most, None, 0)


def boolean(number: int, name: str) -> Field:
    return Field(number, name, _VARINT, 0, 1, bool, False)


def enum(number: int, name: str, kind: type[IntEnum]) -> Field:
    """Describe a number that is one of `kind`, whose members are dense; 0, were it none of them, is refused."""
    members = {int(member): member for member in kind}
    least, most = min(members), max(members)
    assert len(members) == most - least + 1
    return Field(number, name, _VARINT, least, most, members.__getitem__, members.get(0, 0))


def octets(number: int, name: str, *, least: int = 0, most: int) -> Field:
    """Describe bytes; `least` above 0 makes the field mandatory."""
    return Field(number, name, _DELIMITED, least, most, None, b"")


def string(
    number: int, name: str, *, least: int = 0, most: int, convert: Callable[[bytes], str] = bytes.decode
) -> Field:
    """Describe UTF-8 text of `least` to `most` octets; `convert` may ask more of it, and raise `Malformed`."""
    return Field(number, name, _DELIMITED, least, most, convert, "")


def messages(number: int, name: str, members: "Schema", *, most: int) -> Field:
    """Describe a repeated message; its value is a tuple with the values of each."""
    return Field(number, name, _DELIMITED, 0, most, None, (), members)


_Row = tuple[int, int, int, int, int, Callable[[Any], Any] | None, "Schema | None"]
"""Of a field, by its tag: its place, its bit, and what reading needs; flat, as one unpacking is quickest."""


class Schema:
    """The fields of one message, and the octets that it has at the most.

    Attributes:
        read_quick: None where the quick reader is of no use.
    """

    __slots__ = ("defaults", "fields", "mandatory", "name", "octets_max", "read_quick", "repeated", "rows", "write")

    def __init__(self, name: str, *fields: Field, octets_max: int) -> None:
        self.name = name
        self.fields = fields
        self.octets_max = octets_max
        self.rows: dict[int, _Row] = {}
        self.mandatory = 0
        self.defaults = [field.default for field in fields]
        self.repeated = [place for place, field in enumerate(fields) if field.members is not None]
        for place, field in enumerate(fields):
            assert 0 < field.number <= _FIELD_NUMBER_MAX
            assert place == 0 or field.number > fields[place - 1].number
            self.rows[field.tag] = (
                place,
                1 << place,
                field.wire_type,
                field.least,
                field.most,
                field.convert,
                field.members,
            )
            if field.least > 0:
                self.mandatory |= 1 << place
        self.read_quick: Reader | None = reader(fields) if not self.repeated else None
        self.write: Writer = writer(fields)


def read(schema: Schema, message: bytes) -> list[Any]:
    """Give the values of `message`, one for each field of `schema` and in its order.

    Raises:
        Malformed: it breaks the grammar (`malformed`), or a number is one that its field cannot hold (`out_of_range`).
    """
    if len(message) > schema.octets_max:
        raise Malformed(f"{schema.name}: {len(message)} octets, and {schema.octets_max} at the most")
    if schema.read_quick is not None:
        try:
            values = schema.read_quick(message)
        except UNUSUAL:
            values = None
        if values is not None:
            return values
    return read_general(schema, message)


def read_general(schema: Schema, message: bytes) -> list[Any]:
    """Do as `read` does, with fields in any order, of a message that is no longer than its schema lets it be."""
    size = len(message)
    values: list[Any] = schema.defaults.copy()
    rows = schema.rows
    seen = at = 0
    try:
        while at < size:
            row = rows.get(message[at])
            if row is None:
                raise _strange_tag(schema, message, at)
            place, bit, wire_type, least, most, convert, members = row
            value: Any = message[at + 1]
            if value < 0x80:
                at += 2
            else:
                value, at = _varint(schema, message, at + 1)
            if members is not None:
                value, at = _cut(schema, message, at, value)
                values[place] = _one_more(schema, place, values[place], read(members, value))
                continue
            if seen & bit:
                raise Malformed(f"{schema.name}.{schema.fields[place].name}: it is there twice")
            seen |= bit
            if not least <= value <= most:
                raise _out_of_bounds(schema.name, schema.fields[place], value)
            if wire_type:
                end = at + value
                if end > size:
                    raise _cut_short(schema)
                value = message[at:end]
                at = end
            values[place] = value if convert is None else convert(value)
    except IndexError:
        raise _cut_short(schema) from None
    except UnicodeDecodeError:
        raise Malformed(f"{schema.name}.{schema.fields[place].name}: it is not UTF-8") from None
    if schema.mandatory & ~seen:
        raise _absent(schema, seen)
    for place in schema.repeated:
        values[place] = tuple(values[place])
    return values


def write(schema: Schema, values: Iterable[Any]) -> bytes:
    """Write `values`, one for each field: in the order of their numbers, those at their default left out.

    What the fields may hold is not looked at: `read` does that, at whoever receives it.
    """
    return schema.write(values)


def _varint(schema: Schema, message: bytes, at: int) -> tuple[int, int]:
    """Read a number of two octets or more; give it, and where it ends.  IndexError: it is cut short."""
    number = shift = 0
    for end in range(at, at + 10):
        octet = message[end]
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            if octet == 0 or number > UINT64_MAX:
                break
            return number, end + 1
        shift += 7
    raise Malformed(f"{schema.name}: at octet {at} a number has octets to spare, or more than 64 bits")


def _cut(schema: Schema, message: bytes, at: int, length: int) -> tuple[bytes, int]:
    end = at + length
    if end > len(message):
        raise _cut_short(schema)
    return message[at:end], end


def _one_more(schema: Schema, place: int, sofar: Any, values: list[Any]) -> list[Any]:
    """Append to a repeated message; the shared default becomes a list of this message's own."""
    field = schema.fields[place]
    many: list[Any] = sofar or []
    if len(many) == field.most:
        raise Malformed(f"{schema.name}.{field.name}: there are more than {field.most}")
    many.append(values)
    return many


def _cut_short(schema: Schema) -> Malformed:
    return Malformed(f"{schema.name}: it is cut short")


def _strange_tag(schema: Schema, message: bytes, at: int) -> Malformed:
    """Say why no row has the tag at `at`."""
    number, wire_type = message[at] >> 3, message[at] & 7
    known = next((field for field in schema.fields if field.number == number), None)
    if message[at] > 0x7F:
        what = f"the tag at octet {at} has more than one octet: field numbers end at {_FIELD_NUMBER_MAX}"
    elif wire_type in _WIRE_TYPES:
        what = f"field {number} at octet {at} is {_WIRE_TYPES[wire_type]}, which no field is"
    elif known is not None:
        what = f"{known.name} at octet {at} has wire type {wire_type} in place of {known.wire_type}"
    else:
        what = f"field {number} at octet {at} is unknown"
    return Malformed(f"{schema.name}: {what}")


def _out_of_bounds(schema: str, field: Field, value: int) -> Malformed:
    bounds = str(field.least) if field.least == field.most else f"{field.least} to {field.most}"
    if field.wire_type == _VARINT:
        return Malformed(f"{schema}.{field.name}: it is {value}, and may be {bounds}", Refusal.OUT_OF_RANGE)
    return Malformed(f"{schema}.{field.name}: it has {value} octets, and may have {bounds}")


def _absent(schema: Schema, seen: int) -> Malformed:
    """Refuse a message without a mandatory field; an absent number is 0, and so out of its bounds."""
    place = next(place for place, field in enumerate(schema.fields) if field.least > 0 and not seen & 1 << place)
    return _out_of_bounds(schema.name, schema.fields[place], 0)
