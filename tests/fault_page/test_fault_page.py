"""Each row of the matrix has a test or a reason, and the page names just these tests."""

import re

import pytest

from fault_page.page import tests_in, tests_of, written
from fault_page.rows import ROWS
from places import DOCS


@pytest.fixture
def all_items(request: pytest.FixtureRequest) -> list[pytest.Item]:
    config = request.config
    if config.args != config.getini("testpaths") or config.option.keyword or config.option.markexpr:
        pytest.skip("only a run of all tests knows all tests")
    return request.session.items


def test_each_row_has_a_test_or_a_reason(all_items: list[pytest.Item]) -> None:
    found = tests_of(all_items)
    assert [number for number, row in ROWS.items() if not found[number] and not row.untested] == []
    assert [number for number, row in ROWS.items() if found[number] and row.untested] == []


def test_the_page_names_the_tests(all_items: list[pytest.Item]) -> None:
    page = (DOCS / "faults.md").read_text()
    assert tests_in(page) == tests_of(all_items), "the page is old: make faults"
    assert re.search(r"\d (failed|error)|\*\*no test", page) is None


def test_a_page_is_read_as_it_is_written() -> None:
    outcomes = {5: {"tests/live/test_a.py::test_b_c": ["passed", "passed"]}, 6: {"tests/test_d.py::test_e": ["failed"]}}
    page = written(outcomes)
    assert {number: names for number, names in tests_in(page).items() if names} == {
        number: set(names) for number, names in outcomes.items()
    }
    assert "2 passed" in page
    assert "1 failed" in page
    assert "**no test**" in page
