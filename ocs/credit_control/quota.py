"""How much to grant.  RFC 8506 section 5.1, docs/adr/0007-grants.md.

A grant starts at a default size and grows until it lasts for a target time at the session's rate of use.  Near
exhaustion the operator's sessions share what is left; the grant that takes the last of it says so.
"""

from typing import Final

import msgspec

from ocs.credit_control.event import Why
from ocs.credit_control.policy import Policy
from ocs.units import SECOND, UNSIGNED32_MAX, Octets

# Bound once: an enum's member costs as much as a call each time it is named.
DEFAULT_SIZE: Final = Why.DEFAULT_SIZE
REQUESTED_SIZE: Final = Why.REQUESTED_SIZE
RATE_OF_USE: Final = Why.RATE_OF_USE
SIZE_LIMIT: Final = Why.SIZE_LIMIT
OPERATOR_LIMIT: Final = Why.OPERATOR_LIMIT
LAST_CREDIT: Final = Why.LAST_CREDIT


class Grant(msgspec.Struct, frozen=True, gc=False):
    octets: Octets
    why: Why
    final: bool


def size(
    policy: Policy,
    asked: int,
    used: Octets,
    elapsed_ms: int,
    operator_max: Octets | None,
    affordable: Octets,
    sharing: int,
) -> Grant:
    """Size one grant; 0 octets only where nothing is affordable.

    Args:
        asked: octets of the Requested-Service-Unit, 0 where the gateway leaves it to us.  A small wish does not make a
            small grant; a large one is honoured up to the limits.
        used: octets of this report, and `elapsed_ms` the time since the grant they were used from.
        operator_max: the operator's own limit.
        affordable: octets the operator's available credit pays for.
        sharing: how many grants may want a share of it, this one included.
    """
    octets, why = wish(policy, asked, used, max(elapsed_ms, SECOND), operator_max)
    if affordable < octets * sharing:
        least = min(policy.min_octets, octets)
        share = max(affordable // sharing, least)
        if share < octets:
            octets, why = share, Why.FAIR_SHARE
    if affordable <= octets:
        octets, why = affordable, LAST_CREDIT
    return Grant(Octets(octets), why, why is LAST_CREDIT)


def wish(policy: Policy, asked: int, used: int, elapsed_ms: int, operator_max: int | None) -> tuple[int, Why]:
    """Size a grant as if credit had no end; `elapsed_ms` is a second or more."""
    octets: int = policy.default_octets
    why = DEFAULT_SIZE
    if asked > octets:
        octets, why = asked, REQUESTED_SIZE
    by_rate = used * policy.target_ms // elapsed_ms
    if by_rate > octets:
        octets, why = by_rate, RATE_OF_USE
    if octets > policy.max_octets:
        octets, why = policy.max_octets, SIZE_LIMIT
    if operator_max is not None and octets > operator_max:
        octets, why = operator_max, OPERATOR_LIMIT
    return octets, why


def threshold(policy: Policy, octets: int) -> Octets:
    """Give the Volume-Quota-Threshold, an Unsigned32: how many octets are left when the gateway reports; 0 for none."""
    return Octets(min(octets * policy.threshold_percent // 100, UNSIGNED32_MAX))
