"""Say in plain English what happened to a session: why this code, why this quota.

Each sentence comes from the event that the answer was made from, so it tells what was decided then and not what would
be decided now.  RFC 8506 sections 5 and 9; docs/adr/0007-grants.md.
"""

from typing import Final

from ocs.credit_control.event import (
    AnswerDropped,
    EndCause,
    Expired,
    Note,
    Refused,
    ServiceStep,
    State,
    Stepped,
    TerminationAsked,
    Why,
)
from ocs.diameter.codes import CcRequestType, ReportingReason, RequestedAction, ResultCode
from ocs.state import Event

_SIZED: Final = {
    Why.DEFAULT_SIZE: "the default size",
    Why.REQUESTED_SIZE: "as many as the gateway asked for",
    Why.RATE_OF_USE: "sized by the session's rate of use",
    Why.SIZE_LIMIT: "the most that the configuration grants at once",
    Why.OPERATOR_LIMIT: "the most that this operator allows at once",
    Why.FAIR_SHARE: "a share of what is left, for other sessions of the operator want some too",
    Why.LAST_CREDIT: "all that the operator's credit still pays for",
    Why.EMERGENCY: "an emergency service, which is free and never refused",
    Why.FREE: "free of charge under its tariff",
}

_REFUSED: Final = {
    Why.NOT_ASKED: "no quota was asked for",
    Why.NO_BALANCE: "the operator's credit pays for nothing more, or the operator owes for earlier use",
    Why.NO_CHANNEL: "its gateway signs what it reports, and no state channel has room to hold the grant",
    Why.NO_TARIFF: "the operator has no tariff for it",
    Why.UNIT_UNKNOWN: "units other than octets were asked for, and only octets are sold",
    Why.TERMINATING: "an administrator asked for the session's end",
    Why.UNKNOWN_OPERATOR: "no operator has an IMSI prefix that fits the subscriber",
    Why.NO_IMSI: "the request names no IMSI",
    Why.UNKNOWN_CONTEXT: "its Service-Context-Id is neither packet-switched charging's nor one of the configuration",
    Why.COMMAND_REFUSED: "a refusal beside it ended the whole request",
}

_NOTES: Final = {
    Note.UNEQUAL_COUNTERS: "Input and output octets did not add up to the total; the total was charged.",
    Note.OVER_GRANT: "More was used than had been granted.",
    Note.OVERRUN: "The balance could not pay for all of the use; the rest is owed.",
    Note.LATE_REPEAT: "The answer before this request was never sent, so the use may hold the same octets again.",
    Note.UNASKED_SERVICE: "Use was reported of a service that had never been granted.",
}

_ENDED: Final = {
    EndCause.TERMINATED: "The gateway ended the session.",
    EndCause.EXPIRED: "Nothing was heard for twice the Validity-Time: supervision ended the session.",
    EndCause.REFUSED: "The session never began.",
    EndCause.EVENT: "A one-time event is over at once.",
    EndCause.UNANSWERED: "The first answer came too late and nothing followed: the session was ended.",
}

_ACTIONS: Final = {
    RequestedAction.DIRECT_DEBITING: "debit",
    RequestedAction.REFUND_ACCOUNT: "refund",
    RequestedAction.CHECK_BALANCE: "balance check",
    RequestedAction.PRICE_ENQUIRY: "price enquiry",
}

_LETTERS: Final = {
    CcRequestType.INITIAL: "CCR-I",
    CcRequestType.UPDATE: "CCR-U",
    CcRequestType.TERMINATION: "CCR-T",
    CcRequestType.EVENT: "CCR-E",
}


def request_name(request_type: int) -> str:
    """Name a CC-Request-Type as engineers do."""
    return _LETTERS[CcRequestType(request_type)]


def code_name(code: int) -> str:
    """Name a Result-Code with its number.

    >>> code_name(4012)
    '4012 CREDIT_LIMIT_REACHED'
    """
    return f"{code} {ResultCode(code).name}" if code in ResultCode.__members__.values() else str(code)


def service_name(rating_group: int | None, service_ids: tuple[int, ...]) -> str:
    """Name one service of a session; units at command level belong to none."""
    ids = f"Service-Identifier {', '.join(map(str, service_ids))}" if service_ids else ""
    if rating_group is None or rating_group < 0:
        return ids or "The session as a whole"
    return f"Rating-Group {rating_group}" + (f" with {ids}" if ids else "")


