"""What a gateway's SGW and miner sign, for the tests of this folder: real keys, real octets, over HTTP or gRPC."""

import base64
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx

from live.ocs_server import OcsServer
from ocs import command as cmd
from ocs.shell import link
from ocs.shell.frame import frame
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, signer_of, verify
from ocs.tlog import proof
from ocs.tlog.note import VerifierKey
from ocs.units import DataCredits
from ocs.usage.door_pass import DOOR_TYPE, DoorPass
from ocs.usage.record import COUNTERSIGN_TYPE, Cause, Countersign, SessionInit, Usage
from ocs.wire_pb import settlement_pb2
from signed_reports import MINER, SGW, signed

NETWORK = "default"
TRIES = 100


def command(server: OcsServer, asked: cmd.AdministratorCommand) -> link.Told:
    """Have a command carried out as the follower has it."""
    with socket.socket(socket.AF_UNIX) as core:
        core.settimeout(10)
        core.connect(str(server.data / "core.sock"))
        core.sendall(frame(link.Ask(1, asked)))
        length = int.from_bytes(_exactly(core, 4), "big")
        told = link.to_follower.decode(_exactly(core, length))
    assert isinstance(told, link.Told), told
    return told


def _exactly(core: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        part = core.recv(count - len(octets))
        assert part, "the core has closed its socket"
        octets += part
    return octets


def now() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Signed:
    """One signed session, as its SGW knows it."""

    gy_session_id: str
    channel_id: bytes
    session_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    last_id: bytes = bytes(32)
    seq: int = 0
    up: int = 0
    down: int = 0


class Signers:
    """The SGW and the miner of one gateway, and what the server told them."""

    def __init__(self, server: OcsServer, host: str = "sgw.visited.example") -> None:
        self.server = server
        self.host = host
        self.sgw, self.miner = SGW, MINER
        self.miner_seq = 0

    def register(self, bought: int = 1_000_000) -> None:
        """Buy credits, wait for a channel, and register the keys."""
        command(self.server, cmd.BuyCredits(DataCredits(bought), "of the tests", secrets.token_hex(8)))
        self.wait_channels()
        command(self.server, cmd.AddSigners(self.host, self.sgw.public_key, self.miner.public_key))

    def wait_channels(self) -> None:
        for _ in range(TRIES):
            if "channel opened" in self.server.log.read_text(errors="replace"):
                return
            time.sleep(0.1)
        raise AssertionError(f"no channel\n{self.server.tail()}")

    def pass_(self, at: int | None = None, signer: SeedSigner | None = None) -> str:
        signer = signer or self.miner
        payload = DoorPass(1, NETWORK, signer_of(signer.public_key), at or now()).encode()
        return "Settlement " + base64.b64encode(envelope.seal(DOOR_TYPE, payload, signer)).decode()

    # HTTP

    def active(self, gy_session_id: str) -> dict[str, Any]:
        answer = self.server.api.get(
            "/api/v1/usage/active-channel",
            params={"gy_session_id": gy_session_id},
            headers={"Authorization": self.pass_()},
        )
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def post(self, reports: Sequence[bytes], **headers: str) -> httpx.Response:
        body = {"reports": [base64.b64encode(one).decode() for one in reports]}
        return self.server.api.post("/api/v1/usage", json=body, headers={"Authorization": self.pass_()} | headers)

    def send(self, *reports: bytes) -> list[dict[str, Any]]:
        answer = self.post(reports)
        assert answer.status_code == 200, answer.text
        told: list[dict[str, Any]] = answer.json()["results"]
        return told

    # gRPC

    def stream(self, reports: Sequence[bytes]) -> list[settlement_pb2.Receipt]:
        with grpc.insecure_channel(f"127.0.0.1:{self.server.usage_port}") as channel:
            report = channel.stream_stream(
                "/settlement.v1.Settlement/Report", response_deserializer=settlement_pb2.Receipt.FromString
            )
            return list(report(iter(reports), metadata=(("authorization", self.pass_()),), timeout=30))

    # What they sign

    def begin(self, gy_session_id: str) -> tuple[Signed, bytes]:
        return self.begin_in(gy_session_id, self.active(gy_session_id))

    def begin_in(self, gy_session_id: str, told: dict[str, Any]) -> tuple[Signed, bytes]:
        """Begin a session in the channel that the server told of."""
        session = Signed(gy_session_id, bytes.fromhex(told["channel_id"]))
        init = SessionInit(
            version=1,
            network=NETWORK,
            channel_id=session.channel_id,
            session_id=session.session_id,
            sgw_key=signer_of(self.sgw.public_key),
            miner_key=signer_of(self.miner.public_key),
            subscriber_tag=bytes(32),
            rat=6,
            operator="00101",
            gy_session_id=gy_session_id,
            started_at_ms=now(),
            granted_bytes=int(told["cum_granted_bytes"]),
            tariff_id=told["tariff_id"],
        )
        return session, self._countersigned(session, init)

    def usage(self, session: Signed, up: int, down: int = 0, *, final: bool = False) -> bytes:
        """Sign the next report of a session: `up` and `down` more than before."""
        session.seq, session.up, session.down = session.seq + 1, session.up + up, session.down + down
        report = Usage(
            version=1,
            network=NETWORK,
            channel_id=session.channel_id,
            session_id=session.session_id,
            sgw_key=signer_of(self.sgw.public_key),
            miner_key=signer_of(self.miner.public_key),
            seq=session.seq,
            cum_up_bytes=session.up,
            cum_down_bytes=session.down,
            measured_at_ms=now(),
            cause=Cause.TERMINATED if final else Cause.THRESHOLD,
            prev_id=session.last_id,
            cc_request_number=session.seq,
            final=final,
        )
        return self._countersigned(session, report)

    def _countersigned(self, session: Signed, report: SessionInit | Usage) -> bytes:
        inner = signed(report, self.sgw)
        session.last_id = envelope.message_id(envelope.decode(inner))
        self.miner_seq += 1
        payload = Countersign(
            version=1,
            channel_id=session.channel_id,
            inner_id=session.last_id,
            received_at_ms=now(),
            miner_seq=self.miner_seq,
            inner=inner,
        ).encode()
        return envelope.seal(COUNTERSIGN_TYPE, payload, self.miner)

    # What the server told

    def log_key(self) -> VerifierKey:
        return VerifierKey.parse(self.server.api.get("/api/v1/log/key").json()["key"])

    def leaf_of(self, index: int) -> bytes:
        """Read a leaf out of the public log."""
        bundle, place = divmod(index, 256)
        size = self.server.api.get("/api/v1/log/key").json()["size"]
        width = min(256, size - bundle * 256)
        tail = f".p/{width}" if width < 256 else ""
        octets = self.server.api.get(f"/api/v1/log/tile/entries/{bundle:03}{tail}").content
        at = 0
        for _ in range(place):
            at += 2 + int.from_bytes(octets[at : at + 2], "big")
        return octets[at + 2 : at + 2 + int.from_bytes(octets[at : at + 2], "big")]

    def check_receipt(self, text: str, leaf: bytes) -> int:
        """Check a receipt as its miner does; the size of the log that it stands in."""
        key = self.log_key()
        return proof.verify(text.encode(), leaf, key.name, [key], proof.NO_COSIGNERS, verify).size
