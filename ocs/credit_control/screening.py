"""Screen requests of admitted peers: who speaks, for which session, for whose subscribers, and how often.

In the manner of GSMA FS.19 and IR.88.  The form of a message is the strict check's; these rules look at what a message
in good form claims.  Each is off, detects (counts, tells, and lets pass), or refuses.  docs/screening.md
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from ocs.credit_control.charging import Charging
from ocs.credit_control.request import CreditControlRequest
from ocs.diameter.codes import CcRequestType
from ocs.errors import AuthorizationRejected, DiameterError, TooBusy, UnknownSessionId
from ocs.units import MINUTE, SECOND, OperatorId, UnixMillis


class Mode(StrEnum):
    OFF = "off"
    DETECT = "detect"
    REFUSE = "refuse"


class Rule(StrEnum):
    """What a request is held against; the setting of each bears its name."""

    ORIGIN_HOST = "origin_host"  # the peer's own, or one it may speak for, and within its Origin-Realm
    ORIGIN_REALM = "origin_realm"  # that of the peer's CER
    SESSION_ID = "session_id"  # begins with the Origin-Host (RFC 6733 section 8.8)
    SESSION_OWNER = "session_owner"  # CCR-U and CCR-T come from the gateway that sent the CCR-I
    IMSI_PREFIX = "imsi_prefix"  # of the home operators this peer has an agreement with
    VISITED_PLMN = "visited_plmn"  # 3GPP-SGSN-MCC-MNC is one of the peer's
    TWO_PLACES = "two_places"  # one subscriber in two visited realms within a few minutes
    PEER_RATE = "peer_rate"
    OPERATOR_RATE = "operator_rate"
    SESSION_RATE = "session_rate"


REFUSALS: Final[Mapping[Rule, type[DiameterError]]] = {
    Rule.ORIGIN_HOST: AuthorizationRejected,
    Rule.ORIGIN_REALM: AuthorizationRejected,
    Rule.SESSION_ID: UnknownSessionId,
    Rule.SESSION_OWNER: UnknownSessionId,
    Rule.IMSI_PREFIX: AuthorizationRejected,
    Rule.VISITED_PLMN: AuthorizationRejected,
    Rule.TWO_PLACES: AuthorizationRejected,
    Rule.PEER_RATE: TooBusy,
    Rule.OPERATOR_RATE: TooBusy,
    Rule.SESSION_RATE: TooBusy,
}

RATES: Final = frozenset({Rule.PEER_RATE, Rule.OPERATOR_RATE, Rule.SESSION_RATE})

PLACES_MAX: Final = 100_000
"""Subscribers whose last place is remembered; the oldest are forgotten."""

PLACES_MS: Final = 5 * MINUTE
"""Nobody leaves one country's network for another's in less, but at a border."""

SPEAKERS_MAX: Final = 1000
"""Origin-Hosts behind one peer whose verdict is remembered."""

INITIAL: Final = CcRequestType.INITIAL
EVENT: Final = CcRequestType.EVENT
TERMINATION: Final = CcRequestType.TERMINATION


class Finding(NamedTuple):
    """A rule that a request breaks, and by what."""

    rule: Rule
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What is agreed with a peer.  Empty sets agree to all."""

    origin_host: str
    origin_realm: str
    speaks_for: frozenset[str] = frozenset()  # Origin-Hosts behind it, lower case
    imsi_prefixes: tuple[str, ...] = ()
    plmns: frozenset[str] = frozenset()


