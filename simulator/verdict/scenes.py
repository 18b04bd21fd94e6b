"""The verdict on scenes: what was expected, each rule, times, traffic and money; as JSON, JUnit and page."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from simulator.checks import Rule
from simulator.plane.account import Account
from simulator.profile import RequestType
from simulator.record import Record
from simulator.scenario import Book, Outcome
from simulator.verdict.junit import Case, junit
from simulator.verdict.page import Mark, Page, Section, Table
from simulator.verdict.plot import histogram, rate

PERCENTILES: Final = (50, 90, 99, 99.9)
HOLDS: Final = Mark(True, "holds")
BROKEN: Final = Mark(False, "broken")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All scenes of one run.

    Attributes:
        server: whom they were played with, as `host:port`.
        at: when the run began, ISO 8601.
    """

    server: str
    at: str
    outcomes: Sequence[Outcome]

    @property
    def holds(self) -> bool:
        return all(_holds(one) for one in self.outcomes)

    def to_json(self) -> str:
        """Give everything; money as strings, latencies in milliseconds."""
        told = {
            "server": self.server,
            "at": self.at,
            "holds": self.holds,
            "scenes": [_described(one) for one in self.outcomes],
        }
        return json.dumps(told, indent=1, ensure_ascii=False) + "\n"

    def to_junit(self) -> str:
        """Give a suite for each scene: the scene itself, its expectations and the rules that were looked at."""
        cases = [case for one in self.outcomes for case in _cases(one)]
        return junit("ocs-sim run", cases, {"server": self.server, "at": self.at})

    def to_html(self) -> str:
        """Give the page."""
        broken = sum(not _holds(one) for one in self.outcomes)
        word = "everything holds" if self.holds else f"{broken} of {len(self.outcomes)} scenes do not hold"
        sections = [self._summary(), *(_section(one) for one in self.outcomes)]
        return Page(title=f"Scenes with {self.server}", verdict=Mark(self.holds, word), sections=sections).html()

    def _summary(self) -> Section:
        rows = [
            (one.scenario.name, HOLDS if _holds(one) else BROKEN, one.record.answers, one.seconds, one.scenario.shows)
            for one in self.outcomes
        ]
        columns = ("scene", "verdict", "answers", "seconds", "what it shows")
        told = [f"Played on {self.at}."]
        return Section(title="Scenes", told=told, parts=[Table(caption="all scenes", columns=columns, rows=rows)])


def _holds(outcome: Outcome) -> bool:
    return outcome.passed and all(one.held for one in outcome.record.expectations)


def _rules(record: Record) -> Iterator[tuple[Rule, int, int]]:
    """Give every rule with how often it was looked at and broken; 0 and 0 where nothing put it to the test."""
    for rule in Rule:
        yield rule, record.looks[rule], record.faults[rule]


def _described(outcome: Outcome) -> dict[str, Any]:
    record = outcome.record
    return {
        "name": outcome.scenario.name,
        "shows": outcome.scenario.shows,
        "profile": outcome.profile.name,
        "holds": _holds(outcome),
        "seconds": round(outcome.seconds, 3),
        "expectations": [{"step": one.step, "text": one.text, "held": one.held} for one in record.expectations],
        "rules": [
            {"rule": rule, "looked": looked, "kept": looked - broken, "broken": broken}
            for rule, looked, broken in _rules(record)
        ],
        "violations": [str(one) for one in record.violations],
        "requests": {kind.name.lower(): record.requests[kind] for kind in RequestType},
        "answers": record.answers,
        "result_codes": {str(code): count for code, count in sorted(record.codes.items())},
        "latency_ms": _latencies(record),
        "reported_octets": {"up": outcome.reported.up, "down": outcome.reported.down},
        "books": [_book(one) for one in outcome.books],
        "packets": [_account(one) for one in outcome.packets],
    }


def _latencies(record: Record) -> dict[str, float]:
    found = {f"p{percent:g}": record.percentile(percent) for percent in PERCENTILES}
    found["longest"] = max(record.latencies, default=0.0)
    return {name: round(1000 * seconds, 3) for name, seconds in found.items()}


def _book(book: Book) -> dict[str, Any]:
    return {
        "operator": book.operator.name,
        "prefix": book.operator.prefix,
        "due": str(book.due),
        "charged": str(_charged(book)),
        "before": {name: str(value) for name, value in asdict(book.before).items()},
        "after": {name: str(value) for name, value in asdict(book.after).items()},
    }


