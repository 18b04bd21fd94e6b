"""The settings that decisions read.  They come from the configuration and are no part of the recorded state:
an event carries what was decided, so a changed setting never changes the past."""

from dataclasses import dataclass, field

from ocs.diameter.codes import FinalUnitAction, ResultCode
from ocs.units import SECOND, Octets


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalUnit:
    """What the gateway does when the last grant is used up (RFC 8506 section 8.34)."""

    action: FinalUnitAction = FinalUnitAction.TERMINATE
    redirect_url: str = ""
    filter_ids: tuple[str, ...] = ()
    filter_rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Octets, seconds where a wire AVP has seconds, milliseconds elsewhere."""

    default_octets: Octets = Octets(10_000_000)
    max_octets: Octets = Octets(100_000_000)
    min_octets: Octets = Octets(100_000)
    target_ms: int = 120 * SECOND  # a grant should last this long at the session's rate of use
    validity_seconds: int = 3600
    validity_short_seconds: int = 60
    threshold_percent: int = 5
    holding_seconds: int | None = None
    final_unit: FinalUnit = field(default_factory=FinalUnit)
    no_balance_code: ResultCode = ResultCode.AUTHORIZATION_REJECTED
    sessions_max: int = 2_000_000
    context_ids: frozenset[str] = frozenset()
    emergency_apns: frozenset[str] = frozenset({"sos"})
    emergency_rating_groups: frozenset[int] = frozenset()
    failure_handling: int | None = None
    session_failover: int | None = None
    currency_code: int = 999
    may_grant: bool = True  # False where a channel would have to hold the grant, and none has room
    unanswered_ms: int = 10 * SECOND  # a session whose CCA-I came too late ends after this
