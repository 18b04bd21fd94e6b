"""The public log: its checkpoint, tiles and proofs, for anybody.  c2sp.org/tlog-tiles; no token, for it is public."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from ocs.errors import InvalidInput, NotFound
from ocs.shell.api.door import ALONE, Behind
from ocs.shell.api.gate import PREFIX
from ocs.shell.api.problems import responses
from ocs.shell.api.values import View
from ocs.tlog.errors import ProofInvalid
from ocs.tlog.line import lines_of
from ocs.tlog.merkle import SIZE_MAX

routes = APIRouter(prefix=PREFIX, tags=["log"])

FOR_EVER = "public, max-age=31536000, immutable"
OCTETS = "application/octet-stream"


class SizesQuery(BaseModel):
    """Two sizes of the log, in leaves."""

    model_config = ConfigDict(extra="forbid")

    old: int = Field(ge=0, le=SIZE_MAX, description="the smaller one")
    size: int = Field(ge=0, le=SIZE_MAX, description="the larger one")


class ProofQuery(BaseModel):
    """Which checkpoint a proof is against."""

    model_config = ConfigDict(extra="forbid")

    cosigned: bool = Field(default=False, description="the newest that cosigners have signed, in place of the newest")


class LogKey(View):
    key: str = Field(
        description="the key that signs checkpoints, as c2sp.org/signed-note writes it",
        examples=["ocs.example.net/default+1234abcd+AQ=="],
    )
    size: int = Field(description="leaves")


@routes.get("/log/key", responses=responses(), dependencies=ALONE)
async def log_key(backend: Behind) -> LogKey:
    """Name the log and its key."""
    log = backend.usage.log
    return LogKey(key=log.key.text, size=log.size)


@routes.get("/log/checkpoint", responses=responses(), dependencies=ALONE, response_class=PlainTextResponse)
async def log_checkpoint(backend: Behind) -> Response:
    """Give the newest checkpoint: a signed note (c2sp.org/tlog-checkpoint)."""
    await backend.state()
    return PlainTextResponse(backend.usage.log.checkpoint().octets, media_type="text/plain; charset=utf-8")


@routes.get("/log/checkpoint/cosigned", responses=responses(404), dependencies=ALONE, response_class=PlainTextResponse)
async def log_checkpoint_cosigned(backend: Behind) -> Response:
    """Give the newest checkpoint that cosigners have signed too (c2sp.org/tlog-cosignature)."""
    await backend.state()
    return PlainTextResponse(backend.usage.log.cosigned().octets, media_type="text/plain; charset=utf-8")


@routes.get("/log/proof/{index}", responses=responses(404), response_class=PlainTextResponse)
async def log_proof(
    backend: Behind, index: Annotated[int, Path(ge=0, le=SIZE_MAX)], query: Annotated[ProofQuery, Query()]
) -> Response:
    """Prove a leaf to be in the log as it is now, or as cosigners last saw it (c2sp.org/tlog-proof)."""
    await backend.state()
    proof = backend.usage.log.proof(index, cosigned=query.cosigned)
    return PlainTextResponse(proof, media_type="text/plain; charset=utf-8")


@routes.get("/log/consistency", responses=responses(), response_class=PlainTextResponse)
async def log_consistency(backend: Behind, query: Annotated[SizesQuery, Query()]) -> Response:
    """Prove that the log of `size` leaves begins with that of `old`: a hash on each line, base64 (RFC 6962 2.1.2)."""
    await backend.state()
    log = backend.usage.log
    if query.size > log.size:
        raise InvalidInput(f"query/size: the log has {log.size} leaves")
    try:
        hashes = log.files.consistency(query.old, query.size)
    except ProofInvalid as error:
        raise InvalidInput(f"query/old: {error}") from None
    return PlainTextResponse(lines_of(hashes))


@routes.get("/log/tile/{path:path}", responses=responses(404), dependencies=ALONE, response_class=Response)
async def log_tile(backend: Behind, path: str) -> Response:
    """Give a tile of hashes, or a bundle of entries; a full one never changes."""
    if len(path) > 64:
        raise NotFound("no tile has so long a path")
    await backend.state()
    octets = backend.usage.log.files.read(f"tile/{path}")
    # A partial tile never changes either, but a wider one takes its place; nobody need keep it.
    return Response(octets, media_type=OCTETS, headers={"Cache-Control": FOR_EVER} if ".p/" not in path else None)
