"""The simulator's forwarder against a real server: what was reported over Gy is signed, counted and proved."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forwarder_process import ForwarderProcess, key_files
from live.ocs_server import PLAIN, OcsServer
from live.signing import NETWORK, Signers
from signed_reports import MINER, SGW
from simulator.gateway import Gateway, Unreachable
from simulator.messages import Identity, Volume
from simulator.script.library import FOLDER
from simulator.settlement.messages import Counters
from simulator.settlement.receipt import LogKey, Proof
from simulator.settlement.spool import Spool
from simulator.settlement.statistics import Statistics
from simulator.subscriber import Session
from simulator.wire import text

pytestmark = pytest.mark.live

SECONDS = 40.0

SIGNED = (*PLAIN, "signed-session", "signed-lies", "dishonest-both", "channel-life")


def ready(server: OcsServer) -> None:
    server.add_operator(credit=10**12)
    Signers(server).register(10_000_000)


def spooled(path: Path) -> Spool:
    return Spool.open(path, b"\x01" + SGW.public_key, b"\x01" + MINER.public_key, NETWORK)


def compared(server: OcsServer) -> Iterator[dict[str, Any]]:
    """Give every Gy session with what was signed of it."""
    query: dict[str, Any] = {"limit": 100}
    while True:
        page = server.api.get("/api/v1/reconciliation/sessions", params=query).json()
        yield from page["items"]
        if not (cursor := page["next"]):
            return
        query["cursor"] = cursor


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_every_scene_is_signed(server: OcsServer, tmp_path: Path, way: str) -> None:
    ready(server)
    sgw, miner = key_files(tmp_path)
    grpc = ("--grpc", f"127.0.0.1:{server.usage_port}") if way == "grpc" else ()
    keys = ("--sign", "--sgw-key", str(sgw), "--miner-key", str(miner), "--network", NETWORK)
    # Over HTTP every file there is, as a lab would play them; over gRPC what signs.
    files = SIGNED if way == "grpc" else tuple(str(file) for file in sorted(FOLDER.glob("*.yaml")))
    shown = server.play("standard", *keys, *grpc, scenarios=files).stdout
    left_out = [line.split()[3] for line in shown.splitlines() if line.startswith("- left out:")]
    assert left_out == ([] if way == "grpc" else ["server-restart", "watchdog-silence"])
    assert server.api.get("/api/v1/log/key").json()["size"] > 20

    # No signature shows an inflation within the tolerance: the comparison with Gy alone does, to the octet.
    rows = list(compared(server))
    differences = [int(row["difference"]) for row in rows]
    assert [one for one in differences if one > 0] == [1]
    for row in rows:
        if row["difference"] == "1":
            assert (row["state"], row["cause"]) == ("within_tolerance", "tolerated")
    assert differences.count(0) > 8


COUNTED = """
scenario: counted
shows: Channels are charged for what is signed, before a handover and after it
needs: [accounts, signing]
gateways: {east: {}, west: {}}
operators: {home: {}}
sessions:
  first: {tunnels: yes}
  silent: {signed: no}
steps:
  - mark: channels
  - attach: [first, silent]
  - {packets: first, count: 20, kinds: [bulk]}
  - {hand_over: first, to: west}
  - {hand_over: first, to: east}
  - {packets: first, count: 20, kinds: [bulk]}
  - {use: silent, octets: 1000}
  - detach: [first, silent]
