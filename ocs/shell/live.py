"""What only the running core knows, as it tells the follower."""

import msgspec

from ocs.units import GroupIndex, UnixMillis


class PeerView(msgspec.Struct, array_like=True):
    """One connection, as the core sees it now."""

    origin_host: str
    origin_realm: str
    address: str  # host:port of the other end
    profile: str
    product_name: str
    state: str  # of the peer machine
    watchdog: str  # RFC 3539
    secure: bool
    since: UnixMillis
    requests: int
    answers: int
    errors: int  # answers with another Result-Code than 2xxx
    last_watchdog_ms: int  # how long the last DWA took, -1 for none yet


class WaitingView(msgspec.Struct, array_like=True):
    """A peer that was refused, and would be admitted by one command."""

    origin_host: str
    origin_realm: str
    address: str  # without the port
    product_name: str
    reason: str
    first_seen: UnixMillis
    last_seen: UnixMillis
    attempts: int


class Live(msgspec.Struct, array_like=True):
    """What only the running core knows."""

    started_at: UnixMillis
    now: UnixMillis
    index: GroupIndex  # the newest synced group
    serving: bool
    peers: list[PeerView]
    waiting: list[WaitingView]
    metrics: str  # the core's samples in Prometheus text format, without HELP and TYPE of what the follower adds
