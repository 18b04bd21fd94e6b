"""Read CCRs of a layout that was met before.  The slow twin is `read` of `ocs.credit_control.request`, behind the full
check of `ocs.diameter.strict`; docs/adr/0013-learnt-layouts.md.

A `Form` is made from one CCR that was read in full.  Its sample holds what all CCRs of the layout have in common, and
the layout says where the rest stands: whatever `read` looks at is either fixed by the layout or taken from its place,
and whatever the check looks at is fixed or checked again.
"""

from typing import Any, Final

import msgspec

from ocs.credit_control.answer_form import AnswerForms
from ocs.credit_control.request import (
    BEARER_OCTETS,
    BEARER_TEXTS,
    BEARER_VALUE_OCTETS_MAX,
    EQUIPMENT_OCTETS_MAX,
    MSISDN_DIGITS_MAX,
    PDP_ADDRESSES_MAX,
    CreditControlRequest,
    ServiceRequest,
    check_imsi,
    digest_of,
    frame,
)
from ocs.diameter.codes import VENDOR_3GPP, Avp, Avp3gpp, CcRequestType, SubscriptionIdType
from ocs.diameter.dictionary import Dictionary
from ocs.diameter.layout import HEADER_VALUES, Layout, Leaf, Value, leaves
from ocs.diameter.strict_rules import Check, Key
from ocs.units import OCTETS_MAX

Path = tuple[Key, ...]

_3GPP: Final = VENDOR_3GPP << 32
_MSCC: Final = Avp.MULTIPLE_SERVICES_CREDIT_CONTROL
_SERVICE: Final = _3GPP | Avp3gpp.SERVICE_INFORMATION
_PS: Final = _3GPP | Avp3gpp.PS_INFORMATION

_SESSION_ID: Final[Path] = (Avp.SESSION_ID,)
_NUMBER: Final[Path] = (Avp.CC_REQUEST_NUMBER,)
_TIMESTAMP: Final[Path] = (Avp.EVENT_TIMESTAMP,)
_COUNTERS: Final[tuple[Path, ...]] = tuple(
    (_MSCC, Avp.USED_SERVICE_UNIT, code) for code in (Avp.CC_TOTAL_OCTETS, Avp.CC_INPUT_OCTETS, Avp.CC_OUTPUT_OCTETS)
)
_IDENTITY: Final = (Avp.SUBSCRIPTION_ID, Avp.SUBSCRIPTION_ID_DATA)
_IDENTITY_TYPE: Final = (Avp.SUBSCRIPTION_ID, Avp.SUBSCRIPTION_ID_TYPE)
_ADDRESS: Final[Path] = (_SERVICE, _PS, _3GPP | Avp3gpp.PDP_ADDRESS)
_EQUIPMENT: Final = (Avp.USER_EQUIPMENT_INFO, Avp.USER_EQUIPMENT_INFO_VALUE)
_BEARER: Final[dict[Path, str]] = {(_SERVICE, _PS, key): name for key, name in BEARER_OCTETS.items()}

_FIXED: Final[frozenset[Path]] = frozenset(
    {
        (Avp.ORIGIN_HOST,),
        (Avp.ORIGIN_REALM,),
        (Avp.DESTINATION_REALM,),
        (Avp.DESTINATION_HOST,),
        (Avp.ROUTE_RECORD,),
        (Avp.AUTH_APPLICATION_ID,),
        (Avp.SERVICE_CONTEXT_ID,),
        (Avp.CC_REQUEST_TYPE,),
        (Avp.REQUESTED_ACTION,),
        (Avp.TERMINATION_CAUSE,),
        (Avp.MULTIPLE_SERVICES_INDICATOR,),
        _IDENTITY_TYPE,
        (_SERVICE, _PS, Avp.CALLED_STATION_ID),
    }
)
"""Read, or looked at by the check, and the same in every message of a layout.  So is all of an MSCC, save the counters:
what is asked for, for what, and why."""

_FIXED_AT_OPENING: Final[frozenset[Path]] = frozenset(
    {
        (_SERVICE, *_IDENTITY_TYPE),
        *((_SERVICE, _PS, key) for key in BEARER_TEXTS),
    }
)

_HEADER_PLACES: Final = 3
assert HEADER_VALUES.count("I") + HEADER_VALUES.count("B") == _HEADER_PLACES
_ABSENT: Final = -1


class UnlearnableLayout(Exception):
    """The message has a shape that is left to the full reading."""


