"""What every answer must hold, whatever was asked, and what a CCA must besides.  RFC 6733 sections 3 to 7, RFC 8506."""

from collections.abc import Iterator
from typing import Final

from simulator.checks import Rule as Check
from simulator.checks import check_credit_control
from simulator.conformance import rules
from simulator.conformance.octets import (
    GRANTED,
    ORIGIN_HOST,
    ORIGIN_REALM,
    PROXY_INFO,
    RESULT_CODE,
    SERVICES,
    SESSION_ID,
    Answer,
    every,
    read,
)
from simulator.conformance.rules import OF_CHECKS, Rule
from simulator.wire import Flag, Malformed, Message, text

SUCCESS: Final = 2001
MANDATORY: Final = frozenset({
    257, 258, 259, 260, 261, 263, 264, 265, 266, 268, 277, 278, 279, 280, 283, 284, 292, 293, 296, 297, 299,
    412, 414, 415, 416, 418, 420, 421, 427, 428, 430, 431, 432, 439, 446, 448, 449, 455, 456, 457, 461,
})  # fmt: skip
"""AVPs of an answer whose M bit must be set (RFC 6733 section 4.5, RFC 8506 section 8)."""

NEVER_MANDATORY: Final = frozenset({267, 269, 281, 294})
"""Firmware-Revision, Product-Name, Error-Message, Error-Reporting-Host (RFC 6733 section 4.5)."""

EVENT: Final = 4
VALIDITY_TIME: Final = 448
GRAMMAR_OF_CCA: Final = (263, 268, 264, 296, 258, 416, 415)

Seen = tuple[Rule, bool, str]
"""A rule, whether it holds, and what is seen."""


def every_answer(sent: bytes, got: Answer, server_host: bytes, *, is_mirrored: bool) -> Iterator[Seen]:
    """Hold an answer against what any answer must hold.

    Args:
        sent: the request's octets.
        server_host: the Origin-Host of the CEA; empty before one came.
        is_mirrored: whether the request is whole enough for its answer to mirror it.
    """
    if is_mirrored:
        is_echo = got.octets[5:20] == sent[5:20]
        yield rules.ECHO, is_echo, f"{got.octets[5:20].hex()} answers {sent[5:20].hex()}"
        is_same = got.flags & Flag.PROXIABLE == sent[4] & Flag.PROXIABLE
        yield rules.PROXIABLE_BIT, is_same, f"flags 0x{got.flags:02x} answer 0x{sent[4]:02x}"
    yield rules.REQUEST_BIT, not got.flags & (Flag.REQUEST | Flag.RETRANSMITTED), f"flags 0x{got.flags:02x}"
    yield rules.RESERVED_BITS, not got.flags & 0x0F, f"flags 0x{got.flags:02x}"
    told = f"{got.code} with flags 0x{got.flags:02x}"
    if got.code // 1000 in range(1, 5):
        yield rules.ERROR_BIT, bool(got.flags & Flag.ERROR) == (got.code // 1000 == 3), told
    elif got.command == 272 and all(got.all(code) for code in GRAMMAR_OF_CCA):
        yield rules.ERROR_GRAMMAR, not got.flags & Flag.ERROR, told
    elif not got.flags & Flag.ERROR:
        yield rules.ERROR_GRAMMAR, True, ""
    for code in (RESULT_CODE, ORIGIN_HOST, ORIGIN_REALM):
        yield rules.ORIGIN, len(got.all(code)) == 1, f"AVP {code} {len(got.all(code))} times"
    if server_host and got.all(ORIGIN_HOST):
        host = got.all(ORIGIN_HOST)[0].data
        yield rules.ORIGIN_HOST, host == server_host, f"{text(host)}, not {text(server_host)}"
    yield rules.NO_DESTINATION, not got.all(283) and not got.all(293), "Destination-Host or -Realm is there"
    for one in every(tuple(one for one in got.avps if one.code != 279)):
        yield rules.AVP_BITS, not one.flags & 0x1F, f"AVP {one.code} has flags 0x{one.flags:02x}"
        if one.padding:
            yield rules.PADDING, not any(one.padding), f"AVP {one.code} is padded with {one.padding.hex()}"
        if not one.vendor and one.code in MANDATORY:
            yield rules.M_BIT_SET, bool(one.flags & 0x40), f"AVP {one.code} has flags 0x{one.flags:02x}"
        if not one.vendor and one.code in NEVER_MANDATORY:
            yield rules.M_BIT_CLEAR, not one.flags & 0x40, f"AVP {one.code} has flags 0x{one.flags:02x}"
    if got.all(SESSION_ID):
        yield rules.SESSION_FIRST, got.avps[0].code == SESSION_ID, f"AVP {got.avps[0].code} comes first"


def credit_control(request: Message, got: Answer, server_host: bytes) -> Iterator[Seen]:
    """Hold the answer to a CCR against what mirrors its request, and a good one against the grammar."""
    if request.session_id:
        said = got.all(SESSION_ID)[0].data if got.all(SESSION_ID) else b""
        yield rules.SESSION_ECHO, said == request.session_id, text(said) or "there is none"
    if wanted := _proxy_infos(request):
        mirrored = [one.data for one in got.all(PROXY_INFO)]
        yield rules.PROXY_INFO, mirrored == wanted, f"{len(mirrored)} of {len(wanted)} came back unchanged"
    if got.command != 272 or got.code != SUCCESS:
        return
    try:
        decoded = Message.decode(got.octets)
    except Malformed:
        return  # the lengths were right by our own count: it is scapy's dictionary that differs
    findings = check_credit_control(request, decoded, server_host)
    details = {one.rule: one.detail for one in findings}
    is_event = request.number("CC-Request-Type") == EVENT
    for service in got.all(SERVICES):
        codes = {one.code for one in service.members}
        if GRANTED in codes and not is_event:
            yield rules.VALIDITY_TIME, VALIDITY_TIME in codes, "a grant without a Validity-Time"
    for check, rule in OF_CHECKS.items():
        # An event may be answered without a grant.
        if findings.looks[check] and not (is_event and check is Check.GRANT_MISSING):
            yield rule, check not in details, details.get(check, "")


def _proxy_infos(request: Message) -> list[bytes]:
    """Give the data of each Proxy-Info as it went out."""
    return [one.data for one in read(request.encode()).all(PROXY_INFO)]
