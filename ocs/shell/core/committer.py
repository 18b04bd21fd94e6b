"""Commit groups: what was decided goes to the journal together, and only then is anybody answered.

One group is in flight on the journal thread while the next one fills.  A commit costs the core as much CPU as a dozen
CCRs, so where many come each group gathers for a millisecond at the most, until it is as large as the one before; and
while reports of signed usage come, for half of one.  Any failure of the journal ends the process at once: what was not
answered did not happen.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

import msgspec

from ocs.credit_control.event import Stepped
from ocs.credit_control.request import CreditControlRequest
from ocs.credit_control.session import Answer
from ocs.diameter.happening import Request
from ocs.shell.core.diameter_tcp import DiameterConnection
from ocs.shell.store import records
from ocs.shell.store.journal import Journal
from ocs.state import Event
from ocs.units import GroupIndex, UnixMillis

EXIT_STORE: Final = 4
REMOVED_PER_COMMIT: Final = 32
"""Old groups taken out with each commit: they never pile up, and it takes a tenth of a ms where they have 6.5 kB each.

Not a few with each: space that is given back while it is taken comes back in pieces, and every fold would be scattered.
"""

GATHER_SECONDS: Final = 0.001
"""From one group's landing to the next one's start at the most, where many events come."""

GATHER_BESIDE_SECONDS: Final = 0.0005
"""The same while others than Gy have asked for it."""

GATHERS_FROM: Final = 4
"""After a group of fewer events the next one goes as soon as it can: nobody would come to share it."""

Answering = Callable[[], None]


class Promise(msgspec.Struct, frozen=True, gc=False):
    """A CCA that waits for the sync of what it tells."""

    connection: DiameterConnection
    request: Request
    charged: CreditControlRequest
    event: Event | None  # that it decided; none of a repeat
    told: Answer | Stepped  # what the answer says
    octets: bytes


class _Group:
    """What is written together, and who is told afterwards.  `answers` are for all but CCAs, which are many."""

    __slots__ = ("answers", "at", "events", "index", "promises")

    def __init__(self, index: GroupIndex) -> None:
        self.index = index
        self.at = UnixMillis(0)
        self.events: list[Event] = []
        self.answers: list[Answering] = []
        self.promises: list[Promise] = []

    @property
    def is_empty(self) -> bool:
        return not (self.events or self.promises or self.answers)


class Committer:
    """Owns the journal while the server runs; `submit` and `after_sync` are called on the event loop alone.

    Attributes:
        synced: the newest group that is durable.
        born_seconds: when the journal was made; Origin-State-Id for as long as no session state is lost.
        thread: native id of the journal thread.
    """

    def __init__(
        self,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
        on_kept: Callable[[list[Promise]], None],
        on_synced: Callable[[], None],
    ) -> None:
        """Take the journal over.

        Args:
            on_kept: called with the CCAs that may leave now, also with none of them once other answers were given.
            on_synced: called after each group that is durable now, and its answers.
        """
        self._journal = journal
        self._loop = loop
        self._on_kept = on_kept
        self._on_synced = on_synced
        self.synced = journal.last
        self.born_seconds = journal.created_at // 1000
        self._filling = _Group(GroupIndex(journal.last + 1))
        self._in_flight: _Group | None = None
        self._scheduled = False
        self._flight_began = 0.0
        self._landed_at = 0.0
        self._gathers_until = 0.0
        self._gathering: asyncio.TimerHandle | None = None
        self._enough = 0  # events in the group before
        self._queue: SimpleQueue[tuple[GroupIndex, UnixMillis, bytes] | None] = SimpleQueue()
        self._trim_through = GroupIndex(0)
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._idle = asyncio.Event()
        self._idle.set()
        self.groups = 0
        self.events = 0
        self.commit_seconds = 0.0
        self._thread.start()
        assert self._thread.native_id is not None
        self.thread = self._thread.native_id

    @property
    def filling(self) -> GroupIndex:
        """The index of the group that the next event will be in."""
        return self._filling.index

    def submit(self, event: Event) -> None:
        """Put an event into the filling group."""
        self._filling.events.append(event)
        self._filling.at = event.at
        if not self._scheduled:
            self._schedule()
        elif self._gathering is not None and len(self._filling.events) >= self._enough:
            self._gathered()

    def after_sync(self, answering: Answering) -> None:
        """Call `answering` once everything decided so far is durable; never within this call."""
        self._last_seen().answers.append(answering)

    def promise(self, promises: list[Promise]) -> None:
        """Let CCAs go once everything decided so far is durable; never within this call."""
        self._last_seen().promises += promises

    def _last_seen(self) -> _Group:
        """Give the newest group that an answer of now could have seen."""
        if self._filling.events or self._in_flight is None:
            if not self._scheduled:
                self._schedule()
            return self._filling
        return self._in_flight

    @property
    def is_writing(self) -> bool:
        """Tell whether a group is in flight."""
        return self._in_flight is not None

    def gather(self, seconds: float) -> None:
        """Let each group gather for `GATHER_BESIDE_SECONDS`, whatever it holds, for as long as this."""
        self._gathers_until = time.monotonic() + seconds

    def waiting_seconds(self) -> float:
        """Tell for how long the group in flight has been under way."""
        return time.monotonic() - self._flight_began if self._in_flight is not None else 0.0

    def trim(self, through: GroupIndex) -> None:
        """Let groups up to this one go, some with each commit."""
        self._trim_through = max(self._trim_through, through)

    async def drain(self) -> None:
        """Wait until nothing is filling or in flight."""
        await self._idle.wait()

    async def close(self) -> None:
        """Write what is left, then give the journal up."""
        await self.drain()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._journal.close()

    def _schedule(self) -> None:
        self._idle.clear()
        if self._in_flight is None and not self._scheduled:
            self._scheduled = True
            # Not at once: all that came with the same read of a socket shares this group.
            self._loop.call_soon(self._launch)

    def _launch(self) -> None:
        self._scheduled = False
        self._gathering = None
        if self._in_flight is not None:
            return  # what fills now goes when that one has landed
        group = self._filling
        if not group.events:
            # Nothing is to be written, and nothing was in flight that these answers could have seen.
            self._filling = _Group(group.index)
            self._give(group)
            if self._filling.is_empty:
                self._idle.set()
            return
        now = time.monotonic()
        if (rest := self._landed_at + self._may_gather(now) - now) > 0:
            self._scheduled = True
            self._gathering = self._loop.call_later(rest, self._launch)
            return
        self._in_flight = group
        self._filling = _Group(GroupIndex(group.index + 1))
        self._flight_began = now
        self.groups += 1
        self._enough = len(group.events)
        self.events += self._enough
        self._queue.put((group.index, group.at, records.encode(group.events)))

    def _may_gather(self, now: float) -> float:
        """Give for how long the group that fills may gather, in seconds since the one before landed."""
        if now < self._gathers_until:
            return GATHER_BESIDE_SECONDS
        return GATHER_SECONDS if len(self._filling.events) < self._enough >= GATHERS_FROM else 0.0

    def _gathered(self) -> None:
        """Launch before the time is over; what came with the same read of a socket still shares the group."""
        if time.monotonic() < self._gathers_until:
            return
        assert self._gathering is not None
        self._gathering.cancel()
        self._gathering = None
        self._loop.call_soon(self._launch)

    def _landed(self) -> None:
        group = self._in_flight
        assert group is not None
        # The group is durable: whatever its events decided may now be told.
        self._in_flight = None
        self.synced = group.index
        self._landed_at = time.monotonic()
        self.commit_seconds += self._landed_at - self._flight_began
        self._give(group)
        self._on_synced()
        if not self._filling.is_empty:
            self._launch()
        else:
            self._idle.set()

    def _give(self, group: _Group) -> None:
        for answering in group.answers:
            answering()
        self._on_kept(group.promises)

    def _write(self) -> None:
        """Run on the journal thread: one append after another, in order."""
        while (item := self._queue.get()) is not None:
            index, at, payload = item
            try:
                through = self._trim_through
                self._journal.append(index, at, payload, remove_through=through, at_most=REMOVED_PER_COMMIT)
            except BaseException as error:  # noqa: BLE001  # whatever it is, nothing may be answered after it
                sys.stderr.write(f"the journal cannot be written ({error}); nothing is answered any more, stopping\n")
                sys.stderr.flush()
                os._exit(EXIT_STORE)
            self._loop.call_soon_threadsafe(self._landed)
