"""Our messages and strategies for what they hold, for tests that are about all of them."""

from typing import Any

from hypothesis import strategies as st

from ocs.channel import record as channel_record
from ocs.signed import envelope, wire
from ocs.usage import dispute, record, rotation

SCHEMAS: dict[str, wire.Schema] = {
    schema.name: schema
    for schema in (
        envelope._SCHEMA,
        record._SESSION_INIT,
        record._USAGE,
        record._COUNTERSIGN,
        rotation._KEY_ROTATION,
        dispute._DISPUTE,
        channel_record._COMMIT,
        channel_record._CHANNEL_OPEN,
        channel_record._CHANNEL_CLOSE,
        channel_record._SUMMARY,
    )
}


def value_of(field: wire.Field) -> st.SearchStrategy[Any]:
    if field.members is not None:
        return st.lists(values_of(field.members), max_size=3).map(tuple)
    if field.wire_type:
        octets = st.binary(min_size=field.least, max_size=min(field.most, field.least + 200))
        if field.default == b"":
            return octets
        return {
            "network": st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64),
            "operator": st.from_regex(r"[0-9]{5,6}", fullmatch=True),
        }.get(field.name, st.text(st.characters(codec="utf-8"), min_size=field.least, max_size=16))
    numbers = st.integers(field.least, field.most)
    return numbers if field.convert is None else numbers.map(field.convert)


def values_of(schema: wire.Schema) -> st.SearchStrategy[list[Any]]:
    return st.tuples(*map(value_of, schema.fields)).map(list)
