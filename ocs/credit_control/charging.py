"""Decide one request of a credit-control session.  RFC 8506 sections 5.1 to 5.4 and 7, docs/adr/0007-grants.md.

    decide(state, request) reads, and gives one `Stepped`
    apply(state, stepped)  is what changes sessions and accounts

First everything reported is charged, then everything asked is granted, in the request's order.
"""

from dataclasses import dataclass, field
from typing import Final

from ocs.balance.operator import Directory, Operator
from ocs.balance.transfer import settlement
from ocs.credit_control import quota
from ocs.credit_control.event import (
    EndCause,
    Gateway,
    Note,
    Opening,
    ServiceStep,
    State,
    Stepped,
    Why,
)
from ocs.credit_control.line import Line, check_plausible
from ocs.credit_control.policy import Policy
from ocs.credit_control.pricing import FREE, find_tariff
from ocs.credit_control.profile import PROFILES, STANDARD, Profile, Refusal
from ocs.credit_control.request import NOT_ASKED, CreditControlRequest, ServiceRequest
from ocs.credit_control.session import Session
from ocs.credit_control.sessions import Sessions
from ocs.diameter.codes import CcRequestType, FinalUnitAction, ResultCode
from ocs.rating.rate import affordable, charge
from ocs.rating.tariff import Tariff, TariffBook
from ocs.units import SECOND, Credits, GroupIndex, Octets, OperatorId, TariffId, UnixMillis

PS_CONTEXT = "32251@3gpp.org"

# Bound once: an enum's member costs as much as a call each time it is named.
SUCCESS: Final = ResultCode.SUCCESS
REJECTED: Final = ResultCode.AUTHORIZATION_REJECTED
TERMINATION: Final = CcRequestType.TERMINATION
NOTHING_ASKED: Final = Why.NOT_ASKED
NO_BALANCE: Final = Why.NO_BALANCE
NO_CHANNEL: Final = Why.NO_CHANNEL
NO_CREDIT: Final = (NO_BALANCE, NO_CHANNEL)
OPEN: Final = State.OPEN
ENDED: Final = State.ENDED

NO_CAUSE: Final = 0
TERMINATED: Final = EndCause.TERMINATED
NO_OCTETS: Final = Octets(0)
NO_TARIFF_ID: Final = TariffId(0)


@dataclass(slots=True)
class Charging:
    """What credit control reads and changes."""

    operators: Directory = field(default_factory=Directory)
    tariffs: TariffBook = field(default_factory=TariffBook)
    sessions: Sessions = field(default_factory=Sessions)

    def tariff(self, number: TariffId) -> Tariff:
        return self.tariffs[number] if number else FREE


def decide(
    state: Charging,
    policy: Policy,
    request: CreditControlRequest,
    session: Session | None,
    gateway: Gateway,
    now: UnixMillis,
) -> Stepped:
    """Decide a CCR-I, -U or -T that is no repeat and whose session is known, or new for a CCR-I.

    Raises:
        InvalidAvpValue: what is reported is beyond plausibility.
    """
    opening: Opening | None = None
    if session is None:
        operator = state.operators.of(request.imsi)
        refusal = subscriber_refusal(policy, request, operator)
        opening = opening_of(state, policy, request, operator)
        if refusal is not None or operator is None:
            code, why = refusal or (ResultCode.USER_UNKNOWN, Why.UNKNOWN_OPERATOR)
            return refused(request, opening, gateway, code, why, now)
        session = open_session(opening, 0, now)
    else:
        operator = state.operators[session.operator]
    profile = PROFILES.get(gateway.profile, STANDARD)
    ending = request.request_type == TERMINATION
    others = state.sessions.open_count.get(operator.number, 0)
    if others and session.last:
        others -= 1
    code, why, after = SUCCESS, NOTHING_ASKED, ENDED if ending else OPEN
    lines = [_line(state, policy, session, service) for service in request.services]
    check_plausible(operator, session, request, lines)
    available = _charge(operator, lines)
    if not ending:
        _grant(policy, session, operator, others, lines, available, now)
    if not ending and _refuses_all(session, lines):
        code, why = policy.no_balance_code, NO_BALANCE if policy.may_grant else NO_CHANNEL
        if session.terminating:
            code, why = REJECTED, Why.TERMINATING
        after = ENDED if opening is not None else State.ENDING
    elif not ending and request.single and lines[0].code != SUCCESS:
        # Units at command level have no other place for their code.
        code, why = lines[0].code, lines[0].why
        after = ENDED if opening is not None else State.ENDING
    steps = tuple([_step(policy, profile, line, code, ending=ending) for line in lines])
    notes = _notes(session, request, lines)
    deadline = _deadline(policy, session, steps, after, now)
    return Stepped(  # by place, for names take half a microsecond
        now,  # at
        request.session_id,
        request.request_type,
        request.number,
        request.digest,
        code,
        after,
        deadline,
        steps,
        session.last,  # previous
        opening,
        None if opening is None and state.sessions.gateways[session.gateway] == gateway else gateway,
        why,
        notes,
        request.termination_cause,
        NOT_ASKED,  # action
        request.end_to_end,
        request.event_timestamp,
        NO_CAUSE if after is not ENDED else TERMINATED if opening is None else EndCause.REFUSED,
    )


