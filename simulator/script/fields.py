"""Records that are read from a mapping: a dataclass says for each field how its value is read.

@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    price: int = needed(integer)
    per_octets: int = option(octets, 1)
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

from simulator.script.value import Value

T = TypeVar("T")
R = TypeVar("R")


def needed(read: Callable[[Value], T]) -> Any:
    """Declare a field that must be there."""
    return field(metadata={"read": read})


def option(read: Callable[[Value], T], default: Any = None) -> Any:
    """Declare a field that may be left out."""
    return field(default=default, metadata={"read": read})


def keys(kind: type[Any]) -> list[str]:
    """Give the keys that a record may have."""
    return [one.name for one in _told(kind)]


def read(kind: type[R], value: Value) -> R:
    """Read a record.

    Raises:
        ScriptError: a key is unknown or missing, or a value is wrong.
    """
    return kind(**read_fields(kind, value, value.mapping(keys(kind))))


def read_fields(kind: type[Any], at: Value, values: Mapping[str, Value]) -> dict[str, Any]:
    """Read a record's fields; what `values` has besides is left alone.

    Raises:
        ScriptError: one is missing, or a value is wrong.
    """
    found = {}
    for one in _told(kind):
        if one.name in values:
            found[one.name] = one.metadata["read"](values[one.name])
        elif one.default is MISSING:
            raise at.wrong(f"{one.name} is missing")
    return found


def _told(kind: type[Any]) -> list[Field[Any]]:
    return [one for one in fields(kind) if "read" in one.metadata]
