"""The habits of real gateways, as data: what their CCRs look like and how they take an answer.

A `Profile` names AVPs in the order its gateway sends them; `simulator.messages` lays a request out in that order.
Where a gateway departs from the standards the profile departs too: the server must live with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from simulator.wire import VENDOR_3GPP, Avp, avp


class RequestType(IntEnum):
    """CC-Request-Type (RFC 8506 section 8.3)."""

    INITIAL = 1
    UPDATE = 2
    TERMINATION = 3


class TerminationCause(IntEnum):
    """RFC 6733 section 8.15."""

    LOGOUT = 1
    ADMINISTRATIVE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One make of gateway.

    Attributes:
        layout: command-level AVPs of the CCR in order; what a request does not have is left out.
        service_layout: members of an MSCC in order.
        ps_layout: members of PS-Information in order.
        rating_group: the Rating-Group of the default quota; None sends no key at all.
        requested: members of the Requested-Service-Unit; none lets the server choose.
        counters: members of the Used-Service-Unit in order.
        multiple_services: the Multiple-Services-Indicator by request type.
        destination_is_own_realm: whether Destination-Realm repeats the gateway's own realm.
        report_percent: reports by itself when this part of a grant is used, whatever threshold the server sent.
        blocks_at_quota: whether traffic stops when the grant is used up.
        honours_reauth, honours_abort: whether RAR and ASR have an effect.
        refusal_ends_session: whether this Result-Code in an MSCC ends the whole session, by its class (4 or 5).
        initial_only: members of PS-Information that only a CCR-I holds.
        termination_cause: the one cause this gateway knows; None sends the true one.
        extra: AVPs with a fixed value that every CCR holds, placed by `layout`.
        final_ends_session: whether used-up final units end the session at once rather than stop one service.
    """

    name: str
    product_name: str
    vendor_id: int
    layout: tuple[str, ...]
    service_layout: tuple[str, ...]
    ps_layout: tuple[str, ...]
    service_context_id: str
    session_suffix: str
    rating_group: int | None
    requested: tuple[tuple[str, int], ...]
    counters: tuple[str, ...]
    multiple_services: Mapping[RequestType, int]
    destination_is_own_realm: bool = False
    report_percent: int | None = None
    blocks_at_quota: bool = True
    honours_reauth: bool = True
    honours_abort: bool = True
    refusal_ends_session: frozenset[int] = frozenset()
    final_ends_session: bool = False
    initial_only: frozenset[str] = frozenset()
    termination_cause: TerminationCause | None = None
    extra: tuple[Avp, ...] = ()

    def new_session_id(self, host: str, high: int, low: int, imsi: str) -> bytes:
        """Make a Session-Id in this gateway's own form (RFC 6733 section 8.8)."""
        return f"{host};{high};{low}{self.session_suffix.format(imsi=imsi)}".encode()


STANDARD: Final = Profile(
    name="standard",
    product_name="session-purchaser-simulator",
    vendor_id=VENDOR_3GPP,
    layout=(
        "Session-Id", "Origin-Host", "Origin-Realm", "Destination-Realm", "Auth-Application-Id", "Service-Context-Id",
        "CC-Request-Type", "CC-Request-Number", "Destination-Host", "Event-Timestamp", "Subscription-Id",
        "Termination-Cause", "Multiple-Services-Indicator", "Multiple-Services-Credit-Control", "Service-Information",
    ),
    service_layout=(
        "Requested-Service-Unit", "Used-Service-Unit", "Service-Identifier", "Rating-Group", "Reporting-Reason",
    ),
    ps_layout=(
        "3GPP-Charging-Id", "3GPP-PDP-Type", "PDP-Address", "SGSN-Address", "GGSN-Address", "Called-Station-Id",
        "3GPP-IMSI-MCC-MNC", "3GPP-SGSN-MCC-MNC", "3GPP-RAT-Type",
    ),
    service_context_id="8.32251@3gpp.org",
    session_suffix="",
    rating_group=1,
    requested=(),
    counters=("CC-Total-Octets", "CC-Input-Octets", "CC-Output-Octets"),
    multiple_services={RequestType.INITIAL: 1},
)  # fmt: skip
"""An Ericsson, Huawei or ZTE style gateway: an empty Requested-Service-Unit lets the server choose."""

