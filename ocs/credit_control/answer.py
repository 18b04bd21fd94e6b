"""Write a CCA from the numbers of an answer.  RFC 8506 section 3.2; the one CCA that satisfies all clients.

The first answer and every repeat are written by the same function from the same numbers, so they are equal octet for
octet, the header's ids apart.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from ocs.credit_control.policy import FinalUnit, Policy
from ocs.credit_control.request import NOT_ASKED, CreditControlRequest, ServiceRequest
from ocs.credit_control.session import Answer, ServiceAnswer
from ocs.diameter import avp, framing
from ocs.diameter.codes import (
    APPLICATION_CREDIT_CONTROL,
    VENDOR_3GPP,
    Avp,
    Avp3gpp,
    CcRequestType,
    Command,
    FinalUnitAction,
    Flag,
    RequestedAction,
    ResultCode,
)
from ocs.units import Octets

_UNIT_SAMPLES: Final = {Avp.CC_TIME: bytes(4), Avp.CC_SERVICE_SPECIFIC_UNITS: bytes(8), Avp.CC_MONEY: b""}
"""Data of the least length for units that are not sold (RFC 6733 section 7.5)."""

_APPLICATION: Final = avp.unsigned32(Avp.AUTH_APPLICATION_ID, APPLICATION_CREDIT_CONTROL)
REDIRECT_ADDRESS_TYPE_URL: Final = 2


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers, as encoded AVPs."""

    origin: bytes  # Origin-Host and Origin-Realm

    @classmethod
    def of(cls, origin_host: str, origin_realm: str) -> "Identity":
        return cls(avp.utf8(Avp.ORIGIN_HOST, origin_host) + avp.utf8(Avp.ORIGIN_REALM, origin_realm))


def write(request: CreditControlRequest, answer: Answer, identity: Identity, policy: Policy) -> bytes:
    """Write the CCA to `request`; AVPs in the order every client takes."""
    parts = [
        avp.encode(Avp.SESSION_ID, request.session_id),
        avp.unsigned32(Avp.RESULT_CODE, answer.result_code),
        identity.origin,
        _APPLICATION,
        avp.unsigned32(Avp.CC_REQUEST_TYPE, request.request_type),
        avp.unsigned32(Avp.CC_REQUEST_NUMBER, request.number),
    ]
    if policy.session_failover is not None:
        parts.append(avp.unsigned32(Avp.CC_SESSION_FAILOVER, policy.session_failover))
    if policy.failure_handling is not None:
        parts.append(avp.unsigned32(Avp.CREDIT_CONTROL_FAILURE_HANDLING, policy.failure_handling))
    pairs = _paired(request, answer)
    if answer.result_code != ResultCode.SUCCESS:
        pass  # the command's code overrides every service's
    elif request.single:
        for _, service in pairs:
            # Thresholds and holding times are 3GPP's, and theirs are members of an MSCC.
            plain = msgspec.structs.replace(service, threshold=Octets(0), holding_seconds=-1)
            parts.extend(_units(plain, policy, wanted=request.services[0].asked != NOT_ASKED))
    elif request.request_type == CcRequestType.TERMINATION:
        parts.extend(_service(asked, answered, ()) for asked, answered in pairs)
    else:
        parts.extend(
            _service(asked, answered, _units(answered, policy, wanted=asked.asked != NOT_ASKED))
            for asked, answered in pairs
        )
    if request.request_type == CcRequestType.EVENT and answer.result_code == ResultCode.SUCCESS:
        parts.extend(_one_time(request, answer, policy))
    parts.extend(_failed(request, answer, pairs))
    parts.append(request.proxy_info)
    return framing.encode(
        request.flags & Flag.PROXIABLE,
        Command.CREDIT_CONTROL,
        APPLICATION_CREDIT_CONTROL,
        request.hop_by_hop,
        request.end_to_end,
        b"".join(parts),
    )


def answer_places(request: CreditControlRequest, answer: Answer) -> list[int]:
    """Give, for each service of the request, the place of its answer among the answer's services.

    The request's are in the order of the request, the answer's in the order of their keys; none where all are refused.
    """
    if not answer.services:
        return []
    order = sorted(range(len(request.services)), key=lambda place: request.services[place].key)
    assert len(order) == len(answer.services), "each service that is asked for has an answer"
    return sorted(range(len(order)), key=order.__getitem__)


def _paired(request: CreditControlRequest, answer: Answer) -> list[tuple[ServiceRequest, ServiceAnswer]]:
    """Lay each service of the request beside its answer, in the request's order."""
    places = answer_places(request, answer)
    return [(service, answer.services[place]) for service, place in zip(request.services, places, strict=False)]


