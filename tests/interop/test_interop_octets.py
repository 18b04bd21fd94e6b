"""An attach as a lab plays it: what Wireshark counts in the tunnels was reported, signed, recorded and charged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forwarder_process import key_files
from interop.test_interop_plane import fields
from live.ocs_server import TOKEN, OcsServer
from live.signing import NETWORK, Signers
from simulator.accounts import Tariff
from simulator.script.library import FOLDER

pytestmark = [pytest.mark.live, pytest.mark.interop]

TARIFF = Tariff(price=3, per_octets=1_000)
"""That of the scenario's operator."""


def play_attach(server: OcsServer, folder: Path) -> Path:
    """Play it from the command line, with everything that it can be told; the capture."""
    capture = folder / "attach.pcap"
    sgw, miner = key_files(folder)
    arguments = ["--port", server.gy_port, "--api", f"http://127.0.0.1:{server.api_port}", "--pcap", capture]
    signing = ["--sign", "--sgw-key", sgw, "--miner-key", miner, "--network", NETWORK]
    done = subprocess.run(
        list(map(str, [sys.executable, "-m", "simulator", "run", FOLDER / "attach.yaml", *arguments, *signing])),
        env=os.environ | {"OCS_API_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return capture


def test_five_counts_of_the_same_octets(tmp_path: Path) -> None:
    with OcsServer(tmp_path) as server:
        Signers(server).register(10_000_000)
        capture = play_attach(server, tmp_path)
        assert fields(capture, "_ws.malformed", "frame.number") == []
        _, (sgw,) = fields(capture, "gtpv2.message_type == 32", "ip.src")  # over S11, and over S8 from the SGW
        # What the SGW let through: packets that it sent on, up and down; the second length is the inner packet's.
        passed = fields(capture, f"gtp.message == 0xff && ip.src == {sgw}", "ip.len")
        counted = sum(int(lengths.split(",")[1]) for (lengths,) in passed)
        requests = fields(
            capture, "diameter.cmd.code == 272 && diameter.flags.request == 1", "diameter.CC-Total-Octets"
        )
        reported = sum(int(one) for (octets,) in requests for one in octets.split(",") if one)
        (signed,) = server.api.get("/api/v1/signed-sessions").json()["items"]
        (record,) = server.api.get("/api/v1/sessions").json()["items"]
        balance = server.balance(record["operator"])
        assert counted > 50_000
        assert (signed["state"], record["state"]) == ("ended", "ended")
        assert {
            "tunnels": counted,
            "Gy": reported,
            "signed": int(signed["up"]) + int(signed["down"]),
            "CDR": int(record["used"]),
        } == dict.fromkeys(("tunnels", "Gy", "signed", "CDR"), counted)
        assert balance["consumed"] == TARIFF.charge(counted)
        assert server.stop() == 0, server.tail()
