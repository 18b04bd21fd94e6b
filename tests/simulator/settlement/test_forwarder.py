"""The forwarder over real HTTP against a server that fails in every way: no report is lost, none is counted twice."""

import asyncio
import base64
import contextlib
import dataclasses
import time
from pathlib import Path

import pytest
from counting_gateway import Gateway, counted
from nacl.signing import SigningKey
from senders import LOG, MINER, SGW
from usage_server import Fault, UsageServer

from forwarder_process import ForwarderProcess
from ocs.tlog.note import VerifierKey
from ocs.units import UnixMillis
from ocs.usage.door_pass import open_pass
from signed_reports import NETWORK
from signing_door import NodeDoor
from signing_node import SigningNode
from simulator.settlement.door import BODY_OCTETS_MAX, REPORTS_MAX, fitting
from simulator.settlement.forwarder import now_ms
from simulator.settlement.reading import Reading
from simulator.settlement.receipt import Proof
from simulator.settlement.signing import Signing, forwarding
from simulator.settlement.spool import Spool, SpoolError
from simulator.settlement.statistics import Statistics

SECONDS = 20.0


@pytest.fixture
def server():
    node = SigningNode(bought=10**7, now=now_ms())
    node.channel(10**5, epochs=24)
    usage = UsageServer(NodeDoor(node))
    with usage.running():
        yield usage


@pytest.fixture
def gateway(server):
    return Gateway(server.door.node)


def signing(server: UsageServer, folder: Path) -> Signing:
    return Signing(sgw=SGW, miner=MINER, server=server.url, network=NETWORK, spool=folder / "spool")


