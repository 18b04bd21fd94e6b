"""The express way: decide and apply the requests that nearly all requests are, on a session as it lies.

A request is *plain* when its services are told by their Rating-Groups alone, credit is plenty, and nothing of the
session is out of the ordinary: no rule of scarcity has a say.  The slow twins are charging.py, which says why each
number is what it is, and applying.py.  Where this decides, the event is the same; where it applies, the session lies
the same, octet for octet: tests hold each against the other.  Whatever is not plain is left to them.
"""

from typing import Any, Final

from ocs.balance import transfer
from ocs.credit_control.charging import Charging, opening_of, subscriber_refusal
from ocs.credit_control.event import EndCause, Gateway, Note, Opening, ServiceStep, State, Stepped, Why
from ocs.credit_control.policy import Policy
from ocs.credit_control.pricing import find_tariff
from ocs.credit_control.profile import PROFILES, STANDARD
from ocs.credit_control.quota import threshold, wish
from ocs.credit_control.request import NOT_ASKED, CreditControlRequest
from ocs.credit_control.rest import (
    ANSWERS,
    ANSWERS_OCTETS,
    CHANGED_AT,
    CHARGED,
    DEADLINE,
    DROPPED,
    END_CAUSE,
    FIRST_SERVICE,
    FLAGS,
    FORMAT,
    GATEWAY,
    GRANTED,
    GRANTED_AT,
    GRANTED_TOTAL,
    HIGHEST,
    LAST,
    OPERATOR,
    PLAIN_SERVICES_MAX,
    RESERVED,
    SERVICE_NUMBERS,
    SERVICES,
    STATE,
    TARIFF,
    USED,
    is_plain,
    layout_of,
    pack_plain_answer,
    split_answers,
    tail_of,
)
from ocs.credit_control.session import ANSWERS_KEPT
from ocs.credit_control.sessions import ENDED_ANSWERS_KEPT
from ocs.diameter.codes import CcRequestType, ResultCode
from ocs.units import CREDITS_MAX, OCTETS_MAX, SECOND, GroupIndex, SessionId, UnixMillis

# Bound once: an enum's member costs as much as a call each time it is named.
SUCCESS: Final = ResultCode.SUCCESS
INITIAL: Final = CcRequestType.INITIAL
UPDATE: Final = CcRequestType.UPDATE
TERMINATION: Final = CcRequestType.TERMINATION
OPEN: Final = State.OPEN
ENDED: Final = State.ENDED
NOTHING_ASKED: Final = Why.NOT_ASKED
OVER_GRANT: Final = Note.OVER_GRANT.value
NO_CAUSE: Final = 0
NOTHING: Final[Any] = 0
"""Octets or credits: a NewType's call costs as much as the sum it is put around, so here they are what they are."""
TERMINATED: Final = EndCause.TERMINATED
NO_ACTION: Final = NOT_ASKED
NEVER: Final = GroupIndex(0)


