"""What every request passes before any route: the token, the size and the type of its body.  And what none passes
after: an error nobody foresaw.
"""

import hmac
from collections.abc import Callable
from typing import Final

from fastapi.security import HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocs.errors import OcsError
from ocs.shell.api.problems import internal, of_error, problem
from ocs.shell.follower.usage_door import UsageDoor
from ocs.shell.follower.usage_senders import NotAdmitted, sender_of

PREFIX: Final = "/api/v1"
LOG: Final = PREFIX + "/log/"
"""The log is public."""

USAGE: Final = PREFIX + "/usage"
"""Who sends usage may show it by a key of its own."""

BODY_OCTETS_MAX: Final = 1024 * 1024
"""A thousand prefixes fit many times over; more is no request of an administrator."""

bearer: Final = HTTPBearer(auto_error=False, description="OCS_API_TOKEN, or the content of `token` in the data folder")
"""Only for OpenAPI's security scheme; `Gate` is what checks."""


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, token: str, usage: Callable[[], UsageDoor]) -> None:
        assert token, "a door without a token would be open"
        self._app = app
        self._usage = usage
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting_send(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            refusal = await self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, noting_send)
            else:
                await self._app(scope, _limited(receive), noting_send)
        except Exception as error:  # noqa: BLE001  # the last place that can still answer; `internal` logs it
            response = internal(error)
            if not begun:
                await response(scope, receive, noting_send)

    async def _refusal(self, scope: Scope) -> ASGIApp | None:
        """Give the problem of a request that goes no further; the token first, so that strangers learn nothing."""
        headers = Headers(scope=scope)
        path: str = scope["path"]
        authorization = headers.get("authorization", "")
        if path == USAGE or path.startswith(USAGE + "/"):
            try:
                scope["miner"] = await sender_of(authorization, self._usage(), self._token)
            except NotAdmitted as error:
                return problem("unauthorized", str(error), headers={"WWW-Authenticate": "Settlement, Bearer"})
            except OcsError as error:
                return of_error(error)
        elif (path == PREFIX or path.startswith(PREFIX + "/")) and not (
            path.startswith(LOG) or self._knows(authorization)
        ):
            return problem(
                "unauthorized",
                "send Authorization: Bearer TOKEN; it is OCS_API_TOKEN, or in the file `token` of the data folder",
                headers={"WWW-Authenticate": 'Bearer realm="ocs"'},
            )
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > BODY_OCTETS_MAX:
            return problem("body-too-large", _TOO_LARGE)
        has_body = length != "0" or "transfer-encoding" in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if has_body and kind != "application/json":
            return problem("unsupported-media-type", f"the body is declared as {kind[:80] or 'nothing'!r}, not as JSON")
        return None

    def _knows(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        # Compared in constant time: how long a refusal takes tells nothing of the token.
        return hmac.compare_digest(given.strip().encode("latin-1"), self._token) and scheme.lower() == "bearer"


_TOO_LARGE: Final = f"a body has {BODY_OCTETS_MAX} octets at the most"


def _limited(receive: Receive) -> Receive:
    """Count a body that comes in chunks; its length is not declared."""
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_OCTETS_MAX:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return counting
