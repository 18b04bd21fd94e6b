"""Probes of repeats: again with T, here and elsewhere.  RFC 8506 section 6.5, RFC 6733 section 5.5.4."""

from dataclasses import replace

from simulator.conformance import rules
from simulator.conformance.answers import SUCCESS
from simulator.conformance.credit import accepted, end, opened_session
from simulator.conformance.examiner import Examiner
from simulator.conformance.link import Link
from simulator.conformance.octets import Answer
from simulator.conformance.rules import Rule
from simulator.profile import RequestType
from simulator.wire import Flag, Message


def repeated(examiner: Examiner) -> None:
    with examiner.opened() as link:
        session_id = opened_session(examiner, link)
        request = examiner.ccr(RequestType.UPDATE, session_id, 1)
        first = examiner.ask(link, request)
        if first is not None and first.code == SUCCESS:
            _again(examiner, link, request, first, rules.REPEAT)
        end(examiner, link, session_id, 2)


def elsewhere(examiner: Examiner) -> None:
    with examiner.opened() as link:
        session_id = opened_session(examiner, link)
        request = examiner.ccr(RequestType.TERMINATION, session_id, 1)
        first = examiner.ask(link, request)
    if first is not None and first.code == SUCCESS:
        with examiner.opened() as link:
            _again(examiner, link, request, first, rules.REPEAT_ELSEWHERE)


def t_alone(examiner: Examiner) -> None:
    with examiner.opened() as link:
        session_id = examiner.session_id()
        request = examiner.ccr(RequestType.INITIAL, session_id, 0)
        cca = examiner.ask(link, replace(request, flags=request.flags | Flag.RETRANSMITTED))
        if accepted(examiner, rules.T_ALONE, cca):
            end(examiner, link, session_id, 1)


def _again(examiner: Examiner, link: Link, request: Message, first: Answer, rule: Rule) -> None:
    """Send a request once more: T set, a new Hop-by-Hop identifier, the same End-to-End identifier."""
    hop_by_hop = (request.hop_by_hop + 0x1000_0000) & 0xFFFF_FFFF
    second = examiner.ask(link, replace(request, flags=request.flags | Flag.RETRANSMITTED, hop_by_hop=hop_by_hop))
    if second is not None:
        is_same = second.avps == first.avps
        examiner.look(rule, is_same, f"Result-Code {second.code} after {first.code}" if second.code != first.code
                      else "other AVPs than the first time")  # fmt: skip
