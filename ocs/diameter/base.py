"""Messages of the base protocol: read a CER, build every answer that needs no charging.  RFC 6733 sections 5 to 7.

Nothing here knows a connection or a session, and nothing needs the dictionary: the few AVPs of the base protocol are
read by their codes.  An AVP that is not among them is passed over, with the M bit or without; what a peer tells about
itself beyond our question is no reason to refuse it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeVar

from ocs.diameter import avp, framing
from ocs.diameter.codes import (
    APPLICATION_BASE,
    APPLICATION_CREDIT_CONTROL,
    APPLICATION_RELAY,
    VENDOR_3GPP,
    Avp,
    Command,
    DisconnectCause,
    Flag,
    ResultCode,
)
from ocs.diameter.framing import HEADER_OCTETS, Header, read_header
from ocs.errors import (
    AvpOccursTooManyTimes,
    DiameterError,
    InvalidAvpLength,
    InvalidAvpValue,
    MissingAvp,
    NoCommonApplication,
    NoCommonSecurity,
    ProtocolError,
)

IDENTITY_OCTETS_MAX: Final = 255
"""A DiameterIdentity is a domain name, and no domain name is longer (RFC 1035 section 3.1)."""

NO_INBAND_SECURITY: Final = 0

_PRODUCT_NAME_CHARACTERS_MAX: Final = 128  # it is shown to people and kept with each connection
_IDENTITY_SIGNS: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")

# Address families of the IANA registry (RFC 6733 section 4.3.1) and the octets that follow them.
_IPV4: Final = (1, 4)
_IPV6: Final = (2, 16)

# What stands in a Failed-AVP for an AVP that is missing: zeros of the least length its type has (section 7.5).
_ZEROS: Final = {
    Avp.HOST_IP_ADDRESS: bytes(6),
    Avp.VENDOR_ID: bytes(4),
    Avp.DISCONNECT_CAUSE: bytes(4),
}
_WITHOUT_MANDATORY: Final = frozenset({Avp.PRODUCT_NAME, Avp.FIRMWARE_REVISION, Avp.ERROR_MESSAGE})

_T = TypeVar("_T")
_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """What this server says about itself, the same in every CEA, DWA and answer."""

    origin_host: str
    origin_realm: str
    addresses: tuple[_Address, ...]
    origin_state_id: int
    """One value for as long as no session state is lost; some clients reset the connection when it changes."""
    product_name: str = "Session Purchaser"
    vendor_id: int = 0

    def __post_init__(self) -> None:
        assert self.addresses, "a CEA holds at least one Host-IP-Address (RFC 6733 section 5.3.2)"
        assert 0 <= self.origin_state_id < 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What a CER says (RFC 6733 section 5.3.1)."""

    origin_host: str
    origin_realm: str
    host_ip_addresses: tuple[_Address, ...]
    vendor_id: int
    product_name: str
    applications: frozenset[int]
    """Auth- and Acct-Application-Ids, at top level and inside Vendor-Specific-Application-Id."""
    inband_security_ids: tuple[int, ...] = ()
    origin_state_id: int = 0
    """Zero means unknown (section 8.16)."""
    firmware_revision: int = 0


# Reading


