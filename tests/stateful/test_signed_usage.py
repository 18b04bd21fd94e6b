"""Gy, SGW, miner, owner and the clock at random: both ledgers keep their laws, and the same events give the same state.

The model counts what each signed session said and what was counted of it, and knows nothing of holds or channels.
"""

from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ocs import command as cmd
from ocs import image
from ocs.channel.channel import ChannelState
from ocs.channel.leaf import split
from ocs.channel.record import NO_COMMIT, Commit
from ocs.errors import OcsError
from ocs.node import evolve
from ocs.reporting import Receipted, Verdict
from ocs.signed.refusal import Refusal
from ocs.state import State
from ocs.tlog.merkle import Frontier, LeafCount, leaf_hash
from ocs.units import MINUTE, GroupIndex
from signing_node import PER_OCTETS, Sgw, SigningNode

GRANT = 10_000_000
USED = st.one_of(st.just(0), st.integers(1, 50_000), st.integers(1, GRANT))


class SignedUsage(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.node = SigningNode(bought=20_000)
        self.gy: dict[str, int] = {}  # alive: number of the next request
        self.signed: dict[str, Sgw] = {}  # what the SGW of a Gy session signs
        self.counted: dict[bytes, int] = {}  # octets, by session_id
        self.sent: list[tuple[bytes, int]] = []  # reports, with the leaf that their receipt named
        self.made = 0

    @initialize()
    def begin(self) -> None:
        self.open(1000)
        self.open(1000)

    @rule(amount=st.integers(1, 2000), epochs=st.integers(1, 3))
    def open(self, amount: int, epochs: int = 2) -> None:
        with suppress(OcsError):  # its rules are tested elsewhere
            self.node.channel(amount, epochs=epochs)

    @rule(amount=st.integers(0, 3000))
    def buy(self, amount: int) -> None:
        self.made += 1
        if amount:
            self.node.step(cmd.BuyCredits(amount, "more", f"key;{self.made}"))  # type: ignore[arg-type]  # an int

    @rule(ms=st.sampled_from([1, 1000, MINUTE, 20 * MINUTE, 70 * MINUTE]))
    def later(self, ms: int) -> None:
        self.node.later(ms)

    @rule()
    def tend(self) -> None:
        self.node.tend()

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        channels = self.node.state.signed.channels.by_number
        channel = channels[data.draw(st.sampled_from(sorted(channels)))] if channels else None
        if channel is not None and channel.state in (ChannelState.OPEN, ChannelState.DRAINING):
            self.node.step(cmd.CloseChannel(channel.channel_id))

    # Gy

    @rule()
    def attach(self) -> None:
        self.made += 1
        name = f"s;{self.made}"
        if self.node.attach(name).result_code == 2001:
            self.gy[name] = 1

    @precondition(lambda self: self.gy)
    @rule(data=st.data(), used=USED, end=st.booleans())
    def gy_report(self, data: st.DataObject, used: int, end: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.gy)))
        number = self.gy[name]
        if end:
            self.node.detach(name, number, used)
            del self.gy[name]
        else:
            self.node.update(name, number, used)
            self.gy[name] = number + 1

    # SGW and miner

    @precondition(lambda self: self.node.state.signed.channels.holds)
    @rule(data=st.data())
    def begin_session(self, data: st.DataObject) -> None:
        holds = self.node.state.signed.channels.holds
        name = data.draw(st.sampled_from(sorted(holds)))
        bound = self.node.state.signed.channels.by_number.get(holds[name].bound)
        if bound is None:
            return
        self.made += 1
        sgw = Sgw(self.made.to_bytes(16, "big"), bound.channel_id, name.decode())
        octets = self.node.init(sgw)
        told = self.node.report(octets)
        if isinstance(told, Receipted):
            self.signed[name.decode()] = sgw
            self.counted[sgw.session_id] = 0
            self.sent.append((octets, told.leaf))
        else:
            assert isinstance(told, Verdict)
            assert told.code in {Refusal.CHANNEL_CLOSED, Refusal.GRANT_CONFLICT}, told

    @precondition(lambda self: self.signed)
    @rule(data=st.data(), up=USED, down=USED, final=st.booleans(), changes=st.sampled_from([{}, {}, {}, {"seq": 1}]))
    def sign(self, data: st.DataObject, up: int, down: int, final: bool, changes: dict[str, Any]) -> None:
        name = data.draw(st.sampled_from(sorted(self.signed)))
        sgw = self.signed[name]
        before = sgw.seq, sgw.up, sgw.down, sgw.last_id
        octets = self.node.usage(sgw, up, down, final=final, **changes)
        told = self.node.report(octets)
        if isinstance(told, Receipted):
            self.counted[sgw.session_id] = sgw.up + sgw.down
            self.sent.append((octets, told.leaf))
            if final:
                del self.signed[name]
            return
        sgw.seq, sgw.up, sgw.down, sgw.last_id = before
        if isinstance(told, Verdict) and told.code in {
            Refusal.EQUIVOCATION,
            Refusal.CHANNEL_CLOSED,
            Refusal.SESSION_ENDED,
            Refusal.WRONG_CHANNEL,
        }:
            del self.signed[name]

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        octets, leaf = data.draw(st.sampled_from(self.sent))
        leaves = len(self.node.leaves)
        assert self.node.report(octets) == Receipted(leaf), "a repeat gets the same receipt"
        assert len(self.node.leaves) == leaves

    # Laws

    @invariant()
    def both_ledgers_keep_their_laws(self) -> None:
        self.node.check()

    @invariant()
    def what_was_counted_is_paid_once(self) -> None:
        channels = self.node.state.signed.channels
        cost = sum(-(-octets // PER_OCTETS) for octets in self.counted.values())
        unsettled = sum(one.used for one in channels.by_number.values() if one.state != ChannelState.SETTLED)
        assert channels.account.spent + unsettled == cost

    def teardown(self) -> None:
        node = self.node
        # The log proves what the channels say.
        log = Frontier()
        totals: dict[bytes, int] = {}
        for leaf in node.leaves:
            log.append(leaf_hash(leaf))
            commit = Commit.decode(split(leaf)[0])
            totals[commit.channel_id] = totals.get(commit.channel_id, 0) + commit.delta_dc
            assert commit.channel_total_dc == totals[commit.channel_id]
        assert (log.size, log.root()) == (node.state.signed.log.size, node.state.signed.log.root())
        for channel in node.state.signed.channels.by_number.values():
            assert channel.used == totals.get(channel.channel_id, 0)
        # The same events, and the same state out of its image, are the same state.
        again = State()
        for place, event in enumerate(node.events, 1):
            again.group = GroupIndex(place)
            evolve(again, event)
        again.group = node.state.group
        chunks = list(image.chunks(node.state))
        assert list(image.chunks(again)) == chunks
        assert list(image.chunks(image.restore(chunks))) == chunks
        self.whoever_counts_leaves_alone_has_the_same_state(chunks)

    def whoever_counts_leaves_alone_has_the_same_state(self, chunks: list[bytes]) -> None:
        """The core does: all but the log itself, and the ends of its chains, is there."""
        node, counting = self.node, State()
        counting.signed.log = LeafCount(0)
        for place, event in enumerate(node.events, 1):
            counting.group = GroupIndex(place)
            evolve(counting, event)
        counting.group = node.state.group
        assert counting.signed.log.size == node.state.signed.log.size
        counting.signed.log = node.state.signed.log
        for number, channel in counting.signed.channels.by_number.items():
            assert channel.last_commit == NO_COMMIT
            channel.last_commit = node.state.signed.channels.by_number[number].last_commit
        assert list(image.chunks(counting)) == chunks


TestSignedUsage = SignedUsage.TestCase
TestSignedUsage.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
