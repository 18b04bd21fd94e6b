"""What a load is to be: the octets to send, how many of them, and how long."""

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Template:
    """One request, and where its numbers stand.

    Attributes:
        session: offset of 16 octets, subscriber of 9 digits, number of an Unsigned32.
        services: how many grants its answer must hold.
    """

    octets: bytes
    session: int
    subscriber: int
    number: int
    services: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send, and for how long.

    Attributes:
        capabilities: the CER of each connection.
        templates: sets of one request of each kind; sessions take them in turn.
        outstanding: requests under way on each connection, closed loop.
        rate: requests a second over all connections, open loop; 0 for the closed one.
        rate_to: where the rate goes in a straight line within `ramp_seconds`; 0 keeps it.
        updates: CCR-U of each session.
        sessions: how many are open at a time, 0 for one for each request under way.
        warm_seconds: sent before anything is counted; all sessions are opened before that.
        is_hostile: give every request a layout that was never there before.
        stop_p99_ms: end after three seconds in a row whose p99 is above; 0 goes on.
        is_drained: at the end, wait for what is under way and end every session.
        tells: write each second to standard error, as a line of JSON.
    """

    port: int
    capabilities: list[bytes]
    templates: list[dict[str, Template]]
    host: str = "127.0.0.1"
    connections: int = 1
    outstanding: int = 64
    rate: float = 0.0
    rate_to: float = 0.0
    ramp_seconds: float = 0.0
    updates: int = 8
    sessions: int = 0
    seconds: float = 5.0
    warm_seconds: float = 1.0
    first_session: int = 0
    is_hostile: bool = False
    stop_p99_ms: float = 0.0
    is_drained: bool = False
    tells: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=lambda octets: octets.hex())

    @classmethod
    def from_json(cls, text: str) -> "Job":
        told: dict[str, Any] = json.loads(text)
        told["capabilities"] = [bytes.fromhex(one) for one in told["capabilities"]]
        told["templates"] = [
            {kind: Template(**{**one, "octets": bytes.fromhex(one["octets"])}) for kind, one in each.items()}
            for each in told["templates"]
        ]
        return cls(**told)
