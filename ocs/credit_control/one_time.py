"""Decide a one-time event: a CCR-E with its Requested-Action.  RFC 8506 section 6.

Debits and refunds are recorded and answered once; a check of the balance and a price enquiry move nothing and leave no
record.
"""

from ocs.balance.operator import Operator
from ocs.credit_control.charging import Charging, opening_of, refused, subscriber_refusal
from ocs.credit_control.event import EndCause, Gateway, ServiceStep, State, Stepped, Why
from ocs.credit_control.line import check_count
from ocs.credit_control.policy import Policy
from ocs.credit_control.pricing import find_tariff
from ocs.credit_control.request import CreditControlRequest, ServiceRequest
from ocs.diameter.codes import RequestedAction, ResultCode
from ocs.rating.rate import price
from ocs.rating.tariff import Tariff
from ocs.units import CREDITS_MAX, Credits, GroupIndex, Octets, TariffId, UnixMillis

MOVES_NOTHING = (RequestedAction.CHECK_BALANCE, RequestedAction.PRICE_ENQUIRY)


def decide(
    state: Charging, policy: Policy, request: CreditControlRequest, gateway: Gateway, now: UnixMillis
) -> Stepped:
    """Decide a CCR-E that is no repeat.

    Raises:
        InvalidAvpValue: it names more services than a session can have.
    """
    operator = state.operators.of(request.imsi)
    refusal = subscriber_refusal(policy, request, operator)
    opening = opening_of(state, policy, request, operator)
    if refusal is not None or operator is None:
        code, why = refusal or (ResultCode.USER_UNKNOWN, Why.UNKNOWN_OPERATOR)
        return refused(request, opening, gateway, code, why, now)
    if request.services:
        check_count(request, request.services[-1], len(request.services))
    steps: list[ServiceStep] = []
    available, consumed, told = operator.account.available, operator.account.consumed, Credits(0)
    for service in request.services:
        tariff = find_tariff(state.tariffs, policy, opening, service.key.rating_group)
        step = _service(policy, request.action, operator, service, tariff, available, consumed, told)
        if request.action == RequestedAction.DIRECT_DEBITING:
            available = Credits(available - step.charged)
        elif request.action == RequestedAction.REFUND_ACCOUNT:
            consumed = Credits(consumed + step.charged)
        elif request.action == RequestedAction.PRICE_ENQUIRY:
            told = Credits(told + step.charged)
        steps.append(step)
    code, why = ResultCode.SUCCESS, Why.ACTION_DONE
    if not steps:
        code, why = ResultCode.RATING_FAILED, Why.UNIT_UNKNOWN
    elif all(step.result_code != ResultCode.SUCCESS for step in steps):
        code, why = ResultCode(steps[0].result_code), steps[0].why
    return Stepped(
        at=now,
        session_id=request.session_id,
        request_type=request.request_type,
        number=request.number,
        digest=request.digest,
        result_code=code,
        state=State.ENDED,
        deadline=now,
        services=tuple(steps),
        previous=GroupIndex(0),
        opening=opening,
        gateway=gateway,
        why=why,
        action=request.action,
        end_to_end=request.end_to_end,
        event_timestamp=request.event_timestamp,
        end_cause=EndCause.EVENT,
    )


def _service(
    policy: Policy,
    action: int,
    operator: Operator,
    service: ServiceRequest,
    tariff: Tariff | None,
    available: Credits,
    consumed: Credits,
    told: Credits,
) -> ServiceStep:
    """Decide one service of the event; `charged` is its price, negative where it goes back."""
    octets = Octets(max(service.asked, 0) or service.used)
    code, why, charged, granted = ResultCode.SUCCESS, Why.ACTION_DONE, Credits(0), Octets(0)
    if tariff is None:
        code, why = ResultCode.RATING_FAILED, Why.NO_TARIFF
    elif not octets or service.other_unit:
        code, why = ResultCode.RATING_FAILED, Why.UNIT_UNKNOWN
    else:
        cost = price(tariff, octets)
        enough = cost <= available and (not operator.account.overrun or not cost)
        match action:
            case RequestedAction.DIRECT_DEBITING if enough:
                charged, granted = cost, octets
            case RequestedAction.DIRECT_DEBITING:
                code, why = policy.no_balance_code, Why.NO_BALANCE
            case RequestedAction.REFUND_ACCOUNT if cost <= consumed:
                charged, granted = Credits(-cost), octets
            case RequestedAction.REFUND_ACCOUNT:
                code, why = ResultCode.UNABLE_TO_COMPLY, Why.NO_BALANCE
            case RequestedAction.CHECK_BALANCE:
                granted = octets if enough else Octets(0)
            case _ if told + cost > CREDITS_MAX:
                code, why = ResultCode.RATING_FAILED, Why.UNIT_UNKNOWN
            case _:
                charged = cost
    return ServiceStep(
        rating_group=service.key.rating_group,
        service_ids=service.service_ids,
        tariff=tariff.number if tariff is not None else TariffId(0),
        ended=False,
        used=octets if charged and action == RequestedAction.DIRECT_DEBITING else Octets(0),
        charged=charged,
        overrun=Credits(0),
        granted=granted,
        reserved=Credits(0),
        result_code=code,
        why=why,
        final=False,
        validity_seconds=0,
        threshold=Octets(0),
        reasons=service.reasons,
        asked=service.asked,
    )
