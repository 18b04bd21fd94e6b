"""Open a countersigned report: all that its octets, the registered keys and the time can say for or against it.

The rules stand in one order, and the first that is broken is told:

    1 size · 2 envelope grammar · 3 type · 4 key · 5 signature · 6 payload grammar      of the miner's envelope
    7 the same of the SGW's envelope inside it, and that it is the one that the miner names
    8 whether the identifiers, keys and roles of both fit each other

Nothing is parsed before its signature is verified.  Nearly all of the time goes into the two signatures, with the
interpreter's lock free.  Channel, session, order, clock and amount come after, and elsewhere.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from ocs.signed import envelope
from ocs.signed.ed25519 import public_key_of, verify
from ocs.signed.envelope import Envelope
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.units import UnixMillis
from ocs.usage.keys import KeyView, Role
from ocs.usage.record import (
    COUNTERSIGN_OCTETS_MAX,
    COUNTERSIGN_TYPE,
    SESSION_INIT_TYPE,
    USAGE_TYPE,
    Countersign,
    SessionInit,
    Usage,
)

REPORT_OCTETS_MAX: Final = COUNTERSIGN_OCTETS_MAX + 256
"""Of a countersigned envelope; an honest one has 500 to 1,000."""

Keys = Mapping[bytes, KeyView]
"""Registered keys by public key, 32 octets."""

_INNER_TYPES: Final = frozenset({SESSION_INIT_TYPE, USAGE_TYPE})


class Refused(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """A report that breaks a rule.

    Attributes:
        detail: what is wrong, for whoever reads the verdict; of the sender's own text it repeats nothing.
        miner_key: the public key whose signature on it is good; empty where that is not known, and then anybody may
            have made it.
    """

    code: Refusal
    detail: str
    miner_key: bytes = b""


class Opened(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """A report with two good signatures, by keys that belong together.

    Attributes:
        octets: the countersigned envelope as it came, for the log.
        countersign_id, report_id: message ids of the miner's envelope and the SGW's.
        received_at_ms: when the miner had it, as it says.
    """

    octets: bytes
    countersign_id: bytes
    received_at_ms: int
    report_id: bytes
    report: SessionInit | Usage


def open_report(octets: bytes, keys: Keys, network: str, now: UnixMillis) -> Opened | Refused:
    """Open a countersigned envelope; about 0.1 ms.

    Args:
        octets: as they came; nothing in them is trusted.
        network: the name of this deployment.
        now: keys must be in date at this time.
    """
    known_miner = b""
    try:
        outer = _outer(octets)
        miner_key, miner = registered(outer, keys, now)
        covered = _covered_by_miner(outer, miner_key)
        known_miner = miner_key
        countersign, inner = _inner(outer)
        sgw_key, sgw = registered(inner, keys, now)
        opened = _opened(octets, outer, covered, countersign, inner, sgw_key)
        _check_roles(miner_key, miner, sgw_key, sgw)
        _check_last(opened.report, network)
    except Malformed as error:
        return Refused(error.code, error.detail, known_miner)
    return opened


def check_keys(opened: Opened, keys: Keys, now: UnixMillis) -> None:
    """Check that the keys which signed a report that was opened before are still good.

    Raises:
        Malformed: `bad_key` or `key_revoked`.
    """
    _check_dates(keys.get(public_key_of(opened.report.miner_key)), now)
    _check_dates(keys.get(public_key_of(opened.report.sgw_key)), now)


def open_signed(octets: bytes, network: str) -> Opened:
    """Parse a countersigned envelope and verify both signatures, where no keys are registered: in an audit.

    Who holds the two keys, and whether they belong together, is for whoever asks; two of them there must be.

    Raises:
        Malformed: with the first rule that is broken, in the order of this module.
    """
    outer = _outer(octets)
    covered = _covered_by_miner(outer, public_key_of(outer.signer))
    countersign, inner = _inner(outer)
    opened = _opened(octets, outer, covered, countersign, inner, public_key_of(inner.signer))
    if inner.signer == outer.signer:
        raise Malformed("one key signed as SGW and as miner", Refusal.ROLE_MISMATCH)
    _check_last(opened.report, network)
    return opened


def _outer(octets: bytes) -> Envelope:
    """Read the miner's envelope.

    Raises:
        Malformed: it is none, or too large.
    """
    if len(octets) > REPORT_OCTETS_MAX:
        raise Malformed(f"a report has {REPORT_OCTETS_MAX} octets at the most; this one has {len(octets)}")
    outer = envelope.decode(octets)
    if outer.payload_type != COUNTERSIGN_TYPE:
        raise Malformed(f"payload_type is not {COUNTERSIGN_TYPE}, and nothing else is taken here")
    return outer


def _covered_by_miner(outer: Envelope, miner_key: bytes) -> bytes:
    """Verify the miner's signature, and give what it covers."""
    covered = envelope.signed_bytes(outer.payload_type, outer.payload)
    if not verify(miner_key, covered, outer.signature):
        raise Malformed("the countersignature is not its signer's", Refusal.BAD_SIGNATURE)
    return covered


