"""What SGW and miner sign about a session, field by field.  docs/adr/0016-signed-messages.md; proto/settlement.proto.

    SessionInit   the SGW: this session begins, under this grant
    Usage         the SGW: so much has flowed since the session began
    Countersign   the miner: this came from my SGW, and I pass it on

Field numbers are never changed and never used again; a new meaning is a new payload type.  `decode` takes what `encode`
gives, and the same in other orders or with defaults written out; the octets that came are kept as they are, for they
are what is signed.  Times are Unix milliseconds; octet counts are cumulative over the session.
"""

from enum import IntEnum
from typing import Final, Self

import msgspec

from ocs.signed import fields, wire
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.signed.varint import UINT64_MAX

SESSION_INIT_TYPE: Final = "settlement/session-init/v1"
USAGE_TYPE: Final = "settlement/usage/v1"
COUNTERSIGN_TYPE: Final = "settlement/countersign/v1"

GY_SESSION_ID_OCTETS_MAX: Final = 255
INNER_OCTETS_MAX: Final = 1024
"""An SGW's envelope; the largest honest one, a SessionInit with the longest names, has under 800."""

COUNTERSIGN_OCTETS_MAX: Final = INNER_OCTETS_MAX + 256


class Cause(IntEnum):
    """Why a report was made: Magma's update types, each plus one, so that a forgotten cause is none of them."""

    THRESHOLD = 1
    QHT = 2
    TERMINATED = 3
    QUOTA_EXHAUSTED = 4
    VALIDITY_TIMER_EXPIRED = 5
    OTHER_QUOTA_TYPE = 6
    RATING_CONDITION_CHANGE = 7
    REAUTH_REQUIRED = 8
    POOL_EXHAUSTED = 9


def _common() -> tuple[wire.Field, ...]:
    """Give the six fields with which both of an SGW's messages begin."""
    return (
        fields.version(),
        fields.network(2),
        fields.digest(3, "channel_id"),
        fields.session_id(4),
        fields.signer(5, "sgw_key"),
        fields.signer(6, "miner_key"),
    )


def _plmn(octets: bytes) -> str:
    """Take MCC and MNC as they stand together at the head of an IMSI (TS 23.003 section 2.2)."""
    if not octets.isdigit():
        raise Malformed("SessionInit.operator: MCC and MNC are 5 or 6 decimal digits")
    return octets.decode()


_SESSION_INIT: Final = wire.Schema(
    "SessionInit",
    *_common(),
    fields.digest(7, "subscriber_tag"),
    wire.uint32(8, "rat"),
    wire.string(9, "operator", least=5, most=6, convert=_plmn),
    wire.string(10, "gy_session_id", least=1, most=GY_SESSION_ID_OCTETS_MAX),
    wire.uint64(11, "started_at_ms"),
    wire.uint64(12, "granted_bytes", most=fields.COUNTER_MAX),
    wire.uint32(13, "tariff_id"),
    octets_max=INNER_OCTETS_MAX,
)

_USAGE: Final = wire.Schema(
    "Usage",
    *_common(),
    wire.uint64(7, "seq"),
    wire.uint64(8, "cum_up_bytes"),
    wire.uint64(9, "cum_down_bytes"),
    wire.uint64(10, "measured_at_ms"),
    wire.enum(11, "cause", Cause),
    fields.digest(12, "prev_id"),
    wire.uint32(13, "cc_request_number"),
    wire.boolean(14, "final"),
    octets_max=INNER_OCTETS_MAX,
)

_COUNTERSIGN: Final = wire.Schema(
    "Countersign",
    fields.version(),
    fields.digest(2, "channel_id"),
    fields.digest(3, "inner_id"),
    wire.uint64(4, "received_at_ms"),
    wire.uint64(5, "miner_seq"),
    wire.octets(6, "inner", most=INNER_OCTETS_MAX),
    octets_max=COUNTERSIGN_OCTETS_MAX,
)


