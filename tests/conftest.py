"""What all tests share: how Hypothesis runs, and the page of faults."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fault_page.page import PROPERTY, Collector, rows_of

# A shared machine stalls now and then: time limits of single examples tell nothing.
settings.register_profile("check", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", settings.get_profile("check"), max_examples=3000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-page", metavar="FILE", help="write what the tests of the fault matrix did")
    parser.addoption("--interop", action="store_true", help="collect tests/interop, which needs Debian packages")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave tests/interop out where it was not asked for: a machine without the other stacks is not at fault."""
    return True if collection_path == Path(__file__).parent / "interop" and not config.getoption("--interop") else None


def pytest_configure(config: pytest.Config) -> None:
    # Of several processes the one that hears of all tests writes.
    if (page := config.getoption("--fault-page")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(Path(page)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests tell of seeds and counts, also of those that passed."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for name, told in report.user_properties:
                    if name == "told":
                        terminalreporter.write_line(f"{report.nodeid}: {told}")


def pytest_collection_finish() -> None:
    """Take what was collected as here to stay: each look for garbage would go through it, and some tests look often."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.user_properties += [(PROPERTY, number) for number in sorted(rows_of(item))]  # they travel with the reports
