"""What became of keys and reports, as the journal records it.  Fields are only appended; tags are never used again."""

import msgspec

from ocs.units import UnixMillis


class SignersAdded(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=50):
    """A gateway's SGW and its miner may sign from now on; public keys, 32 octets each."""

    at: UnixMillis
    origin_host: str
    sgw_key: bytes
    miner_key: bytes
    valid_from: UnixMillis
    valid_until: UnixMillis  # 0: without end


class KeyRevoked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=51):
    """A key signs nothing any more, whatever date its messages bear."""

    at: UnixMillis
    public_key: bytes
    reason: str


class KeyRotated(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=52):
    """A key follows another; the old one is good until `old_until`, for sessions that run."""

    at: UnixMillis
    old_key: bytes
    new_key: bytes
    effective_at: UnixMillis
    old_until: UnixMillis
    rotation: bytes  # as both keys signed it


class ReportRefused(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=53):
    """A report whose countersignature is good was refused; it is kept, for the other ledger to explain."""

    at: UnixMillis
    code: str  # of ocs.signed.refusal
    detail: str
    miner_key: bytes  # 33 octets
    report: bytes  # as it came
