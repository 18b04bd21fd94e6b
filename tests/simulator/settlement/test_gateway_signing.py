"""What the scene runner checks of signed usage: it finds nothing where all is well, and each fault that there is."""

import asyncio
import dataclasses

import pytest
from counting_gateway import Gateway as CountingGateway
from senders import MINER, SGW
from usage_server import UsageServer

import simulator.signed_usage
from ocs.units import UnixMillis
from signed_reports import NETWORK
from signing_door import NodeDoor
from signing_node import SigningNode
from simulator.checks import Rule, Violation
from simulator.gateway import Gateway
from simulator.messages import Identity, Volume
from simulator.settlement.forwarder import now_ms
from simulator.settlement.messages import Counters
from simulator.settlement.reading import Reading
from simulator.settlement.signing import Signing
from simulator.signed_usage import signed_usage
from simulator.subscriber import Session

NAME = "sgw;1;1"


@pytest.fixture
def server():
    node = SigningNode(bought=10**7, now=now_ms())
    node.channel(10**5, epochs=24)
    usage = UsageServer(NodeDoor(node))
    with usage.running():
        yield usage


def found(usage: UsageServer, folder, readings: list[Reading], reported: Volume, **changes: object) -> list[Violation]:
    """Tell these, and check a session that reported so much over Gy."""
    signing = Signing(sgw=SGW, miner=MINER, server=usage.url, network=NETWORK, spool=folder / "spool")
    session = Session(Gateway(Identity()), "001010000000001")
    session.session_id, session.reported = NAME.encode(), reported

    async def run() -> list[Violation]:
        async with signed_usage(dataclasses.replace(signing, **changes)) as signed:
            for one in readings:
                signed.tell(one)
            return await signed.check([session])

    return asyncio.run(run())


def played(server: UsageServer) -> list[Reading]:
    with server.lock:
        server.door.node.now = UnixMillis(now_ms())
        gateway = CountingGateway(server.door.node)
        return [gateway.attach(NAME), gateway.use(NAME, 100, 200), gateway.use(NAME, 10, 20, final=True)]


def test_nothing_is_found_where_all_is_well(server, tmp_path):
    assert found(server, tmp_path, played(server), Volume(110, 220)) == []


def test_octets_that_were_not_signed_are_found(server, tmp_path):
    (violation,) = found(server, tmp_path, played(server), Volume(110, 221))
    assert violation.rule is Rule.SIGNED_OCTETS
    assert "(110, 220) octets up and down have receipts, (110, 221) were reported" in violation.detail


def test_a_refusal_is_found(server, tmp_path):
    *before, last = played(server)
    inflated = dataclasses.replace(last, octets=Counters(10**9, 0))
    rules = [one.rule for one in found(server, tmp_path, [*before, inflated], Volume(110, 220))]
    assert rules == [Rule.SIGNED_OCTETS, Rule.REPORT_REFUSED]


def test_usage_that_never_gets_a_receipt_is_found(server, tmp_path, monkeypatch):
    monkeypatch.setattr(simulator.signed_usage, "SETTLED_SECONDS", 0.5)
    (violation,) = found(server, tmp_path, played(server), Volume(110, 220), server="http://127.0.0.1:1")
    assert violation.rule is Rule.UNRECEIPTED
    assert "1 readings" in violation.detail