class Bucket:
    """A token bucket that holds the requests of one second, counted in thousandths of a request."""

    __slots__ = ("_filled_at", "_level")

    def __init__(self) -> None:
        self._level = 0
        self._filled_at = UnixMillis(0)

    def take(self, rate: int, now: UnixMillis) -> bool:
        """Take one request's worth where there is as much; `rate` requests a second flow in."""
        self._level = min(rate * SECOND, self._level + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._level < SECOND:
            return False
        self._level -= SECOND
        return True


@dataclass(slots=True)
class Seen:
    """What was seen of one peer; kept with its connection.

    Attributes:
        host, realm: who spoke last, `name` the same in octets, and `found` what was found of them.
        speakers: what was found of the others.
    """

    agreement: Agreement
    bucket: Bucket = field(default_factory=Bucket)
    host: str = ""
    realm: str = ""
    name: bytes = b""
    found: tuple[Finding, ...] = ()
    speakers: dict[tuple[str, str], tuple[Finding, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Requests a second; 0 for no limit."""

    peer: int = 0
    operator: int = 0
    session: int = 0


class Screening:
    """All rules of a server, and what they must remember."""

    def __init__(self, modes: Mapping[Rule, Mode], rates: Rates) -> None:
        self._on = frozenset(rule for rule, mode in modes.items() if mode is not Mode.OFF)
        self._refused = frozenset(rule for rule, mode in modes.items() if mode is Mode.REFUSE)
        self._rates = rates
        # The oldest goes first: a plain dict would look for it past all that went before.
        self._places: OrderedDict[str, tuple[str, UnixMillis]] = OrderedDict()
        self._operators: dict[OperatorId, Bucket] = {}
        self._second = 0
        self._in_second: dict[bytes, int] = {}
        # Looked up for each request, so kept apart.
        self._looks_at_name = Rule.SESSION_ID in self._on
        self._looks_at_owner = Rule.SESSION_OWNER in self._on
        self._counts_peer = bool(rates.peer) and Rule.PEER_RATE in self._on
        self._counts_operator = bool(rates.operator) and Rule.OPERATOR_RATE in self._on
        self._counts_session = bool(rates.session) and Rule.SESSION_RATE in self._on

    def look(
        self, seen: Seen, request: CreditControlRequest, charging: Charging, now: UnixMillis
    ) -> list[Finding] | None:
        """Hold a request against every rule that is on; None where it breaks none."""
        host = request.origin_host
        if host is not seen.host or request.origin_realm is not seen.realm:
            self._hear(seen, host, request.origin_realm)
        broken: list[Finding] | None = list(seen.found) if seen.found else None
        if self._looks_at_name and not request.session_id.startswith(seen.name):
            broken = _more(broken, Rule.SESSION_ID, f"{request.session_id[:80]!r} does not begin with {host}")
        if request.request_type is INITIAL or request.request_type is EVENT:
            for finding in self._opening(seen.agreement, request, now):
                broken = _more(broken, *finding)
        elif self._looks_at_owner:
            owner = charging.sessions.gateway_of(request.session_id)
            if owner is not None and owner.origin_host != host:
                broken = _more(broken, Rule.SESSION_OWNER, f"{host} speaks for a session of {owner.origin_host}")
        if self._counts_peer and not seen.bucket.take(self._rates.peer, now):
            broken = _more(broken, Rule.PEER_RATE, f"more than {self._rates.peer} a second")
        if self._counts_operator and self._is_too_much(request, charging, now):
            broken = _more(broken, Rule.OPERATOR_RATE, f"more than {self._rates.operator} a second of one operator")
        if self._counts_session and self._is_too_often(request.session_id, now):
            broken = _more(broken, Rule.SESSION_RATE, f"more than {self._rates.session} a second of one session")
        return broken

    def refuse(self, broken: list[Finding], request: CreditControlRequest) -> None:
        """Refuse for the first of these findings whose rule refuses.

        No rate refuses a CCR-T: it ends what costs.

        Raises:
            AuthorizationRejected, UnknownSessionId, TooBusy: as the rule says.
        """
        for rule, evidence in broken:
            if rule in self._refused and not (rule in RATES and request.request_type == TERMINATION):
                raise REFUSALS[rule](f"screening, {rule}: {evidence}")

    def _hear(self, seen: Seen, host: str, realm: str) -> None:
        """Judge who speaks, once for each name."""
        found = seen.speakers.get((host, realm))
        if found is None:
            found = tuple(finding for finding in _names(seen.agreement, host, realm) if finding.rule in self._on)
            if len(seen.speakers) < SPEAKERS_MAX:
                seen.speakers[host, realm] = found
        seen.host, seen.realm, seen.name, seen.found = host, realm, host.encode(), found

    def _opening(self, agreement: Agreement, request: CreditControlRequest, now: UnixMillis) -> Iterator[Finding]:
        on = self._on
        prefixes = agreement.imsi_prefixes
        if prefixes and Rule.IMSI_PREFIX in on and request.imsi and not request.imsi.startswith(prefixes):
            yield Finding(Rule.IMSI_PREFIX, f"IMSI {request.imsi[:6]}... is of no operator agreed for this peer")
        visited = request.bearer.sgsn_mcc_mnc
        if agreement.plmns and Rule.VISITED_PLMN in on and visited and visited not in agreement.plmns:
            yield Finding(Rule.VISITED_PLMN, f"3GPP-SGSN-MCC-MNC {visited!r} is none of this peer's")
        if Rule.TWO_PLACES in on and request.imsi:
            before = self._places.get(request.imsi)
            if before is not None and before[0] != request.origin_realm and now - before[1] < PLACES_MS:
                yield Finding(Rule.TWO_PLACES, f"the subscriber was in {before[0]} {(now - before[1]) // SECOND} s ago")
                if Rule.TWO_PLACES in self._refused:
                    return  # who is refused has not moved the subscriber
            self._places.pop(request.imsi, None)
            if len(self._places) >= PLACES_MAX:
                self._places.popitem(last=False)
            self._places[request.imsi] = request.origin_realm, now

    def _is_too_much(self, request: CreditControlRequest, charging: Charging, now: UnixMillis) -> bool:
        number = charging.sessions.operator_of(request.session_id)
        if number is None:
            operator = charging.operators.of(request.imsi) if request.imsi else None
            number = operator.number if operator is not None else OperatorId(0)
        bucket = self._operators.get(number)
        if bucket is None:
            bucket = self._operators[number] = Bucket()
        return not bucket.take(self._rates.operator, now)

    def _is_too_often(self, session_id: bytes, now: UnixMillis) -> bool:
        second = now // SECOND
        if second != self._second:
            self._second = second
            self._in_second.clear()
        count = self._in_second[session_id] = self._in_second.get(session_id, 0) + 1
        return count > self._rates.session


def _names(agreement: Agreement, host: str, realm: str) -> Iterator[Finding]:
    lower_host, lower_realm = host.lower(), realm.lower()
    own_host, own_realm = agreement.origin_host.lower(), agreement.origin_realm.lower()
    if lower_host != own_host and lower_host not in agreement.speaks_for:
        yield Finding(Rule.ORIGIN_HOST, f"{agreement.origin_host} speaks for {host}")
    elif not lower_host.endswith("." + lower_realm) and lower_host != lower_realm:
        yield Finding(Rule.ORIGIN_HOST, f"{host} is not within its realm {realm}")
    if lower_realm != own_realm and lower_host not in agreement.speaks_for:
        yield Finding(Rule.ORIGIN_REALM, f"a peer of {agreement.origin_realm} speaks for {realm}")


def _more(broken: list[Finding] | None, rule: Rule, evidence: str) -> list[Finding]:
    found = broken if broken is not None else []
    found.append(Finding(rule, evidence))
    return found
