"""Two messages that contradict each other, as evidence; it convinces whoever holds the public keys.

Which pairs are evidence is decided where sessions and channels are known: here they are only carried.
"""

from enum import IntEnum
from typing import Final, Self

import msgspec

from ocs.signed import wire

DISPUTE_TYPE: Final = "settlement/dispute/v1"

EVIDENCE_OCTETS_MAX: Final = 4096
"""Of each of the two; a countersigned report has under 1,000, a checkpoint with sixteen signatures under 2,500."""


class DisputeKind(IntEnum):
    """What the two messages contradict each other in."""

    SAME_SEQ = 1  # two reports of one session and seq
    LOWER_COUNTER = 2  # a report with a higher seq and a lower counter
    SAME_NONCE = 3  # two Opens with one nonce of their owner's
    CHECKPOINTS = 4  # two checkpoints of one log of which none extends the other


_DISPUTE: Final = wire.Schema(
    "Dispute",
    wire.enum(1, "kind", DisputeKind),
    wire.octets(2, "first", least=1, most=EVIDENCE_OCTETS_MAX),
    wire.octets(3, "second", least=1, most=EVIDENCE_OCTETS_MAX),
    octets_max=3 * EVIDENCE_OCTETS_MAX,
)


class Dispute(msgspec.Struct, frozen=True, gc=False):
    """Evidence: the two messages as they came, envelopes or, of a log, checkpoints."""

    kind: DisputeKind
    first: bytes
    second: bytes

    def encode(self) -> bytes:
        return wire.write(_DISPUTE, msgspec.structs.astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a Dispute; the messages themselves are not looked at.

        Raises:
            Malformed: `malformed` or `out_of_range`.
        """
        return cls(*wire.read(_DISPUTE, payload))