def read_introduction(message: bytes, *, secure: bool) -> Introduction:
    """Read a CER and check all that does not depend on who asks.

    The order of the checks is that of RFC 6733 section 5.3: application, security, then the rest.

    Args:
        message: a whole CER.
        secure: whether TLS protects the connection already; then Inband-Security-Id does not matter.

    Raises:
        InvalidAvpLength, NoCommonApplication, NoCommonSecurity, MissingAvp, AvpOccursTooManyTimes, InvalidAvpValue:
            the Result-Code of the CEA.
    """
    found: dict[int, list[avp.RawAvp]] = {}
    applications: set[int] = set()
    for raw in avp.walk(message, HEADER_OCTETS, len(message)):
        if raw.vendor:
            continue
        found.setdefault(raw.code, []).append(raw)
        if raw.code == Avp.VENDOR_SPECIFIC_APPLICATION_ID:
            for member in avp.walk(message, raw.start, raw.end):
                if not member.vendor and member.code in (Avp.AUTH_APPLICATION_ID, Avp.ACCT_APPLICATION_ID):
                    applications.add(_unsigned32(message, member))
        elif raw.code in (Avp.AUTH_APPLICATION_ID, Avp.ACCT_APPLICATION_ID):
            applications.add(_unsigned32(message, raw))
    if not applications & {APPLICATION_CREDIT_CONTROL, APPLICATION_RELAY}:
        raise NoCommonApplication("this server speaks Diameter credit control (application 4) and nothing else")

    securities = tuple(_unsigned32(message, raw) for raw in found.get(Avp.INBAND_SECURITY_ID, ()))
    if securities and NO_INBAND_SECURITY not in securities and not secure:
        raise NoCommonSecurity("TLS is not started within a connection; connect to the TLS port instead")

    return Introduction(
        origin_host=_once(message, found, Avp.ORIGIN_HOST, _identity),
        origin_realm=_once(message, found, Avp.ORIGIN_REALM, _identity),
        host_ip_addresses=_addresses(message, found),
        vendor_id=_once(message, found, Avp.VENDOR_ID, _unsigned32),
        product_name=_once(message, found, Avp.PRODUCT_NAME, _text),
        applications=frozenset(applications),
        inband_security_ids=securities,
        origin_state_id=_at_most_once(message, found, Avp.ORIGIN_STATE_ID),
        firmware_revision=_at_most_once(message, found, Avp.FIRMWARE_REVISION),
    )


def check_watchdog_request(message: bytes) -> None:
    """Check that a DWR can be read and names its sender (RFC 6733 section 5.5.1).

    Raises:
        InvalidAvpLength, MissingAvp, AvpOccursTooManyTimes, InvalidAvpValue: the Result-Code of the DWA.
    """
    found = _top_level(message)
    _once(message, found, Avp.ORIGIN_HOST, _identity)
    _once(message, found, Avp.ORIGIN_REALM, _identity)


def read_disconnect_cause(message: bytes) -> int:
    """Read why a DPR says goodbye; a cause that RFC 6733 section 5.4.3 does not name is given as it is.

    Raises:
        InvalidAvpLength, MissingAvp, AvpOccursTooManyTimes, InvalidAvpValue: the Result-Code of the DPA.
    """
    found = _top_level(message)
    _once(message, found, Avp.ORIGIN_HOST, _identity)
    _once(message, found, Avp.ORIGIN_REALM, _identity)
    return _once(message, found, Avp.DISCONNECT_CAUSE, _unsigned32)


def _top_level(message: bytes) -> dict[int, list[avp.RawAvp]]:
    found: dict[int, list[avp.RawAvp]] = {}
    for raw in avp.walk(message, HEADER_OCTETS, len(message)):
        if not raw.vendor:
            found.setdefault(raw.code, []).append(raw)
    return found


def _once(message: bytes, found: dict[int, list[avp.RawAvp]], code: Avp, read: Callable[[bytes, avp.RawAvp], _T]) -> _T:
    """Read the one instance of a required AVP."""
    instances = found.get(code)
    if not instances:
        raise _missing(code)
    if len(instances) > 1:
        raise AvpOccursTooManyTimes(f"AVP {code:d} may stand here once", whole(message, instances[1]))
    return read(message, instances[0])


def _at_most_once(message: bytes, found: dict[int, list[avp.RawAvp]], code: Avp) -> int:
    """Read an optional Unsigned32; zero when it is absent."""
    return _once(message, found, code, _unsigned32) if code in found else 0


def _addresses(message: bytes, found: dict[int, list[avp.RawAvp]]) -> tuple[_Address, ...]:
    """Read each Host-IP-Address; families other than IPv4 and IPv6 are passed over."""
    instances = found.get(Avp.HOST_IP_ADDRESS)
    if not instances:
        raise _missing(Avp.HOST_IP_ADDRESS)
    addresses: list[_Address] = []
    for raw in instances:
        family, octets = int.from_bytes(message[raw.start : raw.start + 2], "big"), raw.end - raw.start - 2
        if (family, octets) in (_IPV4, _IPV6):
            addresses.append(ip_address(message[raw.start + 2 : raw.end]))
        elif octets < 0 or family in (_IPV4[0], _IPV6[0]):
            raise InvalidAvpValue("a Host-IP-Address is 2 octets of family, then 4 or 16", whole(message, raw))
    return tuple(addresses)


