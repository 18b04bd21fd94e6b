"""What the grants of one Gy session hold in channels, and the signed session that uses it up.

A hold is bound to the channel that pays for what is granted next.  When that one has no room the hold is bound to
another, while a signed session that runs goes on where it began until its SGW has moved it.
"""

from enum import IntEnum

import msgspec

from ocs.units import DataCredits, Octets, UnixMillis


class Hold(msgspec.Struct, array_like=True, gc=False):
    """Of one Gy session whose gateway signs.

    Attributes:
        gateway: the Origin-Host of its requests.
        granted: the most octets that were granted or reported over Gy so far, cumulative: what may be signed for.
        committed: octets signed and committed so far, in all its incarnations.
        bound: the number of the channel that pays for what comes, 0 where that one has settled.
        reserved: there.
        running: the session_id of the incarnation that runs, b"" for none.
        running_in: the channel it runs in, 0 for none.
        left_behind: reserved in `running_in`, where that is not `bound`.
        ended_at: when the Gy session ended, 0 while it runs.
        before: of `granted`, what earlier Gy sessions of the same name had, whose reports may still come.
    """

    gateway: str
    granted: Octets
    committed: Octets
    bound: int
    reserved: DataCredits = DataCredits(0)
    running: bytes = b""
    running_in: int = 0
    left_behind: DataCredits = DataCredits(0)
    ended_at: UnixMillis = UnixMillis(0)
    before: Octets = Octets(0)

    def total(self, octets: int) -> int:
        """Give what may be signed for in all, once the Gy session of now has `octets`."""
        return octets + (self.granted if self.ended_at else self.before)


class SessionState(IntEnum):
    RUNNING = 1
    ENDED = 2  # its final report is committed, or its channel is settled
    FROZEN = 3  # its SGW or miner said two things that contradict each other


class SignedSession(msgspec.Struct, array_like=True, gc=False):
    """One incarnation: counters from 0, one channel, one pair of keys.

    Attributes:
        gy_session_id: whose hold it uses.
        channel: its number.
        sgw_key, miner_key: 33 octets each.
        granted: as its SessionInit says.
        seq: of the newest report, 0 for the SessionInit.
        up, down: octets, cumulative.
        credits: posted for them.
        last_id: message id of what the SGW signed last, 32 octets.
        index: of its newest commit in the log.
    """

    gy_session_id: bytes
    channel: int
    sgw_key: bytes
    miner_key: bytes
    granted: Octets
    started_at: UnixMillis
    measured_at: UnixMillis
    last_id: bytes
    index: int
    seq: int = 0
    up: Octets = Octets(0)
    down: Octets = Octets(0)
    credits: DataCredits = DataCredits(0)
    state: int = SessionState.RUNNING

    @property
    def octets(self) -> Octets:
        return Octets(self.up + self.down)