def explain(event: Event) -> list[str]:
    """Tell one event of a session, a sentence for each thing that matters."""
    match event:
        case Stepped():
            return _stepped(event)
        case Expired():
            return [_ENDED[EndCause(event.cause)], "What was reserved returned; what was charged stays charged."]
        case AnswerDropped():
            return [
                f"The answer to request {event.number} was ready too late to send, so it was dropped; "
                "a repeat of the request gets it."
            ]
        case Refused():
            return _refused(event)
        case TerminationAsked():
            return [
                f"An administrator asked for the session's end: {event.reason}.",
                "A gateway that honours ASR ends it now; the next CCR-U of any other is refused.",
            ]
        case _:
            return []


def _stepped(event: Stepped) -> list[str]:
    told = [_command(event)]
    one_time = event.request_type == CcRequestType.EVENT
    for step in event.services:
        told.extend(_one_time(event, step) if one_time else _service(event, step))
    told.extend(_NOTES[note] for note in Note(event.notes))
    if event.state == State.ENDING:
        told.append("The session is ending: its reservations returned, and the CCR-T that follows is charged.")
    elif event.state == State.ENDED and event.end_cause:
        told.append(_ENDED[EndCause(event.end_cause)])
    return told


def _command(event: Stepped) -> str:
    name = request_name(event.request_type)
    if event.request_type == CcRequestType.EVENT and event.action in _ACTIONS:
        name += f" ({_ACTIONS[RequestedAction(event.action)]})"
    told = f"{name} {event.number} was answered {code_name(event.result_code)}"
    if event.result_code // 1000 != 2:
        told += f": {_REFUSED.get(Why(event.why), 'it could not be served')}"
    return told + "."


def _service(event: Stepped, step: ServiceStep) -> list[str]:
    name = service_name(step.rating_group, step.service_ids)
    told = []
    if step.used:
        told.append(_use(name, step))
    if event.request_type == CcRequestType.TERMINATION:
        return told or [f"{name}: no use was reported."]
    if step.granted:
        told.append(_grant(name, step))
    elif step.result_code // 1000 != 2:
        refusal = _REFUSED.get(Why(step.why), "it could not be served")
        told.append(f"{name}: refused with {code_name(step.result_code)}, for {refusal}.")
    else:
        told.append(f"{name}: {_REFUSED[Why.NOT_ASKED]}, so none was granted.")
    if told_to := _conditions(step):
        told.append(f"{name}: {told_to}.")
    return told


def _use(name: str, step: ServiceStep) -> str:
    told = f"{name}: {step.used:,} octets used, {_credits(step.charged)} charged"
    if step.overrun:
        told += f", of which {_credits(step.overrun)} could not be paid and are owed"
    reasons = [reason.name for reason in ReportingReason if step.reasons >> reason & 1]
    return told + (f" (reported for {', '.join(reasons)})" if reasons else "") + "."


def _grant(name: str, step: ServiceStep) -> str:
    sized = _SIZED.get(Why(step.why), "as decided")
    told = f"{name}: {step.granted:,} octets granted, {sized}; {_credits(step.reserved)} reserved"
    if step.asked > 0:
        told += f"; the gateway asked for {step.asked:,}"
    return told + "."


def _conditions(step: ServiceStep) -> str:
    """Tell what was sent along with the quota."""
    told = []
    if step.final:
        told.append("this is the last grant, sent with Final-Unit-Indication")
    if step.validity_seconds and step.granted:
        told.append(f"valid for {step.validity_seconds:,} s")
    elif step.validity_seconds and step.asked >= 0:
        told.append(f"the gateway may ask again after {step.validity_seconds:,} s")
    if step.threshold:
        told.append(f"to be reported when {step.threshold:,} octets are left")
    if step.holding_seconds >= 0:
        told.append(f"to be given back after {step.holding_seconds:,} s without traffic")
    return ", ".join(told)


def _one_time(event: Stepped, step: ServiceStep) -> list[str]:
    name = service_name(step.rating_group, step.service_ids)
    if step.result_code // 1000 != 2:
        refusal = _REFUSED.get(Why(step.why), "it could not be served")
        if event.action == RequestedAction.REFUND_ACCOUNT and step.why == Why.NO_BALANCE:
            refusal = "less was consumed than was to be given back"
        return [f"{name}: refused with {code_name(step.result_code)}, for {refusal}."]
    if event.action == RequestedAction.REFUND_ACCOUNT:
        return [f"{name}: {_credits(-step.charged)} given back for {step.granted:,} octets."]
    return [f"{name}: {_credits(step.charged)} debited for {step.granted:,} octets."]


def _refused(event: Refused) -> list[str]:
    told = [
        f"{request_name(event.request_type)} {event.number} from {event.origin_host} was answered "
        f"{code_name(event.result_code)}: {event.detail}.",
    ]
    if event.used:
        told.append(f"It reported {event.used:,} octets, which nobody was charged for.")
    return told


def _credits(amount: int) -> str:
    return f"{amount:,} credit" + ("" if amount == 1 else "s")
