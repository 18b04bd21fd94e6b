"""Probes of the stream: many messages in a segment, one in many, and none at all.  RFC 6733 sections 2.1 and 3."""

from typing import Final

from simulator.conformance import rules
from simulator.conformance.answers import SUCCESS
from simulator.conformance.credit import accepted, end
from simulator.conformance.examiner import Examiner
from simulator.conformance.octets import with_header
from simulator.conformance.rules import Rule
from simulator.messages import device_watchdog_request
from simulator.profile import RequestType

PIPELINED: Final = 8
CUTS: Final = (1, 4, 19, 20, 23, 60)
UNSUPPORTED_VERSION: Final = 5011
INVALID_MESSAGE_LENGTH: Final = 5015


def pipelined(examiner: Examiner) -> None:
    with examiner.opened() as link:
        sessions = [examiner.session_id() for _ in range(PIPELINED)]
        requests = [examiner.ccr(RequestType.INITIAL, one, 0).encode() for one in sessions]
        waiting = {request[12:20]: request for request in requests}
        examiner.send(link, b"".join(requests))
        is_open = False
        while waiting and (came := examiner.hear(link)) is not None:
            if (request := waiting.pop(came[12:20], None)) is not None:
                is_open |= accepted(examiner, rules.INITIAL, examiner.judge(request, came))
        examiner.look(rules.PIPELINED, not waiting, f"{len(waiting)} of {PIPELINED} have no answer")
        for one in sessions if is_open else ():
            end(examiner, link, one, 1)


def segments(examiner: Examiner) -> None:
    with examiner.opened() as link:
        session_id = examiner.session_id()
        request = examiner.ccr(RequestType.INITIAL, session_id, 0).encode()
        pieces = zip((0, *CUTS), (*CUTS, len(request)), strict=True)
        examiner.send(link, *(request[start:stop] for start, stop in pieces))
        came = examiner.hear(link)
        examiner.look(rules.SEGMENTS, came is not None, "no answer to a message sent in seven pieces")
        if came is not None and accepted(examiner, rules.INITIAL, examiner.judge(request, came)):
            end(examiner, link, session_id, 1)


def bad_version(examiner: Examiner) -> None:
    request = examiner.numbered(device_watchdog_request(examiner.target.identity)).encode()
    _broken(examiner, with_header(request, version=2), rules.BAD_VERSION, UNSUPPORTED_VERSION)


def bad_length(examiner: Examiner) -> None:
    request = examiner.numbered(device_watchdog_request(examiner.target.identity)).encode()
    for length in (16, len(request) - 1):
        _broken(examiner, with_header(request, length=length), rules.BAD_LENGTH, INVALID_MESSAGE_LENGTH)


def _broken(examiner: Examiner, octets: bytes, rule: Rule, code: int) -> None:
    """Send what is no message; an error or the end of the connection answers it, success or silence does not."""
    with examiner.opened() as link:
        got = examiner.ask(link, octets, may_close=True, is_mirrored=False)
        if got is not None:
            examiner.look(rule, got.code == code or (got.code != SUCCESS and link.closes()), f"Result-Code {got.code}")
        else:
            examiner.look(rule, link.is_closed, "no answer that can be read, and the connection stays")
        link.is_closed = True  # what comes next on such a stream means nothing