def open_session(opening: Opening, gateway: int, now: UnixMillis) -> Session:
    """Give a session as its first request finds it."""
    return Session(
        operator=opening.operator,
        imsi=opening.imsi,
        apn=opening.apn,
        gateway=gateway,
        state=State.OPEN,
        opened_at=now,
        changed_at=now,
        deadline=now,
        tariff_mark=opening.tariff_mark,
        last=GroupIndex(0),
        answers=[],
        services=[],
        emergency=opening.emergency,
    )


def is_served(policy: Policy, context_id: str) -> bool:
    """Tell whether a Service-Context-Id is packet-switched charging's or one the configuration adds."""
    return context_id.endswith(PS_CONTEXT) or context_id in policy.context_ids


def subscriber_refusal(
    policy: Policy, request: CreditControlRequest, operator: Operator | None
) -> tuple[ResultCode, Why] | None:
    if not request.imsi:
        return ResultCode.USER_UNKNOWN, Why.NO_IMSI
    if operator is None:
        return ResultCode.USER_UNKNOWN, Why.UNKNOWN_OPERATOR
    if not is_served(policy, request.context_id):
        return ResultCode.RATING_FAILED, Why.UNKNOWN_CONTEXT
    return None


def opening_of(state: Charging, policy: Policy, request: CreditControlRequest, operator: Operator | None) -> Opening:
    return Opening(
        operator=operator.number if operator is not None else OperatorId(0),
        imsi=request.imsi[:IMSI_KEPT_DIGITS],
        msisdn=request.msisdn,
        apn=request.apn,
        context_id=request.context_id,
        tariff_mark=state.tariffs.newest,
        bearer=request.bearer,
        emergency=request.apn in policy.emergency_apns,
    )


IMSI_KEPT_DIGITS = 32  # of what claims to be one; a longer text finds no operator anyway


def refused(
    request: CreditControlRequest, opening: Opening, gateway: Gateway, code: ResultCode, why: Why, now: UnixMillis
) -> Stepped:
    """Refuse a first request as a whole; the refusal is kept for its repeats and for whoever asks why."""
    return Stepped(
        at=now,
        session_id=request.session_id,
        request_type=request.request_type,
        number=request.number,
        digest=request.digest,
        result_code=code,
        state=State.ENDED,
        deadline=now,
        services=(),
        previous=GroupIndex(0),
        opening=opening,
        gateway=gateway,
        why=why,
        end_to_end=request.end_to_end,
        event_timestamp=request.event_timestamp,
        end_cause=EndCause.REFUSED,
    )


def _line(state: Charging, policy: Policy, session: Session, request: ServiceRequest) -> Line:
    key = request.key
    service = session.service(key.rating_group, key.service_ids)
    ended = request.reported or request.asked != NOT_ASKED
    tariff: Tariff | None
    if service is not None:
        tariff, before = state.tariff(service.tariff), service.used
    else:
        tariff, before = find_tariff(state.tariffs, policy, session, key.rating_group), Octets(0)
    if tariff is None or not request.used:
        return Line(request, service, tariff, ended, Octets(before + request.used))
    total = Octets(before + request.used)
    return Line(request, service, tariff, ended, total, charge(tariff, before, total))


def _charge(operator: Operator, lines: list[Line]) -> Credits:
    """Charge every report; the reservations of the services named here pay first, then the free balance.

    Returns:
        what is available to grants afterwards.
    """
    available = operator.account.available
    for line in lines:
        if line.ended and line.service is not None:
            available = Credits(available + line.service.reserved)
    for line in lines:
        if line.charged:
            split = settlement(available, Credits(0), line.charged)
            line.overrun = split.overrun
            available = Credits(available - split.posted)
    return available