class Form:
    """How the CCRs of one layout are read, and `answers`, how theirs are written."""

    __slots__ = (
        "_by_key",
        "_checks",
        "_frame",
        "_number",
        "_opening",
        "_sample",
        "_services",
        "_session_id",
        "_timestamp",
        "answers",
        "layout",
    )

    def __init__(self, message: bytes, sample: CreditControlRequest, dictionary: Dictionary) -> None:
        """Learn from a CCR that passed the full check and gave `sample`.

        Raises:
            UnlearnableLayout: units at command level, a Proxy-Info, a one-time event, an AVP twice that is read once.
        """
        if sample.single or sample.proxy_info or sample.request_type == CcRequestType.EVENT:
            raise UnlearnableLayout
        places = _Places(message, leaves(message, dictionary), is_initial=sample.request_type == CcRequestType.INITIAL)
        self._sample = sample
        self._session_id = places.only(_SESSION_ID)
        self._number = places.only(_NUMBER)
        self._timestamp = places.only(_TIMESTAMP)
        self._checks = tuple(places.checks)
        self._services = places.services(sample)
        self._by_key = sorted(range(len(self._services)), key=lambda place: sample.services[place].key)
        self._frame = frame(sample)
        self._opening = _Opening(places) if sample.request_type == CcRequestType.INITIAL else None
        self.layout = Layout(message, places.values, places.free)
        self.answers = AnswerForms()

    def read(self, message: bytes) -> CreditControlRequest | None:
        """Read a CCR that fits the layout; None where a value is not what it should be: the full reading tells why."""
        values = self.layout.unpack(message)
        for place, check in self._checks:
            if check(values[place]) is not None:
                return None
        request: CreditControlRequest = self._sample.__copy__()  # type: ignore[attr-defined]  # every Struct has one
        request.flags, request.hop_by_hop, request.end_to_end = values[:_HEADER_PLACES]
        request.session_id = values[self._session_id]
        request.number = values[self._number]
        if self._timestamp >= 0:
            request.event_timestamp = values[self._timestamp]
        if self._services:
            services = []
            for each in self._services:
                service = each.read(values)
                if service is None:
                    return None
                services.append(service)
            request.services = tuple(services)
            request.digest = digest_of(self._frame, [services[place].used for place in self._by_key])
        if self._opening is not None:
            self._opening.read(values, request)
            check_imsi(request.imsi)
        return request


class _Places:
    """Sorts the leaves of a message: values to take, values to check, and what nobody looks at."""

    def __init__(self, message: bytes, found: list[Leaf], *, is_initial: bool) -> None:
        self.values: list[Value] = []
        self.checks: list[tuple[int, Check]] = []
        self.free: list[tuple[int, int]] = []
        self.identities: list[tuple[int, int]] = []  # Subscription-Id-Type and place
        self._by_path: dict[Path, list[int]] = {}
        self._counters: dict[int, list[int]] = {}  # by MSCC, in the order of _COUNTERS
        self._units: dict[int, int] = {}  # by MSCC, the Used-Service-Unit that counts
        kinds: dict[int, int] = {}  # Subscription-Id-Type, by where its group stands
        if is_initial:
            kinds = {
                leaf.groups[-1]: int.from_bytes(message[leaf.start : leaf.stop], "big")
                for leaf in found
                if leaf.path[-2:] == _IDENTITY_TYPE
            }
            if len({leaf.groups[1] for leaf in found if leaf.path[:2] == (_SERVICE, _PS)}) > 1:
                raise UnlearnableLayout
        for leaf in found:
            path = leaf.path
            if path[0] == _MSCC:
                self._take_unit(leaf)
            elif path in (_SESSION_ID, _NUMBER, _TIMESTAMP):
                self._take(leaf, is_number=path != _SESSION_ID)
            elif path in _FIXED or (is_initial and path in _FIXED_AT_OPENING):
                continue
            elif is_initial and path[-2:] == _IDENTITY and path[:-2] in ((), (_SERVICE,)):
                place = self._take(leaf)
                if leaf.groups[-1] not in kinds:
                    raise UnlearnableLayout  # no type, or two identities in one Subscription-Id
                kind = kinds.pop(leaf.groups[-1])
                if leaf.stop > leaf.start:
                    self.identities.append((kind, place))
            elif leaf.check is not None or (is_initial and _is_of_bearer(path)):
                self._take(leaf)
            else:
                self.free.append((leaf.start, leaf.stop))

    def _take(self, leaf: Leaf, *, is_number: bool = False) -> int:
        place = _HEADER_PLACES + len(self.values)
        self.values.append(Value(leaf.start, leaf.stop, is_number))
        self._by_path.setdefault(leaf.path, []).append(place)
        if leaf.check is not None:
            self.checks.append((place, leaf.check))
        return place

    def _take_unit(self, leaf: Leaf) -> None:
        counters = self._counters.setdefault(leaf.groups[0] if leaf.groups else leaf.start, [_ABSENT] * 3)
        if leaf.path in _COUNTERS:
            which = _COUNTERS.index(leaf.path)
            mscc, unit = leaf.groups
            if counters[which] != _ABSENT or self._units.setdefault(mscc, unit) != unit:
                raise UnlearnableLayout  # of several Used-Service-Units the sum counts
            counters[which] = self._take(leaf, is_number=True)

    def only(self, path: Path) -> int:
        """Give the one place of a path, _ABSENT for none."""
        found = self._by_path.get(path, ())
        if len(found) > 1:
            raise UnlearnableLayout
        return found[0] if found else _ABSENT

    def all(self, path: Path) -> list[int]:
        return self._by_path.get(path, [])

    def services(self, sample: CreditControlRequest) -> tuple["_Service", ...]:
        """Give the MSCCs, none where nothing in them differs from message to message."""
        if not any(place != _ABSENT for counters in self._counters.values() for place in counters):
            return ()
        if len(self._counters) != len(sample.services):
            raise UnlearnableLayout  # one has no AVP in it
        return tuple(
            _Service(service, *counters)
            for service, counters in zip(sample.services, self._counters.values(), strict=True)
        )