OPEN5GS: Final = Profile(
    name="open5gs",
    product_name="freeDiameter",
    vendor_id=0,
    layout=(
        "Session-Id", "Origin-Host", "Origin-Realm", "Destination-Realm", "Auth-Application-Id", "Service-Context-Id",
        "CC-Request-Type", "CC-Request-Number", "Destination-Host", "Event-Timestamp", "Subscription-Id",
        "Termination-Cause", "Requested-Action", "AoC-Request-Type", "Multiple-Services-Indicator",
        "Multiple-Services-Credit-Control", "Service-Information",
    ),
    service_layout=("Requested-Service-Unit", "Used-Service-Unit", "Reporting-Reason", "QoS-Information"),
    ps_layout=(
        "3GPP-Charging-Id", "3GPP-PDP-Type", "PDP-Address", "SGSN-Address", "GGSN-Address", "Called-Station-Id",
        "3GPP-Selection-Mode", "3GPP-SGSN-MCC-MNC", "3GPP-NSAPI", "3GPP-RAT-Type",
    ),
    service_context_id="32251@3gpp.org",
    session_suffix=";app_gy",
    rating_group=None,
    requested=(("CC-Total-Octets", 1_000_000),),
    counters=("CC-Time", "CC-Input-Octets", "CC-Output-Octets"),
    multiple_services={RequestType.INITIAL: 0},
    destination_is_own_realm=True,
    blocks_at_quota=False,
    honours_reauth=False,
    honours_abort=False,
    refusal_ends_session=frozenset({4, 5}),
    final_ends_session=True,
    initial_only=frozenset({"3GPP-PDP-Type"}),
    termination_cause=TerminationCause.LOGOUT,
    extra=(avp("Requested-Action", 0), avp("AoC-Request-Type", 1)),
)  # fmt: skip
"""Open5GS' SMF on freeDiameter: one quota for the bearer without a key, deltas of input and output, no RAR."""

MAGMA: Final = Profile(
    name="magma",
    product_name="magma",
    vendor_id=VENDOR_3GPP,
    layout=(
        "Session-Id", "Multiple-Services-Credit-Control", "Destination-Host", "Service-Information", "Event-Timestamp",
        "Auth-Application-Id", "CC-Request-Type", "Service-Context-Id", "CC-Request-Number", "Subscription-Id",
        "Multiple-Services-Indicator", "Origin-Host", "Origin-Realm", "Origin-State-Id", "Destination-Realm",
    ),
    service_layout=(
        "Rating-Group", "Service-Identifier", "Requested-Service-Unit", "Reporting-Reason", "Used-Service-Unit",
    ),
    ps_layout=(
        "3GPP-PDP-Type", "3GPP-RAT-Type", "3GPP-Selection-Mode", "3GPP-NSAPI", "CG-Address", "PDP-Address",
        "SGSN-Address", "GGSN-Address", "3GPP-SGSN-MCC-MNC", "3GPP-GGSN-MCC-MNC", "Called-Station-Id",
        "3GPP-Charging-Id",
    ),
    service_context_id="32251@3gpp.org",
    session_suffix=";IMSI{imsi}",
    rating_group=1,
    requested=(("CC-Input-Octets", 10_000_000), ("CC-Output-Octets", 10_000_000), ("CC-Total-Octets", 10_000_000)),
    counters=("CC-Input-Octets", "CC-Output-Octets", "CC-Total-Octets"),
    multiple_services={RequestType.INITIAL: 1, RequestType.UPDATE: 1, RequestType.TERMINATION: 1},
    report_percent=80,
    refusal_ends_session=frozenset({5}),
    final_ends_session=True,
    extra=(avp("Origin-State-Id", 1_700_000_000),),
)  # fmt: skip
"""Magma's session_proxy: an order of its own, all three counters, a report at 80 % of each grant."""

PROFILES: Final = {profile.name: profile for profile in (STANDARD, OPEN5GS, MAGMA)}
