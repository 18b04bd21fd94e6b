"""Decide the services of a request while the operator has plenty of credit, in one pass.

This is what nearly all requests meet: every service can be had, and no rule of scarcity is touched.  The slow twin is
the rest of `ocs.credit_control.charging`, which says why; whatever is out of the ordinary is left to it.  Where this
gives steps they are the same: tests hold each against the other.
"""

from ocs.balance.operator import Operator
from ocs.credit_control.event import Note, ServiceStep, Why
from ocs.credit_control.line import SERVICES_MAX
from ocs.credit_control.policy import Policy
from ocs.credit_control.pricing import find_tariff
from ocs.credit_control.profile import Profile
from ocs.credit_control.quota import threshold, wish
from ocs.credit_control.request import NOT_ASKED, CreditControlRequest
from ocs.credit_control.session import Session
from ocs.diameter.codes import CcRequestType, ResultCode
from ocs.rating.tariff import TariffBook
from ocs.units import OCTETS_MAX, SECOND, Credits, Octets, UnixMillis

SUCCESS = ResultCode.SUCCESS
TERMINATION = CcRequestType.TERMINATION
NOTHING_ASKED = Why.NOT_ASKED
OVER_GRANT = Note.OVER_GRANT.value
NO_OCTETS = Octets(0)
NO_CREDIT = Credits(0)


def steps(
    tariffs: TariffBook,
    policy: Policy,
    profile: Profile,
    operator: Operator,
    session: Session,
    request: CreditControlRequest,
    others: int,
    now: UnixMillis,
) -> tuple[tuple[ServiceStep, ...], int] | None:
    """Decide each service and note what was odd; None where a rule that is not here has a say.

    Args:
        others: how many more sessions of the operator may want a share of its credit.
    """
    account = operator.account
    if account.owed or session.terminating or session.dropped >= 0 or request.single:
        return None
    ending = request.request_type == TERMINATION
    sharing = others + len(request.services)
    validity = 0 if ending else policy.validity_seconds
    # Less than there is, for what is reserved now comes back; where this is plenty, that is too.
    available: int = account.available
    decided: list[ServiceStep] = []
    notes = 0
    for wanted in request.services:
        key, used, asked = wanted.key, wanted.used, wanted.asked
        rating_group, service_ids = key.rating_group, key.service_ids
        for service in session.services:
            if service.rating_group == rating_group and service.service_ids == service_ids:
                break
        else:
            service = None
        if wanted.other_unit or wanted.unequal:
            return None
        if service is not None:
            tariff = tariffs[service.tariff] if service.tariff else None
            before, elapsed_ms, covered = service.used, now - service.granted_at, service.granted
        else:
            tariff = find_tariff(tariffs, policy, session, rating_group)
            before, elapsed_ms, covered = NO_OCTETS, SECOND, NO_OCTETS
        if tariff is None or not tariff.price:
            return None
        price, block = tariff.price, tariff.per_octets
        total = before + used
        if total > OCTETS_MAX or (service is None and (used or len(session.services) + len(decided) >= SERVICES_MAX)):
            return None
        paid = -(-total // block)
        charged = (paid + -before // block) * price
        available -= charged
        if used > covered:
            notes |= OVER_GRANT
        granted, reserved, why, report_at, holding = NO_OCTETS, 0, NOTHING_ASKED, NO_OCTETS, -1
        if asked != NOT_ASKED and not ending:
            octets, why = wish(policy, asked, used, max(SECOND, elapsed_ms), operator.grant_max)
            if available < 0 or available // price * block <= octets * sharing:
                return None
            granted = Octets(octets)
            reserved = (-(-(total + octets) // block) - paid) * price
            available -= reserved
            if profile.threshold:
                report_at = threshold(policy, granted)
            if profile.holding_time and policy.holding_seconds is not None:
                holding = policy.holding_seconds
        decided.append(
            ServiceStep(  # by place, for names take half a microsecond
                rating_group,
                wanted.service_ids,
                tariff.number,
                wanted.reported or asked != NOT_ASKED,  # ended
                used,
                Credits(charged),
                NO_CREDIT,  # overrun
                granted,
                Credits(reserved),
                SUCCESS,
                why,
                False,  # final
                validity,
                report_at,
                holding,
                wanted.reasons,
                asked,
            )
        )
    if available < 0:
        return None
    return tuple(decided), notes
