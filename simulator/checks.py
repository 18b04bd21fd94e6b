"""What every answer must hold, whatever the scene: each rule broken is a named `Violation`.

The checks read messages only, know nothing of the session's history, and change nothing.
RFC 6733 section 6.2, RFC 8506 sections 3.2, 5.1.2, 8.17 and 8.34, TS 32.299 clause 7.2.237.
"""

from collections import Counter
from collections.abc import Iterator
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


def check_credit_control(request: Message, answer: Message, server_host: bytes) -> list[Violation]:
    """Return every rule that `answer` breaks as the CCA to `request`.

    Args:
        request: the CCR as it was sent.
        answer: the CCA as it came.
        server_host: the Origin-Host of the CEA on this connection.
    """
    found = [*_header(request, answer), *_command_level(request, answer, server_host)]
    if answer.number("Result-Code") == SUCCESS:
        found += _services(request, answer)
    return [Violation(rule, detail, request.session_id) for rule, detail in found]


def check_capabilities(answer: Message) -> list[Violation]:
    """Return every rule a CEA breaks: what live gateways drop a connection for (RFC 6733 section 5.3.2)."""
    required = ("Result-Code", "Origin-Host", "Origin-Realm", "Host-IP-Address", "Vendor-Id", "Product-Name")
    found = [(Rule.MISSING_AVP, f"{name} in the CEA") for name in required if not answer.all(name)]
    offered = {one.value for one in _every(answer.avps) if one.name == "Auth-Application-Id"}
    # A CEA that also offers Gx would draw Open5GS' policy requests here.
    if answer.number("Result-Code") == SUCCESS and not offered <= {APPLICATION_CREDIT_CONTROL, APPLICATION_RELAY}:
        found.append((Rule.APPLICATION, f"the CEA offers {sorted(map(str, offered))}"))
    if answer.number("Result-Code") == SUCCESS and not offered:
        found.append((Rule.APPLICATION, "the CEA offers no application"))
    return [Violation(rule, detail) for rule, detail in found]


def check_server_request(request: Message, server_host: bytes, own_host: bytes) -> list[Violation]:
    """Return every rule that a RAR or ASR breaks (RFC 6733 sections 8.3.1 and 8.5.1, RFC 8506 section 5.5)."""
    required = ["Session-Id", "Origin-Host", "Origin-Realm", "Destination-Realm", "Destination-Host"]
    required += ["Auth-Application-Id"] + ["Re-Auth-Request-Type"] * (request.command == Command.RE_AUTH)
    found = [(Rule.MISSING_AVP, name) for name in required if len(request.all(name)) != 1]
    if request.flags & ~Flag.RETRANSMITTED != Flag.REQUEST | Flag.PROXIABLE:
        found.append((Rule.HEADER_FLAGS, f"0x{request.flags:02x}"))
    if request.avps and request.avps[0].name != "Session-Id":
        found.append((Rule.SESSION_ID_FIRST, f"first is {request.avps[0].name}"))
    if request.octets("Origin-Host") != server_host:
        found.append((Rule.ORIGIN_HOST, text(request.octets("Origin-Host"))))
    if request.octets("Destination-Host") != own_host:
        named = text(request.octets("Destination-Host"))
        found.append((Rule.SERVER_REQUEST, f"{text(own_host)} got a request for {named or 'nobody'}"))
    if request.application != APPLICATION_CREDIT_CONTROL:
        found.append((Rule.APPLICATION, f"header says {request.application}"))
    if request.command == Command.RE_AUTH and request.number("Re-Auth-Request-Type") != 0:
        found.append((Rule.SERVER_REQUEST, "Re-Auth-Request-Type is not AUTHORIZE_ONLY (0)"))
    return [Violation(rule, detail, request.session_id) for rule, detail in found]


_Found = tuple[Rule, str]


def _header(request: Message, answer: Message) -> Iterator[_Found]:
    if (answer.command, answer.application) != (request.command, request.application):
        yield Rule.COMMAND, f"{answer.command}/{answer.application} answers {request.command}/{request.application}"
    if (answer.hop_by_hop, answer.end_to_end) != (request.hop_by_hop, request.end_to_end):
        yield Rule.IDENTIFIERS, f"{answer.hop_by_hop:08x}/{answer.end_to_end:08x}"
    code = answer.number("Result-Code") or 0
    expected = request.flags & Flag.PROXIABLE | (Flag.ERROR if 3000 <= code < 4000 else 0)
    if answer.flags != expected:
        yield Rule.HEADER_FLAGS, f"0x{answer.flags:02x} with {code}, expected 0x{int(expected):02x}"


