"""What a CCR asks and reports.  RFC 8506 section 3.1, TS 32.299 clause 6.4.2.

The message has passed the strict check of `ocs.diameter.strict`; what is read here has the right length and, outside
of Service-Information, the right content.  Nothing depends on the order of AVPs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from sys import intern
from typing import Final

import msgspec

from ocs.diameter import avp
from ocs.diameter.codes import VENDOR_3GPP, Avp, Avp3gpp, CcRequestType, SubscriptionIdType
from ocs.diameter.framing import HEADER_OCTETS, read_header
from ocs.errors import ContradictingAvps, InvalidAvpValue, InvalidInput
from ocs.units import OCTETS_MAX, Octets, SessionId, imsi

NOT_ASKED: Final = -1
"""No Requested-Service-Unit: nothing is wanted.  0 is an empty one: the server chooses."""

DIGEST_OCTETS: Final = 8

SERVICE_IDS_MAX: Final = 32
"""Service-Identifiers of one service; gateways have a few.  Each request unpacks those of its whole session."""

_3GPP = VENDOR_3GPP


class ServiceKey(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """What a quota belongs to: Rating-Group (-1 for none) and the Service-Identifiers, sorted."""

    rating_group: int
    service_ids: tuple[int, ...] = ()


class ServiceRequest(msgspec.Struct, frozen=True, gc=False):
    """One Multiple-Services-Credit-Control, or the units at command level."""

    key: ServiceKey
    service_ids: tuple[int, ...]  # in the order of the request, as the answer repeats them
    asked: int  # octets, 0: the server chooses, NOT_ASKED
    reported: bool  # a Used-Service-Unit is there, if only of 0 octets
    used: Octets  # since the last report, over all Used-Service-Units
    reasons: int  # bit n: Reporting-Reason n, at either level
    unequal: bool  # input + output differ from total; total counts
    other_unit: int  # an Avp code of a kind that is asked for and not octets, 0 for none


class Bearer(msgspec.Struct, frozen=True, array_like=True, gc=False, omit_defaults=False):
    """What Service-Information says of the bearer; kept for charging records, as received."""

    charging_id: bytes = b""
    pdp_type: bytes = b""
    pdp_addresses: tuple[bytes, ...] = ()
    sgsn_address: bytes = b""
    ggsn_address: bytes = b""
    sgsn_mcc_mnc: str = ""
    rat_type: bytes = b""
    user_location: bytes = b""
    timezone: bytes = b""
    charging_characteristics: str = ""
    equipment: bytes = b""


NO_BEARER: Final = Bearer()


class CreditControlRequest(msgspec.Struct, gc=False):
    """A CCR as charging sees it."""

    flags: int  # of the command
    hop_by_hop: int
    end_to_end: int
    session_id: SessionId = SessionId(b"")
    origin_host: str = ""
    origin_realm: str = ""
    context_id: str = ""
    request_type: CcRequestType = CcRequestType.INITIAL
    number: int = 0
    action: int = NOT_ASKED
    termination_cause: int = 0
    event_timestamp: int = 0  # seconds since 1900, 0 for none
    imsi: str = ""
    msisdn: str = ""
    apn: str = ""
    bearer: Bearer = NO_BEARER
    services: tuple[ServiceRequest, ...] = ()
    single: bool = False  # units at command level: the answer has its units there too
    proxy_info: bytes = b""  # all Proxy-Info AVPs, encoded, for the answer
    digest: bytes = b""


def read(message: bytes) -> CreditControlRequest:
    """Read a CCR that passed the strict check.

    Raises:
        InvalidAvpValue: a counter or a number of identifiers is beyond plausibility, an IMSI is none, or two MSCC name
            the same service.
        ContradictingAvps: an EVENT_REQUEST without Requested-Action.
    """
    header = read_header(message)
    request = CreditControlRequest(header.flags, header.hop_by_hop, header.end_to_end)
    about_opening: list[avp.RawAvp] = []
    services: list[ServiceRequest] = []
    single: list[avp.RawAvp] = []
    for raw in avp.walk(message, HEADER_OCTETS, len(message)):
        code, data = raw.code, message[raw.start : raw.end]
        if raw.vendor:
            if code == Avp3gpp.SERVICE_INFORMATION and raw.vendor == _3GPP:
                about_opening.append(raw)
            continue
        match code:
            case Avp.SESSION_ID:
                request.session_id = SessionId(data)
            case Avp.ORIGIN_HOST:
                request.origin_host = intern(data.decode())  # few, and compared often
            case Avp.ORIGIN_REALM:
                request.origin_realm = intern(data.decode())
            case Avp.SERVICE_CONTEXT_ID:
                request.context_id = data.decode()
            case Avp.CC_REQUEST_TYPE:
                request.request_type = CcRequestType(_number(data))
            case Avp.CC_REQUEST_NUMBER:
                request.number = _number(data)
            case Avp.REQUESTED_ACTION:
                request.action = _number(data)
            case Avp.TERMINATION_CAUSE:
                request.termination_cause = _number(data)
            case Avp.EVENT_TIMESTAMP:
                request.event_timestamp = _number(data)
            case Avp.SUBSCRIPTION_ID | Avp.USER_EQUIPMENT_INFO:
                about_opening.append(raw)
            case Avp.MULTIPLE_SERVICES_CREDIT_CONTROL:
                services.append(_service(message, raw))
            case Avp.REQUESTED_SERVICE_UNIT | Avp.USED_SERVICE_UNIT | Avp.SERVICE_IDENTIFIER:
                single.append(raw)
            case Avp.PROXY_INFO:
                request.proxy_info += avp.encode(code, data, flags=raw.flags & avp.MANDATORY)
    if single and not services and any(raw.code != Avp.SERVICE_IDENTIFIER for raw in single):
        services.append(_units(message, single, whole=None))
        request.single = True
    request.services = tuple(services)
    if request.request_type != CcRequestType.EVENT:
        request.action = NOT_ASKED  # some gateways send 0 in every CCR; it means nothing there
    elif request.action == NOT_ASKED:
        raise ContradictingAvps(
            "an EVENT_REQUEST says by Requested-Action what it wants",
            avp.unsigned32(Avp.CC_REQUEST_TYPE, CcRequestType.EVENT),
        )
    if request.request_type in (CcRequestType.INITIAL, CcRequestType.EVENT):
        # Later requests are known by their Session-Id alone, and what they repeat of this is not read.
        _read_opening(message, about_opening, request)
        check_imsi(request.imsi)
    if len(services) > 1:
        _refuse_twins(services)
    request.digest = digest(request)
    return request


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _read_opening(message: bytes, groups: list[avp.RawAvp], request: CreditControlRequest) -> None:
    """Read who the subscriber is and what the bearer: Subscription-Ids, Service-Information, User-Equipment-Info."""
    equipment = b""
    for raw in groups:
        if raw.vendor:
            _service_information(message, raw, request)
        elif raw.code == Avp.SUBSCRIPTION_ID:
            _subscription(message, raw, request)
        else:
            equipment = _equipment(message, raw)
    if equipment:
        request.bearer = msgspec.structs.replace(request.bearer, equipment=equipment)


def _service(message: bytes, mscc: avp.RawAvp) -> ServiceRequest:
    return _units(message, list(avp.walk(message, mscc.start, mscc.end)), whole=mscc)


def _units(message: bytes, members: list[avp.RawAvp], *, whole: avp.RawAvp | None) -> ServiceRequest:
    rating_group, asked, used, reasons, other = -1, NOT_ASKED, 0, 0, 0
    reported = unequal = False
    service_ids: list[int] = []
    for raw in members:
        if raw.vendor:
            if raw.code == Avp3gpp.REPORTING_REASON and raw.vendor == _3GPP:
                reasons |= 1 << (_number(message[raw.start : raw.end]) & 31)
            continue
        if raw.code == Avp.RATING_GROUP:
            rating_group = _number(message[raw.start : raw.end])
        elif raw.code == Avp.SERVICE_IDENTIFIER:
            service_ids.append(_number(message[raw.start : raw.end]))
        elif raw.code == Avp.REQUESTED_SERVICE_UNIT:
            units = _volume(message, raw)
            asked, other = max(0, units.octets), units.other if units.octets < 0 else 0
        elif raw.code == Avp.USED_SERVICE_UNIT:
            units = _volume(message, raw)
            if units.octets > OCTETS_MAX or used + max(0, units.octets) > OCTETS_MAX:
                offender = avp.encode(raw.code, message[raw.start : raw.end], flags=raw.flags)
                raise InvalidAvpValue(
                    f"a report of {units.octets} octets; this server believes {OCTETS_MAX} at the most",
                    avp.grouped(whole.code, offender) if whole is not None else offender,
                )
            reported = True
            used += max(0, units.octets)
            unequal |= units.unequal
            reasons |= units.reasons
    if len(service_ids) > SERVICE_IDS_MAX:
        excess = avp.unsigned32(Avp.SERVICE_IDENTIFIER, service_ids[SERVICE_IDS_MAX])
        raise InvalidAvpValue(
            f"a service has {SERVICE_IDS_MAX} Service-Identifiers at the most",
            avp.grouped(whole.code, excess) if whole is not None else excess,
        )
    return ServiceRequest(
        ServiceKey(rating_group, tuple(sorted(service_ids))),
        tuple(service_ids),
        asked,
        reported,
        Octets(used),
        reasons,
        unequal,
        other,
    )


@dataclass(slots=True)
class _Volume:
    octets: int = -1  # none of the three counters
    unequal: bool = False
    reasons: int = 0
    other: int = 0


def _volume(message: bytes, unit: avp.RawAvp) -> _Volume:
    """Read the octets of a Requested- or Used-Service-Unit: total, or input + output where total is absent."""
    volume = _Volume()
    total = inward = outward = -1
    for raw in avp.walk(message, unit.start, unit.end):
        if raw.vendor:
            if raw.code == Avp3gpp.REPORTING_REASON and raw.vendor == _3GPP:
                volume.reasons |= 1 << (_number(message[raw.start : raw.end]) & 31)
            continue
        if raw.code == Avp.CC_TOTAL_OCTETS:
            total = _number(message[raw.start : raw.end])
        elif raw.code == Avp.CC_INPUT_OCTETS:
            inward = _number(message[raw.start : raw.end])
        elif raw.code == Avp.CC_OUTPUT_OCTETS:
            outward = _number(message[raw.start : raw.end])
        elif raw.code in (Avp.CC_MONEY, Avp.CC_SERVICE_SPECIFIC_UNITS, Avp.CC_TIME):
            volume.other = raw.code
    both = max(0, inward) + max(0, outward)
    if total >= 0:
        volume.octets = total
        volume.unequal = inward >= 0 and outward >= 0 and both != total
    elif inward >= 0 or outward >= 0:
        volume.octets = both
    return volume


def _subscription(message: bytes, group: avp.RawAvp, request: CreditControlRequest) -> None:
    kind, identity = -1, b""
    for raw in avp.walk(message, group.start, group.end):
        if raw.code == Avp.SUBSCRIPTION_ID_TYPE:
            kind = _number(message[raw.start : raw.end])
        elif raw.code == Avp.SUBSCRIPTION_ID_DATA:
            identity = message[raw.start : raw.end]
    text = identity.decode("utf-8", "replace")
    if kind == SubscriptionIdType.END_USER_IMSI:
        request.imsi = request.imsi or text
    elif kind == SubscriptionIdType.END_USER_E164:
        request.msisdn = request.msisdn or text[:MSISDN_DIGITS_MAX]


def check_imsi(text: str) -> None:
    """Check an IMSI where there is one; that there is none is told by the step, as 5030."""
    if not text:
        return
    try:
        imsi(text)
    except InvalidInput as error:
        data = avp.utf8(Avp.SUBSCRIPTION_ID_DATA, text[:64])
        raise InvalidAvpValue(str(error), avp.grouped(Avp.SUBSCRIPTION_ID, data)) from None


def _equipment(message: bytes, group: avp.RawAvp) -> bytes:
    for raw in avp.walk(message, group.start, group.end):
        if raw.code == Avp.USER_EQUIPMENT_INFO_VALUE:
            return message[raw.start : raw.end][:EQUIPMENT_OCTETS_MAX]
    return b""


def _service_information(message: bytes, group: avp.RawAvp, request: CreditControlRequest) -> None:
    for raw in avp.walk(message, group.start, group.end):
        if raw.code == Avp3gpp.PS_INFORMATION and raw.vendor == _3GPP:
            _ps_information(message, raw, request)
        elif raw.code == Avp.SUBSCRIPTION_ID and not raw.vendor:
            _subscription(message, raw, request)


BEARER_OCTETS: Final = {
    _3GPP << 32 | Avp3gpp.CHARGING_ID: "charging_id",
    _3GPP << 32 | Avp3gpp.PDP_TYPE: "pdp_type",
    _3GPP << 32 | Avp3gpp.SGSN_ADDRESS: "sgsn_address",
    _3GPP << 32 | Avp3gpp.GGSN_ADDRESS: "ggsn_address",
    _3GPP << 32 | Avp3gpp.RAT_TYPE: "rat_type",
    _3GPP << 32 | Avp3gpp.USER_LOCATION_INFO: "user_location",
    _3GPP << 32 | Avp3gpp.MS_TIMEZONE: "timezone",
}
BEARER_TEXTS: Final = {
    _3GPP << 32 | Avp3gpp.SGSN_MCC_MNC: "sgsn_mcc_mnc",
    _3GPP << 32 | Avp3gpp.CHARGING_CHARACTERISTICS: "charging_characteristics",
}
"""Members of PS-Information that are kept, by vendor and code; the first of each counts."""

PDP_ADDRESSES_MAX: Final = 2  # one of IPv4, one of IPv6
BEARER_VALUE_OCTETS_MAX: Final = 64  # none of these is longer; bounds what a CCR-I makes us keep
EQUIPMENT_OCTETS_MAX: Final = 32
MSISDN_DIGITS_MAX: Final = 32


def _ps_information(message: bytes, group: avp.RawAvp, request: CreditControlRequest) -> None:
    octets: dict[str, bytes] = {}
    texts: dict[str, str] = {}
    addresses: list[bytes] = []
    for raw in avp.walk(message, group.start, group.end):
        data = message[raw.start : raw.end][:BEARER_VALUE_OCTETS_MAX]
        key = raw.vendor << 32 | raw.code
        if key in BEARER_OCTETS:
            octets.setdefault(BEARER_OCTETS[key], data)
        elif key in BEARER_TEXTS:
            texts.setdefault(BEARER_TEXTS[key], data.decode("ascii", "replace"))
        elif key == _3GPP << 32 | Avp3gpp.PDP_ADDRESS:
            addresses.append(data)
        elif key == Avp.CALLED_STATION_ID:
            request.apn = message[raw.start : raw.end].decode("utf-8", "replace").lower()
        elif key == Avp.USER_EQUIPMENT_INFO:
            octets["equipment"] = _equipment(message, raw)
    request.bearer = Bearer(pdp_addresses=tuple(addresses[:PDP_ADDRESSES_MAX]), **octets, **texts)  # type: ignore[arg-type]  # by name


def _refuse_twins(services: list[ServiceRequest]) -> None:
    seen: set[ServiceKey] = set()
    for service in services:
        if service.key in seen:
            members = [avp.unsigned32(Avp.SERVICE_IDENTIFIER, number) for number in service.service_ids]
            if service.key.rating_group >= 0:
                members.insert(0, avp.unsigned32(Avp.RATING_GROUP, service.key.rating_group))
            raise InvalidAvpValue(
                "two Multiple-Services-Credit-Control of one request name the same service",
                avp.grouped(Avp.MULTIPLE_SERVICES_CREDIT_CONTROL, *members),
            )
        seen.add(service.key)


def digest(request: CreditControlRequest) -> bytes:
    """Digest what makes two requests the same: type, action and, for each service, its key, units and reasons."""
    in_order = sorted(request.services, key=_by_key) if len(request.services) > 1 else request.services
    return digest_of(frame(request), [service.used for service in in_order])


def frame(request: CreditControlRequest) -> int:
    """Digest all of it but the octets used, which is all that the requests of one layout differ in."""
    content = sorted((s.key, s.asked, s.reported, s.reasons) for s in request.services)
    encoded = _ENCODER.encode((int(request.request_type), request.action, content))
    return int.from_bytes(blake2b(encoded, digest_size=DIGEST_OCTETS).digest(), "little")


def digest_of(frame: int, used: Iterable[int]) -> bytes:
    """Put the octets used into a digest, in the order of the services' keys.

    No two reports of one service give the same, for the factors are odd; those of several nearly never.
    """
    factor = 1
    for octets in used:
        factor = factor * _FACTOR & _64_BITS
        frame += octets * factor
    return (frame & _64_BITS).to_bytes(DIGEST_OCTETS, "little")


def has_digest(request: CreditControlRequest, digest: bytes) -> bool:
    """Tell whether a stored digest is this request's; in records of earlier releases it was computed otherwise."""
    if digest == request.digest:
        return True
    content = [(s.key, s.asked, s.reported, s.used, s.reasons) for s in request.services]
    content.sort(key=lambda entry: entry[0])
    encoded = _ENCODER.encode((int(request.request_type), request.action, content))
    return digest == blake2b(encoded, digest_size=DIGEST_OCTETS).digest()


def _by_key(service: ServiceRequest) -> ServiceKey:
    return service.key


_FACTOR: Final = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio, odd: its powers are spread well."""

_64_BITS: Final = (1 << 64) - 1
_ENCODER: Final = msgspec.msgpack.Encoder()
