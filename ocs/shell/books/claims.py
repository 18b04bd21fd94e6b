"""What the SGW said in a report that was refused, where it is certain that it said so."""

from typing import Final, NamedTuple

from ocs.signed import envelope
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.units import CREDITS_MAX
from ocs.usage.event import ReportRefused
from ocs.usage.record import SESSION_INIT_TYPE, Countersign, SessionInit, Usage

AFTER_SIGNATURES: Final = frozenset(
    {
        Refusal.WRONG_CHANNEL,
        Refusal.CHANNEL_CLOSED,
        Refusal.NO_SESSION,
        Refusal.SESSION_ENDED,
        Refusal.GRANT_CONFLICT,
        Refusal.BAD_SEQ,
        Refusal.REGRESSION,
        Refusal.CLOCK,
        Refusal.OVER_GRANT,
        Refusal.RATE_CAP,
        Refusal.EXHAUSTED,
    }
)
"""Rules that are held only against a report with two good signatures by keys that belong together."""


class Claim(NamedTuple):
    """What a refused report says.

    Attributes:
        gy_session_id: b"" but for a SessionInit.
        octets: up and down, cumulative.
    """

    gy_session_id: bytes
    session_id: bytes
    sgw_key: bytes
    miner_key: bytes
    seq: int
    octets: int


def claim_of(event: ReportRefused) -> Claim | None:
    """Read what a refused report says; None where its signatures are not known to be good."""
    if event.code not in AFTER_SIGNATURES:
        return None
    try:
        inner = envelope.decode(Countersign.decode(envelope.decode(event.report).payload).inner)
        if inner.payload_type == SESSION_INIT_TYPE:
            init = SessionInit.decode(inner.payload)
            return Claim(init.gy_session_id.encode(), init.session_id, init.sgw_key, init.miner_key, 0, 0)
        usage = Usage.read(inner.payload)
    except Malformed:
        return None
    # A column holds 63 bits; only broken counters need more.
    seq, octets = min(usage.seq, CREDITS_MAX), min(usage.cum_bytes, CREDITS_MAX)
    return Claim(b"", usage.session_id, usage.sgw_key, usage.miner_key, seq, octets)
