"""A deployment's first steps with signed usage, on the command line alone."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, Gateway, ccr, mscc

pytestmark = pytest.mark.live


def told(server: OcsServer, *arguments: str) -> Any:
    done = server.ocs(*arguments, "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run what needs no server."""
    return subprocess.run(
        [sys.executable, "-m", "ocs", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_from_keys_to_a_channel(server: OcsServer, tmp_path: Path) -> None:
    server.add_operator(credit=10**12)
    names = ("sgw", "miner", "next")
    keys = {name: (str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.pub.pem")) for name in names}
    for private, public in keys.values():
        assert alone("key", "new", private, "--public", public).returncode == 0
    pair = ("--origin-host", "sgw.visited.example", "--sgw", keys["sgw"][1], "--miner", keys["miner"][1])
    too_soon = server.ocs("key", "add", *pair)
    assert too_soon.returncode == 5, too_soon.stderr
    assert "buy some first" in too_soon.stderr

    bought = told(server, "channel", "top-up", "900000", "--reference", "burn 1", "--key", "k")
    assert told(server, "channel", "top-up", "900000", "--reference", "burn 1", "--key", "k") == bought
    until = time.monotonic() + 20
    while len(told(server, "channel", "list", "--state", "open")) < 2:
        assert time.monotonic() < until, server.tail()
        time.sleep(0.2)
    added = server.ocs("key", "add", *pair)
    assert added.returncode == 0, added.stderr
    assert "needs room in a channel" in added.stdout
    assert len(told(server, "key", "list")) == 2

    with Gateway(server.gy_port).open() as gateway:
        assert gateway.ask(CCR, ccr(gateway, "s;1", INITIAL, 0, mscc(1))).result_code == 2001
    assert told(server, "channel", "show", "1")["reserved"] == "500"
    account = told(server, "channel", "credits")
    assert int(account["available"]) + int(account["locked"]) == 900_000

    rotated = told(server, "key", "rotate", keys["miner"][0], keys["next"][0])
    assert rotated["new_key"] == json.loads(alone("key", "show", keys["next"][0], "-o", "json").stdout)["public_key"]
    assert server.ocs("key", "revoke", keys["miner"][1], "--reason", "replaced").returncode == 0
    listed = {one["public_key"]: one for one in told(server, "key", "list")}
    assert listed[rotated["old_key"]]["revoked_at"] is not None
    assert listed[rotated["new_key"]]["revoked_at"] is None

    kept = server.data / "keys" / "registered.json"
    until = time.monotonic() + 20
    while json.loads(kept.read_text()) != list(listed.values()):
        assert time.monotonic() < until, kept.read_text()
        time.sleep(0.1)

    opened = told(server, "channel", "open", "--amount", "100")
    assert told(server, "channel", "close", opened["channel_id"])["reason"] == "owner"
    assert server.ocs("channel", "close", str(opened["number"])).returncode == 5
    assert server.ocs("channel", "show", "99").returncode == 2
    server.verify()
