"""Signed usage over HTTP: reports in, receipts out; and which channel a session's reports are for.

Reports come by the hundred, so msgspec reads and writes their JSON, in a third of the time.  Its shape is declared as
everywhere, and a body that msgspec does not take goes the declared way, which also tells what is wrong with it.
"""

import base64
import binascii
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from ocs.errors import InvalidInput
from ocs.shell.api.door import ALONE, Behind, backend_of
from ocs.shell.api.gate import PREFIX, bearer
from ocs.shell.api.paging import no_query
from ocs.shell.api.problems import responses
from ocs.shell.api.values import Body, OctetsText, View
from ocs.shell.follower.backend import Backend
from ocs.shell.follower.usage_door import AT_ONCE, Outcome

SESSION_ID_CHARACTERS_MAX: Final = 1024


class NewReports(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reports": ["Ch1zZXR0bGVtZW50L2NvdW50ZXJzaWduL3Yx"]}]})

    reports: list[str] = Field(
        min_length=1, max_length=AT_ONCE, description="countersigned envelopes, each in base64 (RFC 4648 section 4)"
    )


class ReportResult(View):
    """What became of one report; `again`: nothing was decided, send the same octets later."""

    message_id: str = Field(description="of the countersigned envelope, in hex; empty where it cannot be read")
    status: Literal["accepted", "superseded", "refused", "again"]
    code: str | None = Field(description="of a refusal; docs/signing.md lists them", examples=["over_grant"])
    detail: str
    log_index: int | None = Field(description="of the leaf that counts it")
    proof: str | None = Field(description="the receipt: a c2sp.org/tlog-proof@v1 file")
    next_channel_id: str | None = Field(description="end the session, and begin it anew in this channel")


class Results(View):
    results: list[ReportResult] = Field(description="one for each report, in their order")


class SessionQuery(BaseModel):
    """Which Gy session."""

    model_config = ConfigDict(extra="forbid")

    gy_session_id: str = Field(min_length=1, max_length=SESSION_ID_CHARACTERS_MAX, description="Session-Id over Gy")


class ActiveChannel(View):
    network: str
    channel_id: str | None = Field(description="null: nothing is held for this session now; sign nothing")
    tariff_id: int | None
    cum_granted_bytes: OctetsText = Field(description="what may be signed for so far")


async def sender(request: Request) -> bytes | None:
    """Give the miner that sends, which `Gate` has admitted; None for the administrator."""
    miner: bytes | None = request.scope["miner"]
    return miner


Sender = Annotated[bytes | None, Depends(sender)]


class _Reports(msgspec.Struct, forbid_unknown_fields=True):
    """`NewReports`, their base64 read; refuses some bodies that are good, and takes none that is not."""

    reports: Annotated[list[bytes], msgspec.Meta(min_length=1, max_length=AT_ONCE)]


_Result = msgspec.defstruct("_Result", ReportResult.model_fields)
_read: Final = msgspec.json.Decoder(_Reports).decode
_write: Final = msgspec.json.Encoder().encode


class _QuickRoute(APIRoute):
    """A route whose body, where it has one, is most often read without its declaration.

    It does by hand what the declared dependencies do, so it knows no others: with one more no server starts.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        declared = super().get_route_handler()
        if self.body_field is None:
            return declared
        known = (bearer, no_query, backend_of, sender)
        assert all(one.call in known for one in self.dependant.dependencies), f"{self.path} would pass one by"

        async def handler(request: Request) -> Response:
            try:
                reports = _read(await request.body()).reports
            except (ClientDisconnect, msgspec.DecodeError):
                return await declared(request)
            if request.scope["query_string"]:
                return await declared(request)
            return await _reported(await backend_of(request), reports, await sender(request))

        return handler


routes = APIRouter(prefix=PREFIX, tags=["usage"], dependencies=[Depends(bearer)], route_class=_QuickRoute)


def _octets_of(place: int, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"body/reports/{place}: this is no base64; nothing of the batch was taken") from None


async def _reported(backend: Backend, reports: Sequence[bytes], miner: bytes | None) -> Response:
    """Give what became of reports: `Results`."""
    results = [_result(outcome) for outcome in await backend.usage.report(reports, miner)]
    return Response(_write({"results": results}), media_type="application/json")


def _result(outcome: Outcome) -> msgspec.Struct:
    return _Result(
        message_id=outcome.message_id.hex(),
        status=outcome.status.value,
        code=outcome.code or None,
        detail=outcome.detail,
        log_index=outcome.leaf if outcome.leaf >= 0 else None,
        proof=outcome.proof.decode() if outcome.proof else None,
        next_channel_id=outcome.next_channel_id.hex() or None,
    )


@routes.post("/usage", responses=responses(401), dependencies=ALONE, response_model=Results)
async def report_usage(backend: Behind, miner: Sender, body: NewReports) -> Response:
    """Take signed reports; each is answered by its receipt once it is durable, or by the rule that it breaks.

    A repeat is counted once and gets the receipt of its first.  A miner that sends may send its own reports only.
    """
    reports = [_octets_of(place, text) for place, text in enumerate(body.reports)]
    return await _reported(backend, reports, miner)


@routes.get("/usage/active-channel", responses=responses(401))
async def active_channel(
    backend: Behind,
    miner: Sender,
    query: Annotated[SessionQuery, Query()],
) -> ActiveChannel:
    """Say which channel the next SessionInit of a Gy session is for."""
    active = await backend.usage.active(query.gy_session_id, miner)
    return ActiveChannel(
        network=backend.usage.network,
        channel_id=active.channel_id.hex() if active.channel_id is not None else None,
        tariff_id=active.tariff if active.channel_id is not None else None,
        cum_granted_bytes=str(active.granted),
    )