class _Service:
    """One MSCC: what it says each time, and the places of its counters."""

    __slots__ = ("_inward", "_outward", "_sample", "_total")

    def __init__(self, sample: ServiceRequest, total: int, inward: int, outward: int) -> None:
        self._sample = sample
        self._total, self._inward, self._outward = total, inward, outward

    def read(self, values: tuple[Any, ...]) -> ServiceRequest | None:
        """Give the service as it is this time; None where a counter is beyond plausibility."""
        sample, total, inward, outward = self._sample, self._total, self._inward, self._outward
        unequal = False
        if inward < 0 and outward < 0:
            if total < 0:
                return sample
            used = values[total]
        else:
            both = (values[inward] if inward >= 0 else 0) + (values[outward] if outward >= 0 else 0)
            used = values[total] if total >= 0 else both
            unequal = inward >= 0 and outward >= 0 and both != used
        if used > OCTETS_MAX:
            return None
        return ServiceRequest(
            sample.key,
            sample.service_ids,
            sample.asked,
            sample.reported,
            used,
            sample.reasons,
            unequal,
            sample.other_unit,
        )


class _Opening:
    """The places of what a CCR-I says of the subscriber and the bearer."""

    __slots__ = ("_addresses", "_fields", "_imsi", "_msisdn")

    def __init__(self, places: _Places) -> None:
        self._imsi = _first(places.identities, SubscriptionIdType.END_USER_IMSI)
        self._msisdn = _first(places.identities, SubscriptionIdType.END_USER_E164)
        self._addresses = places.all(_ADDRESS)[:PDP_ADDRESSES_MAX]
        self._fields = [
            (name, places.all(path)[0], BEARER_VALUE_OCTETS_MAX) for path, name in _BEARER.items() if places.all(path)
        ]
        # At command level it counts more than in PS-Information.
        equipment = places.only(_EQUIPMENT)
        if equipment == _ABSENT:
            equipment = places.only((_SERVICE, _PS, *_EQUIPMENT))
        if equipment != _ABSENT:
            self._fields.append(("equipment", equipment, EQUIPMENT_OCTETS_MAX))

    def read(self, values: tuple[Any, ...], request: CreditControlRequest) -> None:
        if self._imsi != _ABSENT:
            request.imsi = values[self._imsi].decode("utf-8", "replace")
        if self._msisdn != _ABSENT:
            request.msisdn = values[self._msisdn].decode("utf-8", "replace")[:MSISDN_DIGITS_MAX]
        told = {name: values[place][:octets_max] for name, place, octets_max in self._fields}
        if self._addresses:
            told["pdp_addresses"] = tuple(values[place][:BEARER_VALUE_OCTETS_MAX] for place in self._addresses)
        if told:
            request.bearer = msgspec.structs.replace(request.bearer, **told)


def _first(identities: list[tuple[int, int]], kind: int) -> int:
    return next((place for each, place in identities if each == kind), _ABSENT)


def _is_of_bearer(path: Path) -> bool:
    return path in _BEARER or path == _ADDRESS or path[-2:] == _EQUIPMENT