def told(server: UsageServer, gateway: Gateway, name: str, *uses: int, final: bool = False) -> list[Reading]:
    """Have a session attach where it has not, use octets, and give what its gateway reads."""
    with server.lock:
        server.door.node.now = UnixMillis(now_ms())
        readings = [] if name in gateway.used else [gateway.attach(name)]
        for number, octets in enumerate(uses, 1):
            readings.append(gateway.use(name, octets // 3, octets - octets // 3, final=final and number == len(uses)))
    return readings


def lines() -> tuple[list[str], object]:
    said: list[str] = []
    return said, said.append


def test_every_octet_is_in_the_log_and_every_receipt_is_kept(server, gateway, tmp_path):
    async def run() -> None:
        async with forwarding(signing(server, tmp_path)) as forwarder:
            for name in ("sgw;1;1", "sgw;1;2"):
                for reads in (told(server, gateway, name, 300_000), told(server, gateway, name, 10, final=True)):
                    await forwarder.take(reads)
                    assert await forwarder.drained(SECONDS)
            spool = forwarder.desk.spool
            assert forwarder.desk.log == LOG
            for name in ("sgw;1;1", "sgw;1;2"):
                assert spool.signed_octets(name).total == counted(server.door.node, name) == 300_010
                ((octets, proof),) = spool.receipts(name)
                assert Proof.parse(proof).verify(octets, LOG).delta_bytes == 10
            assert spool.counts() == {"readings": 0, "reports": 0, "receipts": 2, "refused": 0}

    asyncio.run(run())
    # Whoever sends shows it with the miner's own key.
    for shown in server.passes:
        scheme, _, octets = shown.partition(" ")
        assert scheme == "Settlement"
        keys = server.door.node.state.signed.register.keys
        opened = open_pass(base64.b64decode(octets), keys, NETWORK, UnixMillis(now_ms()))
        assert b"\x01" + opened == MINER.signer


@pytest.mark.parametrize("fault", [one for one in Fault if one is not Fault.NONE], ids=lambda fault: fault.name)
def test_a_door_that_fails_is_tried_again(server, gateway, tmp_path, fault):
    server.faults = [fault, fault, Fault.NONE, fault]
    said, tell = lines()

    async def run() -> None:
        async with forwarding(signing(server, tmp_path), tell) as forwarder:
            for reads in (told(server, gateway, "sgw;1;1", 1000), told(server, gateway, "sgw;1;1", 2000, final=True)):
                await forwarder.take(reads)
                assert await forwarder.drained(SECONDS)
            assert not forwarder.desk.spool.refusals()

    asyncio.run(run())
    assert counted(server.door.node, "sgw;1;1") == 3000
    assert bool(said) == (fault is not Fault.AGAIN)


def test_without_a_server_it_stores_and_forwards(server, gateway, tmp_path):
    reads = told(server, gateway, "sgw;1;1", 1000, 2000)
    absent = dataclasses.replace(signing(server, tmp_path), server="http://127.0.0.1:1")
    said, tell = lines()

    async def store() -> None:
        async with forwarding(absent, tell) as forwarder:
            await forwarder.take(reads)
            assert not await forwarder.drained(0.3)

    asyncio.run(store())
    assert "/usage/active-channel" in said[0]

    async def forward() -> None:
        async with forwarding(signing(server, tmp_path)) as forwarder:
            assert await forwarder.drained(SECONDS)

    asyncio.run(forward())
    assert counted(server.door.node, "sgw;1;1") == 3000


def test_a_log_with_another_key_is_not_believed(server, gateway, tmp_path):
    stranger = VerifierKey(LOG.name, bytes(SigningKey(bytes([8]) * 32).verify_key)).text
    pinned = dataclasses.replace(signing(server, tmp_path), log_key=stranger)

    async def run() -> None:
        said, tell = lines()
        async with forwarding(pinned, tell) as forwarder:
            await forwarder.take(told(server, gateway, "sgw;1;1", 1000))
            assert not await forwarder.drained(0.5)
            assert forwarder.desk.unproven
            assert forwarder.desk.spool.counts()["reports"] == 2
            assert "no good signature" in said[0]
        with pytest.raises(SpoolError, match="ask its owner which"):
            async with forwarding(dataclasses.replace(pinned, log_key=LOG.text)):
                pass

    asyncio.run(run())


def test_no_request_is_larger_than_the_door():
    assert fitting([bytes(600)] * 1000) == REPORTS_MAX
    many = [bytes(1536)] * 500
    count = fitting(many)
    assert count * 2051 <= BODY_OCTETS_MAX < (count + 1) * 2051
    assert fitting([]) == 0
    assert fitting([bytes(10**7)]) == 1


def test_kill_9_of_either_side_loses_nothing_and_counts_nothing_twice(server, gateway, tmp_path):
    """Readings come, the forwarder is killed again and again, the server fails, is gone, and comes back."""
    names = [f"sgw;1;{number}" for number in range(5)]

    async def run() -> None:
        statistics = Statistics()
        async with statistics.serving("127.0.0.1:0") as port:
            process = ForwarderProcess(tmp_path, server.url, port, network=NETWORK)
            for life in range(4):
                process.start()
                try:
                    await asyncio.sleep(1.0)  # most of it is Python that starts
                    for number in range(12):
                        server.faults += [Fault.MUTE, Fault.NONE, Fault.CUT, Fault.AGAIN, Fault.DEAF, Fault.BUSY]
                        for name in names:
                            for one in told(server, gateway, name, 1000 + number):
                                statistics.tell(one)
                        await asyncio.sleep(0.03 * (1 + life % 3))
                finally:
                    process.kill()
            server.faults.clear()
            for name in names:
                for one in told(server, gateway, name, 7, final=True):
                    statistics.tell(one)
            process.start()
            try:
                await until(lambda: process.receipts() == len(names), process)
            finally:
                assert process.stop() == 0, process.tail()

    asyncio.run(run())
    node = server.door.node
    for name in names:
        assert counted(node, name) == gateway.used[name].total
    with contextlib.closing(Spool.open(tmp_path / "spool", SGW.signer, MINER.signer, NETWORK)) as spool:
        assert not spool.refusals()
        assert spool.counts() == {"readings": 0, "reports": 0, "receipts": len(names), "refused": 0}
        for name in names:
            ((octets, proof),) = spool.receipts(name)
            Proof.parse(proof).verify(octets, LOG)
            assert spool.signed_octets(name) == gateway.used[name]
    assert server.door.taken > len(node.leaves)  # some were sent more than once, or nothing was tried here
    node.check()


async def until(condition, process: ForwarderProcess) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, process.tail()
        await asyncio.sleep(0.05)
