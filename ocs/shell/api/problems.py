"""Errors as RFC 9457 problems, and the one table that translates them.  docs/problems.md tells each to a reader.

Every error leaves as `application/problem+json`, those of the framework too.  What is not foreseen says nothing of our
insides; its log entry bears the id that the answer names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ocs.errors import NotFound, OcsError
from ocs.shell.api.values import View
from ocs.signed.malformed import Malformed

MEDIA_TYPE: Final = "application/problem+json"
TYPE_BASE: Final = "/problems/"
RETRY_AFTER_SECONDS: Final = 1
KEY_HEADER: Final = "idempotency-key"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of problem; its slug is for programs and never changes its meaning."""

    slug: str
    status: int
    title: str
    meaning: str


KINDS: Final = {
    kind.slug: kind
    for kind in (
        Kind("invalid-json", 400, "The body is no JSON", "Send a JSON object in UTF-8."),
        Kind(
            "idempotency-key-missing",
            400,
            "An Idempotency-Key is required",
            "Money moves once for each key: send a new one for each top-up, and the same one when you repeat it.",
        ),
        Kind("unauthorized", 401, "A valid token is required", "Send Authorization: Bearer with the server's token."),
        Kind("refused-by-policy", 403, "Not allowed", "The token is valid and does not cover this."),
        Kind("not-found", 404, "There is no such thing", "The detail says what was looked for."),
        Kind("method-not-allowed", 405, "Not with this method", "The Allow header names the methods there are."),
        Kind("conflict", 409, "It conflicts with what is there", "Read what is there, then decide again."),
        Kind("insufficient-balance", 409, "The balance is too low", "Ask for less, or end sessions that hold credit."),
        Kind("out-of-turn", 409, "Not in this state", "Nothing changed; look at the state first."),
        Kind("body-too-large", 413, "The body is too large", "Send less at once."),
        Kind("unsupported-media-type", 415, "The body is not declared as JSON", "Send Content-Type: application/json."),
        Kind("invalid-input", 422, "A value cannot be taken", "The errors say where, what, and how to mend it."),
        Kind("internal", 500, "The server failed", "Report it with the id in the detail; the log has that id too."),
        Kind("unavailable", 503, "Not available now", "Try again in a moment; a command may have been carried out."),
        Kind("not-ready", 503, "The server is not ready", "The reasons say what is missing."),
        Kind("too-busy", 503, "Too busy", "Try again in a moment."),
    )
}
"""What this door itself may say; the Diameter family below `OcsError` keeps its own slugs."""

_BY_STATUS: Final = {
    400: "invalid-json",
    401: "unauthorized",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}


class FieldError(View):
    """One value that cannot be taken."""

    where: str = Field(description="`body`, `query`, `path` or `header`, then a JSON pointer", examples=["body/amount"])
    what: str
    mend: str


class Problem(View):
    """RFC 9457 problem details."""

    type: str = Field(examples=["/problems/not-found"])
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None
    code: str | None = Field(default=None, description="of a signed message: the rule that it breaks")
    reasons: dict[str, str] | None = Field(default=None, description="of `not-ready`: each part that is not, and why")


def problem(
    slug: str,
    detail: str,
    *,
    status: int | None = None,
    errors: Iterable[FieldError] = (),
    code: str | None = None,
    reasons: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Write a problem; `status` only for a slug that is not in `KINDS`."""
    kind = KINDS.get(slug)
    if kind is None:
        kind = Kind(slug, status or 500, slug.replace("-", " ").capitalize(), "")
    body: dict[str, Any] = {
        "type": TYPE_BASE + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    if listed := [error.model_dump() for error in errors]:
        body["errors"] = listed
    if code is not None:
        body["code"] = code
    if reasons is not None:
        body["reasons"] = dict(reasons)
    extra = dict(headers or {})
    if kind.status == 503:
        extra["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return JSONResponse(body, kind.status, headers=extra, media_type=MEDIA_TYPE)


def of_error(error: OcsError) -> JSONResponse:
    """Translate misuse; a fault of ours becomes `internal`."""
    if error.status == 500:
        return internal(error)
    code = error.code.value if isinstance(error, Malformed) else None
    return problem(error.slug, str(error), status=error.status, code=code)


def internal(error: BaseException) -> JSONResponse:
    """Answer what nobody foresaw, and log it under the id that the answer names."""
    name = uuid4().hex
    log.error("the door failed", id=name, exc_info=error)
    return problem("internal", f"this server failed; its log says more under id {name}")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe, for OpenAPI, the problems a route may answer beside those that every route may."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in sorted({401, 422, 500, 503, *statuses}):
        slugs = ", ".join(f"`{kind.slug}`" for kind in KINDS.values() if kind.status == status)
        described[status] = {
            "description": f"problem: {slugs}",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return described


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem, and give each kind its page."""

    @app.exception_handler(OcsError)
    async def misuse(request: Request, error: OcsError) -> JSONResponse:
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(error)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> JSONResponse:
        slug = _BY_STATUS.get(error.status_code, "internal")
        detail = {
            "not-found": "there is nothing at this address; /docs lists what there is",
            "method-not-allowed": f"{request.method} is not offered here",
            "invalid-json": "the body is no JSON in UTF-8 that can be read",
        }.get(slug, str(error.detail))
        headers = dict(error.headers or {})
        if slug == "method-not-allowed":
            headers["Allow"] = ", ".join(_methods(app, request))
        return problem(slug, detail, headers=headers)

    @app.get(TYPE_BASE + "{slug}", tags=["problems"], summary="Tell what a problem type means")
    async def page(slug: str) -> PlainTextResponse:
        kind = KINDS.get(slug)
        if kind is None:
            raise NotFound(f"there is no problem type {slug[:80]!r}")
        return PlainTextResponse(f"{kind.title} (HTTP {kind.status})\n\n{kind.meaning}\n")


def _methods(app: FastAPI, request: Request) -> list[str]:
    """Give the methods of all routes at this address; the framework names those of the first one alone."""
    return [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in app.routes)
    ]


def _invalid(error: RequestValidationError) -> JSONResponse:
    found = error.errors()
    for one in found:
        if one["type"] == "json_invalid":
            return problem("invalid-json", f"the body is no JSON: {one['ctx']['error']} at character {one['loc'][-1]}")
        if one["type"] == "missing" and tuple(one["loc"]) == ("header", KEY_HEADER):
            return problem(
                "idempotency-key-missing",
                "send an Idempotency-Key header: a new one for each top-up, the same one to repeat it",
            )
    errors = [_field_error(one) for one in found]
    return problem("invalid-input", f"{errors[0].where}: {errors[0].what}", errors=errors)


def _field_error(one: Mapping[str, Any]) -> FieldError:
    """Tell one validation error without its input, which may hold a subscriber's data."""
    where = "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in one["loc"])
    context = one.get("ctx", {})
    what, mend = one["msg"], context.get("mend", "")
    match one["type"]:
        case "missing":
            what, mend = "it is required", "add it"
        case "extra_forbidden":
            what, mend = "it is not known here", "remove it, or correct its name; /docs lists the names"
        case "model_attributes_type" | "model_type" | "dict_type":
            what, mend = "it is no JSON object", 'write an object: {"name": ...}'
    return FieldError(where=where, what=what[:1].lower() + what[1:], mend=mend or "correct it; /docs shows an example")
