"""What happens to a gateway's connection: it opens, ends, breaks, and is good or bad."""

import contextlib
import time
from abc import abstractmethod
from dataclasses import dataclass

from simulator.gateway import Gateway, Rejected, Unanswered, Unreachable
from simulator.line import Shape
from simulator.scenario import Stage
from simulator.script.expectation import ConnectionExpect
from simulator.script.fields import needed, option, read
from simulator.script.measure import positive, seconds
from simulator.script.step import Step, verb
from simulator.script.value import Value


def gateway(value: Value) -> str:
    return value.one_of(value.cast.gateways, "gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStep(Step):
    """A verb about one gateway's connection."""

    subject: str = needed(gateway)
    expect: ConnectionExpect = option(lambda value: read(ConnectionExpect, value), ConnectionExpect())

    async def play(self, stage: Stage) -> None:
        one, began = stage.gateways[self.subject], time.monotonic()
        code = await self.act(stage, one)
        self.expect.judge(stage, self.at, code, time.monotonic() - began, connected=one.connected)

    @abstractmethod
    async def act(self, stage: Stage, gateway: Gateway) -> int:
        """Do it, and give the Result-Code of the answer; 0 where there is none."""


@verb("connect")
@dataclass(frozen=True, slots=True, kw_only=True)
class Connect(ConnectionStep):
    """Open a connection; one that there is is dropped before."""

    async def act(self, stage: Stage, gateway: Gateway) -> int:
        await gateway.drop()
        return await opened(stage, gateway)


async def opened(stage: Stage, gateway: Gateway) -> int:
    """Open a connection and give the code of its CEA.

    Raises:
        Unreachable: nobody listens.
    """
    try:
        return (await stage.connect_to(gateway)).number("Result-Code") or 0
    except Rejected as error:
        return error.code


@verb("disconnect")
@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect(ConnectionStep):
    """Say goodbye (DPR), and close on the answer."""

    async def act(self, stage: Stage, gateway: Gateway) -> int:
        code = 0
        with contextlib.suppress(Unanswered):
            code = await gateway.disconnect()
        await gateway.drop()
        return code


@verb("drop")
@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(ConnectionStep):
    """Cut the connection without a word, as a gateway that fails does."""

    async def act(self, stage: Stage, gateway: Gateway) -> int:
        await gateway.drop()
        return 0


@verb("half_close")
@dataclass(frozen=True, slots=True, kw_only=True)
class HalfClose(ConnectionStep):
    """End the way to the server (FIN) and still listen."""

    async def act(self, stage: Stage, gateway: Gateway) -> int:
        if gateway.line is not None:
            gateway.line.writer.write_eof()
        return 0


@verb("vanish")
@dataclass(frozen=True, slots=True, kw_only=True)
class Vanish(ConnectionStep):
    """Leave the connection half open: from now on octets arrive nowhere; `answers`: only those to the gateway."""

    lost: str = option(lambda value: value.one_of(("all", "answers"), "part of what is lost"), "all")

    async def act(self, stage: Stage, gateway: Gateway) -> int:
        gateway.vanish(sends_still=self.lost == "answers")
        return 0


@verb("knock")
@dataclass(frozen=True, slots=True, kw_only=True)
class Knock(ConnectionStep):
    """Try a second connection under the gateway's name, and leave the first as it is."""

    async def act(self, stage: Stage, gateway: Gateway) -> int:
        second = Gateway(
            gateway.identity, gateway.profile, record=stage.record, rng=stage.rng, observe=stage.around.observe
        )
        try:
            return await opened(stage, second)
        except Unreachable:
            return 0
        finally:
            await second.close()


@verb("await_close")
@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitClose(ConnectionStep):
    """Wait until the connection ends, whoever ends it; the time may be in the server's watchdog intervals."""

    seconds: float = option(seconds, 5.0)
    watchdogs: int = option(positive, 0)

    async def act(self, stage: Stage, gateway: Gateway) -> int:
        patience = self.seconds + self.watchdogs * (stage.around.tw_seconds or 0.0)
        await gateway.closed_by_server(patience / stage.clock.scale)
        return 0


@verb("watchdog")
@dataclass(frozen=True, slots=True, kw_only=True)
class Watchdog(ConnectionStep):
    """Send a DWR."""

    async def act(self, stage: Stage, gateway: Gateway) -> int:
        try:
            return await gateway.watchdog()
        except Unanswered:
            return 0


@verb("shape")
@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping(ConnectionStep):
    """Make the line better or worse from here on; what is not named is good."""

    split: int = option(positive, 0)
    merge: int = option(positive, 1)
    backwards: bool = option(Value.boolean, False)
    delay: float = option(seconds, 0.0)
    read_pause: float = option(seconds, 0.0)

    async def act(self, stage: Stage, gateway: Gateway) -> int:
        if gateway.line is not None:
            gateway.line.shape = Shape(
                split=self.split,
                merge=self.merge,
                backwards=self.backwards,
                delay=self.delay,
                read_pause=self.read_pause,
            )
        return 0
