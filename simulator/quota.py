"""One service's quota as its gateway keeps it: what was granted, what was used of it, and when a report is due.

RFC 8506 sections 5.3 and 8.33, TS 32.299 clause 6.5.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from simulator.checks import SUCCESS
from simulator.messages import ServiceKey, Volume
from simulator.profile import Profile
from simulator.wire import Avp

NEVER: Final = float("inf")


class QuotaState(StrEnum):
    NONE = "none"
    ACTIVE = "active"
    BLOCKED = "blocked"  # refused for now; a RAR or the Validity-Time asks again
    FINAL = "final"  # the final units are used and reported; the same two ways lead back


@dataclass(slots=True)
class Quota:
    """One service's quota and the use of it; all volumes in octets.

    Attributes:
        granted: the size of the newest grant; it replaces the one before.
        threshold: octets that were left when a report is due; None waits for exhaustion.
        final: whether the grant came with a Final-Unit-Indication.
        expires_at: when the Validity-Time ends, on the session's clock.
        used: use of the newest grant.
        unreported: use since the last report.
        reported: use in all reports the server has taken.
    """

    key: ServiceKey
    state: QuotaState = QuotaState.NONE
    granted: int = 0
    threshold: int | None = None
    final: bool = False
    expires_at: float = NEVER
    used: int = 0
    unreported: Volume = field(default_factory=Volume)
    reported: int = 0
    result_code: int = 0

    def report_at(self, profile: Profile) -> int:
        """Return the use of the grant at which a report is due."""
        if self.final:
            return self.granted
        if profile.report_percent is not None:
            return self.granted * profile.report_percent // 100
        if self.threshold is not None and self.threshold < self.granted:
            return self.granted - self.threshold
        return self.granted

    def move(self, volume: Volume) -> None:
        self.used += volume.total
        self.unreported += volume

    def count(self, sent: Volume | None) -> None:
        """Book a report that the server has taken."""
        if sent is not None:
            self.reported += sent.total
            self.unreported = Volume(self.unreported.up - sent.up, self.unreported.down - sent.down)

    def take(self, given: Avp | None, now: float) -> None:
        """Take the server's MSCC: a grant replaces the old one; without one there is nothing to use."""
        grant = next(iter(given.all("Granted-Service-Unit")), None) if given else None
        validity = given.number("Validity-Time") if given else None
        self.result_code = given.number("Result-Code") or 0 if given else 0
        self.expires_at = now + validity if validity else NEVER
        self.granted = grant.number("CC-Total-Octets") or 0 if grant and self.result_code == SUCCESS else 0
        self.used = self.unreported.total
        self.threshold = given.number("Volume-Quota-Threshold") if given else None
        self.final = bool(given and given.all("Final-Unit-Indication"))
        if self.granted:
            self.state = QuotaState.ACTIVE
        elif self.state is not QuotaState.FINAL or self.result_code != SUCCESS:
            self.state = QuotaState.BLOCKED
