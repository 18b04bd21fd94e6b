"""Signed usage over gRPC: `settlement.v1.Settlement`, and the proposal's `api.session_usage`.  proto/settlement.proto.

Envelopes pass as the octets that came, never parsed and written anew: signatures cover octets.  Who sends shows it as
metadata (ocs.shell.follower.usage_senders).
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
import structlog
from google.protobuf.message import Message

from ocs.errors import BadConfiguration, TooBusy, Unavailable
from ocs.shell.config import Usage, UsageTls
from ocs.shell.follower.usage_door import Outcome, Status, UsageDoor
from ocs.shell.follower.usage_senders import NotAdmitted, sender_of
from ocs.usage.opening import REPORT_OCTETS_MAX
from ocs.wire_pb import orc8r_pb2, proposal_pb2, settlement_pb2

MESSAGE_OCTETS_MAX: Final = 2 * REPORT_OCTETS_MAX
"""A report that is a little too long is told so; one far too long ends its stream."""

RPCS_MAX: Final = 256
IN_BATCH: Final = 100
BATCHES_MAX: Final = 4
"""Of one stream: while one is being written down the next ones are verified."""

BIND_AGAIN_SECONDS: Final = 5.0

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_OCTETS_MAX),
    ("grpc.max_metadata_size", 8192),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 60_000),
)

log = structlog.get_logger()

_Batches = asyncio.Queue[asyncio.Task[list[Outcome]] | None]


class UsageService:
    """The methods, over one `UsageDoor`."""

    def __init__(self, door: UsageDoor, token: str) -> None:
        self._door = door
        self._token = token.encode()

    async def report(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Give a receipt for each report, in their order; what comes while others are decided goes together."""
        sender = await self._admitted(context)
        batches: _Batches = asyncio.Queue(BATCHES_MAX)
        gathering = asyncio.get_running_loop().create_task(self._gather(requests, sender, batches))
        try:
            while (batch := await batches.get()) is not None:
                for outcome in await batch:
                    yield _receipt(outcome)
        finally:
            gathering.cancel()

    async def _gather(self, requests: AsyncIterator[bytes], sender: bytes | None, batches: _Batches) -> None:
        """Make batches of what comes; a full queue holds the stream up, and gRPC its sender."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[bytes | None] = asyncio.Queue(IN_BATCH)
        reading = loop.create_task(_read(requests, waiting))
        try:
            ended = False
            while not ended:
                some, ended = await _some(waiting)
                if some:
                    await batches.put(loop.create_task(self._take(some, sender)))
            await batches.put(None)
        finally:
            reading.cancel()

    async def _take(self, reports: list[bytes], sender: bytes | None) -> list[Outcome]:
        try:
            return await self._door.report(reports, sender)
        except (TooBusy, Unavailable) as error:
            return [Outcome(b"", Status.AGAIN, detail=str(error))] * len(reports)

    async def active_channel(self, request: settlement_pb2.ActiveChannelRequest, context: Any) -> Message:
        """Say which channel a Gy session's reports are for."""
        sender = await self._admitted(context)
        try:
            active = await self._door.active(request.gy_session_id, sender)
        except Unavailable as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            raise  # never reached: `abort` raises
        return settlement_pb2.ActiveChannelReply(
            channel_id=active.channel_id or b"", tariff_id=active.tariff, cum_granted_bytes=active.granted
        )

    async def session_usage(self, request: proposal_pb2.session_usage_update, context: Any) -> Message:
        """Take one report; the status says what became of it, for this method has no receipts."""
        sender = await self._admitted(context)
        (outcome,) = await self._take([request.envelope], sender)
        if outcome.status is Status.REFUSED:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{outcome.code}: {outcome.detail}")
        if outcome.status is Status.AGAIN:
            await context.abort(grpc.StatusCode.UNAVAILABLE, outcome.detail)
        return orc8r_pb2.Void()

    async def _admitted(self, context: Any) -> bytes | None:
        shown = dict(context.invocation_metadata() or ()).get("authorization", "")
        try:
            return await sender_of(shown if isinstance(shown, str) else "", self._door, self._token)
        except NotAdmitted as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
            raise  # never reached: `abort` raises
        except Unavailable as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            raise


