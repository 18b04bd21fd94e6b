"""Open a countersigned report: all that its octets, the registered keys and the time can say for or against it.

The rules stand in one order, and the first that is broken is told:

    1 size · 2 envelope grammar · 3 type · 4 key · 5 signature · 6 payload grammar      of the miner's envelope
    7 the same of the SGW's envelope inside it, and that it is the one that the miner names
    8 whether the identifiers, keys and roles of both fit each other

`parse` goes as far as costs nothing, 1 to 4; `Candidate.verify` does the rest.  That is nearly all computing with the
interpreter's lock free, so it belongs in a thread, many candidates at a time.  Nothing is parsed before its signature
is verified.  Channel, session, order, clock and amount come after, and elsewhere.
"""

from collections.abc import Callable, Mapping
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

Verify = Callable[[bytes, bytes, bytes], bool]
"""Tells of public key, message and signature whether they fit."""


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


class Candidate:
    """A report whose signatures are still to be verified; it holds the keys and the time of its `parse`."""

    __slots__ = ("_keys", "_network", "_now", "_octets", "_outer", "miner", "miner_key")

    def __init__(
        self, octets: bytes, outer: Envelope, miner_key: bytes, keys: Keys, network: str, now: UnixMillis
    ) -> None:
        self._octets = octets
        self._outer = outer
        self._keys = keys
        self._network = network
        self._now = now
        self.miner_key = miner_key
        self.miner = keys[miner_key]

    def verify(self, verify: Verify = verify) -> Opened | Refused:
        """Verify both signatures and what they bind; about 0.1 ms.

        It looks the SGW's key up in the mapping that `parse` was given, so in a thread that must be one that does not
        change, or changes by single replacements only.
        """
        covered = _covered(self._outer)
        if not verify(self.miner_key, covered, self._outer.signature):
            return Refused(Refusal.BAD_SIGNATURE, "the countersignature is not its signer's")
        try:
            return self._open(covered, verify)
        except Malformed as error:
            return Refused(error.code, error.detail, self.miner_key)

    def _open(self, covered: bytes, verify: Verify) -> Opened:
        countersign = Countersign.decode(self._outer.payload)
        inner = _inner(countersign)
        sgw_key, sgw = registered(inner, self._keys, self._now)
        opened = _opened(self._octets, self._outer, covered, countersign, inner, verify)
        self._check_roles(sgw_key, sgw)
        _check_last(opened.report, self._network)
        return opened

    def _check_roles(self, sgw_key: bytes, sgw: KeyView) -> None:
        if self.miner.role is not Role.MINER:
            raise Malformed("an SGW's key countersigned", Refusal.ROLE_MISMATCH)
        if sgw.role is not Role.SGW:
            raise Malformed("a miner's key signed as an SGW", Refusal.ROLE_MISMATCH)
        if self.miner_key not in sgw.pairs or sgw_key not in self.miner.pairs:
            raise Malformed("these keys of SGW and miner are not registered as a pair", Refusal.UNPAIRED)


def parse(octets: bytes, keys: Keys, network: str, now: UnixMillis) -> Candidate | Refused:
    """Read a countersigned envelope, its signature unverified.

    Args:
        octets: as they came; nothing in them is trusted.
        network: the name of this deployment.
        now: keys must be in date at this time.
    """
    try:
        outer = _outer(octets)
        miner_key, _ = registered(outer, keys, now)
    except Malformed as error:
        return Refused(error.code, error.detail)
    return Candidate(octets, outer, miner_key, keys, network, now)


def check_keys(opened: Opened, keys: Keys, now: UnixMillis) -> None:
    """Check that the keys which signed a report that was opened before are still good.

    Raises:
        Malformed: `bad_key` or `key_revoked`.
    """
    _check_dates(keys.get(public_key_of(opened.report.miner_key)), now)
    _check_dates(keys.get(public_key_of(opened.report.sgw_key)), now)


def open_report(octets: bytes, keys: Keys, network: str, now: UnixMillis) -> Opened | Refused:
    """Parse a countersigned envelope and verify it, at one go."""
    parsed = parse(octets, keys, network, now)
    return parsed if isinstance(parsed, Refused) else parsed.verify()


def open_signed(octets: bytes, network: str, verify: Verify = verify) -> Opened:
    """Parse a countersigned envelope and verify both signatures, where no keys are registered: in an audit.

    Who holds the two keys, and whether they belong together, is for whoever asks; two of them there must be.

    Raises:
        Malformed: with the first rule that is broken, in the order of this module.
    """
    outer = _outer(octets)
    covered = _covered(outer)
    if not verify(public_key_of(outer.signer), covered, outer.signature):
        raise Malformed("the countersignature is not its signer's", Refusal.BAD_SIGNATURE)
    countersign = Countersign.decode(outer.payload)
    inner = _inner(countersign)
    opened = _opened(octets, outer, covered, countersign, inner, verify)
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


def _opened(
    octets: bytes, outer: Envelope, covered: bytes, countersign: Countersign, inner: Envelope, verify: Verify
) -> Opened:
    """Verify the SGW's signature, and that what it signed is what the miner countersigned.

    Args:
        covered: what the miner's signature, which is verified already, covers.
    """
    inner_covered = _covered(inner)
    if not verify(public_key_of(inner.signer), inner_covered, inner.signature):
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


def _check_last(report: SessionInit | Usage, network: str) -> None:
    if report.network != network:
        raise Malformed("the report was signed for another network", Refusal.WRONG_NETWORK)
    if isinstance(report, Usage):
        report.check_seq()


def _inner(countersign: Countersign) -> Envelope:
    """Give the envelope that the miner countersigned; what is none of an SGW's is a false countersignature.

    Raises:
        Malformed: `inner_mismatch`.
    """
    try:
        inner = envelope.decode(countersign.inner)
    except Malformed as error:
        raise Malformed(f"what was countersigned is no envelope: {error.detail}", Refusal.INNER_MISMATCH) from None
    if inner.payload_type not in {SESSION_INIT_TYPE, USAGE_TYPE}:
        raise Malformed("what was countersigned is neither a SessionInit nor a Usage", Refusal.INNER_MISMATCH)
    return inner


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


def _covered(signed: Envelope) -> bytes:
    return envelope.signed_bytes(signed.payload_type, signed.payload)