def _command_level(request: Message, answer: Message, server_host: bytes) -> Iterator[_Found]:
    if not answer.avps or answer.avps[0].name != "Session-Id":
        yield Rule.SESSION_ID_FIRST, f"first is {answer.avps[0].name if answer.avps else 'nothing'}"
    if answer.session_id != request.session_id:
        yield Rule.SESSION_ID_ECHO, text(answer.session_id)
    # With E set the answer follows the error grammar, which knows no CC AVPs (RFC 6733 section 7.2).
    required = REQUIRED[:4] if answer.flags & Flag.ERROR else REQUIRED
    counted = Counter(one.name for one in answer.avps)
    for name in required:
        if counted[name] == 0:
            yield Rule.MISSING_AVP, name
    for name in (*REQUIRED, *ONCE_IN_ANSWER):
        if counted[name] > 1:
            yield Rule.REPEATED_AVP, f"{name} {counted[name]} times"
    for name in FORBIDDEN:
        if counted[name]:
            yield Rule.FORBIDDEN_AVP, name
    for one in _every(answer.avps):
        if not one.known and one.flags & AvpFlag.MANDATORY:
            yield Rule.UNKNOWN_MANDATORY_AVP, one.name
    for name, rule in (("CC-Request-Type", Rule.REQUEST_TYPE_ECHO), ("CC-Request-Number", Rule.REQUEST_NUMBER_ECHO)):
        if counted[name] and answer.number(name) != request.number(name):
            yield rule, f"{answer.number(name)} answers {request.number(name)}"
    if counted["Auth-Application-Id"] and answer.number("Auth-Application-Id") != APPLICATION_CREDIT_CONTROL:
        yield Rule.APPLICATION, f"Auth-Application-Id is {answer.number('Auth-Application-Id')}"
    if answer.octets("Origin-Host") != server_host:
        yield Rule.ORIGIN_HOST, f"{text(answer.octets('Origin-Host'))}, the CEA said {text(server_host)}"


def _services(request: Message, answer: Message) -> Iterator[_Found]:
    """Compare the MSCCs of a successful answer with those of the request, which they mirror one by one."""
    asked, got = request.services, answer.services
    final = request.number("CC-Request-Type") == RequestType.TERMINATION
    if final and not got:
        return
    if [_key(service) for service in asked] != [_key(service) for service in got]:
        yield Rule.SERVICES, f"asked for {[_key(one) for one in asked]}, got {[_key(one) for one in got]}"
        return
    for wanted, given in zip(asked, got, strict=True):
        for rule, detail in _service(given, wanted=bool(wanted.all("Requested-Service-Unit")), final=final):
            yield rule, f"{detail} (service {_key(given)})"


def _service(given: Avp, *, wanted: bool, final: bool) -> Iterator[_Found]:
    for name in ONCE_IN_SERVICE:
        if len(given.all(name)) > 1:
            yield Rule.REPEATED_AVP, f"{name} {len(given.all(name))} times"
    code = given.number("Result-Code")
    if code not in SERVICE_CODES:
        yield Rule.SERVICE_CODE, f"Result-Code is {code}"
    grants = given.all("Granted-Service-Unit")
    indications = given.all("Final-Unit-Indication")
    octets = grants[0].number("CC-Total-Octets") if grants else None
    if wanted and code == SUCCESS and not grants:
        yield Rule.GRANT_MISSING, "2001 to a Requested-Service-Unit without a grant"
    if grants and not (wanted and code == SUCCESS):
        yield Rule.GRANT_UNASKED, f"a grant with {code}" if wanted else "a grant without a Requested-Service-Unit"
    if grants and not octets:
        yield Rule.GRANT_ZERO, f"CC-Total-Octets is {octets}"
    validity = given.number("Validity-Time")
    if validity == 0 or (validity is None and code == SUCCESS and not final):
        yield Rule.VALIDITY_TIME, "absent" if validity is None else "0"
    for threshold in given.all("Volume-Quota-Threshold"):
        yield from _threshold(threshold, octets, beside_final_units=bool(indications))
    if indications and indications[0].number("Final-Unit-Action") not in (0, 1, 2):
        yield Rule.FINAL_UNIT, f"Final-Unit-Action is {indications[0].number('Final-Unit-Action')}"


def _threshold(threshold: Avp, granted: int | None, *, beside_final_units: bool) -> Iterator[_Found]:
    left = threshold.value if isinstance(threshold.value, int) else 0
    if beside_final_units:
        yield Rule.THRESHOLD, "beside a Final-Unit-Indication"
    if granted is None or left >= granted:
        yield Rule.THRESHOLD, f"{left} of a grant of {granted}"
    if threshold.flags != AvpFlag.VENDOR | AvpFlag.MANDATORY:
        yield Rule.THRESHOLD, f"flags 0x{threshold.flags:02x}"


def _key(service: Avp) -> tuple[int | None, tuple[int, ...]]:
    identifiers = [one.value for one in service.all("Service-Identifier") if isinstance(one.value, int)]
    return service.number("Rating-Group"), tuple(identifiers)


def _every(avps: tuple[Avp, ...]) -> Iterator[Avp]:
    for one in avps:
        yield one
        # What stands in a Failed-AVP is the request's (RFC 6733 section 7.5).
        yield from _every(one.members) if one.name != "Failed-AVP" else ()
