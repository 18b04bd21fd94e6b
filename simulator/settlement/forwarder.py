"""The session-forwarder: readings in, signed reports out, until each has its receipt.

    gateway ──▶ take ──▶ spool ──▶ sign ──▶ spool ──▶ send, in batches ──▶ door
                                                         ▲                   │
                                                         └── back off ◀──────┴──▶ spool: receipts, refusals

It may be killed at any line: what it has taken is in the spool, and what it has sent without an answer goes out again.
Work on the spool is done where it stands, a few milliseconds for each batch: nobody waits here for less than a disk.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from simulator.settlement.desk import Desk
from simulator.settlement.door import REPORTS_MAX, Door, DoorError, fitting
from simulator.settlement.reading import Reading
from simulator.settlement.receipt import LogKey
from simulator.settlement.signer import Channel

BACK_OFF_SECONDS: Final = 0.2
BACK_OFF_SECONDS_MAX: Final = 30.0

SIGNED_AT_ONCE: Final = 100
"""Gy sessions signed in one commit; a channel is asked for each of them that begins, all side by side."""

WAITING_MAX: Final = 100_000
"""Reports under way, some 70 MB.  Beyond that no more readings are taken: the gateway keeps each session's newest."""

LOOK_SECONDS: Final = 1.0
"""Between two looks at what became due by itself."""

PRUNE_SECONDS: Final = 3600.0


def now_ms() -> int:
    """Give Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Forwarder:
    """One gateway's forwarder.

    Args:
        log_key: asks for the key of the log, where the spool does not know it.
        tell: is given a line for people where something is wrong, at most one for each change.
    """

    def __init__(
        self,
        desk: Desk,
        door: Door,
        log_key: Callable[[], Awaitable[LogKey]],
        tell: Callable[[str], None] = print,
        rng: random.Random | None = None,
    ) -> None:
        self.desk = desk
        self._door = door
        self._log_key = log_key
        self._tell = tell
        self._rng = rng or random.Random()
        self._to_sign = asyncio.Event()
        self._to_send = asyncio.Event()
        self._told = ""

    async def take(self, readings: Sequence[Reading]) -> None:
        """Take readings; they are durable when this returns.  It waits while too much is under way."""
        while self.desk.spool.under_way() >= WAITING_MAX:  # noqa: ASYNC110  (rare, and then it lasts)
            await asyncio.sleep(LOOK_SECONDS)
        self.desk.take(readings, now_ms())
        self._to_sign.set()

    async def run(self) -> None:
        """Sign and send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sign())
            group.create_task(self._send())
            group.create_task(self._prune())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run beside the block."""
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def drained(self, seconds: float) -> bool:
        """Wait until nothing is to be signed or sent; False when that takes longer."""
        try:
            async with asyncio.timeout(seconds):
                while self.desk.spool.busy():  # noqa: ASYNC110  (for whoever ends a run, not for its work)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return False
        return True

    async def _sign(self) -> None:
        failures = 0
        while True:
            self._to_sign.clear()
            signable = self.desk.spool.signable(now_ms(), SIGNED_AT_ONCE)
            try:
                sessions = [one for one in await asyncio.gather(*map(self._with_channel, signable)) if one is not None]
            except DoorError as error:
                failures = await self._back_off(failures, str(error))
                continue
            failures = 0
            if sessions:
                self.desk.sign(sessions, now_ms())
                self._to_send.set()
            if len(signable) < SIGNED_AT_ONCE:
                await _set_within(self._to_sign, LOOK_SECONDS)

    async def _with_channel(self, gy_session_id: str) -> tuple[str, Channel | None] | None:
        """Give a Gy session with the channel that it needs; None: it needs one, and there is none."""
        if not self.desk.wants_channel(gy_session_id):
            return gy_session_id, None
        channel = await self._door.active_channel(gy_session_id)
        if channel is None:
            self.desk.no_channel(gy_session_id, now_ms())
            return None
        return gy_session_id, channel

    async def _send(self) -> None:
        failures = 0
        while True:
            self._to_send.clear()
            reports = self.desk.spool.due(now_ms(), REPORTS_MAX)
            if not reports:
                await _set_within(self._to_send, LOOK_SECONDS / 4)
                continue
            reports = reports[: fitting([report.envelope for report in reports])]
            try:
                if self.desk.log is None:
                    self.desk.trust(await self._log_key())
                outcomes = await self._door.report([report.envelope for report in reports])
            except DoorError as error:
                failures = await self._back_off(failures, str(error))
                continue
            failures = 0
            unproven = self.desk.unproven
            self.desk.settle(reports, outcomes, now_ms())
            self._say(self.desk.last_unproven if self.desk.unproven > unproven else "")
            self._to_sign.set()  # a session that waited for its receipt may go on

    async def _prune(self) -> None:
        while True:
            self.desk.prune(now_ms())
            await asyncio.sleep(PRUNE_SECONDS)

    async def _back_off(self, failures: int, why: str) -> int:
        """Wait before the door is tried again, longer each time; less by chance, so that not all come at once."""
        self._say(why)
        seconds = min(BACK_OFF_SECONDS * 2 ** min(failures, 16), BACK_OFF_SECONDS_MAX)
        await asyncio.sleep(seconds * self._rng.uniform(0.5, 1.0))
        return failures + 1

    def _say(self, line: str) -> None:
        """Tell people what is wrong, once until it changes."""
        if line and line != self._told:
            self._tell(line)
        self._told = line


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
