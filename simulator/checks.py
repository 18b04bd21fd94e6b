"""What every answer must hold, whatever the scene: each rule broken is a named `Violation`.

The checks read messages only, know nothing of the session's history, and change nothing.  They also count how often a
rule was looked at, so that one which was kept can be told from one that nothing ever put to the test.
RFC 6733 section 6.2, RFC 8506 sections 3.2, 5.1.2, 8.17 and 8.34, TS 32.299 clause 7.2.237.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from simulator.profile import RequestType
from simulator.wire import (
    APPLICATION_CREDIT_CONTROL,
    Avp,
    AvpFlag,
    Command,
    Flag,
    Message,
    text,
)

SUCCESS: Final = 2001
APPLICATION_RELAY: Final = 0xFFFFFFFF
LIMITED_SUCCESS: Final = 2002

SERVICE_CODES: Final = frozenset({SUCCESS, 4010, 4011, 4012, 5003, 5031})
"""What TS 32.299 clause 6.5 lets a Multiple-Services-Credit-Control of an answer say."""

REQUIRED: Final = (
    "Session-Id", "Result-Code", "Origin-Host", "Origin-Realm", "Auth-Application-Id", "CC-Request-Type",
    "CC-Request-Number",
)  # fmt: skip
"""Exactly once in a CCA (RFC 8506 section 3.2)."""

FORBIDDEN: Final = (
    "Destination-Host", "Destination-Realm", "Subscription-Id", "Service-Context-Id", "Requested-Service-Unit",
    "Used-Service-Unit", "Termination-Cause", "Multiple-Services-Indicator",
)  # fmt: skip
"""Never in a CCA (RFC 8506 section 10.1)."""

ONCE_IN_ANSWER: Final = (
    "CC-Session-Failover", "Credit-Control-Failure-Handling", "Direct-Debiting-Failure-Handling", "Validity-Time",
    "Final-Unit-Indication", "Granted-Service-Unit", "Origin-State-Id", "Error-Message",
)  # fmt: skip

ONCE_IN_SERVICE: Final = (
    "Rating-Group", "Result-Code", "Granted-Service-Unit", "Validity-Time", "Volume-Quota-Threshold",
    "Final-Unit-Indication",
)  # fmt: skip


class Rule(StrEnum):
    """The name of a broken rule."""

    COMMAND = "command-not-echoed"
    HEADER_FLAGS = "header-flags"
    IDENTIFIERS = "identifiers-not-echoed"
    SESSION_ID_FIRST = "session-id-not-first"
    SESSION_ID_ECHO = "session-id-not-echoed"
    REQUEST_TYPE_ECHO = "request-type-not-echoed"
    REQUEST_NUMBER_ECHO = "request-number-not-echoed"
    MISSING_AVP = "missing-avp"
    REPEATED_AVP = "repeated-avp"
    FORBIDDEN_AVP = "forbidden-avp"
    UNKNOWN_MANDATORY_AVP = "unknown-mandatory-avp"
    APPLICATION = "wrong-application"
    ORIGIN_HOST = "origin-host-not-the-cea's"
    SERVICES = "services-not-mirrored"
    SERVICE_CODE = "service-result-code"
    GRANT_MISSING = "grant-missing"
    GRANT_UNASKED = "grant-unasked"
    GRANT_ZERO = "grant-zero"
    VALIDITY_TIME = "validity-time"
    THRESHOLD = "volume-quota-threshold"
    FINAL_UNIT = "final-unit-indication"
    NOT_ANSWERED = "not-answered"
    GRANT = "unexpected-grant"
    LATE = "answered-late"
    REPEAT = "repeat-answered-otherwise"
    CONNECTION = "connection"
    RESULT = "unexpected-result"
    STATE = "unexpected-state"
    MONEY = "money-does-not-add-up"
    CHANNEL = "channel"
    SERVER_REQUEST = "server-request"
    SIGNALLING = "signalling-out-of-order"
    PACKETS = "packets-do-not-add-up"
    UNRECEIPTED = "signed-usage-without-receipt"
    SIGNED_OCTETS = "signed-octets-not-those-over-gy"
    RECEIPT = "receipt-proves-nothing"
    REPORT_REFUSED = "signed-report-refused"
    REPORT_CODE = "signed-report-not-answered-as-the-page-says"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule, what was seen, and in which session."""

    rule: Rule
    detail: str
    session_id: bytes = b""

    def __str__(self) -> str:
        where = f"  [{text(self.session_id)}]" if self.session_id else ""
        return f"{self.rule}: {self.detail}{where}"


class Findings(list[Violation]):
    """What is wrong with one message, and which rules were looked at, how often.

    Attributes:
        looks: how often each rule was held against the message, kept or broken.
    """

    def __init__(self, looks: Iterable["_Look"], session_id: bytes = b"") -> None:
        super().__init__()
        self.looks: Counter[Rule] = Counter()
        for rule, is_kept, detail in looks:
            self.looks[rule] += 1
            if not is_kept:
                self.append(Violation(rule, detail, session_id))


