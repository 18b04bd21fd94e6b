"""The channels' ledger under any order of grants, reports, epochs and ends: its laws hold after every step."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from ocs.channel.channel import Channel, ChannelState
from ocs.channel.hold import SessionState, SignedSession
from ocs.channel.ledger import Channels
from ocs.channel.record import CloseReason
from ocs.units import DataCredits, Octets, UnixMillis

PER_OCTETS = 1000
MINER = [b"\x01" + bytes([number]) * 32 for number in range(3)]


class Ledger(RuleBasedStateMachine):
    """A model that counts what each side was promised beside the ledger."""

    gy_sessions = Bundle("gy_sessions")

    def __init__(self) -> None:
        super().__init__()
        self.channels = Channels()
        self.now = 0
        self.made = 0
        self.granted: dict[bytes, int] = {}
        self.committed: dict[bytes, int] = {}
        self.used = 0
        self.bought = 0

    @initialize()
    def begin(self) -> None:
        self.buy(400)
        self.open(60)
        self.open(60)

    @rule(amount=st.integers(1, 200))
    def buy(self, amount: int) -> None:
        self.channels.buy(DataCredits(amount))
        self.bought += amount

    @rule(amount=st.integers(1, 100))
    def open(self, amount: int) -> None:
        if amount > self.channels.account.available:
            return
        number = self.channels.newest + 1
        times = UnixMillis(self.now), UnixMillis(self.now + 3600_000)
        name = number.to_bytes(32, "big")
        self.channels.open(Channel(number, name, DataCredits(amount), 1, Octets(PER_OCTETS), *times, 1000))

    @rule(target=gy_sessions, more=st.integers(0, 40_000))
    def first_grant(self, more: int) -> bytes:
        self.made += 1
        name = b"gy;%d" % self.made
        self.granted[name] = self.committed[name] = 0
        self.grant(name, more)
        return name

    @rule(name=gy_sessions, more=st.integers(0, 40_000))
    def grant(self, name: bytes, more: int) -> None:
        hold = self.channels.holds.get(name)
        if hold is not None and hold.ended_at:
            return
        granted = self.granted[name] + more
        before = {number: channel.free for number, channel in self.channels.by_number.items()}
        placement = self.channels.placement(name, granted)
        if placement is None:
            # Refused: then no open channel has room for all that is not signed yet.
            left = granted - self.committed[name]
            assert all(
                self.channels.by_number[number].price(left) > free
                for number, free in before.items()
                if self.channels.by_number[number].state == ChannelState.OPEN
                and not (hold is not None and number == hold.bound)
            )
            return
        self.channels.hold(name, "sgw.visited.example", granted, placement)
        self.granted[name] = granted

    @rule(name=gy_sessions, miner=st.sampled_from(MINER))
    def begin_session(self, name: bytes, miner: bytes) -> None:
        hold = self.channels.holds.get(name)
        if hold is None or hold.running or not hold.bound:
            return
        channel = self.channels.by_number[hold.bound]
        if channel.state in (ChannelState.DRAINING, ChannelState.SETTLED):
            return
        self.made += 1
        times = UnixMillis(self.now), UnixMillis(self.now)
        session = SignedSession(name, hold.bound, MINER[0], miner, hold.granted, *times, b"i" * 32, self.made)
        self.channels.begin(self.made.to_bytes(16, "big"), session)

    def running(self) -> list[bytes]:
        return [name for name, one in self.channels.sessions.items() if one.state == SessionState.RUNNING]

    @precondition(lambda self: self.running())
    @rule(data=st.data(), up=st.integers(0, 9000), down=st.integers(0, 9000), final=st.booleans())
    def report(self, data: st.DataObject, up: int, down: int, final: bool) -> None:
        session_id = data.draw(st.sampled_from(self.running()))
        session = self.channels.sessions[session_id]
        cost = self.channels.price_of(session, session.octets + up + down)
        channel = self.channels.by_number[session.channel]
        within = self.committed[session.gy_session_id] + up + down <= self.granted[session.gy_session_id]
        if not self.channels.can_post(session, cost):
            hold = self.channels.holds[session.gy_session_id]
            assert not within or hold.bound != session.channel or channel.state != ChannelState.OPEN, (
                "what was granted here can be paid here"
            )
            return
        self.made += 1
        totals = session.up + up, session.down + down
        self.channels.post(session_id, session.seq + 1, *totals, UnixMillis(self.now), b"u" * 32, self.made)
        self.committed[session.gy_session_id] += up + down
        self.used += cost
        assert session.credits == -(-(session.up + session.down) // PER_OCTETS), "the price is the running total's"
        if final:
            self.channels.end(session_id)

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def freeze(self, data: st.DataObject) -> None:
        self.channels.end(data.draw(st.sampled_from(self.running())), SessionState.FROZEN)

    @rule(name=consumes(gy_sessions))
    def end_gy(self, name: bytes) -> None:
        self.channels.end_gy(name, UnixMillis(self.now + 1))

    @rule(data=st.data(), later=st.integers(0, 2000))
    def tend(self, data: st.DataObject, later: int) -> None:
        """Bring one channel a step nearer to its end."""
        self.now += later
        number = data.draw(st.sampled_from([0, *self.channels.by_number]))
        channel = self.channels.by_number.get(number)
        if channel is None:
            return
        if channel.state == ChannelState.OPEN and later % 2:
            self.channels.drain(number)
        elif channel.state in (ChannelState.OPEN, ChannelState.DRAINING):
            self.channels.close(number, CloseReason.EPOCH_END, UnixMillis(self.now))
        elif channel.state == ChannelState.CLOSING:
            self.channels.settle(number)
        else:
            self.channels.forget(number)

    @invariant()
    def laws(self) -> None:
        channels = self.channels
        channels.check()
        account = channels.account
        assert account.funded == self.bought
        alive = sum(one.used for one in channels.by_number.values() if one.state != ChannelState.SETTLED)
        assert account.spent + alive == self.used, "every commit is paid once"
        for name, hold in channels.holds.items():
            assert hold.committed == self.committed[name]
            assert hold.granted == self.granted[name]
            session = channels.sessions.get(hold.running)
            assert (session is None) == (not hold.running)
            if session is not None:
                assert session.channel == hold.running_in
                assert session.state == SessionState.RUNNING


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
