"""What the HTTP door is built on: the follower's view of the state, and the way to the core.

The door reads a state that has reached the core's index, sends commands and gets their events back once they are
synced and folded here.
"""

from dataclasses import dataclass
from typing import Protocol

from ocs.channel.event import ChannelOpened
from ocs.command import AdministratorCommand
from ocs.node import Done
from ocs.shell.books.books import Books
from ocs.shell.config import Config
from ocs.shell.follower.usage_door import UsageDoor
from ocs.shell.live import Live as Live
from ocs.shell.live import PeerView as PeerView
from ocs.shell.live import WaitingView as WaitingView
from ocs.state import Event, State
from ocs.units import DataCredits, GroupIndex, SessionId


@dataclass(frozen=True, slots=True)
class Progress:
    """The newest groups that are in the state and in the books; under a load that lasts the books come later.

    Attributes:
        incidents: of reconciliation, in the books as they are.
    """

    folded: GroupIndex
    posted: GroupIndex
    incidents: int


class Backend(Protocol):
    """The follower, as the door sees it.  Each call may raise `Unavailable`."""

    config: Config

    async def state(self) -> State:
        """Give the state at an index no older than this call; read it at once, it changes at the next await."""

    async def command(self, command: AdministratorCommand) -> Done:
        """Have a command carried out, durably; raises the `OcsError` that refused it."""

    async def live(self) -> Live:
        """Ask the core how it is."""

    async def history(self, session_id: SessionId) -> list[tuple[GroupIndex, Event]]:
        """Give the events of a session, the oldest first, as far as the journal is kept; [] for an unknown one."""

    async def books(self) -> Books:
        """Give the SQL projection at an index no older than this call, for what is no longer in memory."""

    async def open_channel(self, amount: DataCredits | None) -> ChannelOpened:
        """Open a channel with this deployment's own owner's key, beside those that are opened in time anyway.

        Args:
            amount: what it locks; None for what the configuration says, or all there is.
        """

    @property
    def usage(self) -> UsageDoor:
        """Give what takes reports of signed usage, and the public log behind it."""

    @property
    def progress(self) -> Progress:
        """Tell how far the journal has been read."""

    @property
    def healthy(self) -> dict[str, str]:
        """Name what keeps the server from being ready, each with its reason; empty: ready."""
