"""Scenarios' files are read strictly: each mistake is told with its file, its line, and what was meant."""

import dataclasses
import re
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from places import DOCS
from simulator.messages import ServiceKey
from simulator.plane.filters import UDP, Filter
from simulator.plane.traffic import Kind
from simulator.profile import OPEN5GS, STANDARD
from simulator.quota import Quota
from simulator.script import expectation
from simulator.script.document import (
    NEEDS,
    TOP,
    Script,
    document,
)
from simulator.script.fields import keys, read
from simulator.script.invariants import INVARIANTS
from simulator.script.library import find
from simulator.script.measure import Amount, Bounds, amount, bounds, integer, octets, percent, seconds
from simulator.script.parts import PROTOCOLS, FilterPart, GatewayPart, OperatorPart, SessionPart, TariffPart
from simulator.script.step import VERBS, options
from simulator.script.steps.channel import STATES, ChannelExpect
from simulator.script.steps.raw import TYPES, Extra
from simulator.script.steps.session import AWAITED
from simulator.script.value import DEPTH_MAX, FILE_OCTETS_MAX, ScriptError, Value, parse_yaml, read_yaml
from simulator.settlement.dishonest import SCHEMES

GOOD = """scenario: mine
shows: Something.
needs: [accounts]
gateways:
  sgw: {}
operators:
  home: {credit: 5, tariff: {price: 2, per_octets: 1 kB}}
sessions:
  first: {services: [1, 2]}
steps:
  - attach: first
    note: begun
    expect: {code: 2001, granted: some}
  - use: first
    octets: 5 MB
  - repeat_last: first
    expect: {same_answer_as: begun}
"""


def script(text: str) -> Script:
    return document(parse_yaml(text, "mine.yaml"))


