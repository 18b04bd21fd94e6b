"""Probes with requests that are wrong in one way each.  RFC 6733 sections 7.1 and 7.5."""

from dataclasses import replace
from typing import Final

from simulator.conformance import rules
from simulator.conformance.answers import SUCCESS
from simulator.conformance.examiner import Examiner, changed, plus, unknown
from simulator.conformance.link import Link
from simulator.conformance.octets import Answer, appended, raw_avp, with_header
from simulator.conformance.rules import Rule
from simulator.messages import device_watchdog_request
from simulator.profile import RequestType
from simulator.wire import Avp, Flag, Message, avp

UNUSED_COMMAND: Final = 8_388_000
UNUSED_APPLICATION: Final = 16_770_000
UNUSED_AVP: Final = 15_999
UNUSED_VENDOR: Final = 4_194_303
RESULT_CODE: Final = 268
CC_REQUEST_NUMBER: Final = 415
CC_REQUEST_TYPE: Final = 416
NEEDED: Final = {
    "Origin-Host": 264, "Origin-Realm": 296, "Destination-Realm": 283, "Auth-Application-Id": 258,
    "Service-Context-Id": 461, "CC-Request-Type": CC_REQUEST_TYPE, "CC-Request-Number": CC_REQUEST_NUMBER,
}  # fmt: skip


def command(examiner: Examiner) -> None:
    with examiner.opened() as link:
        _refused(examiner, link, with_header(_ccr(examiner).encode(), command=UNUSED_COMMAND), rules.COMMAND, 3001)


def application(examiner: Examiner) -> None:
    with examiner.opened() as link:
        octets = with_header(_ccr(examiner).encode(), application=UNUSED_APPLICATION)
        _refused(examiner, link, octets, rules.APPLICATION, 3007)


def error_bit(examiner: Examiner) -> None:
    with examiner.opened() as link:
        request = _ccr(examiner)
        _refused(examiner, link, replace(request, flags=request.flags | Flag.ERROR), rules.E_IN_REQUEST, 3008)


def realm(examiner: Examiner) -> None:
    with examiner.opened() as link:
        foreign = changed(_ccr(examiner), "Destination-Realm", avp("Destination-Realm", "elsewhere.invalid"))
        _refused(examiner, link, foreign, rules.REALM, 3003, 3002)


def unknown_avps(examiner: Examiner) -> None:
    with examiner.opened() as link:
        stranger = unknown(UNUSED_AVP, b"what is this", is_mandatory=True)
        of_vendor = replace(stranger, vendor=UNUSED_VENDOR, flags=0xC0)
        for what, request in (
            ("in the command", plus(_ccr(examiner), stranger)),
            ("of a vendor", plus(_ccr(examiner), of_vendor)),
            ("in a group", plus(_ccr(examiner), _service_with(stranger))),
        ):
            _refused(examiner, link, request, rules.UNKNOWN_MANDATORY, 5001, failed=UNUSED_AVP, what=what)
        session_id = examiner.session_id()
        initial = examiner.ccr(RequestType.INITIAL, session_id, 0)
        cca = examiner.ask(link, plus(initial, unknown(UNUSED_AVP, b"never mind", is_mandatory=False)))
        if cca is not None:
            # Whatever else the server thinks of this subscriber, it must not be the AVP.
            examiner.look(rules.UNKNOWN_OPTIONAL, cca.code != 5001, f"Result-Code {cca.code}")
            if cca.code == SUCCESS:
                examiner.ask(link, examiner.ccr(RequestType.TERMINATION, session_id, 1))


def missing(examiner: Examiner) -> None:
    for name, code in NEEDED.items():
        with examiner.opened() as link:
            _refused(examiner, link, changed(_ccr(examiner), name), rules.MISSING, 5005, failed=code, what=name)


def twice(examiner: Examiner) -> None:
    with examiner.opened() as link:
        request = plus(_ccr(examiner), avp("CC-Request-Number", 0))
        _refused(examiner, link, request, rules.TWICE, 5009, failed=CC_REQUEST_NUMBER)


def forbidden(examiner: Examiner) -> None:
    with examiner.opened() as link:
        request = plus(_ccr(examiner), avp("Result-Code", SUCCESS))
        _refused(examiner, link, request, rules.FORBIDDEN, 5008, failed=RESULT_CODE)


def values(examiner: Examiner) -> None:
    with examiner.opened() as link:
        for value in (0, 77):
            request = changed(_ccr(examiner), "CC-Request-Type", avp("CC-Request-Type", value))
            _refused(examiner, link, request, rules.VALUE, 5004, failed=CC_REQUEST_TYPE, what=f"the value {value}")


def avp_lengths(examiner: Examiner) -> None:
    for length in (4, 400):
        octets = appended(_ccr(examiner).encode(), raw_avp(UNUSED_AVP, bytes(4), flags=0, length=length))
        with examiner.opened() as link:
            _refused(examiner, link, octets, rules.AVP_LENGTH, 5014, may_close=True, what=f"a length of {length}")


def type_length(examiner: Examiner) -> None:
    octets = appended(changed(_ccr(examiner), "CC-Request-Number").encode(), raw_avp(CC_REQUEST_NUMBER, bytes(3)))
    with examiner.opened() as link:
        _refused(examiner, link, octets, rules.TYPE_LENGTH, 5014, 5004, may_close=True)


def _service_with(member: Avp) -> Avp:
    return avp("Multiple-Services-Credit-Control", [avp("Rating-Group", 2), avp("Requested-Service-Unit", []), member])


def _ccr(examiner: Examiner) -> Message:
    return examiner.ccr(RequestType.INITIAL, examiner.session_id(), 0)


def _refused(examiner: Examiner, link: Link, request: Message | bytes, rule: Rule, *codes: int, failed: int = 0,
             may_close: bool = False, what: str = "") -> Answer | None:  # fmt: skip
    """Send a request that must be refused with one of these codes, naming an AVP where that is asked for.

    Args:
        failed: the code of the AVP that Failed-AVP must hold; 0 asks for none.
    """
    got = examiner.ask(link, request, may_close=may_close)
    told = f"{what}: " if what else ""
    if got is None:
        is_closed = link.is_closed and may_close
        examiner.look(rule, is_closed, f"{told}no answer")
        return None
    examiner.look(rule, got.code in codes, f"{told}Result-Code {got.code}, not {' or '.join(map(str, codes))}")
    if failed and got.code in codes:
        held = failed in got.failed
        examiner.look(rules.FAILED_AVP, held, f"{told}Failed-AVP holds {sorted(got.failed) or 'nothing'}")
    if got.code == SUCCESS and isinstance(request, Message) and request.session_id:
        examiner.ask(link, examiner.ccr(RequestType.TERMINATION, request.session_id, 1))
    if not link.is_closed:
        dwa = examiner.ask(link, examiner.numbered(device_watchdog_request(examiner.target.identity)), may_close=True)
        examiner.look(rules.SURVIVES, dwa is not None and dwa.code == SUCCESS, f"{told}no DWA after it")
    return got