def _receipt(outcome: Outcome) -> bytes:
    octets: bytes = settlement_pb2.Receipt(
        message_id=outcome.message_id,
        refusal=outcome.code,
        detail=outcome.detail,
        superseded=outcome.status is Status.SUPERSEDED,
        again=outcome.status is Status.AGAIN,
        log_index=max(0, outcome.leaf),
        proof=outcome.proof,
        next_channel_id=outcome.next_channel_id,
    ).SerializeToString()
    return octets


async def _read(requests: AsyncIterator[bytes], waiting: asyncio.Queue[bytes | None]) -> None:
    async for octets in requests:
        await waiting.put(octets)
    await waiting.put(None)


async def _some(waiting: asyncio.Queue[bytes | None]) -> tuple[list[bytes], bool]:
    """Give all that waits, at least one, and whether the stream has ended."""
    some: list[bytes] = []
    one = await waiting.get()
    while one is not None:
        some.append(one)
        if len(some) == IN_BATCH or waiting.empty():
            return some, False
        one = waiting.get_nowait()
    return some, True


def _handlers(service: UsageService) -> tuple[grpc.GenericRpcHandler, ...]:
    """Name the methods as the proto files do; what the generated code would add is parsing of envelopes."""
    return (
        grpc.method_handlers_generic_handler(
            "settlement.v1.Settlement",
            {
                "Report": grpc.stream_stream_rpc_method_handler(service.report),
                "ActiveChannel": grpc.unary_unary_rpc_method_handler(
                    service.active_channel,
                    request_deserializer=settlement_pb2.ActiveChannelRequest.FromString,
                    response_serializer=settlement_pb2.ActiveChannelReply.SerializeToString,
                ),
            },
        ),
        grpc.method_handlers_generic_handler(
            "api",
            {
                "session_usage": grpc.unary_unary_rpc_method_handler(
                    service.session_usage,
                    request_deserializer=proposal_pb2.session_usage_update.FromString,
                    response_serializer=orc8r_pb2.Void.SerializeToString,
                )
            },
        ),
    )


def _credentials(tls: UsageTls) -> grpc.ServerCredentials:
    """Read the files of TLS.

    Raises:
        BadConfiguration: one cannot be read.
    """

    def read(name: str) -> bytes:
        try:
            return Path(name).read_bytes()
        except OSError as error:
            raise BadConfiguration(f"usage.tls: {name} cannot be read ({error.strerror})") from None

    pair = read(tls.key), read(tls.certificate)
    authorities = read(tls.ca) if tls.ca is not None else None
    return grpc.ssl_server_credentials([pair], authorities, require_client_auth=authorities is not None)


async def serve(settings: Usage, token: str, door: UsageDoor) -> None:
    """Serve until cancelled; where the port is taken, try again now and then: the other doors go on."""
    if settings.listen is None:
        await asyncio.Event().wait()
    assert settings.listen is not None
    while True:
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=RPCS_MAX)
        server.add_generic_rpc_handlers(_handlers(UsageService(door, token)))
        try:
            if settings.tls is None:
                port = server.add_insecure_port(settings.listen)
            else:
                port = server.add_secure_port(settings.listen, _credentials(settings.tls))
            await server.start()
        except (RuntimeError, BadConfiguration) as error:
            log.error("usage over gRPC is not served", listen=settings.listen, reason=str(error))  # noqa: TRY400
            await asyncio.sleep(BIND_AGAIN_SECONDS)
            continue
        log.info("serving usage", grpc=f"{settings.listen.rpartition(':')[0]}:{port}", tls=settings.tls is not None)
        try:
            await server.wait_for_termination()
        finally:
            await server.stop(None)  # who has no receipt sends again; and the next follower waits for this place
