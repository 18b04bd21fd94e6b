"""The server's door for signed usage, whichever way leads to it: what it is asked, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from simulator.settlement.signer import Channel

REPORTS_MAX: Final = 500
"""In one request."""

BODY_OCTETS_MAX: Final = 900_000
"""Of all reports of one request together, in base64; the door takes 1 MB with what is around them."""


class DoorError(Exception):
    """Nothing was decided, and the same may be sent again; whether that helps, the text says."""


class Status(StrEnum):
    """What became of a report."""

    ACCEPTED = "accepted"
    SUPERSEDED = "superseded"  # counted in a newer one
    REFUSED = "refused"
    AGAIN = "again"  # nothing was decided; to be sent again, the same octets


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the door says of one report.

    Attributes:
        message_id: of the countersigned envelope; b"" where the door could not read it.
        code, detail: of a refusal, and why it is to come again.
        proof: of a report that is counted, the file that proves it; not believed before it is checked.
        next_channel_id: another channel, in which this Gy session is to go on after a final report; b"" for none.
    """

    message_id: bytes
    status: Status
    code: str = ""
    detail: str = ""
    proof: str = ""
    next_channel_id: bytes = b""


class Door(Protocol):
    """A way to the server."""

    async def report(self, envelopes: Sequence[bytes]) -> list[Outcome]:
        """Send countersigned envelopes, `REPORTS_MAX` at the most, and give what became of each, in their order.

        Raises:
            DoorError: no answer came, or none to each.
        """

    async def active_channel(self, gy_session_id: str) -> Channel | None:
        """Ask which channel a Gy session's next signed session is for; None: nothing is to be signed now.

        Raises:
            DoorError: no answer came.
        """

    async def close(self) -> None:
        """Let go of connections."""


def fitting(envelopes: Sequence[bytes]) -> int:
    """Tell how many of these, from the first on, fit into one request."""
    octets = 0
    for count, envelope in enumerate(envelopes[:REPORTS_MAX]):
        octets += -(-len(envelope) // 3) * 4 + 3
        if octets > BODY_OCTETS_MAX:
            return max(count, 1)
    return min(len(envelopes), REPORTS_MAX)
