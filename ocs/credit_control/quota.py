"""How much to grant.  RFC 8506 section 5.1, docs/adr/0007-grants.md.

A grant starts at a default size and grows until it lasts for a target time at the session's rate of use.  Near
exhaustion the operator's sessions share what is left; the grant that takes the last of it says so.
"""

from dataclasses import dataclass

from ocs.credit_control.event import Why
from ocs.credit_control.policy import Policy
from ocs.units import SECOND, Octets


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    octets: Octets
    why: Why
    final: bool


def size(
    policy: Policy,
    *,
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
    octets, why = int(policy.default_octets), Why.DEFAULT_SIZE
    if asked > octets:
        octets, why = asked, Why.REQUESTED_SIZE
    by_rate = used * policy.target_ms // max(elapsed_ms, SECOND)
    if by_rate > octets:
        octets, why = by_rate, Why.RATE_OF_USE
    if octets > policy.max_octets:
        octets, why = policy.max_octets, Why.SIZE_LIMIT
    if operator_max is not None and octets > operator_max:
        octets, why = operator_max, Why.OPERATOR_LIMIT
    least = min(policy.min_octets, octets)
    if affordable < octets * sharing:
        share = max(affordable // sharing, least)
        if share < octets:
            octets, why = share, Why.FAIR_SHARE
    if affordable <= octets:
        octets, why = affordable, Why.LAST_CREDIT
    return Grant(octets=Octets(octets), why=why, final=why is Why.LAST_CREDIT)


def threshold(policy: Policy, octets: Octets) -> Octets:
    """Give the Volume-Quota-Threshold: how many octets are left when the gateway reports; 0 for none."""
    return Octets(octets * policy.threshold_percent // 100)
