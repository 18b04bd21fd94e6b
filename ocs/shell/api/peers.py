"""Peers: who is connected, who may connect, and who waits outside."""

from typing import Literal

from fastapi import Response
from pydantic import ConfigDict, Field

from ocs import command as cmd
from ocs.shell.api.door import ALONE, Behind, router
from ocs.shell.api.problems import responses
from ocs.shell.api.values import Body, TimeText, View, time_text
from ocs.shell.live import PeerView, WaitingView
from ocs.state import PeerAllowed

routes = router("peers")

ProfileName = Literal["standard", "open5gs", "magma"]


class NewPeer(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"addresses": ["192.0.2.7"], "profile": "open5gs"}]})

    addresses: list[str] = Field(default=[], description="addresses or networks it may come from; none: any")
    profile: ProfileName | None = Field(default=None, description="null: proposed by its Product-Name")


class Connected(View):
    """A connection, as the core sees it now."""

    origin_host: str
    origin_realm: str
    address: str = Field(description="host:port of the other end")
    profile: str
    product_name: str
    state: str = Field(description="of the peer machine (RFC 6733 section 5.6)")
    watchdog: str = Field(description="RFC 3539")
    secure: bool
    since: TimeText
    requests: int
    answers: int
    errors: int = Field(description="answers with another Result-Code than 2xxx")
    last_watchdog_ms: int | None


class Allowed(View):
    """A peer that may connect, by command or by configuration."""

    origin_host: str
    addresses: list[str] = Field(description="none: any")
    profile: str | None
    allowed_at: TimeText | None = Field(description="null: it stands in the configuration")


class Waiting(View):
    """A peer that was refused, and the one command that would let it in."""

    origin_host: str
    origin_realm: str
    address: str
    product_name: str
    reason: str
    first_seen: TimeText
    last_seen: TimeText
    attempts: int
    allow: str = Field(examples=["ocs peer allow sgw.visited.example --address 192.0.2.7"])


class Peers(View):
    any_peer: bool = Field(description="the configuration lets every peer in")
    connected: list[Connected]
    allowed: list[Allowed]
    waiting: list[Waiting]


def _connected(peer: PeerView) -> Connected:
    return Connected(
        origin_host=peer.origin_host,
        origin_realm=peer.origin_realm,
        address=peer.address,
        profile=peer.profile,
        product_name=peer.product_name,
        state=peer.state,
        watchdog=peer.watchdog,
        secure=peer.secure,
        since=time_text(peer.since),
        requests=peer.requests,
        answers=peer.answers,
        errors=peer.errors,
        last_watchdog_ms=peer.last_watchdog_ms if peer.last_watchdog_ms >= 0 else None,
    )


def _allowed(peer: PeerAllowed) -> Allowed:
    return Allowed(
        origin_host=peer.origin_host,
        addresses=list(peer.addresses),
        profile=peer.profile,
        allowed_at=time_text(peer.at),
    )


def _waiting(peer: WaitingView) -> Waiting:
    return Waiting(
        origin_host=peer.origin_host,
        origin_realm=peer.origin_realm,
        address=peer.address,
        product_name=peer.product_name,
        reason=peer.reason,
        first_seen=time_text(peer.first_seen),
        last_seen=time_text(peer.last_seen),
        attempts=peer.attempts,
        allow=f"ocs peer allow {peer.origin_host} --address {peer.address}",
    )


@routes.get("/peers", responses=responses(), dependencies=ALONE)
async def list_peers(backend: Behind) -> Peers:
    """List the peers: connected, allowed, and waiting to be allowed."""
    live = await backend.live()
    state = await backend.state()
    allowed = [_allowed(peer) for peer in state.peers.values()]
    configured = backend.config.gy.peers
    if configured != "any":
        allowed += [
            Allowed(origin_host=peer.origin_host, addresses=peer.addresses, profile=peer.profile, allowed_at=None)
            for peer in configured
        ]
    return Peers(
        any_peer=configured == "any",
        connected=sorted((_connected(peer) for peer in live.peers), key=lambda peer: (peer.origin_host, peer.address)),
        allowed=sorted(allowed, key=lambda peer: peer.origin_host),
        waiting=[_waiting(peer) for peer in live.waiting],
    )


@routes.put("/peers/{origin_host}", responses=responses(409), dependencies=ALONE)
async def allow_peer(backend: Behind, origin_host: str, body: NewPeer) -> Allowed:
    """Let a peer in from now on; what was allowed for it before is replaced."""
    done = await backend.command(cmd.AllowPeer(origin_host, body.addresses, body.profile))
    assert isinstance(done.event, PeerAllowed), "AllowPeer gives PeerAllowed"
    return _allowed(done.event)


@routes.delete("/peers/{origin_host}", status_code=204, responses=responses(404), dependencies=ALONE)
async def revoke_peer(backend: Behind, origin_host: str) -> Response:
    """Let a peer in no longer; its connection is closed."""
    await backend.command(cmd.RevokePeer(origin_host))
    return Response(status_code=204)
