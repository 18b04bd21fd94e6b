"""What SGW and miner sign: SessionInit, Usage, Countersign and the miner's pass, in envelopes.  docs/signing.md.

Counters are octets since a signed session began, times Unix milliseconds.  An envelope is written once, when it is
signed: its octets are what is kept and sent, however often.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, NamedTuple, Self

from simulator.settlement import wire
from simulator.settlement.keys import SIGNATURE_OCTETS, SIGNER_OCTETS, Key, holds

VERSION: Final = 1
ID_OCTETS: Final = 32
SESSION_ID_OCTETS: Final = 16


class Counters(NamedTuple):
    """Octets up and down, cumulative."""

    up: int = 0
    down: int = 0

    @property
    def total(self) -> int:
        return self.up + self.down

    def plus(self, other: "Counters") -> "Counters":
        return Counters(self.up + other.up, self.down + other.down)

    def less(self, other: "Counters") -> "Counters":
        return Counters(self.up - other.up, self.down - other.down)


class Cause(IntEnum):
    """Why a report is made."""

    THRESHOLD = 1
    QHT = 2
    TERMINATED = 3
    QUOTA_EXHAUSTED = 4
    VALIDITY_TIMER_EXPIRED = 5
    OTHER_QUOTA_TYPE = 6
    RATING_CONDITION_CHANGE = 7
    REAUTH_REQUIRED = 8
    POOL_EXHAUSTED = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What every report of a signed session says alike.

    Attributes:
        network: the deployment.
        channel_id: 32 octets.
        session_id: 16 random octets; new whenever the counters begin again.
        sgw_key, miner_key: signers, 33 octets each.
    """

    network: str
    channel_id: bytes
    session_id: bytes
    sgw_key: bytes
    miner_key: bytes

    def encode(self) -> bytes:
        """Write fields 1 to 6."""
        return _joined(
            wire.number(1, VERSION),
            wire.text(2, self.network),
            wire.octets(3, self.channel_id),
            wire.octets(4, self.session_id),
            wire.octets(5, self.sgw_key),
            wire.octets(6, self.miner_key),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInit:
    """A signed session begins; it counts as the report before the first.

    Attributes:
        subscriber_tag: 32 octets, see `subscriber_tag`.
        rat: as in Gy; 6 is EUTRAN.
        operator: MCC and MNC of the home operator.
    """

    TYPE: ClassVar[str] = "settlement/session-init/v1"

    names: Names
    subscriber_tag: bytes
    rat: int
    operator: str
    gy_session_id: str
    started_at_ms: int
    granted_bytes: int
    tariff_id: int

    def encode(self) -> bytes:
        return _joined(
            self.names.encode(),
            wire.octets(7, self.subscriber_tag),
            wire.number(8, self.rat),
            wire.text(9, self.operator),
            wire.text(10, self.gy_session_id),
            wire.number(11, self.started_at_ms),
            wire.number(12, self.granted_bytes),
            wire.number(13, self.tariff_id),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What has flowed since the signed session began.

    Attributes:
        seq: 1 for the first, and rising.
        prev_id: message id of the SGW's report before, at first of the SessionInit.
        cc_request_number: of the CCR that told the same over Gy.
        final: nothing follows.
    """

    TYPE: ClassVar[str] = "settlement/usage/v1"

    names: Names
    seq: int
    octets: Counters
    measured_at_ms: int
    cause: Cause
    prev_id: bytes
    cc_request_number: int
    final: bool

    def encode(self) -> bytes:
        return _joined(
            self.names.encode(),
            wire.number(7, self.seq),
            wire.number(8, self.octets.up),
            wire.number(9, self.octets.down),
            wire.number(10, self.measured_at_ms),
            wire.number(11, self.cause),
            wire.octets(12, self.prev_id),
            wire.number(13, self.cc_request_number),
            wire.number(14, self.final),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Countersign:
    """A miner passes on what its SGW signed.

    Attributes:
        inner: the SGW's envelope as it came, signature and all; `inner_id` is its message id.
        miner_seq: the miner's own count.
    """

    TYPE: ClassVar[str] = "settlement/countersign/v1"

    channel_id: bytes
    inner_id: bytes
    received_at_ms: int
    miner_seq: int
    inner: bytes

    def encode(self) -> bytes:
        return _joined(
            wire.number(1, VERSION),
            wire.octets(2, self.channel_id),
            wire.octets(3, self.inner_id),
            wire.number(4, self.received_at_ms),
            wire.number(5, self.miner_seq),
            wire.octets(6, self.inner),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPass:
    """Shows at the server's door which miner sends; good for five minutes."""

    TYPE: ClassVar[str] = "settlement/door/v1"

    network: str
    miner_key: bytes
    at_ms: int

    def encode(self) -> bytes:
        return _joined(
            wire.number(1, VERSION),
            wire.text(2, self.network),
            wire.octets(3, self.miner_key),
            wire.number(4, self.at_ms),
        )


Message = SessionInit | Usage | Countersign | DoorPass


@dataclass(frozen=True, slots=True)
class Envelope:
    """A typed payload as it was signed, who signed it, and the signature, which `signed` tells good from bad."""

    payload_type: str
    payload: bytes
    signer: bytes
    signature: bytes

    def encode(self) -> bytes:
        return _joined(
            wire.text(1, self.payload_type),
            wire.octets(2, self.payload),
            wire.octets(3, self.signer),
            wire.octets(4, self.signature),
        )

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read an envelope, its signature unlooked at.

        Raises:
            Unreadable: it is none.
        """
        fields = wire.read(octets, known=(1, 2, 3, 4))
        return cls(
            fields.text(1), fields.octets(2), fields.octets(3, SIGNER_OCTETS), fields.octets(4, SIGNATURE_OCTETS)
        )

    @property
    def message_id(self) -> bytes:
        return hashlib.sha256(signed_bytes(self.payload_type, self.payload)).digest()

    @property
    def signed(self) -> bool:
        return holds(self.signer, signed_bytes(self.payload_type, self.payload), self.signature)


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """Give what a signature covers: DSSE v1's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(message: Message, key: Key) -> Envelope:
    """Sign a message."""
    payload = message.encode()
    return Envelope(message.TYPE, payload, key.signer, key.sign(signed_bytes(message.TYPE, payload)))


def subscriber_tag(secret: bytes, imsi: str) -> bytes:
    """Give the name under which a subscriber is known: his home operator alone can tell whose it is."""
    return hmac.digest(secret, imsi.encode(), "sha256")


def _joined(*parts: bytes) -> bytes:
    return b"".join(parts)
