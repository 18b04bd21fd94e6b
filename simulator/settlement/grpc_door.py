"""The door over gRPC: settlement.v1.Settlement, its messages read and written here.  proto/settlement.proto.

The proposal's `api.session_usage` leads to the same server, but answers with nothing that could be kept as a receipt.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import grpc

from simulator.settlement import wire
from simulator.settlement.door import DoorError, Outcome, Status
from simulator.settlement.messages import ID_OCTETS
from simulator.settlement.signer import Channel

ANSWER_SECONDS: Final = 30.0

# Proxies of the environment are for the world outside, not for a server beside us.
OPTIONS: Final = (("grpc.enable_http_proxy", 0),)


class GrpcDoor:
    """A client of the gRPC service.

    Args:
        target: host and port.
        authorization: gives the metadata's value for a call about to be made; passes are good for minutes only.
    """

    def __init__(self, target: str, authorization: Callable[[], str]) -> None:
        self._target = target
        self._authorization = authorization
        self._channel = grpc.aio.insecure_channel(target, options=OPTIONS)
        # Without serializers a message is its octets; signed ones must not be written anew anyway.
        self._report = self._channel.stream_stream("/settlement.v1.Settlement/Report")
        self._active = self._channel.unary_unary("/settlement.v1.Settlement/ActiveChannel")

    async def report(self, envelopes: Sequence[bytes]) -> list[Outcome]:
        """Send reports in a stream of their own; see `Door`.

        Raises:
            DoorError: the stream ended before each had its receipt, or one cannot be read.
        """
        call = self._report(_each(envelopes), timeout=ANSWER_SECONDS, metadata=self._metadata())
        try:
            outcomes = [_receipt(octets) async for octets in call]
        except grpc.aio.AioRpcError as error:
            raise self._failed("Report", error) from None
        except (wire.Unreadable, UnicodeDecodeError) as error:
            raise DoorError(f"{self._target} Report: a receipt cannot be read: {error}") from None
        if len(outcomes) != len(envelopes):
            raise DoorError(f"{self._target} Report: {len(outcomes)} receipts for {len(envelopes)} reports")
        return outcomes

    async def active_channel(self, gy_session_id: str) -> Channel | None:
        """Ask for a Gy session's channel; see `Door`.

        Raises:
            DoorError: no answer came, or one that cannot be read.
        """
        try:
            octets = await self._active(wire.text(1, gy_session_id), timeout=ANSWER_SECONDS, metadata=self._metadata())
            fields = wire.read(octets)
            if not fields.octets(1):
                return None
            return Channel(fields.octets(1, ID_OCTETS), fields.number(2), fields.number(3))
        except grpc.aio.AioRpcError as error:
            raise self._failed("ActiveChannel", error) from None
        except wire.Unreadable as error:
            raise DoorError(f"{self._target} ActiveChannel: the answer cannot be read: {error}") from None

    async def close(self) -> None:
        await self._channel.close()

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", self._authorization()),)

    def _failed(self, method: str, error: Any) -> DoorError:
        return DoorError(f"{self._target} {method}: {error.code().name} {error.details()}")


async def _each(envelopes: Sequence[bytes]) -> AsyncIterator[bytes]:
    for one in envelopes:
        yield one


def _receipt(octets: bytes) -> Outcome:
    fields = wire.read(octets)
    refusal, superseded, again = fields.text(2), fields.number(4), fields.number(8)
    if again:
        status = Status.AGAIN
    elif refusal:
        status = Status.REFUSED
    else:
        status = Status.SUPERSEDED if superseded else Status.ACCEPTED
    return Outcome(
        message_id=fields.octets(1),
        status=status,
        code=refusal,
        detail=fields.text(3),
        proof=fields.octets(6).decode(),
        next_channel_id=fields.octets(7),
    )