def _opened(
    octets: bytes, outer: Envelope, covered: bytes, countersign: Countersign, inner: Envelope, sgw_key: bytes
) -> Opened:
    """Verify the SGW's signature, and that what it signed is what the miner countersigned.

    Args:
        covered: what the miner's signature, which is verified already, covers.
    """
    inner_covered = envelope.signed_bytes(inner.payload_type, inner.payload)
    if not verify(sgw_key, inner_covered, inner.signature):
        raise Malformed("the inner signature is not its signer's", Refusal.INNER_MISMATCH)
    report = SessionInit.decode(inner.payload) if inner.payload_type == SESSION_INIT_TYPE else Usage.read(inner.payload)
    report_id = envelope.digest(inner_covered)
    if report_id != countersign.inner_id:
        raise Malformed("inner_id is not the id of the inner message", Refusal.INNER_MISMATCH)
    if report.miner_key != outer.signer:
        raise Malformed("miner_key is not the key that countersigned", Refusal.SIGNER_MISMATCH)
    if report.sgw_key != inner.signer:
        raise Malformed("sgw_key is not the key that signed", Refusal.SIGNER_MISMATCH)
    if report.channel_id != countersign.channel_id:
        raise Malformed("SGW and miner name different channels", Refusal.INNER_MISMATCH)
    return Opened(
        octets=octets,
        countersign_id=envelope.digest(covered),
        received_at_ms=countersign.received_at_ms,
        report_id=report_id,
        report=report,
    )


def _check_roles(miner_key: bytes, miner: KeyView, sgw_key: bytes, sgw: KeyView) -> None:
    if miner.role is not Role.MINER:
        raise Malformed("an SGW's key countersigned", Refusal.ROLE_MISMATCH)
    if sgw.role is not Role.SGW:
        raise Malformed("a miner's key signed as an SGW", Refusal.ROLE_MISMATCH)
    if miner_key not in sgw.pairs or sgw_key not in miner.pairs:
        raise Malformed("these keys of SGW and miner are not registered as a pair", Refusal.UNPAIRED)


def _check_last(report: SessionInit | Usage, network: str) -> None:
    if report.network != network:
        raise Malformed("the report was signed for another network", Refusal.WRONG_NETWORK)
    if isinstance(report, Usage):
        report.check_seq()


def _inner(outer: Envelope) -> tuple[Countersign, Envelope]:
    """Give what the miner signed and the envelope in it; one that is none of an SGW's is a false countersignature.

    Raises:
        Malformed: of the Countersign; `inner_mismatch` of what is in it.
    """
    countersign = Countersign.decode(outer.payload)
    try:
        inner = envelope.decode(countersign.inner)
    except Malformed as error:
        raise Malformed(f"what was countersigned is no envelope: {error.detail}", Refusal.INNER_MISMATCH) from None
    if inner.payload_type not in _INNER_TYPES:
        raise Malformed("what was countersigned is neither a SessionInit nor a Usage", Refusal.INNER_MISMATCH)
    return countersign, inner


def registered(signed: Envelope, keys: Keys, now: UnixMillis) -> tuple[bytes, KeyView]:
    """Give the public key of an envelope's signer, and what is known of it.

    Raises:
        Malformed: `bad_key` or `key_revoked`.
    """
    public_key = public_key_of(signed.signer)
    return public_key, _check_dates(keys.get(public_key), now)


def _check_dates(key: KeyView | None, now: UnixMillis) -> KeyView:
    if key is None:
        raise Malformed("the signer's key is not registered here", Refusal.BAD_KEY)
    if key.revoked_at is not None and now >= key.revoked_at:
        raise Malformed("the signer's key is revoked", Refusal.KEY_REVOKED)
    if now < key.valid_from or (key.valid_until is not None and now >= key.valid_until):
        raise Malformed("the signer's key is not in date", Refusal.BAD_KEY)
    return key
