"""The requests a gateway sends: CER, DWR, DPR, and a CCR in the shape of its profile.

RFC 6733 sections 5.3 to 5.5, RFC 8506 section 3.1, TS 32.299 clause 6.4.2.
"""

import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from simulator.profile import Profile, RequestType, TerminationCause
from simulator.wire import (
    APPLICATION_BASE,
    APPLICATION_CREDIT_CONTROL,
    UNIX_TO_NTP_SECONDS,
    VENDOR_3GPP,
    Avp,
    Command,
    Flag,
    Message,
    avp,
)


class Reason(IntEnum):
    """Reporting-Reason (TS 32.299 clause 7.2.175)."""

    THRESHOLD = 0
    HOLDING_TIME = 1
    FINAL = 2
    QUOTA_EXHAUSTED = 3
    VALIDITY_TIME = 4
    FORCED_REAUTHORISATION = 7


IN_USED_UNITS: Final = (Reason.THRESHOLD, Reason.QUOTA_EXHAUSTED)
"""Reasons that stand in the Used-Service-Unit; all others stand beside it (TS 32.299 clause 7.2.175)."""

APN: Final = "internet"
"""What a bearer is connected to unless something else is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the gateway says it is, and where it sends.

    Attributes:
        destination_realm: the server's realm; empty takes the Origin-Realm of the CEA.
    """

    host: str = "sgw.visited.example"
    realm: str = "visited.example"
    address: str = "127.0.0.1"
    destination_realm: str = ""


@dataclass(frozen=True, slots=True)
class Volume:
    """Octets moved up (input, from the UE) and down (output, to it) since the last report."""

    up: int = 0
    down: int = 0

    @property
    def total(self) -> int:
        return self.up + self.down

    def __add__(self, other: "Volume") -> "Volume":
        return Volume(self.up + other.up, self.down + other.down)

    def __sub__(self, other: "Volume") -> "Volume":
        return Volume(self.up - other.up, self.down - other.down)


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """What a quota is for: the Rating-Group, the Service-Identifier, both, or the whole bearer."""

    rating_group: int | None = None
    service_identifier: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUnits:
    """One Multiple-Services-Credit-Control of a request.

    Attributes:
        wanted: whether a quota is asked for (Requested-Service-Unit).
        used: what was moved since the last report; None sends no Used-Service-Unit.
    """

    key: ServiceKey
    wanted: bool
    used: Volume | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditRequest:
    """A CCR before a profile gives it its shape.

    Attributes:
        event_time: seconds since 1970.
        server_host: the Origin-Host that answered last, empty in a CCR-I.
    """

    session_id: bytes
    request_type: RequestType
    number: int
    imsi: str
    event_time: int
    services: tuple[ServiceUnits, ...] = ()
    termination_cause: TerminationCause | None = None
    server_host: str = ""
    pdp_address: str = "10.1.0.1"
    apn: str = APN


def capabilities_exchange_request(identity: Identity, profile: Profile) -> Message:
    """Offer credit control, bare and inside Vendor-Specific-Application-Id, as live gateways do."""
    return _base_request(
        Command.CAPABILITIES_EXCHANGE,
        *_origin(identity),
        avp("Host-IP-Address", identity.address),
        avp("Vendor-Id", profile.vendor_id),
        avp("Product-Name", profile.product_name),
        avp("Supported-Vendor-Id", VENDOR_3GPP),
        avp("Auth-Application-Id", APPLICATION_CREDIT_CONTROL),
        avp(
            "Vendor-Specific-Application-Id",
            [avp("Vendor-Id", VENDOR_3GPP), avp("Auth-Application-Id", APPLICATION_CREDIT_CONTROL)],
        ),
        avp("Firmware-Revision", 1),
    )


def device_watchdog_request(identity: Identity) -> Message:
    return _base_request(Command.DEVICE_WATCHDOG, *_origin(identity))


def disconnect_peer_request(identity: Identity, cause: int) -> Message:
    return _base_request(Command.DISCONNECT_PEER, *_origin(identity), avp("Disconnect-Cause", cause))


def answer(request: Message, identity: Identity, result_code: int, *, error: bool = False) -> Message:
    """Answer a request of the server: Session-Id first if it had one, then the code and who we are."""
    session = [avp("Session-Id", request.session_id)] if request.session_id else []
    return request.answer(
        *session, avp("Result-Code", result_code), *_origin(identity), flags=Flag.ERROR if error else 0
    )


def _base_request(command: Command, *avps: Avp) -> Message:
    return Message(command=command, flags=Flag.REQUEST, application=APPLICATION_BASE, avps=avps)


def _origin(identity: Identity) -> tuple[Avp, Avp]:
    return avp("Origin-Host", identity.host), avp("Origin-Realm", identity.realm)


