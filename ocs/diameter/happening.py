"""What comes out of a peer connection: requests to serve, answers to ours, and what logs and the console tell of.

The inputs are calls; none of these is ever fed back.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ocs.diameter.base import Introduction
from ocs.diameter.framing import Header, read_header
from ocs.diameter.watchdog import State as WatchdogState
from ocs.units import UnixMillis


class Request(msgspec.Struct, frozen=True, gc=False):
    """A CCR to be served; the holder gives it back once, with `answer` or `drop`."""

    message: bytes
    received: UnixMillis

    @property
    def header(self) -> Header:
        return read_header(self.message)


class Answer(NamedTuple):
    """The answer to a request of ours; `header.hop_by_hop` is what `send` returned."""

    message: bytes
    header: Header


class Opened(NamedTuple):
    introduction: Introduction


class WatchdogChanged(NamedTuple):
    """SUSPECT: nothing was heard for two intervals.  OKAY: heard again."""

    state: WatchdogState


class Leaving(NamedTuple):
    """The peer sent a DPR; `cause` is its Disconnect-Cause, none where it could not be read."""

    cause: int | None


class Unanswered(NamedTuple):
    """A request of ours got no answer in time, or the connection ended before."""

    hop_by_hop: int
    command: int


class Reason(StrEnum):
    """Why a connection ended; the label of its metric."""

    NO_INTRODUCTION = "no-introduction"  # no CER in time
    NOT_AN_INTRODUCTION = "not-an-introduction"  # another message came first
    REFUSED = "refused"  # the CEA said why
    VERSION = "version"
    LENGTH = "length"
    STALLED = "stalled"  # a message began and did not end
    WATCHDOG = "watchdog"
    STOPPED = "stopped"  # our own wish
    LEFT = "left"  # the peer's DPR
    UNREAD = "unread"  # the peer did not read what was sent
    LOST = "lost"  # the transport ended


class Closed(NamedTuple):
    """The connection is over; comes once.  What is still to be sent goes out before the transport is closed."""

    reason: Reason
    detail: str


Happening = Request | Answer | Opened | WatchdogChanged | Leaving | Unanswered | Closed


@dataclass(slots=True)
class Counters:
    requests: int = 0  # given out to be served
    requests_dropped: int = 0  # came after a DPR
    answers: int = 0  # queued for requests given out
    answers_dropped: int = 0  # too late, or the connection was gone
    answers_unmatched: int = 0  # from the peer, to nothing we asked
    unanswered: int = 0  # requests of ours
    watchdog_requests: int = 0  # ours
    refusals: dict[int, int] = field(default_factory=dict)  # error answers made here, by Result-Code

    def add(self, other: "Counters") -> None:
        """Add another connection's totals to these."""
        self.requests += other.requests
        self.requests_dropped += other.requests_dropped
        self.answers += other.answers
        self.answers_dropped += other.answers_dropped
        self.answers_unmatched += other.answers_unmatched
        self.unanswered += other.unanswered
        self.watchdog_requests += other.watchdog_requests
        for code, count in other.refusals.items():
            self.refusals[code] = self.refusals.get(code, 0) + count
