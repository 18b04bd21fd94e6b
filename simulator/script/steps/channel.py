"""State channels: opened, used by what is signed, and closed (the proposal's 3.2.1)."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from simulator.accounts import Channel
from simulator.checks import Rule
from simulator.scenario import Stage
from simulator.script.fields import needed, option, read
from simulator.script.measure import Bounds, bounds, integer
from simulator.script.step import Step, verb
from simulator.script.steps.session import groups
from simulator.script.value import Value

STATES: Final = ("open", "draining", "closing", "settled")

BOOKS_SECONDS: Final = 5.0
"""How long the list of channels may trail behind the receipts."""

LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelExpect:
    """Of a channel; `used` in data credits."""

    state: tuple[str, ...] = option(lambda value: value.listed(lambda one: one.one_of(STATES, "channel's state")), ())
    used: Bounds | None = option(bounds)
    commits: Bounds | None = option(bounds)

    def judge(self, stage: Stage, step: str, shown: Channel) -> None:
        if self.state:
            stage.expect(shown.state in self.state, Rule.CHANNEL, step, " or ".join(self.state), shown.state)
        for bound, number, what in ((self.used, shown.used, "credits used"), (self.commits, shown.commits, "commits")):
            if bound is not None:
                stage.expect(bound.holds(number), Rule.CHANNEL, step, f"{bound} {what}", f"{number:,} {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStep(Step):
    """A verb about a channel that the scenario opened itself, under a name of its own."""

    subject: str = needed(Value.text)
    expect: ChannelExpect = option(lambda value: read(ChannelExpect, value), ChannelExpect())

    def _known(self, stage: Stage) -> str:
        return stage.channels[self.subject].channel_id


@verb("buy_credits")
@dataclass(frozen=True, slots=True, kw_only=True)
class BuyCredits(Step):
    """Credit the deployment with data credits."""

    subject: int = needed(lambda value: integer(value, 1))

    async def play(self, stage: Stage) -> None:
        await stage.accounts().buy_credits(self.subject, "scene")


@verb("open_channel")
@dataclass(frozen=True, slots=True, kw_only=True)
class OpenChannel(ChannelStep):
    """Open a channel that locks so many data credits."""

    credits: int = needed(lambda value: integer(value, 1))

    async def play(self, stage: Stage) -> None:
        shown = stage.channels[self.subject] = await stage.accounts().open_channel(self.credits)
        self.expect.judge(stage, self.at, shown)


@verb("close_channel")
@dataclass(frozen=True, slots=True, kw_only=True)
class CloseChannel(ChannelStep):
    """Close a channel before its end, as its owner may."""

    async def play(self, stage: Stage) -> None:
        self.expect.judge(stage, self.at, await stage.accounts().close_channel(self._known(stage)))


@verb("mark")
@dataclass(frozen=True, slots=True, kw_only=True)
class Mark(Step):
    """Remember what all channels together have used by now."""

    subject: str = needed(lambda value: value.one_of(("channels",), "thing to mark"))

    async def play(self, stage: Stage) -> None:
        stage.used_before = await _used(stage)


@verb("counted")
@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(Step):
    """Wait for the receipts of sessions; since the mark, channels were charged for what is signed of them, no more."""

    subject: tuple[str, ...] = needed(groups)

    async def play(self, stage: Stage) -> None:
        sessions = [one for name in self.subject for one in stage.sessions_of(name) if one.metered]
        if not sessions:
            stage.expect(False, Rule.CHANNEL, self.at, "sessions whose use is signed", "there are none")
            return
        stage.record.broken(await stage.signing().check(sessions))
        (shown, *_) = await stage.accounts().channels()
        per_octets = int(shown["per_octets"])
        due = sum(-(-session.reported.total // per_octets) for session in sessions)
        grown = await _grown(stage, due)
        stage.expect(grown == due, Rule.CHANNEL, self.at, f"{due:,} credits used in channels", f"{grown:,}")


async def _grown(stage: Stage, due: int) -> int:
    """Give what channels were charged since the mark, once that is as much as is due or the time for it is over."""
    until = time.monotonic() + BOOKS_SECONDS / stage.clock.scale
    while True:
        grown = await _used(stage) - stage.used_before
        if grown >= due or time.monotonic() > until:
            return grown
        await asyncio.sleep(LOOK_SECONDS)


async def _used(stage: Stage) -> int:
    return sum(int(one["used"]) for one in await stage.accounts().channels())
