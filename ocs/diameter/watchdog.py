"""Tell a silent connection from a dead one.  RFC 3539 section 3.4.1, RFC 6733 section 5.5.

The rules at the head of the table:

- any message received sets Tw anew, each time 2 s more or less around its value, so that peers drift apart;
- when Tw expires a DWR is sent, and never a second one while the first is unanswered;
- two expiries in a row without a word make the connection suspect, the third ends it.

States INITIAL and REOPEN are not here, for nobody would enter them.  REOPEN makes the side that calls again prove
three times that its call got through; this server only listens, and a machine is made for each connection once the
capabilities are exchanged, which is the RFC's step from INITIAL to OKAY.  For the same reason DOWN has no way out.
"""

from enum import IntEnum
from typing import Final, Protocol

from ocs.errors import OutOfTurn
from ocs.units import SECOND, UnixMillis

INTERVAL_MS_MIN: Final = 6 * SECOND
INTERVAL_MS_DEFAULT: Final = 30 * SECOND
JITTER_MS: Final = 2 * SECOND


class Rng(Protocol):
    """The one thing this package draws from `random.Random`."""

    def randint(self, a: int, b: int, /) -> int:
        """Draw an integer from `a` to `b`, both included."""


class State(IntEnum):
    OKAY = 1
    SUSPECT = 2
    DOWN = 3


class Event(IntEnum):
    MESSAGE = 1  # any message received but the DWA to our DWR
    DWA = 2
    EXPIRED = 3  # Tw, no DWR pending
    EXPIRED_PENDING = 4  # Tw, our DWR unanswered
    TRANSPORT_DOWN = 5


class Action(IntEnum):
    NONE = 0
    SEND = 1  # a DWR
    FAILOVER = 2  # requests of ours that are pending may go elsewhere
    FAILBACK = 3  # the connection may be used again
    CLOSE = 4  # the transport


_TABLE: Final[dict[tuple[State, Event], tuple[Action, State]]] = {
    # OKAY, receive non-DWA: SetWatchdog()
    (State.OKAY, Event.MESSAGE): (Action.NONE, State.OKAY),
    # OKAY, receive DWA: Pending = FALSE, SetWatchdog()
    (State.OKAY, Event.DWA): (Action.NONE, State.OKAY),
    # OKAY, timer expires & !Pending: SendWatchdog(), SetWatchdog(), Pending = TRUE
    (State.OKAY, Event.EXPIRED): (Action.SEND, State.OKAY),
    # OKAY, timer expires & Pending: Failover(), SetWatchdog()
    (State.OKAY, Event.EXPIRED_PENDING): (Action.FAILOVER, State.SUSPECT),
    # OKAY, connection down: CloseConnection(), Failover(), SetWatchdog()
    (State.OKAY, Event.TRANSPORT_DOWN): (Action.FAILOVER, State.DOWN),
    # SUSPECT, receive non-DWA: Failback(), SetWatchdog()
    (State.SUSPECT, Event.MESSAGE): (Action.FAILBACK, State.OKAY),
    # SUSPECT, receive DWA: Pending = FALSE, Failback(), SetWatchdog()
    (State.SUSPECT, Event.DWA): (Action.FAILBACK, State.OKAY),
    # SUSPECT, timer expires: CloseConnection(), SetWatchdog()
    (State.SUSPECT, Event.EXPIRED_PENDING): (Action.CLOSE, State.DOWN),
    # SUSPECT, connection down: CloseConnection(), SetWatchdog()
    (State.SUSPECT, Event.TRANSPORT_DOWN): (Action.NONE, State.DOWN),
}


class Watchdog:
    """The watchdog of one open connection."""

    __slots__ = ("_interval_ms", "_rng", "deadline", "pending_since", "state")

    def __init__(self, interval_ms: int, rng: Rng, now: UnixMillis) -> None:
        assert interval_ms >= INTERVAL_MS_MIN, "RFC 3539 section 3.4.1: Tw is at least 6 s"
        self._interval_ms = interval_ms
        self._rng = rng
        self.state = State.OKAY
        self.pending_since: UnixMillis | None = None
        """When the DWR was sent that is unanswered."""
        self.deadline: UnixMillis | None = None
        """When Tw expires; none once the connection is down."""
        self._set(now)

    def message(self, now: UnixMillis) -> Action:
        """Note that something was heard; cheap, for it stands in the way of every request."""
        return self._step(Event.MESSAGE, now)

    def answered(self, now: UnixMillis) -> Action:
        """Note the DWA to our DWR."""
        assert self.pending_since is not None, "a DWA that answers nothing is a MESSAGE"
        return self._step(Event.DWA, now)

    def expired(self, now: UnixMillis) -> Action:
        """Do what Tw's end asks for; to be called once `deadline` is reached."""
        return self._step(Event.EXPIRED if self.pending_since is None else Event.EXPIRED_PENDING, now)

    def transport_down(self, now: UnixMillis) -> Action:
        """Note the end of the connection, whatever its reason."""
        return self._step(Event.TRANSPORT_DOWN, now)

    def _step(self, event: Event, now: UnixMillis) -> Action:
        row = _TABLE.get((self.state, event))
        if row is None:
            raise OutOfTurn(f"the watchdog is {self.state.name} and knows no {event.name}")
        action, self.state = row
        if event is Event.DWA:
            self.pending_since = None
        elif action is Action.SEND:
            self.pending_since = now
        self._set(now)
        return action

    def _set(self, now: UnixMillis) -> None:
        """Set Tw with fresh jitter (RFC 3539 section 3.4.1, SetWatchdog)."""
        if self.state is State.DOWN:
            self.deadline = None
        else:
            self.deadline = UnixMillis(now + self._interval_ms + self._rng.randint(-JITTER_MS, JITTER_MS))