def decide(
    state: Charging, policy: Policy, request: CreditControlRequest, gateway: Gateway, now: UnixMillis
) -> Stepped | None:
    """Decide a plain request; None where it is another kind, a repeat included."""
    kind = request.request_type
    packed = state.sessions.at_rest.get(request.session_id)
    if packed is None:
        return _decide_first(state, policy, request, gateway, now) if kind == INITIAL else None
    sessions = state.sessions
    numbers = sessions.numbers(packed)
    ending = kind == TERMINATION
    services = numbers[SERVICES]
    if (
        numbers[STATE] != OPEN
        or numbers[FLAGS]
        or numbers[DROPPED] >= 0
        or request.number <= numbers[HIGHEST]
        or not (ending or kind == UPDATE)
        or request.single
    ):
        return None
    known = sessions.gateways[numbers[GATEWAY]]
    if known is not gateway and known != gateway:
        return None
    number = numbers[OPERATOR]
    operator = state.operators[number]
    account = operator.account
    if account.owed:
        return None
    tariffs = state.tariffs
    profile = PROFILES.get(gateway.profile, STANDARD)
    end = FIRST_SERVICE + services * SERVICE_NUMBERS
    sharing = sessions.open_count[number] - 1 + len(request.services)
    validity = 0 if ending else policy.validity_seconds
    # Less than there is, for what is reserved now comes back; where what is left in the end is plenty, all before was.
    available: int = account.available
    plenty = 0
    steps = []
    notes = 0
    for wanted in request.services:
        rating_group, asked = wanted.key.rating_group, wanted.asked
        place = FIRST_SERVICE
        while place < end and numbers[place] != rating_group:
            place += SERVICE_NUMBERS
        if place >= end or wanted.service_ids or wanted.other_unit or wanted.unequal:
            return None  # a service that begins only now, or one that is odd
        before, used = numbers[place + USED], wanted.used
        total = before + used
        tariff_number = numbers[place + TARIFF]
        if not tariff_number or total > OCTETS_MAX:
            return None
        tariff = tariffs[tariff_number]
        price, block = tariff.price, tariff.per_octets
        if not price:
            return None
        paid = -(-total // block)
        charged = (paid + -before // block) * price
        if numbers[place + CHARGED] + charged > CREDITS_MAX:
            return None
        available -= charged
        if used > numbers[place + GRANTED]:
            notes |= OVER_GRANT
        granted, reserved, why, report_at, holding = NOTHING, NOTHING, NOTHING_ASKED, NOTHING, -1
        if asked != NOT_ASKED and not ending:
            elapsed_ms = now - numbers[place + GRANTED_AT]
            granted, why = wish(policy, asked, used, max(SECOND, elapsed_ms), operator.grant_max)
            shared = granted * sharing
            if total + shared >= OCTETS_MAX:
                return None
            needed = (shared // block + 1) * price
            if needed > plenty:
                plenty = needed
            reserved = (-(-(total + granted) // block) - paid) * price
            available -= reserved
            if profile.threshold:
                report_at = threshold(policy, granted)
            if profile.holding_time and policy.holding_seconds is not None:
                holding = policy.holding_seconds
        steps.append(
            ServiceStep(  # by place, for names take half a microsecond
                rating_group,
                (),  # service_ids
                tariff_number,
                wanted.reported or asked != NOT_ASKED,  # ended
                used,
                charged,
                NOTHING,  # overrun
                granted,
                reserved,
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
    if available < plenty:
        return None
    deadline = now
    if not ending:
        deadline = UnixMillis(now + 2 * SECOND * validity)
        if deadline < numbers[DEADLINE]:
            deadline = numbers[DEADLINE]
    return Stepped(
        now,
        request.session_id,
        kind,
        request.number,
        request.digest,
        SUCCESS,
        ENDED if ending else OPEN,
        deadline,
        tuple(steps),
        numbers[LAST],  # previous
        None,  # opening
        None,  # gateway
        NOTHING_ASKED,
        notes,
        request.termination_cause,
        NO_ACTION,
        request.end_to_end,
        request.event_timestamp,
        TERMINATED if ending else NO_CAUSE,
    )


def _decide_first(
    state: Charging, policy: Policy, request: CreditControlRequest, gateway: Gateway, now: UnixMillis
) -> Stepped | None:
    """Decide a plain CCR-I: nothing was used yet, so nothing is charged."""
    operator = state.operators.of(request.imsi)
    if operator is None or request.single or subscriber_refusal(policy, request, operator) is not None:
        return None
    if len(request.services) > PLAIN_SERVICES_MAX:
        return None
    if state.sessions.open_total >= policy.sessions_max or not state.sessions.has_room_for(gateway):
        return None
    account = operator.account
    if account.owed:
        return None
    opening = opening_of(state, policy, request, operator)
    profile = PROFILES.get(gateway.profile, STANDARD)
    sharing = state.sessions.open_count.get(operator.number, 0) + len(request.services)
    available: int = account.available
    steps = []
    for wanted in request.services:
        rating_group, asked = wanted.key.rating_group, wanted.asked
        tariff = find_tariff(state.tariffs, policy, opening, rating_group)
        if tariff is None or not tariff.price or wanted.service_ids or wanted.other_unit:
            return None
        if wanted.used or wanted.unequal:
            return None
        granted, reserved, why, report_at, holding = NOTHING, NOTHING, NOTHING_ASKED, NOTHING, -1
        if asked != NOT_ASKED:
            price, block = tariff.price, tariff.per_octets
            granted, why = wish(policy, asked, wanted.used, SECOND, operator.grant_max)
            shared = granted * sharing
            if shared >= OCTETS_MAX or available // price * block <= shared:
                return None
            reserved = -(-granted // block) * price
            available -= reserved
            if profile.threshold:
                report_at = threshold(policy, granted)
            if profile.holding_time and policy.holding_seconds is not None:
                holding = policy.holding_seconds
        steps.append(
            ServiceStep(
                rating_group,
                (),
                tariff.number,
                wanted.reported or asked != NOT_ASKED,
                wanted.used,
                NOTHING,  # charged
                NOTHING,  # overrun
                granted,
                reserved,
                SUCCESS,
                why,
                False,
                policy.validity_seconds,
                report_at,
                holding,
                wanted.reasons,
                asked,
            )
        )
    return Stepped(
        now,
        request.session_id,
        INITIAL,
        request.number,
        request.digest,
        SUCCESS,
        OPEN,
        UnixMillis(now + 2 * SECOND * policy.validity_seconds),
        tuple(steps),
        NEVER,
        opening,
        gateway,
        NOTHING_ASKED,
        0,
        request.termination_cause,
        NO_ACTION,
        request.end_to_end,
        request.event_timestamp,
        NO_CAUSE,
    )


def apply(state: Charging, event: Stepped, group: GroupIndex) -> bool:
    """Apply a plain step; False, and nothing has changed, where it is of another kind."""
    kind, after, steps = event.request_type, event.state, event.services
    if event.result_code != SUCCESS or len(steps) > PLAIN_SERVICES_MAX or kind > TERMINATION:
        return False
    sessions = state.sessions
    session_id = SessionId(event.session_id)
    packed = sessions.at_rest.get(session_id)
    if event.opening is not None:
        return packed is None and _apply_first(state, event, event.opening, group)
    if packed is None or event.gateway is not None:
        return False
    numbers = sessions.numbers(packed)
    if numbers[FLAGS] or numbers[STATE] != OPEN or event.number <= numbers[HIGHEST]:
        return False
    if after == OPEN and event.deadline < numbers[DEADLINE]:
        return False
    values = list(numbers)
    services = numbers[SERVICES]
    end = FIRST_SERVICE + services * SERVICE_NUMBERS
    released = posted = reserved = NOTHING
    for step in steps:
        place = FIRST_SERVICE
        while place < end and numbers[place] != step.rating_group:
            place += SERVICE_NUMBERS
        if place >= end or step.service_ids or step.overrun or not is_plain(step):
            return False
        used, granted, charged = step.used, step.granted, step.charged
        if used:
            values[place + USED] += used
            before = numbers[place + GRANTED]
            values[place + GRANTED_TOTAL] += min(before, used)
            posted += charged
            values[place + CHARGED] += charged
        elif charged:
            return False
        if step.ended:
            released += numbers[place + RESERVED]
            values[place + GRANTED] = values[place + RESERVED] = 0
        if granted:
            pending = step.reserved
            reserved += pending
            values[place + GRANTED], values[place + RESERVED] = granted, pending
            values[place + GRANTED_AT] = event.at
    layout = layout_of(services)
    start = layout.size
    stop = start + numbers[ANSWERS_OCTETS]
    answer = pack_plain_answer(event.number, kind, event.digest, steps)
    operator = numbers[OPERATOR]
    if after == OPEN:
        if numbers[ANSWERS] == ANSWERS_KEPT:
            start += packed[start] + (packed[start + 1] << 8)  # the oldest goes
        else:
            values[ANSWERS] += 1
    elif after == ENDED:
        for place in range(FIRST_SERVICE, end, SERVICE_NUMBERS):
            released += values[place + RESERVED]
            values[place + GRANTED] = values[place + RESERVED] = 0
        values[END_CAUSE] = event.end_cause
        kept = split_answers(packed, start, stop)[1 - ENDED_ANSWERS_KEPT :]
        start = stop - sum(map(len, kept))
        values[ANSWERS] = len(kept) + 1
    else:
        return False
    values[STATE] = after
    values[DROPPED] = -1
    values[ANSWERS_OCTETS] = stop - start + len(answer)
    values[HIGHEST] = event.number
    values[CHANGED_AT] = event.at
    values[DEADLINE] = event.deadline
    values[LAST] = group
    after_step = b"".join((layout.pack(*values), packed[start:stop], answer, packed[stop:]))
    # From here on things change.
    transfer.settle(state.operators[operator].account, released, posted, NOTHING, reserved)
    if after == ENDED:
        sessions.bury(session_id, operator, event.at)
    sessions.at_rest[session_id] = after_step
    return True


def _apply_first(state: Charging, event: Stepped, opening: Opening, group: GroupIndex) -> bool:
    steps = event.services
    if event.state != OPEN or opening.emergency or event.gateway is None or not opening.operator:
        return False
    values: list[int] = [
        FORMAT,
        OPEN,
        0,  # flags
        NO_CAUSE,
        len(steps),
        1,  # answers
        0,  # octets of the answer
        event.number,
        opening.operator,
        0,  # gateway
        opening.tariff_mark,
        event.at,  # opened
        event.at,  # changed
        event.deadline,
        group,
        -1,  # dropped
    ]
    reserved = NOTHING
    for step in steps:
        if step.service_ids or step.used or step.charged or not is_plain(step):
            return False
        reserved += step.reserved
        granted_at = event.at if step.granted else 0
        values += (step.rating_group, step.tariff, 0, 0, step.granted, step.reserved, 0, granted_at, False)
    answer = pack_plain_answer(event.number, event.request_type, event.digest, steps)
    values[ANSWERS_OCTETS] = len(answer)
    sessions = state.sessions
    values[GATEWAY] = sessions.place_of(event.gateway)
    transfer.settle(state.operators[opening.operator].account, NOTHING, NOTHING, NOTHING, reserved)
    packed = layout_of(len(steps)).pack(*values) + answer + tail_of(opening.imsi, opening.apn)
    sessions.put_new(SessionId(event.session_id), packed, opening.operator, event.at, event.deadline)
    return True
