from collections.abc import Iterator

import pytest

from faults.audit import Audit, Honest, audited, served
from live.ocs_server import OcsServer


@pytest.fixture(scope="module")
def fault_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OcsServer, Honest]]:
    """One server and one honest gateway for a file of faults."""
    with served(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture
def audit(fault_server: tuple[OcsServer, Honest]) -> Iterator[Audit]:
    """Audit the test on the file's server."""
    with audited(*fault_server) as audit:
        yield audit
