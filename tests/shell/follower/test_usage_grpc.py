"""Signed usage over gRPC where something behind the door does not answer: who asks is told to come again."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from api_door import TOKEN, Door
from live.ocs_server import free_ports
from ocs.errors import Unavailable
from ocs.shell.config import Usage
from ocs.shell.follower import usage_grpc
from ocs.shell.follower.verifiers import Verifiers
from ocs.wire_pb import proposal_pb2, settlement_pb2
from signing_node import SigningNode

REPORT = "/settlement.v1.Settlement/Report"
ACTIVE = "/settlement.v1.Settlement/ActiveChannel"
SESSION_USAGE = "/api/session_usage"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with Door(tmp_path, node=SigningNode()) as opened:
        yield opened


def ask(door: Door, method: str, *requests: bytes) -> list[bytes]:
    """Serve the door over gRPC and ask it once, as the administrator."""

    async def run() -> list[bytes]:
        (port,) = free_ports(1)
        settings = Usage(listen=f"127.0.0.1:{port}")
        serving = asyncio.ensure_future(usage_grpc.serve(settings, TOKEN, door.backend.usage))
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                shown = (("authorization", f"Bearer {TOKEN}"),)
                how: dict[str, Any] = {"metadata": shown, "timeout": 20, "wait_for_ready": True}
                if method.endswith("Report"):
                    return [one async for one in channel.stream_stream(method)(iter(requests), **how)]
                return [await channel.unary_unary(method)(*requests, **how)]
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    return door.run(run())


def test_a_channel_that_cannot_be_told_now_is_unavailable(door: Door) -> None:
    question = settlement_pb2.ActiveChannelRequest(gy_session_id="sgw;1").SerializeToString()
    assert settlement_pb2.ActiveChannelReply.FromString(*ask(door, ACTIVE, question)).channel_id == b""
    door.backend.behind = True
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        ask(door, ACTIVE, question)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "9 groups behind" in str(refused.value.details())


def test_reports_that_nothing_verifies_come_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    receipts = [settlement_pb2.Receipt.FromString(one) for one in ask(door, REPORT, b"none", b"none")]
    assert [one.refusal for one in receipts] == ["malformed", "malformed"]

    async def open_nothing(*_: object) -> None:
        raise Unavailable("no process to verify signatures can be started: Cannot allocate memory")

    monkeypatch.setattr(Verifiers, "open", open_nothing)
    receipts = [settlement_pb2.Receipt.FromString(one) for one in ask(door, REPORT, b"none", b"none")]
    assert [(one.again, one.refusal) for one in receipts] == [(True, ""), (True, "")]
    assert "Cannot allocate memory" in receipts[0].detail
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        ask(door, SESSION_USAGE, proposal_pb2.session_usage_update(envelope=b"none").SerializeToString())
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