def _account(account: Account) -> dict[str, Any]:
    counted = {name: {"up": volume.up, "down": volume.down} for name, volume in account.volumes().items()}
    return {"imsi": account.imsi, "exact": account.exact, **counted, "without_tunnel": account.lost}


def _charged(book: Book) -> int:
    after, before = book.after, book.before
    return after.consumed + after.overrun - before.consumed - before.overrun


def _cases(outcome: Outcome) -> Iterator[Case]:
    name, record = outcome.scenario.name, outcome.record
    failures = [str(one) for one in record.violations]
    yield Case(group=name, name="scene", seconds=outcome.seconds, failures=failures, told=outcome.scenario.shows)
    for one in record.expectations:
        told = f"{one.step}: {one.text}"
        yield Case(group=name, name=told, failures=() if one.held else [f"{told}: not so"])
    for rule, looked, broken in _rules(record):
        found = [str(one) for one in record.violations if one.rule is rule][:10]
        told = f"looked at {looked} times, broken {broken} times"
        left_out = "" if looked else "nothing in this scene puts it to the test"
        yield Case(group=name, name=f"rule {rule}", failures=["\n".join([told, *found])] if broken else (),
                   left_out=left_out, told=told)  # fmt: skip


def _section(outcome: Outcome) -> Section:
    record = outcome.record
    milliseconds = [1000 * one for one in record.latencies]
    parts: list[Any] = []
    if expected := record.expectations:
        rows = [(one.step, one.text, HOLDS if one.held else BROKEN) for one in expected]
        parts.append(Table(caption="expectations", columns=("step", "expected", "verdict"), rows=rows))
    if record.violations:
        broken = [(str(one.rule), one.detail, one.session_id.decode("utf-8", "replace")) for one in record.violations]
        parts.append(Table(caption="what was broken", columns=("rule", "seen", "session"), rows=broken))
    parts.append(_rule_table(record))
    parts.append(_traffic(outcome))
    if outcome.packets:
        parts.append(_packets(outcome.packets))
    if outcome.books:
        parts.append(_money(outcome.books))
    moments = [moment - outcome.began for moment in record.moments]
    parts += [histogram(f"{outcome.scenario.name}: latencies", milliseconds),
              rate(f"{outcome.scenario.name}: rate", moments)]  # fmt: skip
    told = [f"{outcome.scenario.shows}. Gateway: {outcome.profile.name}."]
    return Section(title=outcome.scenario.name, told=told, parts=parts)


def _rule_table(record: Record) -> Table:
    rows = [
        (str(rule), Mark(not broken, "broken" if broken else "kept") if looked else Mark(None, "not seen"),
         looked, looked - broken, broken)
        for rule, looked, broken in _rules(record)
    ]  # fmt: skip
    columns = ("rule", "verdict", "looked at", "kept", "broken")
    return Table(caption="rules of the checks, and how often each was looked at", columns=columns, rows=rows)


def _traffic(outcome: Outcome) -> Table:
    record = outcome.record
    rows: list[tuple[str, int | float]] = [
        *((f"CCR, {kind.name.lower()}", record.requests[kind]) for kind in RequestType),
        *((f"answers with {code}", count) for code, count in sorted(record.codes.items())),
        ("octets reported, up", outcome.reported.up),
        ("octets reported, down", outcome.reported.down),
        *((f"latency {name}, ms", value) for name, value in _latencies(record).items()),
    ]
    return Table(caption="what was sent, and how long answers took", columns=("what", "how much"), rows=rows)


def _packets(accounts: Sequence[Account]) -> Table:
    rows: list[list[str | int | float | Mark]] = [
        [
            one.imsi,
            ", ".join(one.kinds),
            *(f"{volume.up:,} + {volume.down:,}" for volume in one.volumes().values()),
            one.lost,
            Mark(one.exact, "exact" if one.exact else "does not add up"),
        ]
        for one in accounts
    ]
    columns = ("IMSI", "traffic", "offered", "passed", "delivered", "reported", "dropped", "without a tunnel", "")
    return Table(caption="where the octets of packets went, up + down", columns=columns, rows=rows)


def _money(books: Sequence[Book]) -> Table:
    rows = [
        (
            book.operator.name, moment, shown.credited, shown.available, shown.reserved, shown.consumed, shown.overrun,
            book.due, Mark(_charged(book) == book.due, f"charged {_charged(book):,}"),
        )
        for book in books
        for moment, shown in (("before", book.before), ("after", book.after))
    ]  # fmt: skip
    columns = ("operator", "when", "credited", "available", "reserved", "consumed", "overrun", "due by our count",
               "charged")  # fmt: skip
    return Table(caption="balances before and after, in credits", columns=columns, rows=rows)
