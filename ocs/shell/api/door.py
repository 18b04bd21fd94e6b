"""What the routes share: the backend behind them, and how a router under /api/v1 is made."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request

from ocs.shell.api.gate import PREFIX, bearer
from ocs.shell.api.paging import no_query
from ocs.shell.follower.backend import Backend


async def backend_of(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


Behind = Annotated[Backend, Depends(backend_of)]
"""The backend, as an argument of a route."""

ALONE: Final[list[Any]] = [Depends(no_query)]
"""The dependencies of a route that takes no query parameter."""


def router(tag: str) -> APIRouter:
    """Make a router for one noun of the API; `Gate` has checked the token before."""
    return APIRouter(prefix=PREFIX, tags=[tag], dependencies=[Depends(bearer)])