def test_a_good_file_is_read():
    read = script(GOOD)
    assert (read.name, read.shows, read.needs) == ("mine", "Something", ("accounts",))
    assert read.operators["home"].tariff == TariffPart(price=2, per_octets=1000)
    places = ["line 11, attach: first", "line 14, use: first", "line 16, repeat_last: first"]
    assert [step.at for step in read.steps] == places
    assert read.invariants == tuple(INVARIANTS)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("shows: Something.", "show: Something.", "2: 'show' is unknown here; did you mean shows?"),
        ("scenario: mine", "scenario: My Scene", "1: scenario is small letters, digits and hyphens, not My Scene"),
        ("shows: Something.", "shows: []", "2: shows is text, not a list"),
        ("[accounts]", "[acounts]", "3: needs: 'acounts' is no thing to need; did you mean accounts?"),
        ("sgw: {}", "sgw: {profil: magma}", "5: 'profil' is unknown here; did you mean profile?"),
        ("sgw: {}", "sgw: {profile: magna}", "5: profile: 'magna' is no make of gateway; did you mean magma?"),
        ("sgw: {}", "sgw: {connects: maybe}", "5: connects is yes or no, not maybe"),
        ("credit: 5", "credit: five", "7: credit is a whole number from 0 on, not five"),
        ("credit: 5", "credit: -5", "7: credit is a whole number from 0 on, not -5"),
        ("credit: 5", "credit: 5, credit: 6", "7: credit is there twice"),
        ("credit: 5", "credit: 010", "7: credit is a whole number from 0 on, not 010"),
        ("price: 2", "price: 1.5", "7: price is a whole number from 0 on, not 1.5"),
        ("1 kB", "1 KB", "7: per_octets is a number such as"),
        ("services: [1, 2]", "operator: hom", "9: operator: 'hom' is no operator; did you mean home?"),
        ("first: {services: [1, 2]}", 'first: {imsi: "12"}', "9: imsi is 5 to 15 digits, not 12"),
        ("first: {services: [1, 2]}", "first: {count: 0}", "9: count is a whole number from 1 to 10000, not 0"),
        ("- attach: first", "- atach: first", "11: 'atach' is no verb; did you mean attach?"),
        ("- attach: first", "- attach: fist", "11: attach: 'fist' is no session; did you mean first?"),
        ("- attach: first", "- attach: first\n    detach: first", "11: a step has one verb, not attach and detach"),
        ("note: begun", "nota: begun", "12: attach takes no 'nota'; did you mean note?"),
        ("code: 2001", "cod: 2001", "13: 'cod' is unknown here; did you mean code?"),
        ("code: 2001", "code: 9000", "13: code is a whole number from 1000 to 5999, not 9000"),
        ("granted: some", "granted: lots", "13: granted is a number such as"),
        ("granted: some", "granted: 5 MB to 1 MB", "13: granted is a range from less to more"),
        ("    octets: 5 MB\n", "", "14: octets is missing"),
        ("octets: 5 MB", "octets: all of it", "15: octets is a number such as"),
        ("octets: 5 MB", "octets: 5 MB\n    service: 3", "16: first has no Rating-Group 3; name it in its services"),
        ("octets: 5 MB", "octets: 5 MB\n    up: 120%", "16: up is 0 to 100 %, not 120%"),
        ("answer_as: begun", "answer_as: began", "17: same_answer_as: 'began' is no noted answer; did you mean begun"),
        ("- use: first", "- wait: 5\n  - use: first", "14: wait is a time such as"),
        ("- attach: first", "- attach: &a [*a]", "11: attach is one session, not a list"),
        ("  - attach: first", "\t- attach: first", "11: found character"),
        ("[1, 2]}", "[1, 2], apn: My_APN}", "9: apn is an APN in small letters, such as internet or ims, not My_APN"),
        ("[1, 2]}", "[1, 2], subscriber: first}", "9: subscriber: 'first' is no session described before"),
        ("[1, 2]}", "[1], tunnels: yes, filters: [{service: 2}]}", "9: first has no Rating-Group 2; name it in its"),
        ("[1, 2]}", "[1], filters: [{service: 1}]}", "9: first: filters sort packets; say tunnels: yes"),
        ("[1, 2]}", "[1], tunnels: yes, filters: [{ports: 1}]}", "9: service is missing"),
        ("[1, 2]}", "[1, 2], tunnels: yes}", "14: first has tunnels, and use moves no packets; use packets"),
        ("- use: first\n    octets", "- hand_over: first\n    to: sgw\n    #", "14: first has no tunnels; say"),
        ("granted: some", "signalling: [Gy CCR]", "13: signalling: 'Gy CCR' is no message; did you mean Gy CCR-"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(old: str, new: str, told: str):
    assert old in GOOD
    with pytest.raises(ScriptError, match="^mine.yaml:" + re.escape(told)):
        script(GOOD.replace(old, new, 1))


@pytest.mark.parametrize("key", ["scenario", "shows", "steps"])
def test_what_must_be_there(key: str):
    text = "".join(f"{one}: x\n" for one in ("scenario", "shows", "steps") if one != key)
    with pytest.raises(ScriptError, match=f"{key} is missing"):
        script(text)


def test_what_is_no_file_of_yaml(tmp_path: Path):
    for octets_, told in (
        (b"", "there is nothing in it"),
        (b"\xff\xfe", "not UTF-8 at octet 0"),
        (b"a: 1\n---\nb: 2\n", "but found another document"),
        (b"x" * (FILE_OCTETS_MAX + 1), "more than"),
        (b"- " * 5000, "recursion"),
    ):
        file = tmp_path / "file.yaml"
        file.write_bytes(octets_)
        with pytest.raises(ScriptError, match=told):
            document(read_yaml(file))
    with pytest.raises(ScriptError, match="No such file"):
        find(str(tmp_path / "none.yaml"))
    with pytest.raises(ScriptError, match="did you mean attach"):
        find("atach")


def test_steps_nest_so_far_and_no_further():
    step = "{wait: 1 s}"
    for _ in range(DEPTH_MAX + 1):
        step = f"{{again: [{step}], times: 1}}"
    with pytest.raises(ScriptError, match="lists within lists"):
        script(f"scenario: deep\nshows: x\nsteps: [{step}]\n")


def value(text: str) -> Value:
    return dataclasses.replace(parse_yaml(text, "f"), key="it")


def test_measures():
    assert [octets(value(one)) for one in ("0", "12_345", "3 kB", "10 MB", "2GB")] == [0, 12345, 3000, 10**7, 2 * 10**9]
    assert [seconds(value(one)) for one in ("300 ms", "1.5 s", "2 min", "1 h")] == [0.3, 1.5, 120, 3600]
    assert [percent(value(one)) for one in ("0", "80%", "100 %")] == [0, 80, 100]
    assert bounds(value("at least 1 MB")) == Bounds(10**6, None)
    assert bounds(value("none")) == Bounds(0, 0)
    assert bounds(value("some")) == Bounds(1, None)
    assert bounds(value("at most 5")) == Bounds(0, 5)
    assert bounds(value("1 to 5 MB")) == Bounds(1, 5 * 10**6)
    assert str(bounds(value("3 MB"))) == "3,000,000"
    for wrong in ("1e3", "0x10", "+1", "1 MiB", "[1]", "{}", "~", "１"):
        with pytest.raises(ScriptError):
            integer(value(wrong))
        with pytest.raises(ScriptError):
            bounds(value(wrong))


@pytest.mark.parametrize(
    ("filter_", "told"),
    [
        ("protocol: icmp", "protocol is a whole number from 0 to 255, not icmp"),
        ("ports: 0x50", "ports is a port such as 443, or ports such as 5000 to 5100, not 0x50"),
        ("ports: 9 to 8", "ports is a port such as"),
        ("ports: 65536", "ports is a port such as"),
        ("network: 203.0.113.1/24", "network is an IPv4 network such as 203.0.113.0/24, not 203.0.113.1/24"),
    ],
)
def test_a_filter_that_matches_nothing_is_told(filter_: str, told: str):
    with pytest.raises(ScriptError, match=re.escape(told)):
        read(FilterPart, parse_yaml(f"{{service: 1, {filter_}}}", "f"))


def test_filters_are_read():
    text = "{service: 7, protocol: udp, ports: 5000 to 5100, network: 203.0.113.0/24}"
    made = read(FilterPart, parse_yaml(text, "f")).made()
    assert made == Filter(key=ServiceKey(7), protocol=UDP, ports=(5000, 5100), network=IPv4Network("203.0.113.0/24"))
    assert read(FilterPart, parse_yaml("{service: 7, protocol: 1, ports: 80}", "f")).made().ports == (80, 80)


def test_a_subscriber_of_two_sessions_is_described_once():
    second = "first: {services: [1, 2]}\n  second: {subscriber: first, count: 2}"
    with pytest.raises(ScriptError, match="10: second: subscriber says whose and how many; leave operator"):
        script(GOOD.replace("first: {services: [1, 2]}", second))


def test_amounts_are_parts_of_a_grant():
    quota = Quota(ServiceKey(1), granted=1000, threshold=200, used=100)
    for text, expected in (
        ("77", 77), ("whole grant", 1000), ("50% of grant", 500), ("grant and 2 kB", 3000), ("to report", 700),
    ):  # fmt: skip
        assert amount(value(text)).of(quota, STANDARD) == expected
    assert Amount(to_report=True).of(dataclasses.replace(quota, used=5000), OPEN5GS) == 0


def test_the_page_tells_of_every_key():
    """docs/scenarios.md is all there is to the format: each verb, option, expectation and word of a list is there."""
    page = set(re.findall(r"`([^`\n]+)`", (DOCS / "scenarios.md").read_text()))
    told = {
        *TOP,
        *NEEDS,
        *INVARIANTS,
        *VERBS,
        *AWAITED,
        *TYPES,
        *STATES,
        *(scheme.name for scheme in SCHEMES),
        *PROTOCOLS,
        *Kind,
    }
    for kind in (
        GatewayPart, OperatorPart, SessionPart, FilterPart, TariffPart, Extra, ChannelExpect,
        expectation.SessionExpect, expectation.ConnectionExpect, expectation.BalanceExpect,
    ):  # fmt: skip
        told |= set(keys(kind))
    for kind in VERBS.values():
        told |= set(options(kind))
    assert told - page == set()
