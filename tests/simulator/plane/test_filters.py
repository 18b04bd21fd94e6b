"""Which service a packet belongs to, and what a meter makes of many."""

import struct
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.messages import ServiceKey, Volume
from simulator.plane.filters import TCP, UDP, Filter, Filters, Flow, read_flow
from simulator.plane.layers import Malformed
from simulator.plane.meter import BearerMeter

DEFAULT, WEB, HOME, DNS = (ServiceKey(group) for group in (1, 2, 3, 4))
UE, SERVER = IPv4Address("10.45.0.1"), IPv4Address("198.51.100.10")
FILTERS = Filters(
    DEFAULT,
    (
        Filter(key=HOME, network=IPv4Network("192.0.2.0/24")),
        Filter(key=WEB, protocol=TCP, ports=(80, 443)),
        Filter(key=DNS, protocol=UDP, ports=(53, 53)),
        Filter(key=WEB, protocol=UDP, ports=(443, 443)),
    ),
)


def packet(protocol: int, ports: tuple[int, int], body: bytes = b"", *, up: bool, fragment: int = 0) -> bytes:
    """Build an IPv4 packet by hand; `ports` are the UE's and the server's."""
    ends, numbers = ((UE, SERVER), ports) if up else ((SERVER, UE), ports[::-1])
    inner = struct.pack("!HH", *numbers) + body
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inner), 1, fragment, 64, protocol, 0)
    return header + ends[0].packed + ends[1].packed + inner


@pytest.mark.parametrize("up", [True, False])
def test_both_directions_have_the_same_remote_end(up: bool) -> None:
    octets = packet(TCP, (50_000, 443), bytes(100), up=up)
    assert read_flow(octets, up=up) == Flow(len(octets), up, TCP, UE, SERVER, 443)


@pytest.mark.parametrize(
    ("protocol", "port", "remote", "key"),
    [
        (TCP, 443, "198.51.100.10", WEB),
        (TCP, 80, "198.51.100.10", WEB),
        (TCP, 444, "198.51.100.10", DEFAULT),
        (TCP, 79, "198.51.100.10", DEFAULT),
        (UDP, 443, "198.51.100.10", WEB),
        (UDP, 80, "198.51.100.10", DEFAULT),
        (UDP, 53, "198.51.100.10", DNS),
        (TCP, 443, "192.0.2.255", HOME),  # the first filter that matches
        (TCP, 443, "192.0.3.0", WEB),
        (1, None, "198.51.100.10", DEFAULT),
        (1, None, "192.0.2.1", HOME),
        (TCP, None, "198.51.100.10", DEFAULT),  # a later fragment shows no port
    ],
)
def test_the_first_filter_that_matches_names_the_service(protocol, port, remote, key) -> None:
    flow = Flow(100, True, protocol, UE, IPv4Address(remote), port)
    assert FILTERS.keys[FILTERS.service(flow)] == key


def test_each_service_has_one_place() -> None:
    assert FILTERS.keys == (DEFAULT, HOME, WEB, DNS)


def test_only_the_first_fragment_shows_its_ports() -> None:
    more, later = 0x2000, 185
    assert read_flow(packet(UDP, (1, 53), up=True, fragment=more), up=True).port == 53
    assert read_flow(packet(UDP, (1, 53), up=True, fragment=later), up=True).port is None


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        packet(TCP, (1, 2), up=True)[:19],
        packet(TCP, (1, 2), up=True) + b"\0",
        packet(TCP, (1, 2), up=True)[:-1],
        b"\x60" + packet(TCP, (1, 2), up=True)[1:],
        b"\x44" + packet(TCP, (1, 2), up=True)[1:],
        b"\x4f" + packet(TCP, (1, 2), up=True)[1:],
    ],
)
def test_what_is_no_packet(octets: bytes) -> None:
    with pytest.raises(Malformed):
        read_flow(octets, up=True)


packets = st.tuples(
    st.booleans(), st.booleans(), st.sampled_from([TCP, UDP]), st.integers(0, 65_535), st.binary(max_size=60)
)


@given(st.lists(packets, max_size=40))
def test_a_meter_adds_up_to_the_octet(crossing: list[tuple[bool, bool, int, int, bytes]]) -> None:
    """Whatever comes in whatever order: each octet is in one count, in its direction, let through or not."""
    meter = BearerMeter(len(FILTERS.keys))
    expected = {(passed, up): 0 for passed in (True, False) for up in (True, False)}
    by_service = dict.fromkeys(FILTERS.keys, 0)
    for passed, up, protocol, port, body in crossing:
        octets = packet(protocol, (40_000, port), body, up=up)
        flow = read_flow(octets, up=up)
        meter.services[FILTERS.service(flow)].add(flow, forwarded=passed)
        expected[passed, up] += len(octets)
        web = (protocol == TCP and 80 <= port <= 443) or (protocol == UDP and port == 443)
        by_service[WEB if web else DNS if (protocol, port) == (UDP, 53) else DEFAULT] += len(octets)
    assert meter.forwarded == Volume(expected[True, True], expected[True, False])
    assert meter.dropped == Volume(expected[False, True], expected[False, False])
    for key, count in zip(FILTERS.keys, meter.services, strict=True):
        assert count.forwarded.total + count.dropped.total == by_service[key]
    assert sum(one.packets_forwarded + one.packets_dropped for one in meter.services) == len(crossing)
