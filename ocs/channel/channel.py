"""One state channel: credits locked for a span of time, reserved by grants and posted by commits.

    free = amount - reserved - used

What a report costs is the difference of the price of the session's running total, so how it is split changes nothing.
"""

from enum import IntEnum

import msgspec

from ocs.channel.record import NO_COMMIT
from ocs.units import DataCredits, Octets, UnixMillis


class ChannelState(IntEnum):
    OPEN = 1
    DRAINING = 2  # no session begins here any more
    CLOSING = 3  # no grant is held here any more; late reports are taken until the grace is over
    SETTLED = 4  # the rest went back; nothing changes here any more


class Summary(msgspec.Struct, array_like=True, gc=False):
    """What one miner carried in one channel."""

    commits: int = 0
    credits: DataCredits = DataCredits(0)
    octets: Octets = Octets(0)
    sessions: int = 0

    def count(self, cost: int, octets: int, *, begins: bool) -> None:
        """Count one commit; `begins` is that of a SessionInit."""
        self.commits += 1
        self.credits = DataCredits(self.credits + cost)
        self.octets = Octets(self.octets + octets)
        self.sessions += begins


class Channel(msgspec.Struct, array_like=True):
    """A channel, and what became of its credits.

    Attributes:
        number: dense from 1, the owner's nonce.
        tariff: its number, which a SessionInit names.
        channel_id: SHA-256 of the signed bytes of its ChannelOpen, 32 octets.
        amount: what it locks.
        per_octets: one data credit pays for a started block of so many octets.
        expires_at: the end of its epoch.
        grace_ms: from closing to settling.
        reserved: by grants, not posted yet.
        used: posted by commits.
        summaries: by the miner's key, 33 octets.
        commits: how many, and so the index of the next one.
        settles_at: once it is closing.
        last_commit: `commit_id` of the newest.
        first_leaf, last_leaf: where the log has its first commit, and its newest; -1 before that.
    """

    number: int
    channel_id: bytes
    amount: DataCredits
    tariff: int
    per_octets: Octets
    opened_at: UnixMillis
    expires_at: UnixMillis
    grace_ms: int
    state: int = ChannelState.OPEN
    reserved: DataCredits = DataCredits(0)
    used: DataCredits = DataCredits(0)
    commits: int = 0
    summaries: dict[bytes, Summary] = {}
    reason: int = 0
    settles_at: UnixMillis = UnixMillis(0)
    last_commit: bytes = NO_COMMIT
    first_leaf: int = -1
    last_leaf: int = -1

    @property
    def free(self) -> DataCredits:
        return DataCredits(self.amount - self.reserved - self.used)

    def lies_within(self, size: int) -> bool:
        """Tell whether the log's first `size` leaves hold all of its commits.

        False where that is not known, of a channel that was used before its newest leaf was kept.
        """
        return self.first_leaf <= self.last_leaf < size

    def price(self, octets: int) -> DataCredits:
        """Give what a session's running total of `octets` costs.

        >>> Channel(1, b"", DataCredits(9), 1, Octets(20_000), UnixMillis(0), UnixMillis(1), 0).price(20_001)
        2
        """
        return DataCredits(-(-octets // self.per_octets))

    def check(self) -> None:
        """Assert the laws of this ledger; each is a bug where it fails."""
        assert self.reserved >= 0, "a reservation ends once"
        assert self.used + self.reserved <= self.amount, "no credit is promised twice"
        summaries = self.summaries.values()
        assert self.used == sum(one.credits for one in summaries)
        assert self.commits == sum(one.commits for one in summaries)
        assert self.state != ChannelState.SETTLED or not self.reserved
