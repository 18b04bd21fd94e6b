"""The tables that `ocs.diameter.strict` holds messages against, made once from a dictionary.

What is strict and what is lenient is decided here and listed there.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from ocs.diameter import value
from ocs.diameter.codes import VENDOR_3GPP, Avp, Avp3gpp, CcRequestType, Flag, RequestedAction, SubscriptionIdType
from ocs.diameter.dictionary import AvpDefinition, Dictionary, Member
from ocs.diameter.grammar import DataType
from ocs.units import SESSION_ID_OCTETS_MAX

TEXT_OCTETS_MAX: Final = 4_096
"""No text a gateway sends comes near it."""

NAME_OCTETS_MAX: Final = 255
"""A network access identifier has 253 octets (RFC 7542 section 2.3), an APN 100 (TS 23.003 clause 9.1)."""

_UNSIGNED32 = Struct(">I")

Check = Callable[[bytes], str | None]
Key = int  # the code, with the vendor in the bits above it


class Scope(NamedTuple):
    """The occurrence rules of one command or group."""

    required: tuple[tuple[Key, int, AvpDefinition], ...]  # key, minimum, and what is missing if there are fewer
    maxima: Mapping[Key, int]
    is_counted: bool
    is_judged: bool  # values inside it are looked at


class Rule(NamedTuple):
    """What one AVP must be like."""

    octets: int  # the length of its data; -1 for any
    check: Check | None  # of its content
    is_shown: bool  # its content is looked at everywhere
    scope: Scope | None  # of a group


class Grammar(NamedTuple):
    """All that a message of one command is held against."""

    name: str
    scope: Scope
    first: AvpDefinition | None  # the AVP that must come first
    rules: Mapping[Key, Rule]


def key_of(avp: AvpDefinition | Member) -> Key:
    return avp.vendor << 32 | avp.code


_ACTED_ON: Final[Mapping[int, range]] = {
    Avp.CC_REQUEST_TYPE: range(min(CcRequestType), max(CcRequestType) + 1),
    Avp.REQUESTED_ACTION: range(min(RequestedAction), max(RequestedAction) + 1),
    Avp.SUBSCRIPTION_ID_TYPE: range(min(SubscriptionIdType), max(SubscriptionIdType) + 1),
    Avp.MULTIPLE_SERVICES_INDICATOR: range(2),
}
"""The IETF's Enumerated AVPs that charging acts on, and their values."""

_SHOWN: Final[Mapping[int, tuple[int, int]]] = {
    Avp.SESSION_ID: (1, SESSION_ID_OCTETS_MAX),
    Avp.USER_NAME: (0, NAME_OCTETS_MAX),
    Avp.CALLED_STATION_ID: (0, NAME_OCTETS_MAX),
    Avp.SERVICE_CONTEXT_ID: (0, NAME_OCTETS_MAX),
}
"""Names that reach logs and the console: their length in octets.  Wherever they stand, controls are refused in them."""

_UNJUDGED: Final = frozenset(
    {
        VENDOR_3GPP << 32 | Avp3gpp.SERVICE_INFORMATION,
        Avp.USER_EQUIPMENT_INFO,
        653,  # User-Equipment-Info-Extension
    }
)

_find_control = re.compile(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]").search
"""The controls of ASCII, and those of Latin-1 as UTF-8 writes them."""


@lru_cache(maxsize=8)
def grammars(dictionary: Dictionary) -> Mapping[tuple[int, int], Grammar]:
    """Make the tables: by command code and the R and E bits."""
    rules = {
        application: {key_of(avp): _rule(avp, application, dictionary) for avp in dictionary.avps}
        for application in {command.application for command in dictionary.commands}
    }
    unjudged = Scope((), {}, is_counted=False, is_judged=False)
    grammars: dict[tuple[int, int], Grammar] = {}
    for command in dictionary.commands:
        scope = _scope(command.members, dictionary, is_counted=True, is_judged=True)
        first = next((_defined(member, dictionary) for member in command.members[:1] if member.fixed), None)
        full = Grammar(command.name, scope, first, rules[command.application])
        error = Grammar(command.name, unjudged, None, rules[command.application])
        request = Flag.REQUEST if command.is_request else 0
        # A request with E set is refused before (3008); here it is no other request.
        grammars[command.code, int(request)] = full
        grammars[command.code, int(request | Flag.ERROR)] = full if command.is_request else error
    return grammars


def _rule(avp: AvpDefinition, application: int, dictionary: Dictionary) -> Rule:
    scope = None
    key = key_of(avp)
    if avp.type is DataType.GROUPED and key != Avp.FAILED_AVP:
        scope = _scope(
            avp.members,
            dictionary,
            is_counted=avp.vendor == 0 and key != Avp.VENDOR_SPECIFIC_APPLICATION_ID,
            is_judged=key not in _UNJUDGED,
        )
    return Rule(
        octets=value.OCTETS.get(avp.type, -1),
        check=_content_check(avp, application),
        is_shown=key in _SHOWN,
        scope=scope,
    )


def _scope(members: tuple[Member, ...], dictionary: Dictionary, *, is_counted: bool, is_judged: bool) -> Scope:
    return Scope(
        required=tuple((key_of(m), m.minimum, _defined(m, dictionary)) for m in members if m.minimum),
        maxima={key_of(m): m.maximum for m in members if m.maximum is not None},
        is_counted=is_counted,
        is_judged=is_judged,
    )


def _defined(member: Member, dictionary: Dictionary) -> AvpDefinition:
    definition = dictionary.avp(member.code, member.vendor)
    assert definition is not None, "a dictionary resolves its members when it is read"
    return definition


def _content_check(avp: AvpDefinition, application: int) -> Check | None:
    key = key_of(avp)
    if key == Avp.AUTH_APPLICATION_ID and application:
        return _one_of(range(application, application + 1))
    if key in _ACTED_ON:
        return _one_of(_ACTED_ON[key])
    content = value.CHECKS.get(avp.type)
    if key in _SHOWN:
        return _shown(*_SHOWN[key])
    if avp.type in value.TEXT and content is not None:
        return _bounded(content)
    return content


def _one_of(numbers: range) -> Check:
    allowed = frozenset(_UNSIGNED32.pack(number) for number in numbers)
    described = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"

    def check_number(data: bytes) -> str | None:
        return None if data in allowed else f"{int.from_bytes(data, 'big')} is not {described}"

    return check_number


def _bounded(content: Check) -> Check:
    def check_text(data: bytes) -> str | None:
        if len(data) > TEXT_OCTETS_MAX:
            return f"{len(data)} octets; a text has {TEXT_OCTETS_MAX} at the most"
        return content(data)

    return check_text


def _shown(shortest: int, longest: int) -> Check:
    def check_name(data: bytes) -> str | None:
        if not shortest <= len(data) <= longest:
            return f"{len(data)} octets; {shortest} to {longest} are taken"
        if data.isascii() and data.decode().isprintable():
            return None  # nearly every name; the rest is looked at with care
        if _find_control(data):
            return "there is a control character in it"
        return value.fault(DataType.UTF8_STRING, data)

    return check_name
