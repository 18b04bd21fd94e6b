"""Lists in pages: a cursor names the last row seen, so that rows which come meanwhile are neither lost nor doubled.

A cursor is opaque to its user and belongs to one list.
"""

import base64
import binascii
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from ocs.shell.api.values import View
from ocs.units import CREDITS_MAX

PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1000

Item = TypeVar("Item")


class Page(View, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = Field(description="the cursor of the next page; null on the last one")


class PageQuery(BaseModel):
    """Which page; every list takes these."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=PAGE_DEFAULT, ge=1, le=PAGE_MAX, description="rows on a page")
    cursor: str | None = Field(default=None, max_length=200, description="`next` of the page before")


Paging = Annotated[PageQuery, Query()]


async def no_query(request: Request) -> None:
    """Refuse every query parameter, for a route that knows none.

    Raises:
        RequestValidationError: there is one.
    """
    unknown = [{"type": "extra_forbidden", "loc": ("query", name), "msg": ""} for name in request.query_params]
    if unknown:
        raise RequestValidationError(unknown)


def cursor_after(kind: str, number: int) -> str:
    """Name the row after which the next page of the list `kind` begins."""
    return base64.urlsafe_b64encode(f"{kind} {number}".encode()).rstrip(b"=").decode()


def number_of(kind: str, cursor: str | None) -> int | None:
    """Read a cursor of the list `kind`; None for the first page.

    Raises:
        RequestValidationError: it is not one of this list's.
    """
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        named, _, number = text.partition(" ")
        if named == kind and number.isascii() and number.isdigit() and int(number) <= CREDITS_MAX:
            return int(number)
    except (binascii.Error, ValueError):
        pass  # told below
    mend = "take `next` from the page before, or leave it out to begin anew"
    raise RequestValidationError(
        [
            {
                "type": "cursor",
                "loc": ("query", "cursor"),
                "msg": "this is no cursor of this list",
                "ctx": {"mend": mend},
            }
        ]
    )


def page_of(kind: str, rows: list[tuple[int, Item]], limit: int) -> Page[Item]:
    """Make a page of rows with their numbers, in the list's order; one more than `limit` says that there are more."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(items=[item for _, item in shown], next=cursor_after(kind, shown[-1][0]) if more else None)