class SessionInit(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """A session begins; it counts as its report 0.

    Attributes:
        network: the deployment, so that a message of one says nothing in another.
        channel_id: the channel that pays, 32 octets.
        session_id: random for each incarnation, 16 octets; counters that begin again are a new one.
        sgw_key, miner_key: who signs and who countersigns, 33 octets each.
        subscriber_tag: HMAC-SHA-256 of the IMSI under the operator's secret.  A plain hash would be guessed by trying
            all IMSIs there are.
        rat: radio access technology, numbered as in Gy (6: EUTRAN).
        operator: MCC and MNC of the home operator, 5 or 6 digits.
        gy_session_id: the Session-Id of the CCR-I.
        granted_bytes: the first grant.
        tariff_id: what octets cost in this channel.
    """

    version: int
    network: str
    channel_id: bytes
    session_id: bytes
    sgw_key: bytes
    miner_key: bytes
    subscriber_tag: bytes
    rat: int
    operator: str
    gy_session_id: str
    started_at_ms: int
    granted_bytes: int
    tariff_id: int

    def encode(self) -> bytes:
        return wire.write(_SESSION_INIT, msgspec.structs.astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a SessionInit.

        Raises:
            Malformed: `malformed` or `out_of_range`.
        """
        return cls(*wire.read(_SESSION_INIT, payload))


class Usage(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """What has flowed in a session so far; the newest report stands for all before it.

    Attributes:
        network, channel_id, session_id, sgw_key, miner_key: as in the SessionInit.
        seq: 1 for the first report, and rising.
        cum_up_bytes, cum_down_bytes: never less than in the report before.
        measured_at_ms: when the counters were read.
        prev_id: the message id of the report before; of the first one, that of the SessionInit.
        cc_request_number: of the CCR that told the same over Gy.
        final: no report follows.
    """

    version: int
    network: str
    channel_id: bytes
    session_id: bytes
    sgw_key: bytes
    miner_key: bytes
    seq: int
    cum_up_bytes: int
    cum_down_bytes: int
    measured_at_ms: int
    cause: Cause
    prev_id: bytes
    cc_request_number: int
    final: bool

    @property
    def cum_bytes(self) -> int:
        return self.cum_up_bytes + self.cum_down_bytes

    def encode(self) -> bytes:
        return wire.write(_USAGE, msgspec.structs.astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a Usage, and check that its seq is one that a report may have.

        Raises:
            Malformed: `malformed`, `out_of_range` or, of all the last, `bad_seq`.
        """
        usage = cls.read(payload)
        usage.check_seq()
        return usage

    @classmethod
    def read(cls, payload: bytes) -> Self:
        """Read a Usage of any seq: that rule comes after those on keys and bindings, so `check_seq` may wait for them.

        Raises:
            Malformed: `malformed` or `out_of_range`.
        """
        usage = cls(*wire.read(_USAGE, payload))
        if usage.cum_bytes > fields.COUNTER_MAX:
            raise Malformed("Usage: cum_up_bytes and cum_down_bytes together are above 2^63", Refusal.OUT_OF_RANGE)
        return usage

    def check_seq(self) -> None:
        """Refuse a seq that no report has.

        Raises:
            Malformed: `bad_seq`: it is 0, which is the SessionInit's, or 2^64 - 1, after which none could follow.
        """
        if not 0 < self.seq < UINT64_MAX:
            raise Malformed(f"Usage.seq: it is {self.seq}, and may be 1 to 2^64 - 2", Refusal.BAD_SEQ)


class Countersign(msgspec.Struct, frozen=True, gc=False):
    """A miner vouches for what its SGW signed.

    Attributes:
        channel_id: as in the inner message.
        inner_id: its message id.
        received_at_ms: when the miner had it.
        miner_seq: counts the miner's own messages.
        inner: the SGW's envelope as it came, signature and all, so that the signature cannot be exchanged.
    """

    version: int
    channel_id: bytes
    inner_id: bytes
    received_at_ms: int
    miner_seq: int
    inner: bytes

    def encode(self) -> bytes:
        return wire.write(_COUNTERSIGN, msgspec.structs.astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a Countersign; what is inside is not looked at, and may be nothing.

        Raises:
            Malformed: `malformed` or `out_of_range`.
        """
        return cls(*wire.read(_COUNTERSIGN, payload))
