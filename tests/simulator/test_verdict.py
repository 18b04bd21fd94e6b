"""What is written about a run: nothing lost, nothing unescaped, and each form readable by its own reader."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from simulator.accounts import Balance
from simulator.checks import Findings, Rule, Violation
from simulator.load import Result, Second
from simulator.load.process import Sample
from simulator.load_run import Books
from simulator.messages import Volume
from simulator.plane.account import Account
from simulator.plane.traffic import Kind
from simulator.profile import STANDARD
from simulator.record import VIOLATIONS_KEPT, Record
from simulator.scenario import Outcome
from simulator.verdict.flat import flat
from simulator.verdict.junit import Case, junit
from simulator.verdict.load import Limit, LoadReport
from simulator.verdict.page import Mark, Page, Section, Table
from simulator.verdict.plot import Plot, Series, histogram, rate
from simulator.verdict.scenes import Verdict

HOSTILE = "</script><script>alert('&\"')</script>\x00\x1b[31m"


class WellFormed(HTMLParser):
    """Insists that tags nest, and keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(html: str) -> WellFormed:
    reader = WellFormed()
    reader.feed(html)
    assert reader.open == []
    return reader


def a_record() -> Record:
    record = Record()
    record.requests.update([1, 2, 3])
    for code, seconds, moment in ((2001, 0.001, 10.1), (2001, 0.003, 10.2), (4012, 0.5, 11.0)):
        record.answered(code, seconds, moment)
    record.judged(Findings([(Rule.GRANT_ZERO, True, ""), (Rule.GRANT_ZERO, True, ""), (Rule.COMMAND, True, "")]))
    return record


def a_verdict(record: Record) -> Verdict:
    scenario = SimpleNamespace(name="attach", shows="CCR-I is answered with a grant")
    outcome = Outcome(scenario, STANDARD, record, 1.5, 10.0, Volume(5, 6))
    return Verdict(server="127.0.0.1:3868", at="2026-01-01T00:00:00+00:00", outcomes=[outcome])


def test_a_rule_is_kept_broken_or_not_seen() -> None:
    record = a_record()
    record.broken([Violation(Rule.RESULT, "4012, expected 2001")])
    record.judged(Findings([(Rule.GRANT_ZERO, False, "CC-Total-Octets is 0")]))
    (scene,) = json.loads(a_verdict(record).to_json())["scenes"]
    rules = {one["rule"]: (one["looked"], one["kept"], one["broken"]) for one in scene["rules"]}
    assert rules["grant-zero"] == (3, 2, 1)
    assert rules["unexpected-result"] == (1, 0, 1)
    assert rules["command-not-echoed"] == (1, 1, 0)
    assert rules["final-unit-indication"] == (0, 0, 0)
    assert not scene["holds"]
    assert scene["latency_ms"]["longest"] == 500
    assert scene["reported_octets"] == {"up": 5, "down": 6}


def test_where_packets_went_is_told() -> None:
    accounts = (
        Account(imsi="001010000000001", kinds=(Kind.WEB,), moved=False, offered=Volume(7, 900), metered=Volume(7, 800),
                delivered=Volume(7, 800), dropped=Volume(0, 60), reported=Volume(7, 800)),
        Account(imsi="001010000000002", kinds=(), moved=False, offered=Volume(5), metered=Volume(5)),
    )  # fmt: skip
    verdict = a_verdict(a_record())
    verdict = replace(verdict, outcomes=[replace(one, packets=accounts) for one in verdict.outcomes])
    exact, wrong = json.loads(verdict.to_json())["scenes"][0]["packets"]
    assert (exact["exact"], exact["without_tunnel"], exact["passed"]) == (True, 40, {"up": 7, "down": 800})
    assert (wrong["exact"], wrong["delivered"]) == (False, {"up": 0, "down": 0})
    html = verdict.to_html()
    assert parsed(html)
    assert "7 + 800" in html
    assert "does not add up" in html


def test_what_is_broken_is_counted_beyond_what_is_kept() -> None:
    record = Record()
    for _ in range(3):
        record.broken([Violation(Rule.RESULT, "no")] * VIOLATIONS_KEPT)
    assert len(record.violations) == VIOLATIONS_KEPT
    assert record.looks[Rule.RESULT] == record.faults[Rule.RESULT] == 3 * VIOLATIONS_KEPT


def test_expectations_are_told_one_by_one() -> None:
    record = Record()
    record.expected("attach", "a grant", held=True)
    record.expected("detach", "2001", held=False)
    verdict = a_verdict(record)
    assert not verdict.holds
    cases = ElementTree.fromstring(verdict.to_junit()).findall(".//testcase")
    assert [one.get("name") for one in cases[:3]] == ["scene", "attach: a grant", "detach: 2001"]
    assert [one.find("failure") is not None for one in cases[:3]] == [False, False, True]
    assert "a grant" in verdict.to_html()


