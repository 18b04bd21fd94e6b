"""Texts that people and peers give: checked once, at the border, in the same words."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from ocs.errors import InvalidInput
from ocs.units import TIME_MAX, UnixMillis

TEXT_CHARACTERS_MAX: Final = 255
SHOWN_MAX: Final = 64

_IDENTITY: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9_])?")
"""A DiameterIdentity (RFC 6733 section 4.3.1) is a fully qualified domain name; some hosts have underscores."""

_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})", re.IGNORECASE
)
"""A date-time of RFC 3339 section 5.6.  Its zone is no option there: without one it names no moment."""

_1970: Final = datetime(1970, 1, 1, tzinfo=UTC)


def check_text(what: str, text: str) -> None:
    """Take 1 to 255 printable characters.

    Raises:
        InvalidInput: it is anything else; `what` names it.
    """
    if not 0 < len(text) <= TEXT_CHARACTERS_MAX or not text.isprintable():
        raise InvalidInput(f"{what} is 1 to {TEXT_CHARACTERS_MAX} printable characters; got {len(text)} characters")


def check_origin_host(text: str) -> None:
    """Take the name of a Diameter node.

    Raises:
        InvalidInput: it is none.
    """
    if not _IDENTITY.fullmatch(text):
        raise InvalidInput(
            f"{text[:SHOWN_MAX]!r} is no Origin-Host: letters, digits, dots, hyphens and underscores, as in "
            "sgw.visited.example"
        )


def moment(text: str) -> UnixMillis:
    """Read a moment as RFC 3339 writes it; what is finer than a millisecond is left out.

    >>> moment("2027-01-15T09:00:00.0079+01:00")
    1800000000007

    Raises:
        InvalidInput: it is none after 1970 and before the year 10000, or it has no zone.
    """
    if _MOMENT.fullmatch(text):
        with suppress(ValueError):  # a thirteenth month, say
            at = (datetime.fromisoformat(text.upper()) - _1970) // timedelta(milliseconds=1)
            if 0 < at <= TIME_MAX:
                return UnixMillis(at)
    raise InvalidInput(f"{text[:SHOWN_MAX]!r} is no moment in time; write it with its zone, 2027-01-15T08:00:00Z")
