"""Wireshark reads a lab's capture: GTPv2-C, GTP-U and Diameter under their own names, and nothing to say against it."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from interop.stacks import program
from live.ocs_server import OcsServer
from live.test_live_plane import Play
from simulator.plane.capture import Capture
from simulator.plane.lab import Lab
from simulator.plane.traffic import Kind, Stream

pytestmark = [pytest.mark.live, pytest.mark.interop]

WARNING = "Data is empty"  # of a Requested-Service-Unit that leaves the choice to the server


def fields(capture: Path, wanted: str, *names: str) -> list[list[str]]:
    arguments = [argument for name in names for argument in ("-e", name)]
    done = subprocess.run(
        [program("tshark", "tshark"), "-r", capture, "-Y", wanted, "-T", "fields", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_wireshark_finds_no_fault_with_a_lab(tmp_path: Path) -> None:
    with OcsServer(tmp_path) as server:
        server.add_operator("home", "00101", 1, 1_000, credit=10**9)
        play = Play(server, "shark", Capture(tmp_path / "lab.pcap"))

        async def scene(lab: Lab) -> None:
            first, second = await lab.attach("001010123456789"), await lab.attach("001010123456780", sgw=1)
            await lab.enb.echo(lab.sgws[0].address)
            for kind in Kind:
                await lab.run(first, Stream(kind, first.address, 1), 20)
            await lab.move(first, 1)
            await lab.quiet()
            await lab.detach(first)
            await lab.delete_from_home(second)
            lab.enb.send_user(b"\x30\xff\x00\x01\x00\x00\xff\xff\x00", lab.sgws[0].address)
            await lab.quiet()

        play.run(scene)
    capture = tmp_path / "lab.pcap"
    names = Counter(layer for (layers,) in fields(capture, "ip", "frame.protocols") for layer in layers.split(":"))
    assert names["gtpv2"] == 26
    assert names["diameter"] >= 8
    assert names["gtp"] >= 200
    told = fields(capture, "gtpv2 || diameter || gtp.message != 0xff", "frame.number", "_ws.expert.message")
    assert [one for one in told if set(one[1].split(",")) - {"", WARNING}] == []
    assert fields(capture, "gtpv2 && _ws.malformed", "frame.number") == []
    kinds = Counter(int(kind) for (kind,) in fields(capture, "gtpv2", "gtpv2.message_type"))
    assert kinds[32] == kinds[33] == 5  # two attaches over S11 and S8, and a move over S11
    assert kinds[34] == kinds[35] == 3
    assert kinds[36] == kinds[37] == 3
    assert kinds[99] == kinds[100] == 2
    assert {int(kind, 0) for (kind,) in fields(capture, "gtp.message != 0xff", "gtp.message")} == {1, 2, 26, 254}
    tunnels = json.dumps(fields(capture, "gtpv2.message_type == 33", "gtpv2.pdn_addr_and_prefix.ipv4"))
    assert "10.45.0.1" in tunnels
