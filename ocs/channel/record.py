"""What a channel is made of, field by field.  docs/adr/0016-signed-messages.md; proto/settlement.proto.

    ChannelOpen    the owner: so much is locked, from this height to that
    Commit         a leaf of the log: a countersigned report is counted
    ChannelClose   the owner: so much was used, by these miners, and so much returns

Field numbers are never changed and never used again.  Amounts in data credits (`_dc`) and octets are integers.  These
records say what the fields may hold; whether a Close adds up, or an Open may be, is decided against the ledger.
"""

from enum import IntEnum
from typing import Final, Self

import msgspec

from ocs.signed import envelope, fields, wire

CHANNEL_OPEN_TYPE: Final = "settlement/channel-open/v1"
COMMIT_TYPE: Final = "settlement/commit/v1"
CHANNEL_CLOSE_TYPE: Final = "settlement/channel-close/v1"

AMOUNT_DC_MAX: Final = 2**63 - 1
"""What the books' 64-bit columns hold."""

MINERS_MAX: Final = 2000
"""Of one channel: its Close has 52 octets for each, and must always fit (Helium's had to double for a dispute)."""

OPERATOR_OCTETS_MAX: Final = 256
"""An operator's name of 64 characters, as UTF-8."""

NO_COMMIT: Final = bytes(fields.DIGEST_OCTETS)
"""Stands as prev_commit in a channel's first commit."""

_RECORD_OCTETS_MAX: Final = 1024
_CLOSE_OCTETS_MAX: Final = 192 * 1024


class CloseReason(IntEnum):
    EXHAUSTED = 1
    EPOCH_END = 2
    OWNER = 3
    DISPUTE = 4


_COMMIT: Final = wire.Schema(
    "Commit",
    fields.version(),
    fields.digest(2, "channel_id"),
    wire.uint64(3, "index"),
    fields.digest(4, "countersign_id"),
    fields.signer(5, "miner_key"),
    fields.session_id(6),
    wire.uint64(7, "seq"),
    wire.uint64(8, "delta_bytes", most=fields.COUNTER_MAX),
    wire.uint64(9, "delta_dc", most=AMOUNT_DC_MAX),
    wire.uint64(10, "channel_total_dc", most=AMOUNT_DC_MAX),
    wire.uint64(11, "committed_at_ms"),
    fields.digest(12, "prev_commit"),
    octets_max=_RECORD_OCTETS_MAX,
)

# Number 3 is free: the channel's id is not among the fields, it is made of them.
_CHANNEL_OPEN: Final = wire.Schema(
    "ChannelOpen",
    fields.version(),
    fields.network(2),
    fields.signer(4, "owner_key"),
    wire.uint64(5, "owner_nonce"),
    wire.uint64(6, "amount_dc", most=AMOUNT_DC_MAX),
    wire.uint64(7, "open_height"),
    wire.uint64(8, "expire_height"),
    wire.uint64(9, "grace_blocks"),
    wire.uint32(10, "tariff_id"),
    wire.uint32(11, "max_miners", most=MINERS_MAX),
    wire.string(12, "operator_id", most=OPERATOR_OCTETS_MAX),
    octets_max=_RECORD_OCTETS_MAX,
)

_SUMMARY: Final = wire.Schema(
    "Summary",
    fields.signer(1, "client_pubkeybin"),
    wire.uint64(2, "num_packets"),
    wire.uint64(3, "num_dcs", most=AMOUNT_DC_MAX),
    wire.uint64(4, "num_bytes"),
    wire.uint64(5, "num_sessions"),
    octets_max=128,
)

_CHANNEL_CLOSE: Final = wire.Schema(
    "ChannelClose",
    fields.version(),
    fields.digest(2, "channel_id"),
    wire.uint64(3, "nonce"),
    wire.enum(4, "reason", CloseReason),
    wire.uint64(5, "used_dc", most=AMOUNT_DC_MAX),
    wire.uint64(6, "refund_dc", most=AMOUNT_DC_MAX),
    wire.uint64(7, "log_size"),
    fields.digest(8, "log_root"),
    wire.messages(9, "summaries", _SUMMARY, most=MINERS_MAX),
    octets_max=_CLOSE_OCTETS_MAX,
)


