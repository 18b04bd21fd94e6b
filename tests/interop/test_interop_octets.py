"""An attach with real packets: what Wireshark counts in the tunnels was reported, signed, recorded and charged."""

import asyncio
import secrets
from pathlib import Path

import pytest

from interop.test_interop_plane import fields
from live.ocs_server import TOKEN, OcsServer
from live.test_live_plane import FILTERS, until_idle
from simulator.accounts import Accounts
from simulator.gateway import Gateway
from simulator.messages import Identity
from simulator.plane.capture import Capture
from simulator.plane.lab import open_lab
from simulator.plane.traffic import Kind, Stream
from simulator.settlement.keys import Key
from simulator.settlement.signing import Signing
from simulator.signed_usage import signed_usage
from simulator.subscriber import Clock

pytestmark = [pytest.mark.live, pytest.mark.interop]

HOST = "sgw.visited.example"
IMSI = "001010123456789"
CREDIT = 10**9
CHANNEL_SECONDS = 10.0


async def attach_and_use(server: OcsServer, folder: Path) -> str:
    """Attach one UE, let it use web and film, and detach it; the address of its SGW."""
    url = f"http://127.0.0.1:{server.api_port}"
    sgw, miner = Key(secrets.token_bytes(32)), Key(secrets.token_bytes(32))
    async with Accounts(url, TOKEN) as accounts:
        await accounts.buy_credits(10**6, "of the tests")
        async with asyncio.timeout(CHANNEL_SECONDS):
            while not await accounts.channels():
                await asyncio.sleep(0.1)
        await accounts.add_keys(HOST, sgw.signer.hex(), miner.signer.hex())
    capture = Capture(folder / "attach.pcap")
    gateway = Gateway(Identity(host=HOST), observe=capture.connection)
    await gateway.connect("127.0.0.1", server.gy_port)
    signing = Signing(sgw=sgw, miner=miner, server=url, spool=folder / "spool.sqlite")
    async with (
        signed_usage(signing) as signed,
        open_lab([gateway], FILTERS, clock=Clock(50_000.0), capture=capture, signer=signed) as lab,
    ):
        ue = await lab.attach(IMSI)
        for seed, kind in enumerate((Kind.WEB, Kind.VIDEO, Kind.BULK)):
            await lab.run(ue, Stream(kind, ue.address, seed), 80)
        await until_idle(lab)
        await lab.detach(ue)
        await lab.quiet()
        (bearer,) = lab.bearers(ue)
        assert await signed.check([bearer.session]) == []
        address = lab.sgws[0].address
    await gateway.close()
    capture.close()
    assert gateway.record.violations == []
    return address


def test_five_counts_of_the_same_octets(tmp_path: Path) -> None:
    sizes = dict.fromkeys(("min_octets", "default_octets", "max_octets"), 40_000)
    with OcsServer(tmp_path, {"quota": {**sizes, "validity_seconds": 86_400}}) as server:
        server.add_operator("home", "00101", 1, 1, credit=CREDIT)
        address = asyncio.run(attach_and_use(server, tmp_path))
        capture = tmp_path / "attach.pcap"
        assert fields(capture, "_ws.malformed", "frame.number") == []
        # What the SGW let through: packets that it sent on, up and down; the second length is the inner packet's.
        passed = fields(capture, f"gtp.message == 0xff && ip.src == {address}", "ip.len")
        counted = sum(int(lengths.split(",")[1]) for (lengths,) in passed)
        requests = fields(
            capture, "diameter.cmd.code == 272 && diameter.flags.request == 1", "diameter.CC-Total-Octets"
        )
        reported = sum(int(one) for (octets,) in requests for one in octets.split(",") if one)
        (signed,) = server.api.get("/api/v1/signed-sessions").json()["items"]
        (record,) = server.api.get("/api/v1/sessions", params={"imsi": IMSI}).json()["items"]
        balance = server.balance("home")
        assert counted > 100_000
        assert (signed["state"], record["state"]) == ("ended", "ended")
        assert {
            "tunnels": counted,
            "Gy": reported,
            "signed": int(signed["up"]) + int(signed["down"]),
            "CDR": int(record["used"]),
            "charge": balance["consumed"],
        } == dict.fromkeys(("tunnels", "Gy", "signed", "CDR", "charge"), counted)
        assert server.stop() == 0, server.tail()
