"""What values look like in JSON: amounts and octets as decimal strings, times as RFC 3339 in UTC, days as its dates.

Read from either a string or an integer, for people write both; a float is refused, because it cannot hold what money
needs.  Unknown fields are refused, because a misspelt one would be obeyed as absent.
"""

from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ocs.errors import InvalidInput
from ocs.texts import moment
from ocs.units import CREDITS_MAX, SECOND, Credits, DataCredits, Octets, UnixMillis

DIGITS_MAX: Final = len(str(CREDITS_MAX))
DAY_LENGTH: Final = len("2027-01-15")


def whole(value: object) -> int:
    """Read a whole number of 0 or more from JSON, written as a string of digits or as an integer.

    Raises:
        PydanticCustomError: anything else: a sign, a point, an exponent, a float, or more than 64 bits hold.
    """
    number = -1
    if isinstance(value, str):
        if value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX:
            number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if not 0 <= number <= CREDITS_MAX:
        raise PydanticCustomError(
            "whole_number",
            "this is no whole number between 0 and {most}",
            {"most": CREDITS_MAX, "mend": 'write it in digits, as a string: "250000"'},
        )
    return number


def calendar_day(value: object) -> date:
    """Read a day of the calendar, written as 2027-01-15.

    Raises:
        PydanticCustomError: anything else.
    """
    if isinstance(value, str) and len(value) == DAY_LENGTH:
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise PydanticCustomError("day", "this is no day of the calendar", {"mend": "write it as 2027-01-15"})


def instant(value: object) -> UnixMillis:
    """Read a moment from JSON, written as 2027-01-15T08:00:00Z; a number would leave its unit to be guessed.

    Raises:
        PydanticCustomError: anything else.
    """
    if isinstance(value, str):
        with suppress(InvalidInput):
            return moment(value)
    raise PydanticCustomError(
        "moment", "this is no moment in time", {"mend": "write it with its zone: 2027-01-15T08:00:00Z"}
    )


_WHOLE_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "pattern": f"^[0-9]{{1,{DIGITS_MAX}}}$"},
        {"type": "integer", "minimum": 0, "maximum": CREDITS_MAX},
    ],
}

CreditsIn = Annotated[
    Credits, BeforeValidator(whole), WithJsonSchema({**_WHOLE_SCHEMA, "description": "credits", "examples": ["250000"]})
]
OctetsIn = Annotated[
    Octets, BeforeValidator(whole), WithJsonSchema({**_WHOLE_SCHEMA, "description": "octets", "examples": ["1000"]})
]

DataCreditsIn = Annotated[
    DataCredits,
    BeforeValidator(whole),
    WithJsonSchema({**_WHOLE_SCHEMA, "description": "data credits", "examples": ["1000000"]}),
]

TimeIn = Annotated[
    UnixMillis,
    BeforeValidator(instant),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "description": "RFC 3339", "examples": ["2027-01-15T08:00:00Z"]}
    ),
]
DayIn = Annotated[
    date,
    BeforeValidator(calendar_day),
    WithJsonSchema({"type": "string", "format": "date", "description": "UTC", "examples": ["2027-01-15"]}),
]

CreditsText = Annotated[str, Field(pattern="^-?[0-9]+$", description="credits", examples=["250000"])]
DataCreditsText = Annotated[str, Field(pattern="^[0-9]+$", description="data credits", examples=["1000000"])]
OctetsText = Annotated[str, Field(pattern="^[0-9]+$", description="octets", examples=["10000000"])]
DifferenceText = Annotated[
    str,
    Field(pattern="^-?[0-9]+$", description="octets; below zero, less was signed than charged", examples=["-40000"]),
]
DayText = Annotated[str, Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="UTC", examples=["2027-01-15"])]
TimeText = Annotated[
    str,
    WithJsonSchema(
        {"type": "string", "format": "date-time", "description": "UTC", "examples": ["2027-01-15T08:00:00.000Z"]}
    ),
]
RatingGroup = Annotated[int, Field(ge=0, le=2**32 - 1, description="Rating-Group")]


def time_text(at: UnixMillis) -> str:
    """Write an instant as RFC 3339, in UTC with milliseconds.

    >>> time_text(UnixMillis(1_800_000_000_007))
    '2027-01-15T08:00:00.007Z'
    """
    whole_seconds = datetime.fromtimestamp(at // SECOND, UTC)
    return f"{whole_seconds:%Y-%m-%dT%H:%M:%S}.{at % SECOND:03d}Z"


def day_text(at: UnixMillis) -> str:
    """Write the day of an instant, in UTC.

    >>> day_text(UnixMillis(1_800_000_000_007))
    '2027-01-15'
    """
    return datetime.fromtimestamp(at // SECOND, UTC).date().isoformat()


def time_or_none(at: UnixMillis | int | None) -> str | None:
    return time_text(UnixMillis(at)) if at is not None else None


class Body(BaseModel):
    """What a request carries: no field that is not named, and no value that must be guessed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class View(BaseModel):
    """What an answer carries."""

    model_config = ConfigDict(frozen=True)
