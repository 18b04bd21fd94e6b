"""Put the door together: routes, problems, gate, and the document that describes them."""

from typing import Any, Final

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from ocs.shell.api import (
    channels,
    data_credits,
    docs_page,
    keys,
    log,
    money,
    operators,
    peers,
    problems,
    reconciliation,
    sessions,
    signed_reports,
    status,
    usage,
)
from ocs.shell.api.gate import Gate
from ocs.shell.follower.backend import Backend
from ocs.version import VERSION

DESCRIPTION: Final = """Administration and reading of a Diameter Gy charging server.

Amounts are decimal strings of credits, volumes decimal strings of octets, times RFC 3339 in UTC.  Lists come in pages:
`next` is the `cursor` of the following one.  Every error is a problem of RFC 9457.  A read sees all that was answered
before it was asked.
"""

TAGS: Final = [
    {"name": "operators", "description": "Home operators, their prefixes and tariffs."},
    {"name": "money", "description": "Top-ups, reversals, write-offs."},
    {"name": "sessions", "description": "Credit-control sessions, explained."},
    {"name": "reconciliation", "description": "What Gy charged beside what was signed."},
    {"name": "peers", "description": "Diameter peers: connected, allowed, waiting."},
    {"name": "keys", "description": "Keys that sign usage."},
    {"name": "channels", "description": "Data credits, channels, and what was signed in them."},
    {"name": "usage", "description": "Signed reports of usage, and their receipts."},
    {"name": "log", "description": "The public log of all commits; no token."},
    {"name": "status", "description": "Health and metrics; no token."},
    {"name": "problems", "description": "What each problem type means; no token."},
]


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Give the OpenAPI document, with the schema that every problem refers to."""
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if problems.Problem.__name__ not in schemas:
            _, described = models_json_schema(
                [(problems.Problem, "serialization")], ref_template="#/components/schemas/{model}"
            )
            schemas.update(described["$defs"])
        return document


def create_app(backend: Backend, token: str) -> FastAPI:
    """Make the HTTP door.

    Args:
        backend: what it reads and commands.
        token: the administrator's, for everything under /api/v1.
    """
    app = _Application(
        title="Session Purchaser",
        version=VERSION,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.backend = backend
    nouns = (
        *(operators, money, sessions, reconciliation, peers, keys),
        *(data_credits, channels, signed_reports, usage, log, status),
    )
    for noun in nouns:
        app.include_router(noun.routes)
    problems.install(app)
    docs_page.install(app)
    app.add_middleware(Gate, token=token, usage=lambda: backend.usage)
    return app