class Commit(msgspec.Struct, frozen=True, gc=False):
    """A report is counted in its channel.  Its signature is the checkpoint of the log that holds it.

    Attributes:
        index: its place in the channel, dense.
        countersign_id: message id of the countersigned envelope, which stands beside it in the log.
        miner_key: 33 octets.
        seq: of the report; 0 for a SessionInit.
        delta_bytes, delta_dc: what this report adds to its session.
        channel_total_dc: of the channel, this commit among it.
        prev_commit: `commit_id` of the channel's commit before, or `NO_COMMIT`.
    """

    version: int
    channel_id: bytes
    index: int
    countersign_id: bytes
    miner_key: bytes
    session_id: bytes
    seq: int
    delta_bytes: int
    delta_dc: int
    channel_total_dc: int
    committed_at_ms: int
    prev_commit: bytes

    def encode(self) -> bytes:
        return wire.write(_COMMIT, msgspec.structs.astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a Commit.

        Raises:
            Malformed: `malformed` or `out_of_range`.
        """
        return cls(*wire.read(_COMMIT, payload))


class ChannelOpen(msgspec.Struct, frozen=True, gc=False):
    """An owner locks credit for a time.  The channel's id is that of this message, so it certifies itself.

    Attributes:
        owner_nonce: the owner's last one + 1; no Open counts twice.
        amount_dc: locked until the close.
        open_height, expire_height: epochs.
        grace_blocks: epochs after expiry in which late reports are taken, and a close may be challenged.
        tariff_id: what octets cost, for the channel's whole life.
        max_miners: whose reports it takes, so that its Close always fits.
        operator_id: the home operator it pays for; empty for all.
    """

    version: int
    network: str
    owner_key: bytes
    owner_nonce: int
    amount_dc: int
    open_height: int
    expire_height: int
    grace_blocks: int
    tariff_id: int
    max_miners: int
    operator_id: str

    def encode(self) -> bytes:
        return wire.write(_CHANNEL_OPEN, msgspec.structs.astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a ChannelOpen.

        Raises:
            Malformed: `malformed` or `out_of_range`.
        """
        return cls(*wire.read(_CHANNEL_OPEN, payload))


class Summary(msgspec.Struct, frozen=True, gc=False):
    """What one miner earned in a channel.  The first three names and numbers are Helium's.

    Attributes:
        client_pubkeybin: the miner's key, 33 octets.
        num_packets: its commits.
    """

    client_pubkeybin: bytes
    num_packets: int
    num_dcs: int
    num_bytes: int
    num_sessions: int


class ChannelClose(msgspec.Struct, frozen=True, gc=False):
    """The end of a channel, as its owner proposes it and the log proves it.

    Attributes:
        used_dc, refund_dc: together the amount of the Open.
        log_size, log_root: the checkpoint that it is computed from.
        summaries: one for each miner, rising by key; whether they are is decided with all else that a Close must keep.
    """

    version: int
    channel_id: bytes
    nonce: int
    reason: CloseReason
    used_dc: int
    refund_dc: int
    log_size: int
    log_root: bytes
    summaries: tuple[Summary, ...]

    def encode(self) -> bytes:
        *head, summaries = msgspec.structs.astuple(self)
        return wire.write(_CHANNEL_CLOSE, (*head, map(msgspec.structs.astuple, summaries)))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a ChannelClose.

        Raises:
            Malformed: `malformed` or `out_of_range`.
        """
        values = wire.read(_CHANNEL_CLOSE, payload)
        values[-1] = tuple(Summary(*each) for each in values[-1])
        return cls(*values)


def channel_id(payload: bytes) -> bytes:
    """Give the id of the channel that this ChannelOpen opens; 32 octets."""
    return envelope.digest(envelope.signed_bytes(CHANNEL_OPEN_TYPE, payload))


def commit_id(payload: bytes) -> bytes:
    """Give the id of a Commit, with which the next one names it; 32 octets."""
    return envelope.digest(envelope.signed_bytes(COMMIT_TYPE, payload))
