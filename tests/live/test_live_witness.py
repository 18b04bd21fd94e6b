"""A real witness beside a real server: it sees the log grow, and channels settle with its word, or wait for it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from live.ocs_server import OcsServer, free_ports
from live.signing import Signers
from live.wire import CCR, INITIAL, Gateway, ccr, mscc
from ocs.auditing import Trust
from ocs.shell import key_file
from ocs.shell.closure_audit import audit_file
from ocs.signed.ed25519 import verify
from ocs.tlog import proof
from ocs.tlog.checkpoint import CosignerKey
from ocs.tlog.proof import Quorum

pytestmark = pytest.mark.live

NAME = "witness.example"
SESSION = "sgw.visited.example;1"
WAIT_SECONDS = 20.0


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@contextmanager
def witness(folder: Path, log: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    arguments = ("witness", "serve", folder / "witness.pem", "--name", NAME, "--log", log)
    with (folder / "witness.log").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ocs", *map(str, arguments), "--listen", f"127.0.0.1:{port}"],
            cwd=folder,
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def state_of(server: OcsServer, number: int) -> str:
    return str(server.api.get(f"/api/v1/channels/{number}").json()["state"])


def test_a_channel_settles_once_its_witness_has_seen_it(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    key = CosignerKey(NAME, key_file.make(tmp_path / "witness.pem").public_key)
    usage = {
        "epoch_seconds": 2,
        "witnesses": [{"url": f"http://127.0.0.1:{port}/", "key": key.text}],
        "witnesses_required": 1,
        "witness_seconds": 1,
    }
    with OcsServer(tmp_path, {"usage": usage}) as server:
        server.add_operator(credit=10**9)
        signers = Signers(server)
        signers.register(1_000_000)
        with Gateway(server.gy_port).open() as gateway:
            assert gateway.ask(CCR, ccr(gateway, SESSION, INITIAL, 0, mscc(1))).result_code == 2001
            session, init = signers.begin(SESSION)
            (begun,) = signers.send(init)
            report = signers.usage(session, 10, 20, final=True)
            (counted,) = signers.send(report)
            gateway.leave()
        assert (begun["status"], counted["status"]) == ("accepted", "accepted")
        number = server.api.get(f"/api/v1/channels/{session.channel_id.hex()}").json()["number"]
        log = signers.log_key()
        quorum = Quorum(frozenset({key}), 1)

        # Nobody answers there yet: the channel closes with its epoch, and waits.
        until(lambda: state_of(server, number) == "closing", "the epoch ends")
        assert server.api.get("/api/v1/log/checkpoint/cosigned").status_code == 404
        time.sleep(2.5)  # beyond its grace
        assert state_of(server, number) == "closing"

        with witness(tmp_path, log.text, port):
            until(lambda: state_of(server, number) == "settled", f"the witness cosigns:\n{server.tail()}")
            seen = server.api.get("/api/v1/log/checkpoint/cosigned")
            assert proof.believed(seen.content, log.name, [log], quorum, verify).size == 2
            receipt = server.api.get("/api/v1/log/proof/1", params={"cosigned": "true"})
            leaf = signers.leaf_of(1)
            assert proof.verify(receipt.content, leaf, log.name, [log], quorum, verify).size == 2
            assert "ocs_log_cosigned_leaves 2.0" in server.api.get("/metrics").text

        closure = tmp_path / "channel.closure"
        closure.write_bytes(server.api.get(f"/api/v1/channels/{number}/closure").content)
        assert audit_file(closure, Trust(log_key=log, quorum=quorum)).is_verified
        stranger = CosignerKey("other.example", key.public_key)
        assert not audit_file(closure, Trust(log_key=log, quorum=Quorum(frozenset({stranger}), 1))).is_verified

        assert server.stop() == 0, server.tail()