_Look = tuple[Rule, bool, str]
"""A rule, whether the message keeps it, and what is seen there."""


def check_credit_control(request: Message, answer: Message, server_host: bytes) -> Findings:
    """Hold `answer` against every rule of the CCA to `request`.

    Args:
        request: the CCR as it was sent.
        answer: the CCA as it came.
        server_host: the Origin-Host of the CEA on this connection.
    """
    return Findings(_credit_control(request, answer, server_host), request.session_id)


def check_capabilities(answer: Message) -> Findings:
    """Hold a CEA against what live gateways drop a connection for (RFC 6733 section 5.3.2)."""
    return Findings(_capabilities(answer))


def check_server_request(request: Message, server_host: bytes, own_host: bytes) -> Findings:
    """Hold a RAR or ASR against its rules (RFC 6733 sections 8.3.1 and 8.5.1, RFC 8506 section 5.5)."""
    return Findings(_server_request(request, server_host, own_host), request.session_id)


def _credit_control(request: Message, answer: Message, server_host: bytes) -> Iterator[_Look]:
    yield from _header(request, answer)
    yield from _command_level(request, answer, server_host)
    if answer.number("Result-Code") == SUCCESS:
        yield from _services(request, answer)


def _capabilities(answer: Message) -> Iterator[_Look]:
    for name in ("Result-Code", "Origin-Host", "Origin-Realm", "Host-IP-Address", "Vendor-Id", "Product-Name"):
        yield Rule.MISSING_AVP, bool(answer.all(name)), f"{name} in the CEA"
    if answer.number("Result-Code") == SUCCESS:
        offered = {one.value for one in _every(answer.avps) if one.name == "Auth-Application-Id"}
        # A CEA that also offers Gx would draw Open5GS' policy requests here.
        is_kept = bool(offered) and offered <= {APPLICATION_CREDIT_CONTROL, APPLICATION_RELAY}
        shown = sorted(map(str, offered)) if offered else "no application"
        yield Rule.APPLICATION, is_kept, f"the CEA offers {shown}"


def _server_request(request: Message, server_host: bytes, own_host: bytes) -> Iterator[_Look]:
    required = ["Session-Id", "Origin-Host", "Origin-Realm", "Destination-Realm", "Destination-Host"]
    required += ["Auth-Application-Id"] + ["Re-Auth-Request-Type"] * (request.command == Command.RE_AUTH)
    for name in required:
        yield Rule.MISSING_AVP, len(request.all(name)) == 1, name
    flags = request.flags & ~Flag.RETRANSMITTED
    yield Rule.HEADER_FLAGS, flags == Flag.REQUEST | Flag.PROXIABLE, f"0x{request.flags:02x}"
    if request.avps:
        first = request.avps[0].name
        yield Rule.SESSION_ID_FIRST, first == "Session-Id", f"first is {first}"
    host, named = request.octets("Origin-Host"), request.octets("Destination-Host")
    yield Rule.ORIGIN_HOST, host == server_host, text(host)
    is_ours = named == own_host
    yield Rule.SERVER_REQUEST, is_ours, f"{text(own_host)} got a request for {text(named) or 'nobody'}"
    is_credit_control = request.application == APPLICATION_CREDIT_CONTROL
    yield Rule.APPLICATION, is_credit_control, f"header says {request.application}"
    if request.command == Command.RE_AUTH:
        is_authorize_only = request.number("Re-Auth-Request-Type") == 0
        yield Rule.SERVER_REQUEST, is_authorize_only, "Re-Auth-Request-Type is not AUTHORIZE_ONLY (0)"


def _header(request: Message, answer: Message) -> Iterator[_Look]:
    is_echo = (answer.command, answer.application) == (request.command, request.application)
    told = f"{answer.command}/{answer.application} answers {request.command}/{request.application}"
    yield Rule.COMMAND, is_echo, told
    is_echo = (answer.hop_by_hop, answer.end_to_end) == (request.hop_by_hop, request.end_to_end)
    yield Rule.IDENTIFIERS, is_echo, f"{answer.hop_by_hop:08x}/{answer.end_to_end:08x}"
    code = answer.number("Result-Code") or 0
    expected = request.flags & Flag.PROXIABLE | (Flag.ERROR if 3000 <= code < 4000 else 0)
    told = f"0x{answer.flags:02x} with {code}, expected 0x{int(expected):02x}"
    yield Rule.HEADER_FLAGS, answer.flags == expected, told