def _unsigned32(message: bytes, raw: avp.RawAvp) -> int:
    if raw.end - raw.start != 4:
        raise InvalidAvpLength(
            f"AVP {raw.code} holds 4 octets; this one {raw.end - raw.start}", _empty(Avp(raw.code), bytes(4))
        )
    return int.from_bytes(message[raw.start : raw.end], "big")


def _identity(message: bytes, raw: avp.RawAvp) -> str:
    data = message[raw.start : raw.end]
    if not 0 < len(data) <= IDENTITY_OCTETS_MAX or not _IDENTITY_SIGNS.issuperset(data):
        raise InvalidAvpValue("a DiameterIdentity is a domain name", whole(message, raw))
    return data.decode("ascii")


def _text(message: bytes, raw: avp.RawAvp) -> str:
    try:
        text = message[raw.start : raw.end].decode()
    except UnicodeDecodeError:
        raise InvalidAvpValue(f"AVP {raw.code} is not UTF-8", whole(message, raw)) from None
    return text[:_PRODUCT_NAME_CHARACTERS_MAX]


def whole(message: bytes, raw: avp.RawAvp) -> bytes:
    """Cut an AVP out of its message, header and padding included, as Failed-AVP carries it."""
    octets = message[raw.offset : raw.end]
    return octets + bytes(-len(octets) & 3)


def _missing(code: Avp) -> MissingAvp:
    return MissingAvp(f"AVP {code:d} is required here", _empty(code, _ZEROS.get(code, b"")))


def _empty(code: Avp, zeros: bytes) -> bytes:
    return avp.encode(code, zeros, flags=0 if code in _WITHOUT_MANDATORY else avp.MANDATORY)


# Building


def capabilities_answer(request: Header, local: LocalNode, error: DiameterError | None = None) -> bytes:
    """Build the CEA: 2001, or a 4xxx or 5xxx in the CEA's own grammar.

    Application 4 stands alone and bare: every client finds it there, and offering another would draw its traffic.
    """
    assert not isinstance(error, ProtocolError), "3xxx has the error grammar: error_answer"
    parts = [
        _result(error.result_code if error else ResultCode.SUCCESS),
        _origin(local),
        *(_host_ip_address(address) for address in local.addresses),
        avp.unsigned32(Avp.VENDOR_ID, local.vendor_id),
        avp.utf8(Avp.PRODUCT_NAME, local.product_name, flags=0),
        avp.unsigned32(Avp.ORIGIN_STATE_ID, local.origin_state_id),
        avp.unsigned32(Avp.SUPPORTED_VENDOR_ID, VENDOR_3GPP),
        avp.unsigned32(Avp.AUTH_APPLICATION_ID, APPLICATION_CREDIT_CONTROL),
    ]
    if error:
        parts.append(_explanation(error))
    return answer(request, b"".join(parts))


def watchdog_request(local: LocalNode, hop_by_hop: int, end_to_end: int) -> bytes:
    """Build a DWR (RFC 6733 section 5.5.1)."""
    avps = _origin(local) + avp.unsigned32(Avp.ORIGIN_STATE_ID, local.origin_state_id)
    return framing.encode(Flag.REQUEST, Command.DEVICE_WATCHDOG, APPLICATION_BASE, hop_by_hop, end_to_end, avps)


def watchdog_answer(request: Header, local: LocalNode) -> bytes:
    """Build a DWA 2001 (section 5.5.2)."""
    state = avp.unsigned32(Avp.ORIGIN_STATE_ID, local.origin_state_id)
    return answer(request, _result(ResultCode.SUCCESS) + _origin(local) + state)


def disconnect_request(local: LocalNode, cause: DisconnectCause, hop_by_hop: int, end_to_end: int) -> bytes:
    """Build a DPR (section 5.4.1)."""
    avps = _origin(local) + avp.unsigned32(Avp.DISCONNECT_CAUSE, cause)
    return framing.encode(Flag.REQUEST, Command.DISCONNECT_PEER, APPLICATION_BASE, hop_by_hop, end_to_end, avps)


def disconnect_answer(request: Header, local: LocalNode) -> bytes:
    """Build a DPA 2001 (section 5.4.2)."""
    return answer(request, _result(ResultCode.SUCCESS) + _origin(local))