"""


def test_what_is_counted_is_what_is_signed(server: OcsServer, tmp_path: Path) -> None:
    """Of a UE that was handed over, all sessions that sign; a step that would count nothing is broken."""
    ready(server)
    sgw, miner = key_files(tmp_path)
    keys = ("--sign", "--sgw-key", str(sgw), "--miner-key", str(miner), "--network", NETWORK)
    file = tmp_path / "counted.yaml"
    file.write_text(f"{COUNTED}  - counted: [first, silent]\n")
    server.play("standard", *keys, scenarios=[str(file)])
    assert [row["difference"] for row in compared(server) if row["signed"] != "0"] == ["0", "0"]
    file.write_text(f"{COUNTED}  - counted: silent\n")
    with pytest.raises(AssertionError, match="there are none, expected sessions whose use is signed"):
        server.play("standard", *keys, scenarios=[str(file)])


def test_kill_9_of_server_and_forwarder_loses_nothing(server: OcsServer, tmp_path: Path) -> None:
    """Sessions go on over Gy while the forwarder dies, the follower dies, the whole server dies, and all come back."""
    ready(server)
    sessions: list[Session] = []

    async def run() -> None:
        statistics = Statistics()
        async with statistics.serving("127.0.0.1:0") as port:
            url = f"http://127.0.0.1:{server.api_port}"
            forwarder = ForwarderProcess(tmp_path, url, port, network=NETWORK, grpc=f"127.0.0.1:{server.usage_port}")
            gateway = await connected(server)
            sessions.extend(Session(gateway, f"00101000000000{n}", meter=statistics) for n in range(4))
            for session in sessions:
                await session.attach()
            for life in range(3):
                forwarder.start()
                try:
                    await asyncio.sleep(1.2)
                    for session in sessions:
                        due = session.quotas[0].report_at(session.profile)
                        await session.use(Volume(due // 3, due - due // 3))
                    await asyncio.sleep(0.02 * life)
                    if life != 1:
                        await gateway.drop()
                        await asyncio.to_thread(server.kill)
                finally:
                    forwarder.kill()
                if life != 1:
                    await asyncio.to_thread(server.start)
                    await gateway.connect("127.0.0.1", server.gy_port)
            forwarder.start()
            for session in sessions:
                await session.detach()
            try:
                await until(lambda: forwarder.receipts() == 4, forwarder)
            finally:
                assert forwarder.stop() == 0, forwarder.tail()
            await gateway.close()

    asyncio.run(run())
    key = LogKey.parse(server.api.get("/api/v1/log/key").json()["key"])
    with contextlib.closing(spooled(tmp_path / "spool")) as spool:
        assert spool.counts() == {"readings": 0, "reports": 0, "receipts": 4, "refused": 0}
        for session in sessions:
            name = text(session.session_id)
            assert session.reported.total > 0
            assert spool.signed_octets(name) == Counters(session.reported.up, session.reported.down)
            ((octets, proof),) = spool.receipts(name)
            Proof.parse(proof).verify(octets, key)
    assert server.verify()


def test_an_epoch_ends_and_nothing_is_lost(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = {"usage": {"epoch_seconds": 10}, "quota": {"validity_seconds": 3600}}
    with OcsServer(tmp_path_factory.mktemp("ocs"), settings) as server:
        ready(server)

        async def run() -> Session:
            statistics = Statistics()
            async with statistics.serving("127.0.0.1:0") as port:
                forwarder = ForwarderProcess(tmp_path, f"http://127.0.0.1:{server.api_port}", port, network=NETWORK)
                forwarder.start()
                gateway = await connected(server)
                session = Session(gateway, "001010000000001", meter=statistics)
                await session.attach()
                began = time.monotonic()
                while " receipts 2 " not in forwarder.tail():  # of two signed sessions, in as many channels
                    assert time.monotonic() < began + SECONDS, forwarder.tail()
                    due = session.quotas[0].report_at(session.profile)
                    await session.use(Volume(due // 3, due - due // 3))
                    await asyncio.sleep(0.5)
                await session.detach()
                try:
                    await until(lambda: forwarder.receipts() > 1, forwarder)
                finally:
                    assert forwarder.stop() == 0, forwarder.tail()
                await gateway.close()
                return session

        session = asyncio.run(run())
    with contextlib.closing(spooled(tmp_path / "spool")) as spool:
        name = text(session.session_id)
        assert not spool.refusals()
        assert spool.signed_octets(name) == Counters(session.reported.up, session.reported.down)
        assert len(spool.receipts(name)) >= 2


async def connected(server: OcsServer) -> Gateway:
    gateway = Gateway(Identity())
    with contextlib.suppress(Unreachable):
        await gateway.connect("127.0.0.1", server.gy_port)
    return gateway


async def until(condition: Callable[[], bool], forwarder: ForwarderProcess) -> None:
    limit = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < limit, forwarder.tail()
        await asyncio.sleep(0.1)