def test_a_page_needs_nothing_and_lets_nothing_through() -> None:
    record = a_record()
    record.broken([Violation(Rule.RESULT, HOSTILE, HOSTILE.encode())])
    html = a_verdict(record).to_html()
    reader = parsed(html)
    tags = {tag for tag, _ in reader.seen}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "a"}
    assert not re.findall(r"(?:https?:)?//|url\(|@import", html)
    assert not [name for _, attributes in reader.seen for name in attributes if name.startswith("on")]
    assert ("html", {"lang": "en"}) in reader.seen
    assert all(attributes["scope"] in ("col", "row") for tag, attributes in reader.seen if tag == "th")
    assert all(attributes["aria-label"] for tag, attributes in reader.seen if tag == "svg")
    tables = sum(tag == "table" for tag, _ in reader.seen)
    assert tables == sum(tag == "caption" for tag, _ in reader.seen) > 3
    assert "prefers-color-scheme:dark" in html


def test_a_plot_is_as_good_as_its_figures() -> None:
    plot = histogram("latencies", [0.3, 0.4, 0.6, 3.0, 200.0])
    assert sum(plot.series[0].values) == 5
    assert plot.labels[0] == "≤0.5"
    assert plot.labels[-1] == "≤256"
    assert plot.series[0].values[:2] == [2, 1]
    over_time = rate("rate", [0.0, 0.1, 0.15, 9.99])
    assert sum(over_time.series[0].values) * (10 / 100) == pytest.approx(4)
    assert over_time.labels[-1] == "9.9"
    assert histogram("none", []).is_empty
    assert rate("none", []).is_empty


@pytest.mark.parametrize("values", [[], [0.0], [1e-9], [5.0, 1e12, 0.0], [1.0] * 3000])
def test_any_figures_can_be_drawn(values: list[float]) -> None:
    labels = [HOSTILE] * len(values)
    for is_bars in (True, False):
        series = [Series(name=HOSTILE, values=values)] * (1 if is_bars else 3)
        plot = Plot(title=HOSTILE, across="x", up="y", labels=labels, series=series, is_bars=is_bars)
        parsed(Page(title="plot", verdict=Mark(None, "-"), sections=[Section(title="s", parts=[plot])]).html())
        assert "<script" not in plot.svg()


def test_cells_are_shown_by_what_they_are() -> None:
    table = Table(caption="c", columns=("a", "b", "d"), rows=[("x", 1_234_567, 0.5), ("y", 2, 1.0)])
    html = Page(title="t", verdict=Mark(True, "good"), sections=[Section(title="s", parts=[table])]).html()
    assert '<td class="number">1,234,567</td><td class="number">0.5</td>' in html
    assert '<th scope="row">x</th>' in html
    assert '<span class="good">✔ good</span>' in html


def test_junit_is_what_build_servers_read() -> None:
    cases = [
        Case(group="one", name="good", seconds=0.25, told="fine"),
        Case(group="one", name="bad", failures=[HOSTILE, "two"]),
        Case(group="other", name="unseen", left_out="nothing to see"),
    ]
    root = ElementTree.fromstring(junit("all", cases, {"server": HOSTILE}))
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("3", "1", "1")
    assert [suite.get("name") for suite in root] == ["one", "other"]
    failures = root.findall(".//failure")
    assert [one.text for one in failures] == [HOSTILE.replace("\x00", "\ufffd").replace("\x1b", "\ufffd"), "two"]


def test_a_load_that_was_charged_twice_does_not_hold() -> None:
    nothing = {"credited": 100, "reserved": 0, "overrun": 0}
    before = Balance(available=90, consumed=10, **nothing)
    after = Balance(available=70, consumed=30, **nothing)
    assert Books(operator="o", before=before, after=after, due=20).hold
    assert not Books(operator="o", before=before, after=after, due=10).hold
    held = Balance(available=65, consumed=30, **{**nothing, "reserved": 5})
    assert not Books(operator="o", before=before, after=held, due=20).hold


def test_a_load_says_what_failed() -> None:
    limits = [
        Limit(asks="p99 at most 1 ms", found="p99 is 9 ms", holds=False),
        Limit(asks="answers came", found="7 answers", holds=True),
    ]
    result = Result(answers=7, busy=0.9, faults=[HOSTILE])
    report = LoadReport(server="s", at="t", shape="steady", result=result, samples=[], books=None, limits=limits)
    parsed(report.to_html())
    assert "lower bound" in report.to_html()
    assert "p99 is 9 ms" in report.to_html()
    assert json.loads(report.to_json())["generator_was_the_bottleneck"]
    assert ElementTree.fromstring(report.to_junit()).get("failures") == "1"


def minutes(last: float = 1.0) -> Result:
    """Three minutes of load; p99 is `last` in the third."""
    latency = [9.0] * 60 + [1.0] * 60 + [last] * 60
    seconds = [Second(at=at, answers=100, errors=0, p50=0.5, p99=p99, longest=p99) for at, p99 in enumerate(latency)]
    return Result(seconds=seconds)


def test_a_load_is_flat_where_its_last_minute_is_as_its_second() -> None:
    memory = [Sample(at=at, cpu=0.5, resident=10**8 + (5 * 10**6 if at >= 120 else 0)) for at in range(180)]
    limits = list(flat(minutes(), memory, 5))
    assert [limit.asks.split()[0] for limit in limits] == ["rate", "p50", "p99", "memory"]
    assert all(limit.holds for limit in limits)
    assert [limit.holds for limit in flat(minutes(last=1.1), memory, 4.9)] == [True, True, False, False]
    assert not any(limit.holds for limit in flat(Result(), [], 5)), "nothing is flat that was not there"
