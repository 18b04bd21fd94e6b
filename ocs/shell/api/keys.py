"""Keys that sign usage: registered in pairs, an SGW's and its miner's; revoked, and replaced."""

import base64
import binascii
from typing import Annotated, Literal

from fastapi import Path
from pydantic import ConfigDict, Field

from ocs import command as cmd
from ocs.errors import InvalidInput
from ocs.shell.api.door import ALONE, Behind, router
from ocs.shell.api.paging import Page, Paging, number_of, page_of
from ocs.shell.api.problems import responses
from ocs.shell.api.values import Body, TimeIn, TimeText, View, time_or_none, time_text
from ocs.signed.ed25519 import PUBLIC_KEY_OCTETS, SIGNER_OCTETS, public_key_of, signer_of
from ocs.units import UnixMillis
from ocs.usage.event import KeyRevoked, KeyRotated, SignersAdded
from ocs.usage.keys import KeyView

routes = router("keys")

KeyText = Annotated[
    str,
    Field(
        pattern="^[0-9a-fA-F]{64}([0-9a-fA-F]{2})?$",
        description="Ed25519 public key in hex, 32 octets; or a signer, 01 and the key",
        examples=["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"],
    ),
]
KeyPath = Annotated[str, Path(pattern="^[0-9a-fA-F]{64}([0-9a-fA-F]{2})?$", description="public key or signer, in hex")]
Role = Literal["sgw", "miner"]


class NewSigners(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"origin_host": "sgw.visited.example", "sgw_key": "d75a…", "miner_key": "3d40…"}]
        }
    )

    origin_host: str = Field(description="of the gateway, as over Gy")
    sgw_key: KeyText
    miner_key: KeyText
    valid_from: TimeIn | None = Field(default=None, description="null: now")
    valid_until: TimeIn | None = Field(default=None, description="null: without end")


class NewRevocation(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the box was stolen"}]})

    reason: str = Field(description="1 to 255 characters")


class NewRotation(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"rotation": "ChtzZXR0bGVtZW50L2tleS1oYW5kb3Zlcg=="}]})

    rotation: str = Field(max_length=4096, description="as both keys signed it (docs/signing.md), in base64")


class KeyRow(View):
    public_key: str
    signer: str = Field(description="01 and the public key: as messages name it")
    role: Role
    origin_host: str
    pairs: list[str] = Field(description="public keys of its SGWs or miners")
    valid_from: TimeText
    valid_until: TimeText | None
    revoked_at: TimeText | None


class RotationView(View):
    old_key: str
    new_key: str
    effective_at: TimeText
    old_until: TimeText = Field(description="the old key is good until then, for the sessions that began with it")


def row_of(public_key: bytes, key: KeyView) -> KeyRow:
    return KeyRow(
        public_key=public_key.hex(),
        signer=signer_of(public_key).hex(),
        role=key.role.value,
        origin_host=key.origin_host,
        pairs=[pair.hex() for pair in key.pairs],
        valid_from=time_text(key.valid_from),
        valid_until=time_or_none(key.valid_until),
        revoked_at=time_or_none(key.revoked_at),
    )


def key_of(text: str) -> bytes:
    """Give the public key that a text in hex names; a signer's tag is taken off.

    Raises:
        Malformed: `bad_key`: it has the length of a signer, and not its tag.
    """
    octets = bytes.fromhex(text)
    if len(octets) == SIGNER_OCTETS:
        return public_key_of(octets)
    assert len(octets) == PUBLIC_KEY_OCTETS
    return octets


@routes.get("/keys", responses=responses())
async def list_keys(backend: Behind, query: Paging) -> Page[KeyRow]:
    """List all keys there ever were, in the order in which they were registered."""
    after = number_of("keys", query.cursor) or 0
    keys = list((await backend.state()).signed.register.keys.items())
    rows = [(place, row_of(*one)) for place, one in enumerate(keys[after : after + query.limit + 1], after + 1)]
    return page_of("keys", rows, query.limit)


@routes.post("/keys", status_code=201, responses=responses(409), dependencies=ALONE)
async def add_keys(backend: Behind, body: NewSigners) -> list[KeyRow]:
    """Register the keys of a gateway's SGW and its miner.

    From now on what this gateway is granted needs room in a channel.
    """
    done = await backend.command(
        cmd.AddSigners(
            body.origin_host,
            key_of(body.sgw_key),
            key_of(body.miner_key),
            body.valid_from or UnixMillis(0),
            body.valid_until or UnixMillis(0),
        )
    )
    assert isinstance(done.event, SignersAdded), "AddSigners gives SignersAdded"
    keys = (await backend.state()).signed.register.keys
    return [row_of(key, keys[key]) for key in (done.event.sgw_key, done.event.miner_key)]


@routes.post("/keys/rotations", status_code=201, responses=responses(409), dependencies=ALONE)
async def rotate_key(backend: Behind, body: NewRotation) -> RotationView:
    """Let one key follow another, as both have signed it."""
    try:
        octets = base64.b64decode(body.rotation, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("body/rotation: this is no base64") from None
    done = await backend.command(cmd.RotateKey(octets))
    event = done.event
    assert isinstance(event, KeyRotated), "RotateKey gives KeyRotated"
    return RotationView(
        old_key=event.old_key.hex(),
        new_key=event.new_key.hex(),
        effective_at=time_text(event.effective_at),
        old_until=time_text(event.old_until),
    )


@routes.post("/keys/{public_key}/revocation", status_code=201, responses=responses(404, 409), dependencies=ALONE)
async def revoke_key(backend: Behind, public_key: KeyPath, body: NewRevocation) -> KeyRow:
    """Let a key sign nothing any more, whatever date its messages bear; what it signed before stays proved."""
    done = await backend.command(cmd.RevokeKey(key_of(public_key), body.reason))
    assert isinstance(done.event, KeyRevoked), "RevokeKey gives KeyRevoked"
    key = done.event.public_key
    return row_of(key, (await backend.state()).signed.register.keys[key])
