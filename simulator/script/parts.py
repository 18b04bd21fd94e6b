"""Who takes part in a scenario, as its file describes them: operators, gateways, sessions with their packet filters."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final, TypeVar

from simulator.gateway import WATCHDOG_SECONDS
from simulator.messages import APN, ServiceKey
from simulator.plane.filters import TCP, UDP, Filter
from simulator.script.fields import needed, option, read
from simulator.script.measure import integer, octets, positive, rating_group, seconds
from simulator.script.step import make
from simulator.script.value import Value
from simulator.subscriber import ATTEMPTS

P = TypeVar("P")

PROTOCOLS: Final = {"tcp": TCP, "udp": UDP}
PORT_MAX: Final = 2**16 - 1

_APN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
APN_OCTETS_MAX: Final = 100


def digits(value: Value) -> str:
    """Give what an IMSI begins with.

    Raises:
        ScriptError: anything but 5 to 15 digits.
    """
    found = value.scalar("digits")
    if not (found.isdecimal() and found.isascii() and 5 <= len(found) <= 15):
        raise value.should_be("5 to 15 digits")
    return found


def apn(value: Value) -> str:
    """Give the name of an APN (TS 23.003 clause 9.1).

    Raises:
        ScriptError: anything but labels of letters, digits and hyphens.
    """
    found = value.scalar("an APN")
    if not _APN.fullmatch(found) or len(found) >= APN_OCTETS_MAX:
        raise value.should_be("an APN in small letters, such as internet or ims")
    return found


def protocol(value: Value) -> int:
    """Give the number of a protocol over IP.

    Raises:
        ScriptError: it is neither `tcp`, `udp` nor a number of one octet.
    """
    found = value.scalar("a protocol")
    return PROTOCOLS[found] if found in PROTOCOLS else integer(value, 0, 255)


def ports(value: Value) -> tuple[int, int]:
    """Give the first and the last port of `443` or `5000 to 5100`.

    Raises:
        ScriptError: it is neither.
    """
    found = re.fullmatch(r"([0-9]{1,5})(?: to ([0-9]{1,5}))?", value.scalar("a port"))
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not first <= last <= PORT_MAX:
        raise value.should_be("a port such as 443, or ports such as 5000 to 5100")
    return first, last


def network(value: Value) -> IPv4Network:
    """Give the network of a remote end.

    Raises:
        ScriptError: it is none.
    """
    try:
        return IPv4Network(value.scalar("a network"))
    except ValueError:
        raise value.should_be("an IPv4 network such as 203.0.113.0/24") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffPart:
    """A home operator's tariff: credits for a started block of octets."""

    price: int = option(integer, 1)
    per_octets: int = option(octets, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPart:
    """A home operator: what it is credited with, what it pays, and the largest grant to its subscribers."""

    credit: int = option(integer, 1_000_000_000)
    tariff: TariffPart = option(lambda value: read(TariffPart, value), TariffPart())
    grant_max: int | None = option(octets)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPart:
    """A gateway of the scenario; the first one has the name of the command line, others put their own before it.

    Attributes:
        connects: whether it connects before the first step.
    """

    profile: str = option(make, "")
    tx: float = option(seconds, 0.0)
    watchdog: float = option(seconds, WATCHDOG_SECONDS)
    connects: bool = option(Value.boolean, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterPart:
    """Which packets belong to a service, by protocol and remote end; what is not named matches any."""

    service: int = needed(rating_group)
    protocol: int | None = option(protocol)
    ports: tuple[int, int] | None = option(ports)
    network: IPv4Network | None = option(network)

    def made(self) -> Filter:
        return Filter(key=ServiceKey(self.service), protocol=self.protocol, ports=self.ports, network=self.network)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPart:
    """A session, or a group of them that do everything together.

    Attributes:
        operator: whose subscribers; the first operator unless one is named, nobody's with `imsi`.
        imsi: what its IMSI begins with, for a subscriber of no operator here.
        services: its Rating-Groups; the make's own default quota without.
        subscriber: the group whose subscribers these are too, in place of operator and imsi.
        apn: what its bearers are connected to.
        tunnels: whether it is the bearer of a UE, and its octets are packets.
        filters: which packets belong to which of its services; those that none matches to the first service.
        signed: whether its use is signed, where anybody signs.
    """

    operator: str = option(lambda value: value.one_of(value.cast.operators, "operator"), "")
    gateway: str = option(lambda value: value.one_of(value.cast.gateways, "gateway"), "")
    imsi: str = option(digits, "")
    subscriber: str = option(lambda value: value.one_of(value.cast.sessions, "session described before"), "")
    count: int = option(positive, 1)
    services: tuple[int, ...] = option(lambda value: value.listed(rating_group), ())
    apn: str = option(apn, APN)
    tunnels: bool = option(Value.boolean, False)
    filters: tuple[FilterPart, ...] = option(lambda value: value.listed(lambda one: read(FilterPart, one)), ())
    attempts: int = option(positive, ATTEMPTS)
    signed: bool = option(Value.boolean, True)


def read_sessions(value: Value | None) -> dict[str, SessionPart]:
    """Read the sessions; one may refer to another that stands before it.

    Raises:
        ScriptError: one is wrong by itself, or contradicts itself.
    """
    found: dict[str, SessionPart] = {}
    for name, one in value.mapping().items() if value is not None else ():
        part = found[name] = read(SessionPart, one)
        if part.subscriber and (part.operator or part.imsi or part.count != 1):
            raise one.wrong(f"{name}: subscriber says whose and how many; leave operator, imsi and count out")
        if part.filters and not part.tunnels:
            raise one.wrong(f"{name}: filters sort packets; say tunnels: yes")
        for unknown in {rule.service for rule in part.filters} - set(part.services):
            raise one.wrong(f"{name} has no Rating-Group {unknown}; name it in its services")
        one.cast.sessions[name] = part.services
        if part.tunnels:
            one.cast.tunnels.add(name)
    return found


def read_parts(value: Value | None, kind: type[P]) -> dict[str, P]:
    """Read those who take part, by name; none where nobody is named."""
    return {name: read(kind, one) for name, one in value.mapping().items()} if value is not None else {}
