"""A reader of the journal that comes after the core, group by group, and those who wait until it has reached them."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from ocs.errors import JournalFault, Unavailable
from ocs.shell.store.archive import History
from ocs.shell.store.group import Group
from ocs.units import GroupIndex

REACH_SECONDS: Final = 1.0
"""A reader waits this long for what it wants to read."""

BATCH_GROUPS: Final = 500


class Pursuit(ABC):
    """What is made of the journal, as of `index`.  Each one has a pace of its own.

    Attributes:
        index: the newest group that is in it.
        target: the newest group known to be synced.
    """

    name: str
    """What is behind, in a message to a person."""

    batch_octets: int
    """Groups of so many octets are taken at once."""

    gather_seconds: float
    """For so long groups gather before they are read, where nobody waits for them."""

    @property
    def gives_way(self) -> bool:
        """Whether it rests as long as it worked, where it is behind while the core goes on."""
        return False

    def __init__(self, history: History, index: GroupIndex) -> None:
        self.index = index
        self.target = GroupIndex(0)
        self._history = history
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._behind_since = 0.0
        self._reached: list[tuple[GroupIndex, asyncio.Future[None]]] = []

    @abstractmethod
    async def take(self, groups: Sequence[Group]) -> None:
        """Take groups that follow on `index`, all or none of them.

        Raises:
            JournalFault: they do not continue what was taken before.
        """

    def aim(self, index: GroupIndex) -> None:
        """Learn that `index` is synced."""
        if self.index >= self.target:
            self._behind_since = asyncio.get_running_loop().time()
        self.target = max(self.target, index)
        self._wake.set()

    def behind_seconds(self) -> float:
        """Tell for how long it has not caught up with what is synced; 0 where it has."""
        return asyncio.get_running_loop().time() - self._behind_since if self.index < self.target else 0.0

    async def reach(self, index: GroupIndex) -> None:
        """Wait until `index` is reached.

        Raises:
            Unavailable: it was not within a second.
        """
        if self.index >= index:
            return
        self.aim(index)
        waiting = (index, asyncio.get_running_loop().create_future())
        self._reached.append(waiting)
        self._hurry.set()
        try:
            await asyncio.wait_for(waiting[1], REACH_SECONDS)
        except TimeoutError:
            raise Unavailable(
                f"{self.name} {index - self.index} groups behind; what was asked is durable, try to read again"
            ) from None
        finally:
            # Whoever has given up hurries nobody any more.
            self._reached.remove(waiting)

    async def run(self) -> None:
        """Follow for as long as the process lives.

        Raises:
            JournalFault: a group is missing, damaged, or not of this history.
        """
        loop = asyncio.get_running_loop()
        while True:
            if self.index >= self.target:
                self._wake.clear()
                await self._wake.wait()
                continue
            some = self._history.some(self.index, BATCH_GROUPS, self.batch_octets)
            groups = [group for group in some if group.index <= self.target]
            if not groups:
                raise JournalFault(f"group {self.index + 1} was synced and cannot be read")
            began, target = loop.time(), self.target
            gathered = began + self.gather_seconds
            await self.take(groups)
            self.index = groups[-1].index
            self._tell_reached()
            await self.between()
            rest = 0.0
            if self.index >= target:
                rest = gathered - loop.time()  # a few groups at a time cost the disk, which the core needs, fewer syncs
            elif self.gives_way and target < self.target:
                rest = loop.time() - began
            if not self._reached and rest > 0:  # nobody waits
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), rest)
            else:
                await asyncio.sleep(0)  # the other one, and the door, have their turn
            self._hurry.clear()

    async def between(self) -> None:  # noqa: B027  # most have nothing to do then
        """Do what is due after each batch."""

    def _tell_reached(self) -> None:
        for index, future in self._reached:
            if index <= self.index and not future.done():
                future.set_result(None)
