"""The rules that probes hold a server against, each with its source, and what no peer can see.

A rule is a `must` where the source says MUST or where nothing works without it, a `should` where the source recommends
or leaves room that gateways do not take well, and a `may` where it is a habit worth knowing of beforehand.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from simulator.checks import Rule as Check


class Severity(StrEnum):
    MUST = "must"
    SHOULD = "should"
    MAY = "may"


@dataclass(frozen=True, slots=True)
class Rule:
    """One demand: a name, what it asks, where that is written, and how binding it is."""

    name: str
    asks: str
    source: str
    severity: Severity


RULES: Final[dict[str, Rule]] = {}


def _rule(severity: Severity, name: str, source: str, asks: str) -> Rule:
    RULES[name] = rule = Rule(name, asks, source, severity)
    return rule


_MUST, _SHOULD, _MAY = Severity.MUST, Severity.SHOULD, Severity.MAY

# Every answer
ANSWERED = _rule(_MUST, "answered", "RFC 6733 6.2", "A request is answered")
READABLE = _rule(_MUST, "readable", "RFC 6733 3, 4.1", "Lengths of message and AVPs add up, the version is 1")
ECHO = _rule(_MUST, "header-echo", "RFC 6733 6.2", "Command, application and both identifiers are the request's")
REQUEST_BIT = _rule(_MUST, "answer-bits", "RFC 6733 3, 6.2", "R and T are clear in an answer")
PROXIABLE_BIT = _rule(_MUST, "p-bit", "RFC 6733 6.2", "The P bit of an answer is the request's")
RESERVED_BITS = _rule(_MUST, "reserved-header-bits", "RFC 6733 3", "Reserved bits of the header are zero")
ERROR_BIT = _rule(
    _MUST, "e-bit-protocol-error", "RFC 6733 7.1.3, 7.2", "E is set with 3xxx, and clear with 1xxx, 2xxx, 4xxx"
)
ERROR_GRAMMAR = _rule(
    _SHOULD,
    "e-bit-permanent",
    "RFC 6733 7.1.5, 7.2",
    "E is clear with 5xxx where the answer keeps its command's own grammar",
)
AVP_BITS = _rule(_MUST, "reserved-avp-bits", "RFC 6733 4.1", "Reserved bits of an AVP are zero")
PADDING = _rule(_SHOULD, "padding", "RFC 6733 4.1", "Padding is zero octets")
M_BIT_SET = _rule(_MUST, "m-bit-set", "RFC 6733 4.5, RFC 8506 8", "M is set where the tables of AVPs demand it")
M_BIT_CLEAR = _rule(_MUST, "m-bit-clear", "RFC 6733 4.5", "M is clear where the table of AVPs forbids it")
ORIGIN = _rule(_MUST, "origin", "RFC 6733 6.3, 6.4, 7.2", "Origin-Host, Origin-Realm and Result-Code are there, once")
ORIGIN_HOST = _rule(_SHOULD, "origin-host", "RFC 6733 6.3", "Answers bear the Origin-Host of the CEA")
NO_DESTINATION = _rule(
    _MUST, "no-destination", "RFC 6733 6.2", "An answer holds no Destination-Host or Destination-Realm"
)
SESSION_FIRST = _rule(_MUST, "session-id-first", "RFC 6733 8.8", "A Session-Id follows the header at once")
SESSION_ECHO = _rule(_MUST, "session-id-echo", "RFC 6733 8.8, 6.2", "An answer repeats its request's Session-Id")
PROXY_INFO = _rule(_MUST, "proxy-info", "RFC 6733 6.2", "Every Proxy-Info comes back unchanged, in its order")

# Capabilities, watchdog, farewell
CEA = _rule(_MUST, "cea", "RFC 6733 5.3", "A CER with a common application is answered 2001")
CEA_AVPS = _rule(_MUST, "cea-avps", "RFC 6733 5.3.2", "A CEA holds Host-IP-Address, Vendor-Id and Product-Name")
CEA_APPLICATION = _rule(
    _MUST, "cea-application", "RFC 6733 5.3, RFC 8506 1.3", "A CEA offers credit control (4), or relays"
)
CER_VENDOR_SPECIFIC = _rule(
    _SHOULD,
    "cer-vendor-specific",
    "RFC 6733 6.11",
    "Credit control offered inside Vendor-Specific-Application-Id is common, too",
)
CER_NOTHING_COMMON = _rule(
    _MUST, "no-common-application", "RFC 6733 5.3", "A CER with nothing in common is answered 5010"
)
CER_LACKS = _rule(_MUST, "cer-missing-avp", "RFC 6733 7.1.5", "A CER without Origin-Realm is refused")
EARLY = _rule(_MUST, "nothing-before-cer", "RFC 6733 5.6", "A CCR before the CER is not granted")
DWA = _rule(_MUST, "dwa", "RFC 6733 5.5, RFC 3539 3.4.1", "A DWR is answered 2001")
DPA = _rule(_MUST, "dpa", "RFC 6733 5.4", "A DPR is answered 2001")

# Credit control
INITIAL = _rule(_MUST, "initial", "RFC 8506 5.2", "A CCR-I of a known subscriber with credit is answered 2001")
UPDATE = _rule(_MUST, "update", "RFC 8506 5.3", "A CCR-U of an open session is answered 2001")
TERMINATION = _rule(_MUST, "termination", "RFC 8506 5.4", "A CCR-T of an open session is answered 2001")
LAST_GRANT = _rule(_SHOULD, "no-grant-at-the-end", "RFC 8506 5.4", "A CCA-T grants nothing")
VALIDITY_TIME = _rule(
    _MAY, "validity-time", "RFC 8506 8.33", "A grant comes with a Validity-Time, for gateways need it"
)
UNKNOWN_SESSION = _rule(
    _SHOULD, "unknown-session", "RFC 8506 7, RFC 6733 7.1.5", "A CCR-U of a session that never was is answered 5002"
)
UNKNOWN_SESSION_END = _rule(
    _MAY, "unknown-session-end", "RFC 8506 7", "A CCR-T of a session that never was is answered 5002"
)
CHECK_BALANCE = _rule(
    _MUST, "check-balance", "RFC 8506 6.2", "A balance check that is answered 2001 says Check-Balance-Result"
)
PRICE_ENQUIRY = _rule(
    _MUST, "price-enquiry", "RFC 8506 6.1", "A price enquiry that is answered 2001 says Cost-Information"
)

ANY_ORDER = _rule(_MUST, "any-order", "RFC 6733 3.2, 8.8", "AVPs behind the Session-Id may come in any order")

# Repeats
REPEAT = _rule(_MUST, "repeat", "RFC 8506 6.5, RFC 6733 5.5.4", "A repeat with T is answered as the first time")
REPEAT_ELSEWHERE = _rule(
    _MUST,
    "repeat-elsewhere",
    "RFC 8506 6.5, RFC 6733 5.5.4",
    "A CCR-T repeated with T on a new connection is answered as the first time",
)
T_ALONE = _rule(_MUST, "t-bit-hint", "RFC 6733 3", "A request with T that never came before is served")

# The stream
PIPELINED = _rule(_MUST, "pipelined", "RFC 6733 2.1, 6.2", "Requests sent without waiting are all answered")
SEGMENTS = _rule(_MUST, "segments", "RFC 6733 2.1", "A message cut anywhere by TCP is read as one")
BAD_VERSION = _rule(_SHOULD, "bad-version", "RFC 6733 7.1.5", "Version 2 is answered 5011, or the connection closed")
BAD_LENGTH = _rule(
    _SHOULD,
    "bad-message-length",
    "RFC 6733 7.1.5",
    "A message length no message has is answered 5015, or the connection closed",
)
SURVIVES = _rule(_SHOULD, "survives", "RFC 6733 7", "After a refused request the connection serves on")

# Requests that are wrong
COMMAND = _rule(_MUST, "unknown-command", "RFC 6733 7.1.3", "An unknown command is answered 3001")
APPLICATION = _rule(_MUST, "unknown-application", "RFC 6733 7.1.3", "An application not supported is answered 3007")
E_IN_REQUEST = _rule(_SHOULD, "e-bit-in-request", "RFC 6733 3, 7.1.3", "A request with E is answered 3008")
REALM = _rule(_SHOULD, "realm-not-served", "RFC 6733 7.1.3", "A foreign Destination-Realm is answered 3003 or 3002")
UNKNOWN_MANDATORY = _rule(_MUST, "unknown-mandatory", "RFC 6733 4.1, 7.1.5", "An unknown AVP with M is answered 5001")
UNKNOWN_OPTIONAL = _rule(_MUST, "unknown-optional", "RFC 6733 4.1", "An unknown AVP without M is passed over")
MISSING = _rule(_MUST, "missing-avp", "RFC 6733 7.1.5, RFC 8506 3.1", "A CCR without an AVP it needs is answered 5005")
FORBIDDEN = _rule(_SHOULD, "forbidden-avp", "RFC 6733 7.1.5, RFC 8506 10.1", "A Result-Code in a CCR is answered 5008")
TWICE = _rule(_MUST, "avp-twice", "RFC 6733 7.1.5, RFC 8506 10.1", "A second CC-Request-Number is answered 5009")
VALUE = _rule(_MUST, "invalid-value", "RFC 6733 7.1.5", "An undefined CC-Request-Type is answered 5004")
AVP_LENGTH = _rule(
    _MUST,
    "avp-length",
    "RFC 6733 7.1.5",
    "An AVP whose length is impossible is answered 5014, or the connection closed",
)
TYPE_LENGTH = _rule(_SHOULD, "type-length", "RFC 6733 7.1.5", "An Unsigned32 of three octets is answered 5014 or 5004")
FAILED_AVP = _rule(_MUST, "failed-avp", "RFC 6733 7.1.5, 7.5", "5001, 5004, 5005, 5008, 5009 name it in Failed-AVP")

OF_CHECKS: Final = {
    Check.MISSING_AVP: _rule(
        _MUST, "cca-missing-avp", "RFC 8506 3.2", "A CCA with 2001 holds what its grammar requires"
    ),
    Check.REPEATED_AVP: _rule(
        _MUST, "cca-repeated-avp", "RFC 8506 3.2, 10.1", "Nothing is there more often than allowed"
    ),
    Check.FORBIDDEN_AVP: _rule(_MUST, "cca-forbidden-avp", "RFC 8506 10.1", "A CCA holds nothing that only a CCR may"),
    Check.UNKNOWN_MANDATORY_AVP: _rule(
        _MAY, "cca-unknown-avp", "RFC 6733 4.1", "A CCA holds no AVP with M that this simulator does not know"
    ),
    Check.REQUEST_TYPE_ECHO: _rule(_MUST, "request-type-echo", "RFC 8506 3.2, 8.3", "CC-Request-Type is the request's"),
    Check.REQUEST_NUMBER_ECHO: _rule(
        _MUST, "request-number-echo", "RFC 8506 3.2, 8.2", "CC-Request-Number is the request's"
    ),
    Check.APPLICATION: _rule(_MUST, "auth-application-id", "RFC 8506 3.2, 1.3", "Auth-Application-Id of a CCA is 4"),
    Check.SERVICES: _rule(
        _SHOULD,
        "services",
        "RFC 8506 5.1.2, TS 32.299 6.5",
        "Each Multiple-Services-Credit-Control is answered under its own Rating-Group and Service-Identifier",
    ),
    Check.SERVICE_CODE: _rule(
        _SHOULD, "service-code", "TS 32.299 7.1", "A service's Result-Code is one TS 32.299 names"
    ),
    Check.GRANT_MISSING: _rule(
        _SHOULD, "grant", "RFC 8506 5.2, 8.17", "2001 to a request for units comes with a grant"
    ),
    Check.GRANT_UNASKED: _rule(_SHOULD, "grant-unasked", "TS 32.299 6.5", "Nothing is granted where nothing was asked"),
    Check.THRESHOLD: _rule(
        _SHOULD,
        "threshold",
        "TS 32.299 7.2",
        "Volume-Quota-Threshold is less than the grant, has V and M, and does not stand beside final units",
    ),
    Check.FINAL_UNIT: _rule(_MUST, "final-unit-action", "RFC 8506 8.35", "Final-Unit-Action is 0, 1 or 2"),
}
"""Rules of `simulator.checks` that hold for any server; the others ask what only ours promises."""


UNSEEN: Final = (
    ("Exactly one charge for a repeated request", "RFC 8506 6.5", "balances are not to be seen over Gy"),
    ("What is answered is on disk first", "RFC 8506 6.5", "only a crash shows it"),
    ("Units reserved are returned at the end and by the supervision timer", "RFC 8506 5.4, 13", "as above"),
    ("The charge is what the tariff says", "TS 32.296", "tariffs are not part of Gy"),
    ("Re-Auth-Request after a top-up, Abort-Session-Request", "RFC 8506 5.5, RFC 6733 8.5", "somebody must cause them"),
    ("Final units and what follows them", "RFC 8506 5.6", "the subscriber's credit would have to end"),
    ("A watchdog of the server's own, and its failover", "RFC 3539 3.4.1", "it takes half a minute of silence"),
    ("Election between two connections", "RFC 6733 5.6.4", "the server would have to call"),
    ("End-to-End identifiers do not repeat over a restart", "RFC 6733 3", "the server would have to be restarted"),
    ("TLS and IPsec", "RFC 6733 13", "these probes speak plain TCP"),
)
"""What cannot be checked from outside: the demand, its source, and why."""
