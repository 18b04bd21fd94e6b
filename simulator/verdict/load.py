"""The verdict on a load: percentiles second by second, what generator and server used, limits, and the money."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Final

from simulator.load import Result
from simulator.load.process import Sample
from simulator.load_run import Books
from simulator.verdict.junit import Case, junit
from simulator.verdict.page import Mark, Page, Section, Table
from simulator.verdict.plot import Plot, Series

BUSY_MAX: Final = 0.8
"""The part of a CPU above which the generator itself may have been what was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Something the user asked for, and what was found."""

    asks: str
    found: str
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """One load.

    Attributes:
        shape: what was asked for, in words.
        books: None where no API was named.
    """

    server: str
    at: str
    shape: str
    result: Result
    samples: Sequence[Sample]
    books: Books | None
    limits: Sequence[Limit]

    @property
    def holds(self) -> bool:
        return all(one.holds for one in self.limits)

    @property
    def is_bottleneck(self) -> bool:
        return self.result.busy > BUSY_MAX

    def figures(self) -> list[tuple[str, int | float]]:
        """Give the figures of the whole run in the order in which they are read."""
        result = self.result
        told: list[tuple[str, int | float]] = [
            ("answers", result.answers),
            ("wrong answers", result.errors),
            ("answers a second", round(result.rate, 1)),
            ("p50, ms", round(result.p50, 3)),
            ("p99, ms", round(result.p99, 3)),
            ("p99.9, ms", round(result.p999, 3)),
            ("longest, ms", round(result.longest, 3)),
            ("own CPU, CPUs", round(result.busy, 3)),
            ("own CPU of a request, µs", round(result.cpu_us, 2)),
            ("requests that left late", result.late_sends),
            ("requests that found no idle session", result.crowded),
            ("unanswered at the end", result.unanswered),
        ]
        if self.samples:
            resident = [one.resident for one in self.samples]
            told += [
                ("server CPU, CPUs", round(fmean(one.cpu for one in self.samples), 3)),
                ("server memory at first, octets", resident[0]),
                ("server memory at the end, octets", resident[-1]),
                ("server memory at most, octets", max(resident)),
            ]
        return told

    def to_json(self) -> str:
        """Give everything; money as strings."""
        told = {
            "server": self.server,
            "at": self.at,
            "shape": self.shape,
            "holds": self.holds,
            "limits": [asdict(one) for one in self.limits],
            "generator_was_the_bottleneck": self.is_bottleneck,
            "result": asdict(self.result),
            "server_samples": [asdict(one) for one in self.samples],
            "books": _books(self.books) if self.books else None,
        }
        return json.dumps(told, indent=1) + "\n"

    def to_junit(self) -> str:
        """Give a case for each limit."""
        told = "\n".join([*(f"{name}: {value:,}" for name, value in self.figures()), *self.result.faults])
        cases = [
            Case(group="load", name=one.asks, failures=() if one.holds else [one.found], told=f"{one.found}\n{told}")
            for one in self.limits
        ]
        return junit("ocs-sim load", cases, {"server": self.server, "at": self.at, "shape": self.shape})

    def to_html(self) -> str:
        """Give the page."""
        word = "all limits hold" if self.holds else "; ".join(one.found for one in self.limits if not one.holds)
        rows = [(one.asks, Mark(one.holds, one.found)) for one in self.limits]
        parts: list[Any] = [
            Table(caption="limits", columns=("asked", "found"), rows=rows),
            Table(caption="the whole run", columns=("what", "how much"), rows=self.figures()),
        ]
        if self.books:
            parts.append(_money(self.books))
        told = [f"{self.shape}, {self.at}."]
        if self.is_bottleneck:
            told.append("The generator was busy almost all the time: its rate is a lower bound of the server's.")
        told += self.result.faults
        sections = [
            Section(title="Summary", told=told, parts=parts),
            Section(title="Second by second", parts=self._plots()),
        ]
        return Page(title=f"Load on {self.server}", verdict=Mark(self.holds, word), sections=sections).html()

    def _plots(self) -> list[Plot]:
        seconds = self.result.seconds
        labels = [f"{one.at:.0f}" for one in seconds]
        rate = [Series(name="answers", values=[one.answers for one in seconds]),
                Series(name="wrong", values=[one.errors for one in seconds])]  # fmt: skip
        latencies = [Series(name="p50", values=[one.p50 for one in seconds]),
                     Series(name="p99", values=[one.p99 for one in seconds]),
                     Series(name="longest", values=[one.longest for one in seconds])]  # fmt: skip
        plots = [
            Plot(title="Rate", across="seconds", up="answers a second", labels=labels, series=rate),
            Plot(title="Latencies", across="seconds", up="ms", labels=labels, series=latencies),
        ]
        if self.samples:
            labels = [f"{one.at:.0f}" for one in self.samples]
            cpu = [Series(name="server", values=[one.cpu for one in self.samples])]
            memory = [Series(name="server", values=[one.resident / 1e6 for one in self.samples])]
            plots += [
                Plot(title="CPU of the server", across="seconds", up="CPUs", labels=labels, series=cpu),
                Plot(title="Memory of the server", across="seconds", up="MB", labels=labels, series=memory),
            ]
        return plots


def _books(books: Books) -> dict[str, Any]:
    return {
        "operator": books.operator,
        "due": str(books.due),
        "charged": str(books.charged),
        "before": {name: str(value) for name, value in asdict(books.before).items()},
        "after": {name: str(value) for name, value in asdict(books.after).items()},
    }


def _money(books: Books) -> Table:
    columns = ("when", "credited", "available", "reserved", "consumed", "overrun")
    rows = [
        (when, one.credited, one.available, one.reserved, one.consumed, one.overrun)
        for when, one in (("before", books.before), ("after", books.after))
    ]
    caption = f"balance of {books.operator} in credits: {books.due:,} are due, {books.charged:,} were charged"
    return Table(caption=caption, columns=columns, rows=rows)
