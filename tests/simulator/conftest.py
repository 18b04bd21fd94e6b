"""One python-diameter node for all tests of a worker; each test gets it with a purse of its own."""

import dataclasses
import socket

import pytest
from gy_peer import CreditServer

from simulator.messages import Identity


@pytest.fixture(scope="session")
def node():
    server = CreditServer()
    with server.running(Identity().host, Identity().realm) as port:
        server.port = port
        yield server


@pytest.fixture
def server(node):
    """The Gy server as it is on its first day."""
    fresh = CreditServer()
    for field in dataclasses.fields(CreditServer):
        setattr(node, field.name, getattr(fresh, field.name))
    return node


@pytest.fixture
def free_port():
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
