"""Probes of credit control: sessions, services, events.  RFC 8506 sections 5 and 6, TS 32.299 clause 6."""

from dataclasses import replace
from typing import Final

from simulator.conformance import rules
from simulator.conformance.answers import EVENT, SUCCESS
from simulator.conformance.examiner import Examiner, NotOpen, changed, plus, proxy_info
from simulator.conformance.link import Link
from simulator.conformance.octets import GRANTED, SERVICES, Answer
from simulator.conformance.rules import Rule
from simulator.messages import Reason, ServiceKey, ServiceUnits, Volume
from simulator.profile import RequestType
from simulator.wire import avp

UNKNOWN_SESSION_ID: Final = 5002
OF_SUBSCRIBERS: Final = frozenset({4010, 4011, 4012, 5003, 5006, 5030, 5031})
"""Codes that speak of the subscriber or the credit: the server does its work, and a probe sees no more."""

CHECK_BALANCE: Final = 2
PRICE_ENQUIRY: Final = 3
CHECK_BALANCE_RESULT: Final = 422
COST_INFORMATION: Final = 423


def opened_session(examiner: Examiner, link: Link, *units: ServiceUnits) -> bytes:
    """Open a session and give its Session-Id.

    Raises:
        NotOpen: the server did not answer 2001.
    """
    session_id = examiner.session_id()
    cca = examiner.ask(link, examiner.ccr(RequestType.INITIAL, session_id, 0, *units))
    if not accepted(examiner, rules.INITIAL, cca):
        raise NotOpen("no CCR-I was answered 2001" if cca is None else f"a CCR-I was answered {cca.code}")
    return session_id


def accepted(examiner: Examiner, rule: Rule, cca: Answer | None) -> bool:
    """Tell whether a CCR-I opened a session, and hold it against the rule unless the subscriber was refused."""
    if cca is None or cca.code in OF_SUBSCRIBERS:
        return False
    return examiner.look(rule, cca.code == SUCCESS, f"Result-Code {cca.code}")


def ask(examiner: Examiner, link: Link, rule: Rule, kind: RequestType, session_id: bytes, number: int,
        *units: ServiceUnits) -> Answer | None:  # fmt: skip
    """Send a CCR that must be answered 2001."""
    cca = examiner.ask(link, examiner.ccr(kind, session_id, number, *units))
    if cca is not None:
        examiner.look(rule, cca.code == SUCCESS, f"Result-Code {cca.code}")
    return cca


def end(examiner: Examiner, link: Link, session_id: bytes, number: int) -> None:
    cca = ask(examiner, link, rules.TERMINATION, RequestType.TERMINATION, session_id, number)
    if cca is not None and cca.code == SUCCESS:
        granted = [one for service in cca.all(SERVICES) for one in service.members if one.code == GRANTED]
        examiner.look(rules.LAST_GRANT, not granted, "the CCA-T holds a Granted-Service-Unit")


def session(examiner: Examiner) -> None:
    with examiner.opened() as link:
        session_id = opened_session(examiner, link)
        for number in (1, 2):
            ask(examiner, link, rules.UPDATE, RequestType.UPDATE, session_id, number)
        end(examiner, link, session_id, 3)


def two_services(examiner: Examiner) -> None:
    units = [ServiceUnits(key=ServiceKey(group), wanted=True) for group in (1, 2)]
    with examiner.opened() as link:
        session_id = opened_session(examiner, link, *units)
        end(examiner, link, session_id, 1)


def identifier(examiner: Examiner) -> None:
    with examiner.opened() as link:
        session_id = opened_session(examiner, link, ServiceUnits(key=ServiceKey(1, 1), wanted=True))
        end(examiner, link, session_id, 1)


def keyless(examiner: Examiner) -> None:
    """One quota for the whole bearer, as Open5GS asks for it."""
    with examiner.opened() as link:
        session_id = opened_session(examiner, link, ServiceUnits(key=ServiceKey(), wanted=True))
        end(examiner, link, session_id, 1)


def any_order(examiner: Examiner) -> None:
    with examiner.opened() as link:
        session_id = examiner.session_id()
        request = examiner.ccr(RequestType.INITIAL, session_id, 0)
        first, *others = request.avps
        cca = examiner.ask(link, replace(request, avps=(first, *reversed(others))))
        if accepted(examiner, rules.ANY_ORDER, cca):
            end(examiner, link, session_id, 1)


def report_only(examiner: Examiner) -> None:
    report = ServiceUnits(key=ServiceKey(1), wanted=False, used=Volume(100, 900), reason=Reason.THRESHOLD)
    with examiner.opened() as link:
        session_id = opened_session(examiner, link)
        ask(examiner, link, rules.UPDATE, RequestType.UPDATE, session_id, 1, report)
        end(examiner, link, session_id, 2)


def unknown_session(examiner: Examiner) -> None:
    with examiner.opened() as link:
        for kind, rule in (
            (RequestType.UPDATE, rules.UNKNOWN_SESSION),
            (RequestType.TERMINATION, rules.UNKNOWN_SESSION_END),
        ):
            cca = examiner.ask(link, examiner.ccr(kind, examiner.session_id(), 1))
            if cca is not None:
                examiner.look(rule, cca.code == UNKNOWN_SESSION_ID, f"Result-Code {cca.code}")


def check_balance(examiner: Examiner) -> None:
    _event(examiner, CHECK_BALANCE, rules.CHECK_BALANCE, CHECK_BALANCE_RESULT)


def price_enquiry(examiner: Examiner) -> None:
    _event(examiner, PRICE_ENQUIRY, rules.PRICE_ENQUIRY, COST_INFORMATION)


def _event(examiner: Examiner, action: int, rule: Rule, wanted: int) -> None:
    units = avp("Requested-Service-Unit", [avp("CC-Total-Octets", 1_000_000)])
    service = avp("Multiple-Services-Credit-Control", [avp("Rating-Group", 1), units])
    with examiner.opened() as link:
        request = examiner.ccr(RequestType.INITIAL, examiner.session_id(), 0)
        request = changed(request, "CC-Request-Type", avp("CC-Request-Type", EVENT))
        request = changed(request, "Multiple-Services-Credit-Control", service)
        cca = examiner.ask(link, plus(request, avp("Requested-Action", action)))
        if cca is not None and cca.code == SUCCESS:
            examiner.look(rule, bool(cca.all(wanted)), f"without AVP {wanted}")


def proxied(examiner: Examiner) -> None:
    infos = proxy_info("dra1.visited.example", b"first"), proxy_info("dra2.visited.example", b"the second's state")
    with examiner.opened() as link:
        session_id = examiner.session_id()
        cca = examiner.ask(link, plus(examiner.ccr(RequestType.INITIAL, session_id, 0), *infos))
        if cca is not None and cca.code == SUCCESS:
            end(examiner, link, session_id, 1)
        refused = changed(examiner.ccr(RequestType.INITIAL, examiner.session_id(), 0), "CC-Request-Type")
        examiner.ask(link, plus(refused, *infos))
