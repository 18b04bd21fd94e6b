"""Apply what was decided to sessions and accounts; the only code that changes them.

No rule is chosen here: an event carries the decision in numbers, so events of an older release do what they did then.
"""

from typing import Final

from ocs.balance import transfer
from ocs.credit_control.charging import Charging, open_session
from ocs.credit_control.event import AnswerDropped, EndCause, Expired, State, Stepped, TerminationAsked
from ocs.credit_control.rest import pack_answer
from ocs.credit_control.session import ANSWERS_KEPT, Answer, Service, ServiceAnswer, Session, end
from ocs.diameter.codes import CcRequestType, RequestedAction, ResultCode
from ocs.units import Credits, GroupIndex, Octets, SessionId, UnixMillis

# Bound once: an enum's member costs as much as a call each time it is named.
OPEN: Final = State.OPEN
ENDING: Final = State.ENDING
ENDED: Final = State.ENDED
EVENT: Final = CcRequestType.EVENT
REFUSED_FOR_MONEY: Final = (ResultCode.AUTHORIZATION_REJECTED, ResultCode.CREDIT_LIMIT_REACHED)
NO_CREDIT: Final = Credits(0)
NO_OCTETS: Final = Octets(0)


def answer_of(event: Stepped) -> Answer:
    """Give the answer to a request as the numbers that a repeat needs; services in the order of their keys."""
    steps = event.services
    if len(steps) > 1:
        steps = tuple(sorted(steps, key=lambda step: (step.rating_group, _ordered(step.service_ids))))
    one_time = event.request_type == EVENT
    return Answer(
        event.number,
        event.request_type,
        event.digest,
        event.result_code,
        tuple(
            [
                ServiceAnswer(
                    step.result_code,
                    step.granted,
                    step.final,
                    step.validity_seconds,
                    step.threshold,
                    step.holding_seconds,
                    step.charged if one_time else NO_CREDIT,
                )
                for step in steps
            ]
        ),
    )


def _ordered(service_ids: tuple[int, ...]) -> tuple[int, ...]:
    return service_ids if len(service_ids) < 2 else tuple(sorted(service_ids))


def apply_step(state: Charging, event: Stepped, group: GroupIndex, answer: Answer | None) -> None:
    """Apply a served request; `answer` is its answer, made here where nobody has it."""
    sessions = state.sessions
    session_id = SessionId(event.session_id)
    session = sessions.get(session_id)
    was_due: UnixMillis | None = None
    was_alive = False
    if session is None:
        assert event.opening is not None, "a session begins with its opening"
        assert event.gateway is not None
        session = open_session(event.opening, sessions.place_of(event.gateway), event.at)
    else:
        was_due, was_alive = session.deadline, session.state != ENDED
        if event.gateway is not None:
            session.gateway = sessions.place_of(event.gateway)
    if session.operator:
        if event.request_type == EVENT:
            _apply_one_time(state, session, event)
        else:
            _apply_services(state, session, event)
    answers = session.answers
    answers.append(pack_answer(answer if answer is not None else answer_of(event)))
    if len(answers) > ANSWERS_KEPT:
        del answers[0]
    session.changed_at = event.at
    session.deadline = event.deadline
    session.last = group
    session.dropped = -1
    session.highest = max(session.highest, event.number)
    session.state = after = event.state
    if after == ENDED:
        end(session, event.end_cause)
    elif after == ENDING:
        session.terminating = False
    sessions.put(session_id, session, was_alive=was_alive, was_due=was_due)


def _apply_services(state: Charging, session: Session, event: Stepped) -> None:
    """End reservations, charge, reserve anew; what all services move together is one transfer."""
    released = posted = overrun = reserved = 0
    for step in event.services:
        rating_group, service_ids = step.rating_group, _ordered(step.service_ids)
        for service in session.services:
            if service.rating_group == rating_group and service.service_ids == service_ids:
                break
        else:
            service = Service(rating_group, service_ids, step.tariff)
            session.services.append(service)
        used, before = step.used, service.granted
        if step.charged:
            posted += step.charged - step.overrun
            overrun += step.overrun
            service.charged = Credits(service.charged + step.charged)
        if used:
            service.used = Octets(service.used + used)
            service.granted_total = Octets(service.granted_total + (min(before, used)))
        if step.ended:
            released += service.reserved
            service.reserved, service.granted = NO_CREDIT, NO_OCTETS
        if step.granted:
            reserved += step.reserved
            service.reserved, service.granted, service.granted_at = step.reserved, step.granted, event.at
        if step.asked >= 0:
            service.thirsty = step.final or step.result_code in REFUSED_FOR_MONEY
    if event.state != OPEN:
        for service in session.services:
            released += service.reserved
            service.reserved, service.granted = NO_CREDIT, NO_OCTETS
    account = state.operators[session.operator].account
    transfer.settle(account, Credits(released), Credits(posted), Credits(overrun), Credits(reserved))


def _apply_one_time(state: Charging, session: Session, event: Stepped) -> None:
    account = state.operators[session.operator].account
    for step in event.services:
        if event.action == RequestedAction.DIRECT_DEBITING:
            transfer.post(account, step.charged)
        elif event.action == RequestedAction.REFUND_ACCOUNT and step.charged:
            transfer.refund(account, Credits(-step.charged))
        session.services.append(
            Service(
                step.rating_group,
                _ordered(step.service_ids),
                step.tariff,
                step.used,
                step.charged,
                granted_total=step.granted,
            )
        )


def _release(state: Charging, session: Session, service: Service) -> None:
    if service.reserved:
        transfer.release(state.operators[session.operator].account, service.reserved)
        service.reserved = Credits(0)


def apply_expired(state: Charging, event: Expired, group: GroupIndex) -> None:
    """End a session by supervision: its reservations return, its charged use stays charged."""
    session_id, session = _known(state, event.session_id)
    was_due = session.deadline
    for service in session.services:
        _release(state, session, service)
        service.granted = Octets(0)
    session.changed_at, session.last = event.at, group
    end(session, EndCause(event.cause))
    state.sessions.put(session_id, session, was_alive=True, was_due=was_due)


def apply_dropped(state: Charging, event: AnswerDropped, group: GroupIndex) -> None:
    """Note that a session's newest answer was never sent."""
    session_id, session = _known(state, event.session_id)
    was_due, was_alive = session.deadline, session.state != State.ENDED
    session.dropped = event.number
    session.last = group
    if was_alive:
        session.deadline = event.deadline
        state.sessions.put(session_id, session, was_alive=True, was_due=was_due)
    else:
        state.sessions.replace(session_id, session)


def apply_termination(state: Charging, event: TerminationAsked, group: GroupIndex) -> None:
    """Note that a session is to end: its next CCR-U is refused."""
    session_id, session = _known(state, event.session_id)
    session.terminating = True
    session.last = group
    state.sessions.put(session_id, session, was_alive=True, was_due=session.deadline)


def _known(state: Charging, session_id: bytes) -> tuple[SessionId, Session]:
    session = state.sessions.get(SessionId(session_id))
    assert session is not None, "an event of a session finds it"
    return SessionId(session_id), session
