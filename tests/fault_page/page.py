"""Write `docs/faults.md` from the rows and from what the marked tests did: `make faults`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

from fault_page.rows import ROWS, SECTIONS

PROPERTY: Final = "fault"

HEAD: Final = """\
# Faults

What is injected, what must come of it, and the tests that do it. Those named `test_faults_of_` and `test_live_` do it
to a real server, and most look at the aftermath too: the money is whole, nothing was charged twice, others were
served. The rest try more cases on the part alone. Made by `make faults`, which runs them all; a change of the tests
without a new page fails `make test`.
"""

Outcomes = Mapping[int, Mapping[str, list[str]]]
"""Row, then test (file and function), then the outcome of each of its cases."""


def rows_of(item: pytest.Item) -> set[int]:
    """Give the rows that a test injects."""
    return {number for mark in item.iter_markers("fault") for number in mark.args}


def name_of(node_id: str) -> str:
    """Give file and function of a test, without its parameters."""
    return node_id.partition("[")[0]


def tests_of(items: Iterable[pytest.Item]) -> dict[int, set[str]]:
    """Give the tests of each row."""
    found: dict[int, set[str]] = {number: set() for number in ROWS}
    for item in items:
        for number in rows_of(item):
            assert number in ROWS, f"{item.nodeid}: there is no row {number}"
            found[number].add(name_of(item.nodeid))
    return found


class Collector:
    """Gathers outcomes while the tests run, and writes the page at their end."""

    def __init__(self, page: Path) -> None:
        self._page = page
        self.outcomes: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    def pytest_sessionfinish(self) -> None:
        self._page.write_text(written(self.outcomes))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
            for name, number in report.user_properties:
                if name == PROPERTY:
                    assert isinstance(number, int)
                    self.outcomes[number][name_of(report.nodeid)].append(report.outcome)


def written(outcomes: Outcomes) -> str:
    """Give the text of the page."""
    lines = [HEAD]
    for section, rows in SECTIONS.items():
        lines += [f"## {section}", "", "| | injected | expected | tests | result |", "| --: | --- | --- | --- | --- |"]
        for number, row in rows.items():
            tests = outcomes.get(number, {})
            named = "<br>".join(f"[{_title(name)}](../{name.partition('::')[0]})" for name in sorted(tests))
            result = _result(tests, row.untested)
            lines.append(f"| {number} | {row.injected} | {row.expected} | {named or row.untested} | {result} |")
        lines.append("")
    return "\n".join(lines)


def tests_in(page: str) -> dict[int, set[str]]:
    """Read from a page the tests of each row."""
    found: dict[int, set[str]] = {number: set() for number in ROWS}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == len(["", "#", "injected", "expected", "tests", "result", ""]) and cells[1].isdigit():
            for link in cells[4].split("<br>"):
                title, bar, path = link.strip("[)").partition("](../")
                if bar:
                    found[int(cells[1])].add(f"{path}::{title.partition(': ')[2].replace(' ', '_')}")
    return found


def _title(name: str) -> str:
    path, _, function = name.partition("::")
    return f"{PurePosixPath(path).stem}: {function.replace('_', ' ')}"


def _result(tests: Mapping[str, list[str]], untested: str) -> str:
    if not tests:
        return "not tested" if untested else "**no test**"
    counts: dict[str, int] = defaultdict(int)
    for cases in tests.values():
        for outcome in cases:
            counts[outcome] += 1
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