def credit_control_request(request: CreditRequest, profile: Profile, identity: Identity) -> Message:
    """Lay out a CCR as the profile's gateway sends it; ids are the gateway's to add (RFC 8506 section 3.1)."""
    realm = identity.realm if profile.destination_is_own_realm else identity.destination_realm
    parts: dict[str, list[Avp]] = {
        "Session-Id": [avp("Session-Id", request.session_id)],
        "Origin-Host": [avp("Origin-Host", identity.host)],
        "Origin-Realm": [avp("Origin-Realm", identity.realm)],
        "Destination-Realm": [avp("Destination-Realm", realm)],
        "Auth-Application-Id": [avp("Auth-Application-Id", APPLICATION_CREDIT_CONTROL)],
        "Service-Context-Id": [avp("Service-Context-Id", profile.service_context_id)],
        "CC-Request-Type": [avp("CC-Request-Type", int(request.request_type))],
        "CC-Request-Number": [avp("CC-Request-Number", request.number)],
        "Event-Timestamp": [avp("Event-Timestamp", request.event_time + UNIX_TO_NTP_SECONDS)],
        "Subscription-Id": [_subscription(1, request.imsi)],
        "Multiple-Services-Credit-Control": [_service(units, profile) for units in request.services],
        "Service-Information": [_service_information(request, profile, identity)],
    }
    if request.server_host and request.request_type is not RequestType.INITIAL:
        parts["Destination-Host"] = [avp("Destination-Host", request.server_host)]
    if request.termination_cause is not None:
        cause = profile.termination_cause or request.termination_cause
        parts["Termination-Cause"] = [avp("Termination-Cause", int(cause))]
    if (indicator := profile.multiple_services.get(request.request_type)) is not None:
        parts["Multiple-Services-Indicator"] = [avp("Multiple-Services-Indicator", indicator)]
    for one in profile.extra:
        parts[one.name] = [one]
    return Message(
        command=Command.CREDIT_CONTROL,
        flags=Flag.REQUEST | Flag.PROXIABLE,
        application=APPLICATION_CREDIT_CONTROL,
        avps=tuple(one for name in profile.layout for one in parts.get(name, ())),
    )


def _subscription(kind: int, data: str) -> Avp:
    return avp("Subscription-Id", [avp("Subscription-Id-Type", kind), avp("Subscription-Id-Data", data)])


def _service(units: ServiceUnits, profile: Profile) -> Avp:
    parts: dict[str, Avp] = {"QoS-Information": _QOS}
    if units.key.rating_group is not None:
        parts["Rating-Group"] = avp("Rating-Group", units.key.rating_group)
    if units.key.service_identifier is not None:
        parts["Service-Identifier"] = avp("Service-Identifier", units.key.service_identifier)
    if units.wanted:
        parts["Requested-Service-Unit"] = avp(
            "Requested-Service-Unit", [avp(name, octets) for name, octets in profile.requested]
        )
    reason = [] if units.reason is None else [avp("Reporting-Reason", int(units.reason))]
    if units.used is not None:
        counted = {
            "CC-Total-Octets": units.used.total,
            "CC-Input-Octets": units.used.up,
            "CC-Output-Octets": units.used.down,
            "CC-Time": 0,
        }
        inside = reason if units.reason in IN_USED_UNITS else []
        parts["Used-Service-Unit"] = avp(
            "Used-Service-Unit", [*(avp(name, counted[name]) for name in profile.counters), *inside]
        )
    if reason and units.reason not in IN_USED_UNITS:
        parts["Reporting-Reason"] = reason[0]
    return avp("Multiple-Services-Credit-Control", [parts[name] for name in profile.service_layout if name in parts])


def _service_information(request: CreditRequest, profile: Profile, identity: Identity) -> Avp:
    plmn = request.imsi[:5]
    parts = {
        "3GPP-Charging-Id": avp("3GPP-Charging-Id", zlib.crc32(request.session_id).to_bytes(4, "big")),
        "3GPP-PDP-Type": avp("3GPP-PDP-Type", 0),
        "PDP-Address": avp("PDP-Address", request.pdp_address),
        "SGSN-Address": avp("SGSN-Address", identity.address),
        "GGSN-Address": avp("GGSN-Address", identity.address),
        "CG-Address": avp("CG-Address", identity.address),
        "Called-Station-Id": avp("Called-Station-Id", request.apn),
        "3GPP-Selection-Mode": avp("3GPP-Selection-Mode", "0"),
        "3GPP-NSAPI": avp("3GPP-NSAPI", "5"),
        "3GPP-IMSI-MCC-MNC": avp("3GPP-IMSI-MCC-MNC", plmn),
        "3GPP-GGSN-MCC-MNC": avp("3GPP-GGSN-MCC-MNC", "99970"),
        "3GPP-SGSN-MCC-MNC": avp("3GPP-SGSN-MCC-MNC", "99970"),
        "3GPP-RAT-Type": avp("3GPP-RAT-Type", b"\x06"),
    }
    left_out = frozenset() if request.request_type is RequestType.INITIAL else profile.initial_only
    members = [parts[name] for name in profile.ps_layout if name not in left_out]
    return avp("Service-Information", [avp("PS-Information", members)])


_QOS: Final = avp(
    "QoS-Information",
    [
        avp("QoS-Class-Identifier", 9),
        avp(
            "Allocation-Retention-Priority",
            [avp("Priority-Level", 8), avp("Pre-emption-Capability", 1), avp("Pre-emption-Vulnerability", 1)],
        ),
        avp("APN-Aggregate-Max-Bitrate-UL", 1_000_000_000),
        avp("APN-Aggregate-Max-Bitrate-DL", 1_000_000_000),
    ],
)
