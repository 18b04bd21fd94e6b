"""GTPv2-C: the messages that set up, move and delete a PDN connection with its one bearer.  TS 29.274 section 7.2.

S11 lies between an MME and a serving gateway (SGW), S8 between an SGW and the home PGW.  A message is held as a plain
record; which information element stands in which message, and under which instance, is said here.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Final, TypeVar

from simulator.plane.layers import Malformed, gtp_v2
from simulator.wire import text

_Number = TypeVar("_Number", bound=IntEnum)

PORT: Final = 2123

HEADER_OCTETS: Final = 12
EUTRAN: Final = 6
IPV4: Final = 1
DEFAULT_EBI: Final = 5
"""The lowest EPS bearer identity: that of a default bearer (TS 24.007 section 11.2.3.1.5)."""

BITRATE_KBPS: Final = 1_000_000


class Kind(IntEnum):
    """Message types (TS 29.274 section 6.1)."""

    ECHO_REQUEST = 1
    ECHO_RESPONSE = 2
    CREATE_SESSION_REQUEST = 32
    CREATE_SESSION_RESPONSE = 33
    MODIFY_BEARER_REQUEST = 34
    MODIFY_BEARER_RESPONSE = 35
    DELETE_SESSION_REQUEST = 36
    DELETE_SESSION_RESPONSE = 37
    DELETE_BEARER_REQUEST = 99
    DELETE_BEARER_RESPONSE = 100


RESPONSES: Final = {
    Kind.ECHO_REQUEST: Kind.ECHO_RESPONSE,
    Kind.CREATE_SESSION_REQUEST: Kind.CREATE_SESSION_RESPONSE,
    Kind.MODIFY_BEARER_REQUEST: Kind.MODIFY_BEARER_RESPONSE,
    Kind.DELETE_SESSION_REQUEST: Kind.DELETE_SESSION_RESPONSE,
    Kind.DELETE_BEARER_REQUEST: Kind.DELETE_BEARER_RESPONSE,
}

_BODIES: Final = {
    Kind.ECHO_REQUEST: gtp_v2.GTPV2EchoRequest,
    Kind.ECHO_RESPONSE: gtp_v2.GTPV2EchoResponse,
    Kind.CREATE_SESSION_REQUEST: gtp_v2.GTPV2CreateSessionRequest,
    Kind.CREATE_SESSION_RESPONSE: gtp_v2.GTPV2CreateSessionResponse,
    Kind.MODIFY_BEARER_REQUEST: gtp_v2.GTPV2ModifyBearerRequest,
    Kind.MODIFY_BEARER_RESPONSE: gtp_v2.GTPV2ModifyBearerResponse,
    Kind.DELETE_SESSION_REQUEST: gtp_v2.GTPV2DeleteSessionRequest,
    Kind.DELETE_SESSION_RESPONSE: gtp_v2.GTPV2DeleteSessionResponse,
    Kind.DELETE_BEARER_REQUEST: gtp_v2.GTPV2DeleteBearerRequest,
    Kind.DELETE_BEARER_RESPONSE: gtp_v2.GTPV2DeleteBearerResponse,
}


class Cause(IntEnum):
    """Cause values (section 8.4)."""

    ACCEPTED = 16
    CONTEXT_NOT_FOUND = 64
    MANDATORY_IE_MISSING = 70
    REMOTE_PEER_NOT_RESPONDING = 100
    NOT_AUTHORISED = 125


class Interface(IntEnum):
    """Interface types of an F-TEID (section 8.22)."""

    S1U_ENB = 0
    S1U_SGW = 1
    S8U_SGW = 4
    S8U_PGW = 5
    S8C_SGW = 6
    S8C_PGW = 7
    S11_MME = 10
    S11_SGW = 11


_BEARER_INSTANCES: Final = {
    Kind.CREATE_SESSION_REQUEST: {Interface.S1U_ENB: 0, Interface.S8U_SGW: 2, Interface.S8U_PGW: 3},
    Kind.CREATE_SESSION_RESPONSE: {Interface.S1U_SGW: 0, Interface.S8U_PGW: 2},
    Kind.MODIFY_BEARER_REQUEST: {Interface.S1U_ENB: 0, Interface.S8U_SGW: 1},
    Kind.MODIFY_BEARER_RESPONSE: {Interface.S1U_SGW: 0},
}
"""The instance of each F-TEID in a bearer context (tables 7.2.1-2, 7.2.2-2, 7.2.7-2, 7.2.8-2)."""

_PGW_INSTANCE: Final = 1
"""The PGW's own F-TEID outside a bearer context; instance 0 is the sender's (tables 7.2.1-1 and 7.2.2-1)."""


@dataclass(frozen=True, slots=True)
class FTeid:
    """Where one end of a tunnel is: the TEID that the end chose, at its IPv4 address."""

    interface: Interface
    teid: int
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerContext:
    """The bearer a message speaks of.

    Attributes:
        qos: whether the bearer's quality of service is stated (QCI 9).
    """

    ebi: int = DEFAULT_EBI
    cause: Cause | None = None
    fteids: tuple[FTeid, ...] = ()
    qos: bool = False
    charging_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMessage:
    """A GTPv2-C message.

    Attributes:
        teid: the receiver's; 0 in a first Create Session Request.
        plmn: the serving network, MCC and MNC, 5 or 6 digits.
        address: the UE's IPv4 address (PAA); 0.0.0.0 asks for one.
        linked_ebi: the default bearer that stands for the whole connection.
        forward: whether the SGW is to delete at the PGW too (Operation Indication).
        recovery: the sender's restart counter.
    """

    kind: Kind
    teid: int
    sequence: int = 0
    cause: Cause | None = None
    imsi: str = ""
    plmn: str = ""
    rat: int | None = None
    apn: str = ""
    address: str = ""
    linked_ebi: int | None = None
    forward: bool = False
    fteids: tuple[FTeid, ...] = ()
    bearer: BearerContext | None = None
    recovery: int | None = None

    def fteid(self, interface: Interface) -> FTeid:
        """Give the F-TEID of this interface, wherever it stands.

        Raises:
            Malformed: the message has none.
        """
        held = self.fteids + (self.bearer.fteids if self.bearer else ())
        for one in held:
            if one.interface is interface:
                return one
        raise Malformed(f"{self.kind.name} without an F-TEID of {interface.name}")

    def has(self, interface: Interface) -> bool:
        return any(one.interface is interface for one in self.fteids + (self.bearer.fteids if self.bearer else ()))

    def encode(self) -> bytes:
        body = _BODIES[self.kind](IE_list=list(self._elements()))
        path = self.kind in (Kind.ECHO_REQUEST, Kind.ECHO_RESPONSE)
        header = gtp_v2.GTPHeader(P=0, T=int(not path), gtp_type=self.kind, teid=self.teid, seq=self.sequence)
        return bytes(header / body)

    def _elements(self) -> Iterator[Any]:
        """Give the information elements in the order of the standard's tables."""
        if self.imsi:
            yield gtp_v2.IE_IMSI(IMSI=self.imsi)
        if self.cause is not None:
            yield gtp_v2.IE_Cause(Cause=self.cause)
        if self.linked_ebi is not None:
            yield gtp_v2.IE_EPSBearerID(EBI=self.linked_ebi)
        if self.plmn:
            # The third digit of the MNC shares an octet with the MCC's third; F stands for none (section 8.18).
            yield gtp_v2.IE_ServingNetwork(MCC=self.plmn[:3] + (self.plmn[5:] or "F"), MNC=self.plmn[3:5])
        if self.rat is not None:
            yield gtp_v2.IE_RAT(RAT_type=self.rat)
        if self.forward:
            yield gtp_v2.IE_Indication(length=2, OI=1)
        for one in self.fteids:
            yield _fteid(one, _PGW_INSTANCE if one.interface is Interface.S8C_PGW else 0)
        if self.kind is Kind.CREATE_SESSION_REQUEST:
            yield gtp_v2.IE_APN(APN=self.apn)
            yield gtp_v2.IE_SelectionMode(SelectionMode=0)
            yield gtp_v2.IE_PDN_type(PDN_type=IPV4)
        if self.address:
            yield gtp_v2.IE_PAA(PDN_type=IPV4, ipv4=self.address)
        if self.address or self.kind is Kind.CREATE_SESSION_REQUEST:
            yield gtp_v2.IE_APN_Restriction(APN_Restriction=0)
            yield gtp_v2.IE_AMBR(AMBR_Uplink=BITRATE_KBPS, AMBR_Downlink=BITRATE_KBPS)
        if self.bearer is not None:
            yield gtp_v2.IE_BearerContext(IE_list=list(_bearer_elements(self.kind, self.bearer)))
        if self.recovery is not None:
            yield gtp_v2.IE_RecoveryRestart(restart_counter=self.recovery)

    @classmethod
    def decode(cls, octets: bytes) -> "ControlMessage":
        """Read one message; elements this module does not write are passed over.

        Raises:
            Malformed: not GTPv2-C, lengths that do not add up, or a kind this module does not know.
        """
        if len(octets) < 8 or octets[0] >> 5 != 2 or int.from_bytes(octets[2:4], "big") != len(octets) - 4:
            raise Malformed(f"no GTPv2-C message: {octets[:HEADER_OCTETS].hex()}")
        kind = _known(Kind, octets[1])
        try:
            packet = gtp_v2.GTPHeader(octets)
        except struct.error as error:
            raise Malformed(f"{kind.name} that ends within an element: {error}") from None
        elements = getattr(packet.payload, "IE_list", None) or []
        return cls(kind=kind, teid=int(packet.teid or 0), sequence=int(packet.seq), **_held(elements, ControlMessage))


