"""All channels, the holds of Gy sessions in them, and the signed sessions that use them up.

Each function is one event's change, or asks what one would be.  Nothing here knows of Gy, keys or envelopes: it is told
octets and names.  DESIGN: channels are a second ledger, never netted with the operators' money.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ocs.channel import account as accounts
from ocs.channel.account import DataCreditAccount
from ocs.channel.channel import Channel, ChannelState, Summary
from ocs.channel.hold import Hold, SessionState, SignedSession
from ocs.channel.transition import Step, after
from ocs.units import DataCredits, Octets, UnixMillis

NOTHING: Final = DataCredits(0)


class Placement(NamedTuple):
    """Where the octets granted to a Gy session would be held, and how many credits that takes there in all."""

    channel: int
    reserved: DataCredits


@dataclass(slots=True)
class Channels:
    """The ledger.

    Attributes:
        account: the deployment's.
        by_number: every channel that has not been forgotten, the oldest first.
        holds: by Gy Session-Id.
        sessions: by session_id.
        newest: number of the newest channel, the owner's last nonce.
    """

    account: DataCreditAccount = field(default_factory=DataCreditAccount)
    by_number: dict[int, Channel] = field(default_factory=dict)
    numbers: dict[bytes, int] = field(default_factory=dict)  # by channel_id
    holds: dict[bytes, Hold] = field(default_factory=dict)
    sessions: dict[bytes, SignedSession] = field(default_factory=dict)
    newest: int = 0

    def named(self, channel_id: bytes) -> Channel | None:
        number = self.numbers.get(channel_id)
        return self.by_number[number] if number is not None else None

    def check(self) -> None:
        """Assert every law, over everything there is."""
        self.account.check()
        reserved: dict[int, int] = {}
        posted: dict[int, int] = {}
        for hold in self.holds.values():
            reserved[hold.bound] = reserved.get(hold.bound, 0) + hold.reserved
            reserved[hold.running_in] = reserved.get(hold.running_in, 0) + hold.left_behind
            assert hold.left_behind == 0 or (hold.running and hold.running_in != hold.bound)
        for session in self.sessions.values():
            posted[session.channel] = posted.get(session.channel, 0) + session.credits
        locked = spent = 0
        for number, channel in self.by_number.items():
            channel.check()
            assert channel.reserved == reserved.get(number, 0), "a channel reserves what holds say"
            assert channel.used >= posted.get(number, 0), "a channel has posted what its sessions say"
            if channel.state == ChannelState.SETTLED:
                spent += channel.used
            else:
                locked += channel.amount
        assert self.account.locked == locked
        assert self.account.spent >= spent

    # Channels

    def buy(self, amount: DataCredits) -> None:
        accounts.buy(self.account, amount)

    def open(self, channel: Channel) -> None:
        """Lock a channel's amount."""
        assert channel.number == self.newest + 1, "the owner's nonce is dense"
        assert channel.channel_id not in self.numbers
        accounts.lock(self.account, channel.amount)
        self.newest = channel.number
        self.by_number[channel.number] = channel
        self.numbers[channel.channel_id] = channel.number

    def drain(self, number: int) -> None:
        """Let no session begin in a channel any more."""
        channel = self.by_number[number]
        channel.state = after(channel.state, Step.DRAIN)

    def close(self, number: int, reason: int, now: UnixMillis) -> None:
        """Hold nothing more in a channel; late reports have until the grace is over."""
        channel = self.by_number[number]
        channel.state = after(channel.state, Step.CLOSE)
        channel.reason = reason
        channel.settles_at = UnixMillis(now + channel.grace_ms)

    def settle(self, number: int) -> None:
        """Give back what a channel has not used; the sessions that still run there end."""
        channel = self.by_number[number]
        channel.state = after(channel.state, Step.SETTLE)
        for session in self.sessions.values():
            if session.channel == number and session.state == SessionState.RUNNING:
                session.state = SessionState.ENDED
        gone = []
        for gy_session_id, hold in self.holds.items():
            if hold.running_in == number:
                self._void_left_behind(hold)
                hold.running, hold.running_in = b"", 0
            if hold.bound == number:
                self._reserve(hold, NOTHING)
                hold.bound = 0
                if hold.ended_at and not hold.running:
                    gone.append(gy_session_id)
        for gy_session_id in gone:
            del self.holds[gy_session_id]
        accounts.settle(self.account, channel.amount, channel.used)

    # Grants

    def placement(self, gy_session_id: bytes, granted: int) -> Placement | None:
        """Say where a Gy session's grants, `granted` octets in all, would be held; None where no channel has room."""
        hold = self.holds.get(gy_session_id)
        if hold is not None:
            granted = hold.total(granted)
        if hold is not None and hold.bound:
            channel = self.by_number[hold.bound]
            needed = self._needed(hold, channel, granted)
            if channel.state == ChannelState.OPEN and needed - hold.reserved <= channel.free:
                return Placement(channel.number, needed)
        committed = hold.committed if hold is not None else 0
        for channel in self.by_number.values():
            needed = channel.price(max(0, granted - committed))
            is_bound = hold is not None and hold.bound == channel.number
            if channel.state == ChannelState.OPEN and not is_bound and needed <= channel.free:
                return Placement(channel.number, needed)
        return None

    def ceiling(self, gy_session_id: bytes) -> int:
        """Give the most octets, of all its grants together, that a channel could hold for a Gy session; 0 for none."""
        hold = self.holds.get(gy_session_id)
        committed = hold.committed if hold is not None else 0
        most = 0
        for channel in self.by_number.values():
            if channel.state != ChannelState.OPEN:
                continue
            base, paid, room = committed, 0, int(channel.free)
            if hold is not None and hold.bound == channel.number:
                room += hold.reserved
                session = self.sessions.get(hold.running) if hold.running_in == channel.number else None
                if session is not None:
                    base, paid = committed - session.octets, session.credits
            most = max(most, base + (room + paid) * channel.per_octets)
        return max(0, most - hold.total(0)) if hold is not None else most

    def hold(self, gy_session_id: bytes, gateway: str, granted: int, placement: Placement) -> None:
        """Hold what a Gy session was granted where `placement` said; less than before changes nothing."""
        hold = self.holds.get(gy_session_id)
        if hold is None:
            hold = self.holds[gy_session_id] = Hold(gateway, Octets(granted), Octets(0), placement.channel)
        else:
            self._go_on(hold, gateway)
            if placement.channel != hold.bound:
                self._move(hold, placement.channel)
        hold.granted = Octets(max(hold.granted, hold.total(granted)))
        self._reserve(hold, placement.reserved)

    def raise_ceiling(self, gy_session_id: bytes, octets: int) -> None:
        """Let a session sign for what was reported over Gy, though no channel holds anything for it."""
        hold = self.holds.get(gy_session_id)
        if hold is not None:
            hold.granted = Octets(max(hold.granted, hold.total(octets)))

    def _go_on(self, hold: Hold, gateway: str) -> None:
        """Let another Gy session of the same name have a hold for which reports of the one before may still come."""
        if hold.ended_at:
            hold.before, hold.ended_at, hold.gateway = hold.granted, UnixMillis(0), gateway

    def end_gy(self, gy_session_id: bytes, now: UnixMillis) -> None:
        """Note that a Gy session ended; what it holds waits for the final report, or for the channel's end."""
        hold = self.holds.get(gy_session_id)
        if hold is not None and not hold.ended_at:
            hold.ended_at = now
            self._drop_if_over(gy_session_id, hold)

    def _needed(self, hold: Hold, channel: Channel, granted: int) -> DataCredits:
        """Price what may still be signed for, in the channel that a hold is bound to."""
        session = self.sessions.get(hold.running) if hold.running_in == channel.number else None
        if session is None:
            return channel.price(max(0, granted - hold.committed))
        # Of the running total, so that each block is paid once.
        base = hold.committed - session.octets
        return DataCredits(max(0, channel.price(max(0, granted - base)) - session.credits))

    def _move(self, hold: Hold, number: int) -> None:
        if hold.running and hold.running_in == hold.bound:
            hold.left_behind, hold.reserved = hold.reserved, NOTHING
        else:
            self._reserve(hold, NOTHING)
        hold.bound = number

    def _reserve(self, hold: Hold, amount: DataCredits) -> None:
        if amount != hold.reserved:
            channel = self.by_number[hold.bound]
            channel.reserved = DataCredits(channel.reserved + amount - hold.reserved)
            hold.reserved = amount

    def _void_left_behind(self, hold: Hold) -> None:
        if hold.left_behind:
            channel = self.by_number[hold.running_in]
            channel.reserved = DataCredits(channel.reserved - hold.left_behind)
            hold.left_behind = NOTHING

    def _drop_if_over(self, gy_session_id: bytes, hold: Hold) -> None:
        """Forget a hold that nobody can sign against: Gy has ended, and all is signed for or its channel settled."""
        if hold.ended_at and not hold.running and (hold.committed >= hold.granted or not hold.bound):
            self._reserve(hold, NOTHING)
            del self.holds[gy_session_id]

    # Signed sessions

    def begin(self, session_id: bytes, session: SignedSession) -> None:
        """Begin an incarnation; its SessionInit is a commit of no octets."""
        hold = self.holds[session.gy_session_id]
        assert not hold.running
        assert session.channel == hold.bound
        assert session_id not in self.sessions
        self.sessions[session_id] = session
        hold.running, hold.running_in = session_id, session.channel
        self._count(session, NOTHING, 0, begins=True)

    def price_of(self, session: SignedSession, octets: int) -> DataCredits:
        """Give what a session's running total of `octets` costs above what is posted."""
        return DataCredits(self.by_number[session.channel].price(octets) - session.credits)

    def can_post(self, session: SignedSession, price: int) -> bool:
        """Say whether a channel can pay: what the session holds there, and what is free."""
        channel = self.by_number[session.channel]
        return price <= self._held(session) + channel.free

    def post(
        self, session_id: bytes, seq: int, up: int, down: int, measured_at: UnixMillis, last_id: bytes, index: int
    ) -> tuple[Octets, DataCredits]:
        """Post a report, of which `can_post` said that it can be; what it adds, and what that costs."""
        session = self.sessions[session_id]
        channel = self.by_number[session.channel]
        hold = self.holds[session.gy_session_id]
        octets = Octets(up + down - session.octets)
        cost = self.price_of(session, up + down)
        posted = DataCredits(min(cost, self._held(session)))
        if hold.running_in == hold.bound:
            self._reserve(hold, DataCredits(hold.reserved - posted))
        else:
            channel.reserved = DataCredits(channel.reserved - posted)
            hold.left_behind = DataCredits(hold.left_behind - posted)
        assert cost - posted <= channel.free, "no commit above the amount"
        channel.used = DataCredits(channel.used + cost)
        self._count(session, cost, octets, begins=False)
        session.seq, session.up, session.down = seq, Octets(up), Octets(down)
        session.credits = DataCredits(session.credits + cost)
        session.measured_at, session.last_id, session.index = measured_at, last_id, index
        hold.committed = Octets(hold.committed + octets)
        self._fit(hold)
        return octets, cost

    def end(self, session_id: bytes, state: int = SessionState.ENDED) -> None:
        """End an incarnation, by its final report or because it is frozen."""
        session = self.sessions[session_id]
        session.state = state
        hold = self.holds.get(session.gy_session_id)
        if hold is None or hold.running != session_id:
            return
        self._void_left_behind(hold)
        hold.running, hold.running_in = b"", 0
        if hold.ended_at:
            # Whatever was granted and not signed for returns.
            self._reserve(hold, NOTHING)
            del self.holds[session.gy_session_id]
        else:
            self._fit(hold)

    def forget(self, number: int) -> None:
        """Drop a settled channel and its sessions; the log keeps them."""
        channel = self.by_number[number]
        assert channel.state == ChannelState.SETTLED
        del self.by_number[number], self.numbers[channel.channel_id]
        for session_id in [one for one, session in self.sessions.items() if session.channel == number]:
            del self.sessions[session_id]

    def _held(self, session: SignedSession) -> DataCredits:
        """Give what is reserved for a session in its channel."""
        hold = self.holds[session.gy_session_id]
        return hold.reserved if hold.bound == session.channel else hold.left_behind

    def _fit(self, hold: Hold) -> None:
        """Release what a hold no longer needs where it is bound, and take what a last started block lacks."""
        if not hold.bound:
            return
        channel = self.by_number[hold.bound]
        needed = self._needed(hold, channel, hold.granted)
        room = hold.reserved + (channel.free if channel.state == ChannelState.OPEN else 0)
        self._reserve(hold, DataCredits(min(needed, room)))

    def _count(self, session: SignedSession, cost: DataCredits, octets: int, *, begins: bool) -> None:
        channel = self.by_number[session.channel]
        channel.commits += 1
        channel.summaries.setdefault(session.miner_key, Summary()).count(cost, octets, begins=begins)