def error_answer(request: bytes, local: LocalNode, error: DiameterError) -> bytes:
    """Build the answer to a request that failed as a whole, however little of it can be read.

    One rule for the E bit: set for 3xxx, clear for everything else.  RFC 6733 section 7.1.5 would allow it with 5xxx
    where the command's grammar cannot be filled, but clients read the class from the Result-Code and accept a short
    answer.  A CCR's answer carries CC-Request-Type and CC-Request-Number, when they could be read, in the error
    grammar too, which ends in `*[AVP]`: some clients find their request by them.

    Args:
        request: the whole request, or its 20 octets of header where the rest is not to be trusted.
        error: its `failed_avp` is an encoded AVP, which is wrapped in Failed-AVP here; `detail` is for people.
    """
    header = read_header(request)
    protocol_error = isinstance(error, ProtocolError)
    if header.command == Command.CAPABILITIES_EXCHANGE and not protocol_error:
        return capabilities_answer(header, local, error)
    seen = _Echo(request)
    parts = [seen.session_id, _result(error.result_code), _origin(local)]
    if header.command == Command.CREDIT_CONTROL and header.application == APPLICATION_CREDIT_CONTROL:
        parts.append(avp.unsigned32(Avp.AUTH_APPLICATION_ID, APPLICATION_CREDIT_CONTROL))
        parts += (seen.cc_request_type, seen.cc_request_number)
    parts += (_explanation(error), *seen.proxy_infos)
    return answer(header, b"".join(parts), error=protocol_error)


def answer(request: Header, avps: bytes, *, error: bool = False) -> bytes:
    """Put the header of an answer before `avps`: ids, command and P bit of the request (RFC 6733 section 6.2)."""
    flags = request.flags & Flag.PROXIABLE | (Flag.ERROR if error else 0)
    return framing.encode(flags, request.command, request.application, request.hop_by_hop, request.end_to_end, avps)


class _Echo:
    """What an answer repeats of its request, encoded; empty for what is not there.

    The search ends at the first AVP that is broken: nothing behind it has a place.
    """

    __slots__ = ("cc_request_number", "cc_request_type", "proxy_infos", "session_id")

    def __init__(self, request: bytes) -> None:
        self.session_id = self.cc_request_type = self.cc_request_number = b""
        self.proxy_infos: list[bytes] = []
        try:
            for raw in avp.walk(request, HEADER_OCTETS, len(request)):
                if not raw.vendor:
                    self._take(request, raw)
        except InvalidAvpLength:
            pass  # the answer says so already, or has a graver reason

    def _take(self, request: bytes, raw: avp.RawAvp) -> None:
        data = request[raw.start : raw.end]
        if raw.code == Avp.SESSION_ID:
            self.session_id = self.session_id or avp.encode(Avp.SESSION_ID, data)
        elif raw.code == Avp.CC_REQUEST_TYPE and len(data) == 4:
            self.cc_request_type = self.cc_request_type or avp.encode(Avp.CC_REQUEST_TYPE, data)
        elif raw.code == Avp.CC_REQUEST_NUMBER and len(data) == 4:
            self.cc_request_number = self.cc_request_number or avp.encode(Avp.CC_REQUEST_NUMBER, data)
        elif raw.code == Avp.PROXY_INFO:
            self.proxy_infos.append(avp.encode(raw.code, data, flags=raw.flags & avp.MANDATORY))


def _result(code: int) -> bytes:
    return avp.unsigned32(Avp.RESULT_CODE, code)


def _origin(local: LocalNode) -> bytes:
    return avp.utf8(Avp.ORIGIN_HOST, local.origin_host) + avp.utf8(Avp.ORIGIN_REALM, local.origin_realm)


def _host_ip_address(address: _Address) -> bytes:
    family, _ = _IPV4 if address.version == 4 else _IPV6
    return avp.encode(Avp.HOST_IP_ADDRESS, family.to_bytes(2, "big") + address.packed)


def _explanation(error: DiameterError) -> bytes:
    """Failed-AVP for the client, Error-Message for people."""
    failed = avp.grouped(Avp.FAILED_AVP, error.failed_avp) if error.failed_avp else b""
    return failed + avp.utf8(Avp.ERROR_MESSAGE, error.detail, flags=0)
