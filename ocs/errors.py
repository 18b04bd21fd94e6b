"""Misuse, as one family of exceptions.  Refusals are data and bugs are assertions; neither is here.

    OcsError
    ├── ProtocolError          3xxx, E bit set (RFC 6733 section 7.1.3)
    │   ├── CommandUnsupported       3001
    │   ├── UnableToDeliver          3002
    │   ├── RealmNotServed           3003
    │   ├── TooBusy                  3004
    │   ├── LoopDetected             3005
    │   ├── ApplicationUnsupported   3007
    │   ├── InvalidHeaderBits        3008
    │   ├── InvalidAvpBits           3009
    │   └── UnknownPeer              3010
    ├── TransientFailure       4xxx (RFC 6733 section 7.1.4)
    │   └── ElectionLost             4003
    ├── PermanentFailure       5xxx (RFC 6733 section 7.1.5, RFC 8506 section 9.2)
    │   ├── AvpUnsupported           5001
    │   ├── UnknownSessionId         5002
    │   ├── AuthorizationRejected    5003
    │   ├── InvalidAvpValue          5004
    │   ├── MissingAvp               5005
    │   ├── ContradictingAvps        5007
    │   ├── AvpNotAllowed            5008
    │   ├── AvpOccursTooManyTimes    5009
    │   ├── NoCommonApplication      5010
    │   ├── UnsupportedVersion       5011
    │   ├── UnableToComply           5012
    │   ├── InvalidAvpLength         5014
    │   ├── InvalidMessageLength     5015
    │   ├── NoCommonSecurity         5017
    │   ├── UserUnknown              5030
    │   └── RatingFailed             5031
    ├── InvalidInput           422: a value at the border that is not what it claims to be
    │   └── Malformed                a signed message; it has a refusal code (`ocs.signed.malformed`)
    ├── Conflict               409: it exists already, or with other content
    │   └── InsufficientBalance      a reversal or refund above what is there
    ├── OutOfTurn              409: a state machine has no row for what was asked; nothing changed
    ├── NotFound               404
    ├── RefusedByPolicy        403: whoever asks may not do this
    ├── Unavailable            503: the core, the follower or the store does not answer
    ├── JournalFault           what is durable cannot be written, or is not what was written; the process ends
    └── BadConfiguration       exit code 3

Each door translates once: `result_code` for Diameter, `status` and `slug` for HTTP (RFC 9457 `type`).
"""

from typing import ClassVar


class OcsError(Exception):
    """Something a user or a peer did, or met, that has a name and a way to mend it."""

    result_code: ClassVar[int] = 5012
    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"


class DiameterError(OcsError):
    """An error that has a Result-Code.

    Attributes:
        failed_avp: the offending AVP, encoded whole, as Failed-AVP carries it (RFC 6733 section 7.5); empty for none.
    """

    status = 400

    def __init__(self, detail: str, failed_avp: bytes = b"") -> None:
        super().__init__(detail)
        self.detail = detail
        self.failed_avp = failed_avp


class ProtocolError(DiameterError):
    """3xxx: answered with the E bit set and the error grammar of RFC 6733 section 7.2."""


class CommandUnsupported(ProtocolError):
    result_code, slug = 3001, "command-unsupported"


class UnableToDeliver(ProtocolError):
    result_code, slug = 3002, "unable-to-deliver"


class RealmNotServed(ProtocolError):
    result_code, slug = 3003, "realm-not-served"


class TooBusy(ProtocolError):
    result_code, status, slug = 3004, 503, "too-busy"


class LoopDetected(ProtocolError):
    result_code, slug = 3005, "loop-detected"


class ApplicationUnsupported(ProtocolError):
    result_code, slug = 3007, "application-unsupported"


class InvalidHeaderBits(ProtocolError):
    result_code, slug = 3008, "invalid-header-bits"


class InvalidAvpBits(ProtocolError):
    result_code, slug = 3009, "invalid-avp-bits"


class UnknownPeer(ProtocolError):
    result_code, status, slug = 3010, 403, "unknown-peer"


class TransientFailure(DiameterError):
    """4xxx: may succeed later; answered with the E bit clear."""

    status = 409


class ElectionLost(TransientFailure):
    result_code, slug = 4003, "election-lost"


class PermanentFailure(DiameterError):
    """5xxx: answered in the command's own grammar, E bit clear."""

    status = 422


class AvpUnsupported(PermanentFailure):
    result_code, slug = 5001, "avp-unsupported"


class UnknownSessionId(PermanentFailure):
    result_code, status, slug = 5002, 404, "unknown-session-id"


class AuthorizationRejected(PermanentFailure):
    result_code = 5003
    slug = "authorization-rejected"


class InvalidAvpValue(PermanentFailure):
    result_code, slug = 5004, "invalid-avp-value"


class MissingAvp(PermanentFailure):
    result_code, slug = 5005, "missing-avp"


class ContradictingAvps(PermanentFailure):
    result_code, slug = 5007, "contradicting-avps"


class AvpNotAllowed(PermanentFailure):
    result_code, slug = 5008, "avp-not-allowed"


class AvpOccursTooManyTimes(PermanentFailure):
    result_code, slug = 5009, "avp-occurs-too-many-times"


class NoCommonApplication(PermanentFailure):
    result_code, slug = 5010, "no-common-application"


class UnsupportedVersion(PermanentFailure):
    result_code, slug = 5011, "unsupported-version"


class UnableToComply(PermanentFailure):
    result_code, slug = 5012, "unable-to-comply"


class InvalidAvpLength(PermanentFailure):
    result_code, slug = 5014, "invalid-avp-length"


class InvalidMessageLength(PermanentFailure):
    result_code, slug = 5015, "invalid-message-length"


class NoCommonSecurity(PermanentFailure):
    result_code, slug = 5017, "no-common-security"


class UserUnknown(PermanentFailure):
    result_code, status, slug = 5030, 404, "user-unknown"


class RatingFailed(PermanentFailure):
    result_code, slug = 5031, "rating-failed"


class InvalidInput(OcsError):
    status, slug = 422, "invalid-input"


class Conflict(OcsError):
    status, slug = 409, "conflict"


class InsufficientBalance(Conflict):
    slug = "insufficient-balance"


class OutOfTurn(OcsError):
    status, slug = 409, "out-of-turn"


class NotFound(OcsError):
    status, slug = 404, "not-found"


class RefusedByPolicy(OcsError):
    status, slug = 403, "refused-by-policy"


class Unavailable(OcsError):
    status, slug = 503, "unavailable"


class JournalFault(OcsError):
    """A journal, snapshot or archive segment failed or is damaged; nothing may be answered on top of it."""

    slug = "journal-fault"


class BadConfiguration(OcsError):
    slug = "bad-configuration"
