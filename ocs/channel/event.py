"""What became of channels, as the journal records it.  Fields are only appended; tags are never used again."""

import msgspec

from ocs.units import DataCredits, Octets, UnixMillis


class CreditsBought(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=40):
    """The deployment's account was credited with data credits that were bought elsewhere."""

    at: UnixMillis
    number: int
    amount: DataCredits
    reference: str
    key: str  # Idempotency-Key


class ChannelOpened(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=41):
    """A channel locks its amount; its number is the owner's nonce."""

    at: UnixMillis
    number: int
    channel_id: bytes
    amount: DataCredits
    tariff: int
    per_octets: Octets
    expires_at: UnixMillis
    grace_ms: int
    envelope: bytes  # the signed ChannelOpen, as it came


class ChannelStepped(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=42):
    """A channel went on towards its end: `step` is one of ocs.channel.transition."""

    at: UnixMillis
    number: int
    step: int
    reason: int = 0  # of ocs.channel.record.CloseReason, where it closes


class SessionBegun(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=43):
    """The commit of a SessionInit: an incarnation of a Gy session begins in a channel."""

    at: UnixMillis
    channel: int
    session_id: bytes
    gy_session_id: bytes
    sgw_key: bytes
    miner_key: bytes
    granted: Octets
    started_at: UnixMillis
    report_id: bytes
    countersign_id: bytes
    envelope: bytes  # countersigned, as it came


class UsageCommitted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=44):
    """The commit of a Usage: its octets are counted in the session's channel."""

    at: UnixMillis
    session_id: bytes
    seq: int
    up: Octets
    down: Octets
    measured_at: UnixMillis
    final: bool
    flags: int  # of ocs.reporting.Flag: what was odd and does not matter
    report_id: bytes
    countersign_id: bytes
    envelope: bytes  # countersigned, as it came


class LogWitnessed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=46):
    """Cosigners saw the log's first `size` leaves, under this root, and that the log had only grown."""

    at: UnixMillis
    size: int
    root: bytes
    cosignatures: bytes  # signature lines, as they stand under a checkpoint


class SessionFrozen(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=45):
    """SGW or miner said two things that contradict each other; the session ends with what was committed before."""

    at: UnixMillis
    session_id: bytes
    kind: int  # of ocs.usage.dispute.DisputeKind
    first: bytes
    second: bytes
