"""Signed usage over HTTP: reports in, receipts out; and which channel a session's reports are for."""

import base64
import binascii
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ocs.errors import InvalidInput
from ocs.shell.api.door import ALONE, Behind
from ocs.shell.api.gate import PREFIX, bearer
from ocs.shell.api.problems import responses
from ocs.shell.api.values import Body, OctetsText, View
from ocs.shell.follower.usage_door import AT_ONCE, Outcome

routes = APIRouter(prefix=PREFIX, tags=["usage"], dependencies=[Depends(bearer)])

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


def _octets_of(place: int, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"body/reports/{place}: this is no base64; nothing of the batch was taken") from None


def _result(outcome: Outcome) -> ReportResult:
    return ReportResult(
        message_id=outcome.message_id.hex(),
        status=outcome.status.value,
        code=outcome.code or None,
        detail=outcome.detail,
        log_index=outcome.leaf if outcome.leaf >= 0 else None,
        proof=outcome.proof.decode() if outcome.proof else None,
        next_channel_id=outcome.next_channel_id.hex() or None,
    )


@routes.post("/usage", responses=responses(401), dependencies=ALONE)
async def report_usage(backend: Behind, miner: Sender, body: NewReports) -> Results:
    """Take signed reports; each is answered by its receipt once it is durable, or by the rule that it breaks.

    A repeat is counted once and gets the receipt of its first.  A miner that sends may send its own reports only.
    """
    reports = [_octets_of(place, text) for place, text in enumerate(body.reports)]
    return Results(results=[_result(outcome) for outcome in await backend.usage.report(reports, miner)])


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