def _service(asked: ServiceRequest, answered: ServiceAnswer, units: tuple[bytes, ...]) -> bytes:
    """Write one MSCC: the key as it was asked, the result, then the units."""
    members = []
    if asked.key.rating_group >= 0:
        members.append(avp.unsigned32(Avp.RATING_GROUP, asked.key.rating_group))
    members.extend(avp.unsigned32(Avp.SERVICE_IDENTIFIER, number) for number in asked.service_ids)
    members.append(avp.unsigned32(Avp.RESULT_CODE, answered.result_code))
    return avp.grouped(Avp.MULTIPLE_SERVICES_CREDIT_CONTROL, *members, *units)


def _units(answered: ServiceAnswer, policy: Policy, *, wanted: bool) -> tuple[bytes, ...]:
    """Write grant, times, threshold and final-unit indication, those there are."""
    members = []
    if answered.granted and wanted:
        members.append(avp.grouped(Avp.GRANTED_SERVICE_UNIT, avp.unsigned64(Avp.CC_TOTAL_OCTETS, answered.granted)))
    if answered.validity_seconds:
        members.append(avp.unsigned32(Avp.VALIDITY_TIME, answered.validity_seconds))
    if answered.threshold:
        members.append(avp.unsigned32(Avp3gpp.VOLUME_QUOTA_THRESHOLD, answered.threshold, vendor=VENDOR_3GPP))
    if answered.holding_seconds >= 0:
        members.append(avp.unsigned32(Avp3gpp.QUOTA_HOLDING_TIME, answered.holding_seconds, vendor=VENDOR_3GPP))
    if answered.final:
        members.append(_final_unit(policy.final_unit))
    return tuple(members)


def _final_unit(final_unit: FinalUnit) -> bytes:
    members = [avp.unsigned32(Avp.FINAL_UNIT_ACTION, final_unit.action)]
    if final_unit.action == FinalUnitAction.RESTRICT_ACCESS:
        members.extend(avp.utf8(Avp.RESTRICTION_FILTER_RULE, rule) for rule in final_unit.filter_rules)
        members.extend(avp.utf8(Avp.FILTER_ID, name) for name in final_unit.filter_ids)
    elif final_unit.action == FinalUnitAction.REDIRECT:
        members.append(
            avp.grouped(
                Avp.REDIRECT_SERVER,
                avp.unsigned32(Avp.REDIRECT_ADDRESS_TYPE, REDIRECT_ADDRESS_TYPE_URL),
                avp.utf8(Avp.REDIRECT_SERVER_ADDRESS, final_unit.redirect_url),
            )
        )
    return avp.grouped(Avp.FINAL_UNIT_INDICATION, *members)


def _one_time(request: CreditControlRequest, answer: Answer, policy: Policy) -> list[bytes]:
    if request.action == RequestedAction.CHECK_BALANCE:
        short = any(not service.granted for service in answer.services)
        return [avp.unsigned32(Avp.CHECK_BALANCE_RESULT, int(short))]
    if request.action == RequestedAction.PRICE_ENQUIRY:
        cost = sum(service.charged for service in answer.services)
        return [
            avp.grouped(
                Avp.COST_INFORMATION,
                avp.grouped(Avp.UNIT_VALUE, avp.unsigned64(Avp.VALUE_DIGITS, cost)),
                avp.unsigned32(Avp.CURRENCY_CODE, policy.currency_code),
            )
        ]
    return []


def _failed(
    request: CreditControlRequest, answer: Answer, pairs: list[tuple[ServiceRequest, ServiceAnswer]]
) -> list[bytes]:
    """RATING_FAILED must say what could not be rated (RFC 8506 section 9.2)."""
    if answer.result_code == ResultCode.RATING_FAILED and not pairs:
        return [avp.grouped(Avp.FAILED_AVP, avp.utf8(Avp.SERVICE_CONTEXT_ID, request.context_id))]
    failed = []
    for asked, answered in pairs:
        if answered.result_code != ResultCode.RATING_FAILED:
            continue
        if asked.other_unit:
            unit = avp.encode(asked.other_unit, _UNIT_SAMPLES[Avp(asked.other_unit)])
            offender = avp.grouped(Avp.REQUESTED_SERVICE_UNIT, unit)
        elif asked.key.rating_group >= 0:
            offender = avp.unsigned32(Avp.RATING_GROUP, asked.key.rating_group)
        else:
            offender = avp.encode(Avp.RATING_GROUP, bytes(4))
        if not request.single:
            offender = avp.grouped(Avp.MULTIPLE_SERVICES_CREDIT_CONTROL, offender)
        failed.append(avp.grouped(Avp.FAILED_AVP, offender))
    return failed[:1]