def _grant(
    policy: Policy,
    session: Session,
    operator: Operator,
    others: int,
    lines: list[Line],
    available: Credits,
    now: UnixMillis,
) -> None:
    """Grant what is asked, in order, and refuse where credit ends; `lines` take the result."""
    asking, owing = [], operator.account.overrun > 0
    for line in lines:
        if line.request.asked != NOT_ASKED:
            asking.append(line)
        if line.overrun:
            owing = True
    sharing = others + len(asking) + 1
    for line in asking:
        sharing -= 1
        if session.terminating:
            line.code, line.why = REJECTED, Why.TERMINATING
            continue
        if not policy.may_grant:
            line.code, line.why = policy.no_balance_code, NO_CHANNEL
            continue
        if line.request.other_unit:
            line.code, line.why = ResultCode.RATING_FAILED, Why.UNIT_UNKNOWN
            continue
        if line.tariff is None:
            line.code, line.why = ResultCode.RATING_FAILED, Why.NO_TARIFF
            continue
        reach = affordable(line.tariff, line.total, available)
        if owing and line.tariff.price:
            reach = Octets(0)  # what is owed is paid before anything new is bought
        grant = quota.size(
            policy,
            line.request.asked,
            line.request.used,
            now - line.service.granted_at if line.service is not None else SECOND,
            operator.grant_max,
            reach,
            sharing,
        )
        if not grant.octets:
            line.code, line.why = policy.no_balance_code, NO_BALANCE
            if line.service is not None and policy.final_unit.action != FinalUnitAction.TERMINATE:
                # The subscriber was redirected or restricted, and waits for a top-up: 5003 would end the session.
                line.code = ResultCode.CREDIT_LIMIT_REACHED
            continue
        line.granted = grant.octets
        if line.tariff.price == 0:
            line.why = Why.EMERGENCY if line.tariff is FREE else Why.FREE
            continue
        line.why, line.final = grant.why, grant.final
        line.reserved = charge(line.tariff, line.total, Octets(line.total + grant.octets))
        available = Credits(available - line.reserved)
        assert available >= 0, "no grant above the balance"


def _refuses_all(session: Session, lines: list[Line]) -> bool:
    """Tell whether the whole request is refused: nothing asked was granted, and nothing of the session runs on.

    4012 stays in the MSCC, where it keeps a session alive on every client that can wait; docs/adr/0010-refusals.md.
    """
    if session.terminating:
        return True
    asked = False
    for line in lines:
        if line.request.asked != NOT_ASKED:
            if line.code != REJECTED:
                return False
            asked = True
    if not asked:
        return False
    named = {(line.request.key.rating_group, line.request.key.service_ids) for line in lines}
    return not any(
        service.granted and (service.rating_group, service.service_ids) not in named for service in session.services
    )


def _step(policy: Policy, profile: Profile, line: Line, command_code: ResultCode, *, ending: bool) -> ServiceStep:
    request = line.request
    code, why, granted, reserved, final = line.code, line.why, line.granted, line.reserved, line.final
    if command_code != SUCCESS and granted:
        code, why, granted, reserved, final = command_code, Why.COMMAND_REFUSED, Octets(0), Credits(0), False
    is_partial = code == REJECTED and why in NO_CREDIT and command_code == SUCCESS
    if is_partial and profile.partial_refusal is Refusal.SUSPENDED:
        code = ResultCode.CREDIT_LIMIT_REACHED
    validity = 0
    if not ending:
        scarce = final or why in NO_CREDIT
        validity = policy.validity_short_seconds if scarce and _waits(profile, why) else policy.validity_seconds
    report_at = NO_OCTETS
    if granted and not final and profile.threshold:
        report_at = quota.threshold(policy, granted)
    holding = policy.holding_seconds if granted and profile.holding_time and policy.holding_seconds is not None else -1
    return ServiceStep(  # by place, too
        request.key.rating_group,
        request.service_ids,
        line.tariff.number if line.tariff is not None else NO_TARIFF_ID,
        line.ended,
        request.used,
        line.charged,
        line.overrun,
        granted,
        reserved,
        code,
        why,
        final,
        validity,
        report_at,
        holding,
        request.reasons,
        request.asked,
    )


def _waits(profile: Profile, why: Why) -> bool:
    """Tell whether a short Validity-Time is what brings the gateway back: always after a refusal, and for final units
    where a RAR would not."""
    return why in NO_CREDIT or not profile.honours_reauth


def _deadline(
    policy: Policy, session: Session, steps: tuple[ServiceStep, ...], after: State, now: UnixMillis
) -> UnixMillis:
    """Supervise for twice the longest Validity-Time at work (RFC 8506 section 13)."""
    if after is ENDED:
        return now
    if after is not OPEN:
        return UnixMillis(now + 2 * SECOND * policy.validity_short_seconds)
    validity = max([step.validity_seconds for step in steps]) if steps else policy.validity_seconds
    return UnixMillis(max(session.deadline, now + 2 * SECOND * validity))


def _notes(session: Session, request: CreditControlRequest, lines: list[Line]) -> int:
    notes = 0
    for line in lines:
        used = line.request.used
        if line.request.unequal:
            notes |= Note.UNEQUAL_COUNTERS.value
        if line.overrun:
            notes |= Note.OVERRUN.value
        if used:
            if line.service is None:
                notes |= Note.UNASKED_SERVICE.value
            elif used > line.service.granted:
                notes |= Note.OVER_GRANT.value
            if session.dropped >= 0 and session.dropped != request.number:
                notes |= Note.LATE_REPEAT.value
    return notes
