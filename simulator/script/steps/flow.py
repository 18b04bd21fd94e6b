"""Time, order, and the server itself: steps at once or again, waiting, and a restart."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from simulator.gateway import Unreachable
from simulator.scenario import HookFailed, Lacking, Stage
from simulator.script.fields import needed, option
from simulator.script.measure import positive, seconds
from simulator.script.step import Step, play_all, steps, verb

RESTART_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1


@verb("together")
@dataclass(frozen=True, slots=True, kw_only=True)
class Together(Step):
    """Begin all of these at once, and go on when all are done."""

    subject: tuple[Step, ...] = needed(steps)

    async def play(self, stage: Stage) -> None:
        # Each starts when the one before has sent: on a line that turns messages round, the order is the file's.
        await asyncio.gather(*(play_all((one,), stage) for one in self.subject))


@verb("again")
@dataclass(frozen=True, slots=True, kw_only=True)
class Again(Step):
    """Play these steps one after the other, so many times."""

    subject: tuple[Step, ...] = needed(steps)
    times: int = needed(positive)

    async def play(self, stage: Stage) -> None:
        for _ in range(self.times):
            await play_all(self.subject, stage)


@verb("wait")
@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Step):
    """Let simulated time pass; with a time scale above 1 less of the real one does."""

    subject: float = needed(seconds)

    async def play(self, stage: Stage) -> None:
        await stage.clock.sleep(self.subject)


@verb("skip")
@dataclass(frozen=True, slots=True, kw_only=True)
class Skip(Step):
    """Put the gateways' clock forward; the server's goes on as it does."""

    subject: float = needed(seconds)

    async def play(self, stage: Stage) -> None:
        stage.clock.skip(self.subject)


@verb("restart")
@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(Step):
    """Have the server restarted, and connect every gateway again that was connected."""

    subject: str = needed(lambda value: value.one_of(("server",), "thing to restart"))
    seconds: float = option(seconds, RESTART_SECONDS)

    async def play(self, stage: Stage) -> None:
        if stage.around.restart is None:
            raise Lacking("restarts the server: name a command that does with --restart")
        connected = [gateway for gateway in stage.gateways.values() if gateway.connected]
        await stage.around.restart()
        until = time.monotonic() + self.seconds
        for gateway in connected:
            await gateway.drop()
            while not gateway.connected:
                try:
                    await stage.connect_to(gateway)
                except Unreachable as error:
                    if time.monotonic() > until:
                        raise HookFailed(f"no server {self.seconds:g} s after its restart: {error}") from error
                    await asyncio.sleep(LOOK_SECONDS)
        if stage.around.accounts is not None:
            while not await stage.around.accounts.ready():
                if time.monotonic() > until:
                    raise HookFailed(f"the API is not ready {self.seconds:g} s after the restart")
                await asyncio.sleep(LOOK_SECONDS)
