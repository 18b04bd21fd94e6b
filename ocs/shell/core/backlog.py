"""Requests that were read and are not yet served, while more comes than can be served.

Reading is cheap and serving is not.  Were each request served as it is read, the rest would wait in the kernel and at
the gateways, where nothing has a date: all answers would come, and all of them late.  So a turn of the event loop
serves for a while, and what else it reads waits here with its date.  What has waited for too long is answered 3004 at
once: it goes to another server, and what is served is served in time.

Each connection's requests stay in order, and the connections take turns: one that floods delays itself first.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import structlog

from ocs.diameter.base import LocalNode
from ocs.diameter.happening import Request
from ocs.diameter.peer import PeerConnection
from ocs.diameter.quick_refusal import QuickRefusal, is_termination
from ocs.errors import TooBusy
from ocs.units import UnixMillis

TURN_SECONDS: Final = 0.008
"""Served between two looks at the sockets: two or three hundred CCRs.  More would be decided before the loop could send
off the group before; fewer would make the groups, and so the syncs, many."""

AT_ONCE: Final = 64
"""Requests of one connection before the next one's, and before the next look at the clock."""

SHED_MS: Final = 250
"""A request that waited for longer stands for a queue that would end in late answers."""

EXIT_BUG: Final = 70
"""As in sysexits.h: an internal software error."""

_TOO_BUSY: Final = TooBusy("more comes than this server can serve; try another one, or again in a moment")


log = structlog.get_logger()


class Connection(Protocol):
    """What is needed of a connection."""

    machine: PeerConnection
    transport: asyncio.Transport

    def flush(self) -> None: ...


Peer = TypeVar("Peer", bound=Connection)


class Backlog(Generic[Peer]):
    """The requests of all connections."""

    def __init__(
        self,
        local: LocalNode,
        now: Callable[[], UnixMillis],
        serve: Callable[[Peer, list[Request]], None],
        shed: Callable[[Peer, int], None],
    ) -> None:
        """Begin empty.

        Args:
            serve: called with some requests of a connection in their turn.
            shed: told how many requests of a connection were answered 3004.
        """
        self._refusal = QuickRefusal(local, _TOO_BUSY)
        self._now = now
        self._serve = serve
        self._shed = shed
        self._waiting: dict[Peer, deque[Request]] = {}
        self._turn_ends: float | None = None  # of the turn under way

    def take(self, connection: Peer, requests: list[Request]) -> None:
        """Serve what one read brought, or let it wait while others do or once the turn is over."""
        now = time.monotonic()
        if self._turn_ends is None:
            asyncio.get_running_loop().call_soon(self._next_turn)
            self._turn_ends = now + TURN_SECONDS  # only now: a turn that nothing ends would let all wait for ever
        place = 0
        if not self._waiting:
            while place < len(requests) and now < self._turn_ends:
                self._serve(connection, requests[place : place + AT_ONCE])
                place += AT_ONCE
                now = time.monotonic()
        if place < len(requests):
            self._waiting.setdefault(connection, deque()).extend(requests[place:])

    def clear(self) -> None:
        """Forget what waits: nobody is there to be answered."""
        self._waiting.clear()

    def _next_turn(self) -> None:
        try:
            if not self._waiting:
                self._turn_ends = None
                return
            asyncio.get_running_loop().call_soon(self._next_turn)
            self._turn()
        except BaseException:
            # Requests may be out of the queue and in nobody's hands: their gateways would wait in vain.  What was
            # answered is in the journal.
            log.critical("what waits cannot be served; stopping", exc_info=True)
            os._exit(EXIT_BUG)

    def _turn(self) -> None:
        self._give_up_on_some()
        self._turn_ends = time.monotonic() + TURN_SECONDS
        while self._waiting and time.monotonic() < self._turn_ends:
            connection, queue = next(iter(self._waiting.items()))
            del self._waiting[connection]
            self._serve_some(connection, queue, [queue.popleft() for _ in range(min(AT_ONCE, len(queue)))])
            if queue:
                self._waiting[connection] = queue  # behind the others

    def _serve_some(self, connection: Peer, queue: deque[Request], some: list[Request]) -> None:
        """Serve requests that waited; where that fails as a whole their connection ends, as one fails that is read."""
        try:
            self._serve(connection, some)
        except Exception:
            log.exception("a bug in serving requests; their connection ends")
            queue.clear()
            connection.transport.abort()

    def _give_up_on_some(self) -> None:
        """Answer 3004 to what has waited for too long, or stands above what a peer may have outstanding.

        A CCR-T is served all the same: it ends what costs.
        """
        too_old = self._now() - SHED_MS
        for connection, queue in list(self._waiting.items()):
            machine, count = connection.machine, 0
            while queue and (queue[0].received < too_old or not machine.reading):
                request = queue.popleft()
                if is_termination(request.message):
                    self._serve_some(connection, queue, [request])
                    continue
                machine.answer(request, self._refusal.answer(request.message))
                count += 1
            if not queue:
                del self._waiting[connection]
            if count:
                self._shed(connection, count)
                connection.flush()
