"""What core and follower say to each other over the Unix socket: frames of tagged arrays.

The socket lies in the data folder with mode 0600: who may open it may command the server.
"""

from typing import Final

import msgspec

from ocs.command import AdministratorCommand, RefuseReport, Report
from ocs.credit_control.event import Stepped
from ocs.reporting import Receipted, Sought, Superseded, Verdict
from ocs.shell.live import Live
from ocs.state import Event
from ocs.units import GroupIndex


class Follow(msgspec.Struct, array_like=True, tag=1):
    """I am the follower: tell me of each synced group."""


class Ask(msgspec.Struct, array_like=True, tag=2):
    ask: int
    command: AdministratorCommand


class AskIndex(msgspec.Struct, array_like=True, tag=3):
    """Which index must a reader reach, so that it sees all that was answered before now?"""

    ask: int


class AskLive(msgspec.Struct, array_like=True, tag=4):
    ask: int


class Recollection(msgspec.Struct, array_like=True, tag=5):
    """What the journal knows of the request that a `Recollect` asked for."""

    ask: int
    event: Stepped | None


class Trim(msgspec.Struct, array_like=True, tag=6):
    """Groups up to this one are in the archive and behind a snapshot."""

    through: GroupIndex


class Reports(msgspec.Struct, array_like=True, tag=7):
    """Reports of signed usage, in the order in which they came."""

    ask: int
    reports: list[Report | RefuseReport]


ToCore = Follow | Ask | AskIndex | AskLive | Recollection | Trim | Reports


class Synced(msgspec.Struct, array_like=True, tag=1):
    index: GroupIndex


class Told(msgspec.Struct, array_like=True, tag=2):
    """A command's event, durable since group `index`."""

    ask: int
    index: GroupIndex
    event: Event
    repeated: bool


class Failed(msgspec.Struct, array_like=True, tag=3):
    """A command was refused; `error` names the class in `ocs.errors`."""

    ask: int
    error: str
    detail: str
    code: str = ""  # of ocs.signed.refusal, of a signed message


class Index(msgspec.Struct, array_like=True, tag=4):
    ask: int
    index: GroupIndex


class LiveView(msgspec.Struct, array_like=True, tag=5):
    ask: int
    live: Live


class Recollect(msgspec.Struct, array_like=True, tag=6):
    ask: int
    session_id: bytes
    number: int
    index: GroupIndex  # what the answer must have seen


class Verdicts(msgspec.Struct, array_like=True, tag=7):
    """What became of reports, in their order; all of it is durable since group `index`."""

    ask: int
    index: GroupIndex
    told: list[Receipted | Superseded | Sought | Verdict]


ToFollower = Synced | Told | Failed | Index | LiveView | Recollect | Verdicts

to_core: Final = msgspec.msgpack.Decoder(ToCore)
to_follower: Final = msgspec.msgpack.Decoder(ToFollower)