def _command_level(request: Message, answer: Message, server_host: bytes) -> Iterator[_Look]:
    first = answer.avps[0].name if answer.avps else "nothing"
    yield Rule.SESSION_ID_FIRST, first == "Session-Id", f"first is {first}"
    yield Rule.SESSION_ID_ECHO, answer.session_id == request.session_id, text(answer.session_id)
    # With E set the answer follows the error grammar, which knows no CC AVPs (RFC 6733 section 7.2).
    required = REQUIRED[:4] if answer.flags & Flag.ERROR else REQUIRED
    counted = Counter(one.name for one in answer.avps)
    for name in required:
        yield Rule.MISSING_AVP, counted[name] > 0, name
    for name in (*REQUIRED, *ONCE_IN_ANSWER):
        if counted[name]:
            yield Rule.REPEATED_AVP, counted[name] == 1, f"{name} {counted[name]} times"
    for name in FORBIDDEN:
        yield Rule.FORBIDDEN_AVP, not counted[name], name
    for one in _every(answer.avps):
        yield Rule.UNKNOWN_MANDATORY_AVP, one.known or not one.flags & AvpFlag.MANDATORY, one.name
    for name, rule in (("CC-Request-Type", Rule.REQUEST_TYPE_ECHO), ("CC-Request-Number", Rule.REQUEST_NUMBER_ECHO)):
        if counted[name]:
            said, asked = answer.number(name), request.number(name)
            yield rule, said == asked, f"{said} answers {asked}"
    if counted["Auth-Application-Id"]:
        application = answer.number("Auth-Application-Id")
        yield Rule.APPLICATION, application == APPLICATION_CREDIT_CONTROL, f"Auth-Application-Id is {application}"
    host = answer.octets("Origin-Host")
    yield Rule.ORIGIN_HOST, host == server_host, f"{text(host)}, the CEA said {text(server_host)}"


def _services(request: Message, answer: Message) -> Iterator[_Look]:
    """Compare the MSCCs of a successful answer with those of the request, which they mirror one by one."""
    asked, got = request.services, answer.services
    final = request.number("CC-Request-Type") == RequestType.TERMINATION
    if final and not got:
        return
    wanted_keys, keys = [_key(service) for service in asked], [_key(service) for service in got]
    yield Rule.SERVICES, wanted_keys == keys, f"asked for {wanted_keys}, got {keys}"
    if wanted_keys != keys:
        return
    for wanted, given in zip(asked, got, strict=True):
        for rule, is_kept, detail in _service(given, wanted=bool(wanted.all("Requested-Service-Unit")), final=final):
            yield rule, is_kept, f"{detail} (service {_key(given)})"


def _service(given: Avp, *, wanted: bool, final: bool) -> Iterator[_Look]:
    for name in ONCE_IN_SERVICE:
        if given.all(name):
            yield Rule.REPEATED_AVP, len(given.all(name)) == 1, f"{name} {len(given.all(name))} times"
    code = given.number("Result-Code")
    yield Rule.SERVICE_CODE, code in SERVICE_CODES, f"Result-Code is {code}"
    grants = given.all("Granted-Service-Unit")
    indications = given.all("Final-Unit-Indication")
    octets = grants[0].number("CC-Total-Octets") if grants else None
    if wanted and code == SUCCESS:
        yield Rule.GRANT_MISSING, bool(grants), "2001 to a Requested-Service-Unit without a grant"
    else:
        told = f"a grant with {code}" if wanted else "a grant without a Requested-Service-Unit"
        yield Rule.GRANT_UNASKED, not grants, told
    if grants:
        yield Rule.GRANT_ZERO, bool(octets), f"CC-Total-Octets is {octets}"
    validity = given.number("Validity-Time")
    if validity is not None or (code == SUCCESS and not final):
        yield Rule.VALIDITY_TIME, bool(validity), "absent" if validity is None else f"{validity}"
    for threshold in given.all("Volume-Quota-Threshold"):
        yield from _threshold(threshold, octets, beside_final_units=bool(indications))
    if indications:
        action = indications[0].number("Final-Unit-Action")
        yield Rule.FINAL_UNIT, action in (0, 1, 2), f"Final-Unit-Action is {action}"


def _threshold(threshold: Avp, granted: int | None, *, beside_final_units: bool) -> Iterator[_Look]:
    left = threshold.value if isinstance(threshold.value, int) else 0
    yield Rule.THRESHOLD, not beside_final_units, "beside a Final-Unit-Indication"
    yield Rule.THRESHOLD, granted is not None and left < granted, f"{left} of a grant of {granted}"
    are_flags = threshold.flags == AvpFlag.VENDOR | AvpFlag.MANDATORY
    yield Rule.THRESHOLD, are_flags, f"flags 0x{threshold.flags:02x}"


def _key(service: Avp) -> tuple[int | None, tuple[int, ...]]:
    identifiers = [one.value for one in service.all("Service-Identifier") if isinstance(one.value, int)]
    return service.number("Rating-Group"), tuple(identifiers)


def _every(avps: tuple[Avp, ...]) -> Iterator[Avp]:
    for one in avps:
        yield one
        # What stands in a Failed-AVP is the request's (RFC 6733 section 7.5).
        yield from _every(one.members) if one.name != "Failed-AVP" else ()
