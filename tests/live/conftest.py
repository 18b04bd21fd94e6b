from collections.abc import Iterator
from pathlib import Path

import pytest

from live.ocs_server import OcsServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OcsServer]:
    """A server of the test's own, on which it may do anything."""
    with OcsServer(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcsServer]:
    """One server for a file of tests that leave it as it was; operator `home` has 00101 and a long credit."""
    with OcsServer(tmp_path_factory.mktemp("ocs")) as running:
        running.add_operator(credit=10**12)
        yield running
        assert running.stop() == 0, running.tail()