def _fteid(one: FTeid, instance: int) -> Any:
    return gtp_v2.IE_FTEID(
        instance=instance, ipv4_present=1, InterfaceType=one.interface, GRE_Key=one.teid, ipv4=one.address
    )


def _bearer_elements(kind: Kind, bearer: BearerContext) -> Iterator[Any]:
    yield gtp_v2.IE_EPSBearerID(EBI=bearer.ebi)
    if bearer.cause is not None:
        yield gtp_v2.IE_Cause(Cause=bearer.cause)
    for one in bearer.fteids:
        yield _fteid(one, _BEARER_INSTANCES[kind][one.interface])
    if bearer.qos:
        yield gtp_v2.IE_Bearer_QoS(PCI=1, PriorityLevel=8, PVI=0, QCI=9)
    if bearer.charging_id is not None:
        yield gtp_v2.IE_ChargingID(ChargingID=bearer.charging_id)


def _held(elements: list[Any], record: type[ControlMessage] | type[BearerContext]) -> dict[str, Any]:
    """Give what these elements hold of the record's fields; an element in the wrong place is passed over."""
    names = {one.name for one in fields(record)}
    return {name: value for name, value in _read(elements, record) if name in names}


def _read(elements: list[Any], record: type[ControlMessage] | type[BearerContext]) -> Iterator[tuple[str, Any]]:
    fteids = []
    for one in elements:
        match one:
            case gtp_v2.IE_IMSI():
                yield "imsi", text(one.IMSI)
            case gtp_v2.IE_Cause():
                yield "cause", _known(Cause, one.Cause)
            case gtp_v2.IE_EPSBearerID():
                yield "ebi" if record is BearerContext else "linked_ebi", int(one.EBI)
            case gtp_v2.IE_ServingNetwork():
                mcc = text(one.MCC)
                yield "plmn", mcc[:3] + text(one.MNC) + mcc[3:]
            case gtp_v2.IE_RAT():
                yield "rat", int(one.RAT_type)
            case gtp_v2.IE_Indication():
                yield "forward", bool(one.length and one.OI)
            case gtp_v2.IE_APN():
                yield "apn", text(one.APN)
            case gtp_v2.IE_PAA() if one.PDN_type == IPV4:
                yield "address", str(one.ipv4)
            case gtp_v2.IE_FTEID() if one.ipv4_present:
                fteids.append(FTeid(_known(Interface, one.InterfaceType), int(one.GRE_Key), str(one.ipv4)))
            case gtp_v2.IE_BearerContext():
                yield "bearer", BearerContext(**_held(one.IE_list or [], BearerContext))
            case gtp_v2.IE_Bearer_QoS():
                yield "qos", True
            case gtp_v2.IE_ChargingID():
                yield "charging_id", int(one.ChargingID)
            case gtp_v2.IE_RecoveryRestart():
                yield "recovery", int(one.restart_counter)
    yield "fteids", tuple(fteids)


def _known(numbers: type[_Number], value: int) -> _Number:
    try:
        return numbers(value)
    except ValueError:
        raise Malformed(f"{numbers.__name__} {value}") from None
