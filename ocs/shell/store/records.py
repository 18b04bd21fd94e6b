"""Events as the payload of a commit group, and back.  docs/adr/0006-records.md.

A payload is a MessagePack array of records, each an array that starts with its type's number.  Old files stay
readable: fields are only appended, with defaults; a new meaning is a new number.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ocs.errors import JournalFault
from ocs.state import Event

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Event]).decode
_types: Final = frozenset(kind.__struct_config__.tag for kind in Event.__args__)


def encode(events: Sequence[Event]) -> bytes:
    """Write the events of one commit group, in their order."""
    return _encode(events)


def decode(payload: bytes) -> list[Event]:
    """Read the events of one commit group.

    Raises:
        JournalFault: a record is of a type that this release does not know, or its fields are not those of its type.
    """
    try:
        return _decode(payload)
    except msgspec.DecodeError as error:
        raise JournalFault(_explain(payload, error)) from None


def _explain(payload: bytes, error: msgspec.DecodeError) -> str:
    """Say which record cannot be read: one of a newer release, or one that was damaged before it was written."""
    try:
        records = msgspec.msgpack.decode(payload, type=list[list[object]])
    except msgspec.DecodeError:
        return f"the payload is no array of records: {error}"
    for place, record in enumerate(records):
        if not record or record[0] not in _types:
            kind = record[0] if record else "none"
            return f"record {place} has type {kind!r}: a newer release wrote it; run that release or a later one"
    return f"a record does not have the fields of its type: {error}"
