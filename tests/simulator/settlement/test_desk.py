"""A forwarder's desk against the real node: what the gateway counted is in the log, whatever happens between."""

import tempfile
from pathlib import Path

import pytest
from counting_gateway import Gateway, counted
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from senders import desk, reading

from ocs import command as cmd
from ocs.channel.channel import ChannelState
from ocs.channel.event import UsageCommitted
from ocs.channel.hold import SessionState
from signing_door import NodeDoor
from signing_node import SigningNode
from simulator.settlement.desk import AGAIN_MS_MAX, KEPT_MS, NO_CHANNEL_MS, Desk
from simulator.settlement.door import Outcome, Status
from simulator.settlement.reading import Reading
from simulator.settlement.spool import Report

SECOND = 1000


def sign(desk: Desk, door: NodeDoor) -> None:
    """Do what the forwarder's signing task does, once."""
    now = door.node.now
    ready = []
    for name in desk.spool.signable(now, 1000):
        channel = None
        if desk.wants_channel(name):
            channel = door.active(name)
            if channel is None:
                desk.no_channel(name, now)
                continue
        ready.append((name, channel))
    desk.sign(ready, now)


def send(desk: Desk, door: NodeDoor, limit: int = 500) -> list[Outcome]:
    """Do what its sending task does, once."""
    reports = desk.spool.due(door.node.now, limit)
    outcomes = [door.decide(report.envelope) for report in reports]
    desk.settle(reports, outcomes, door.node.now)
    return outcomes


def drain(desk: Desk, door: NodeDoor) -> None:
    for _ in range(200):
        sign(desk, door)
        send(desk, door)
        if not desk.spool.busy():
            return
        door.node.later(AGAIN_MS_MAX)
        door.node.tend()
    raise AssertionError(f"not drained: {desk.spool.counts()}, {desk.last_unproven}")


@pytest.fixture
def node():
    node = SigningNode(bought=10**7)
    node.channel(10**5, epochs=24)
    return node


@pytest.fixture
def door(node):
    return NodeDoor(node)


def test_a_session_is_signed_as_it_is_told(tmp_path, node, door):
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1")], node.now)
    drain(forwarder, door)
    (session,) = node.state.signed.channels.sessions.values()
    assert (session.seq, session.octets, session.state) == (0, 0, SessionState.RUNNING)
    for _ in range(3):
        node.later(SECOND)
        forwarder.take([gateway.use("sgw;1;1", 1000, 9000)], node.now)
        drain(forwarder, door)
    assert (session.seq, session.up, session.down) == (3, 3000, 27_000)
    forwarder.take([gateway.use("sgw;1;1", 1, 2, final=True)], node.now)
    drain(forwarder, door)
    assert (session.seq, session.octets, session.state) == (4, 30_003, SessionState.ENDED)
    assert [event.flags for event in node.events if isinstance(event, UsageCommitted)] == [0, 0, 0, 0]
    assert forwarder.spool.signed_octets("sgw;1;1") == (3001, 27_002)
    assert not forwarder.spool.refusals()
    assert not forwarder.spool.book("sgw;1;1").open


def test_readings_that_came_together_are_one_report(tmp_path, node, door):
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1"), gateway.use("sgw;1;1", 10, 20), gateway.use("sgw;1;1", 1, 2)], node.now)
    drain(forwarder, door)
    (session,) = node.state.signed.channels.sessions.values()
    assert (session.seq, session.up, session.down) == (1, 11, 22)


def test_what_the_gateway_tells_again_is_not_signed_again(tmp_path, node, door):
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    gateway.attach("sgw;1;1")
    gateway.use("sgw;1;1", 10, 20)
    gateway.use("sgw;1;1", 10, 20, final=True)
    for _ in range(3):
        forwarder.take(list(gateway.newest.values()), node.now)
        drain(forwarder, door)
    assert counted(node, "sgw;1;1") == 60
    assert len(node.state.signed.channels.sessions) == 1


def test_counters_that_begin_again_are_another_signed_session(tmp_path, node, door):
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    gateway.attach("sgw;1;1")
    first = gateway.use("sgw;1;1", 100, 200)
    gateway.begin_again("sgw;1;1")
    forwarder.take([first, gateway.use("sgw;1;1", 1, 2)], node.now)
    drain(forwarder, door)
    forwarder.take([gateway.use("sgw;1;1", 3, 4, final=True)], node.now)
    drain(forwarder, door)
    sessions = node.state.signed.channels.sessions.values()
    assert [(one.up, one.down, one.state) for one in sessions] == [
        (100, 200, SessionState.ENDED),
        (4, 6, SessionState.ENDED),
    ]
    assert not forwarder.spool.refusals()


def test_counters_that_fall_are_set_aside(tmp_path, node, door):
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    gateway.attach("sgw;1;1")
    forwarder.take([gateway.use("sgw;1;1", 100, 200)], node.now)
    drain(forwarder, door)
    forwarder.take([reading("sgw;1;1", 99, 300, node.now)], node.now)
    drain(forwarder, door)
    assert [code for _, code, _ in forwarder.spool.refusals()] == ["backwards"]
    forwarder.take([gateway.use("sgw;1;1", 1, 0)], node.now)
    drain(forwarder, door)
    assert counted(node, "sgw;1;1") == 301


def test_it_follows_to_the_next_channel(tmp_path, node, door):
    """The receipt names another channel: a final report, then a SessionInit there; every octet is counted once."""
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1"), gateway.use("sgw;1;1", 100, 200)], node.now)
    drain(forwarder, door)
    channels = node.state.signed.channels
    first = channels.by_number[1]
    node.channel(10**5, epochs=24)
    node.step(cmd.CloseChannel(first.channel_id))
    node.tend()
    for _ in range(2):  # the grant with the first one binds the session to the new channel, and the receipt says so
        forwarder.take([gateway.use("sgw;1;1", 10, 20)], node.now)
        drain(forwarder, door)
    forwarder.take([gateway.use("sgw;1;1", 1, 2, final=True)], node.now)
    drain(forwarder, door)
    ended = [(one.channel, one.octets, one.state) for one in channels.sessions.values()]
    assert [(channel, state) for channel, _, state in ended] == [(1, SessionState.ENDED), (2, SessionState.ENDED)]
    assert sum(octets for _, octets, _ in ended) == gateway.used["sgw;1;1"].total == 363
    assert not forwarder.spool.refusals()


def test_what_came_too_late_for_its_channel_is_signed_in_the_next(tmp_path, node, door):
    """Stored while its channel settled: `channel_closed` sets the report aside, and its octets go on."""
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1"), gateway.use("sgw;1;1", 100, 200)], node.now)
    drain(forwarder, door)
    forwarder.take([gateway.use("sgw;1;1", 10, 20)], node.now)
    sign(forwarder, door)  # and no way to the server
    node.channel(10**5, epochs=24)
    node.step(cmd.CloseChannel(node.state.signed.channels.by_number[1].channel_id))
    node.tend()
    node.later(2 * 3_600_000)
    node.tend()
    last = gateway.use("sgw;1;1", 1, 2)
    drain(forwarder, door)
    assert [code for _, code, _ in forwarder.spool.refusals()] == ["channel_closed"]
    forwarder.take([last], node.now)
    drain(forwarder, door)
    assert counted(node, "sgw;1;1") == 333
    assert forwarder.spool.signed_octets("sgw;1;1").total == 333


def test_a_channel_whose_grace_is_over_and_that_has_not_settled_yet(tmp_path, node, door):
    """For a moment the old session still runs while its channel takes nothing more: the new one is tried again."""
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1"), gateway.use("sgw;1;1", 100, 200)], node.now)
    drain(forwarder, door)
    node.channel(10**5, epochs=24)
    node.step(cmd.CloseChannel(node.state.signed.channels.by_number[1].channel_id))
    node.tend()
    gateway.use("sgw;1;1", 10, 20)  # its grant binds it to the new channel
    node.later(2 * 3_600_000)
    forwarder.take([gateway.use("sgw;1;1", 1, 2)], node.now)
    for _ in range(3):
        sign(forwarder, door)
        send(forwarder, door)
        node.later(AGAIN_MS_MAX)
    codes = [code for _, code, _ in forwarder.spool.refusals()]
    assert codes[:3] == ["channel_closed", "grant_conflict", "no_session"]
    drain(forwarder, door)
    assert counted(node, "sgw;1;1") == 333
    assert forwarder.spool.signed_octets("sgw;1;1").total == 333


def test_a_session_that_is_anothers_is_not_tried_for_ever(tmp_path, node, door):
    """A spool that was lost: the session that it had begun runs, and nobody can end it."""
    gateway = Gateway(node)
    lost = desk(tmp_path / "lost")
    lost.take([gateway.attach("sgw;1;1"), gateway.use("sgw;1;1", 100, 200)], node.now)
    drain(lost, door)
    forwarder = desk(tmp_path / "spool", 2)
    forwarder.take([gateway.use("sgw;1;1", 10, 20)], node.now)
    drain(forwarder, door)
    assert [code for _, code, _ in forwarder.spool.refusals()] == ["grant_conflict", "no_session"]
    assert counted(node, "sgw;1;1") == 300


def test_an_init_for_a_channel_that_drains_begins_anew(tmp_path, node, door):
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1")], node.now)
    sign(forwarder, door)
    node.channel(10**5, epochs=24)
    node.step(cmd.CloseChannel(node.state.signed.channels.by_number[1].channel_id))
    node.tend()
    forwarder.take([gateway.use("sgw;1;1", 10, 20, final=True)], node.now)
    sign(forwarder, door)  # behind the SessionInit that will be refused
    drain(forwarder, door)
    assert [code for _, code, _ in forwarder.spool.refusals()] == ["channel_closed", "no_session"]
    assert counted(node, "sgw;1;1") == 30


def test_a_receipt_that_proves_nothing_leaves_the_report_where_it_is(tmp_path, node, door):
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1")], node.now)
    sign(forwarder, door)
    (report,) = forwarder.spool.due(node.now, 10)
    good = door.decide(report.envelope)
    lies = (
        Outcome(message_id=good.message_id, status=Status.ACCEPTED, proof=""),
        Outcome(message_id=good.message_id, status=Status.ACCEPTED, proof=good.proof.replace("index 0", "index 1")),
        Outcome(message_id=good.message_id, status=Status.SUPERSEDED, proof=good.proof),
        Outcome(message_id=bytes(32), status=Status.ACCEPTED, proof=good.proof),
        Outcome(message_id=bytes(32), status=Status.REFUSED, code="bad_key"),
    )
    for lie in lies:
        forwarder.settle([report], [lie], node.now)
        assert forwarder.spool.under_way() == 1
        assert not forwarder.spool.refusals()
    assert forwarder.unproven == 3
    forwarder.settle([report], [good], node.now)
    assert forwarder.spool.under_way() == 0


def again(report: Report) -> Outcome:
    return Outcome(message_id=report.message_id, status=Status.AGAIN)


def test_a_report_does_not_fall_while_the_one_before_it_may_still_be_counted(tmp_path, node, door):
    """The SessionInit is to come again, so `no_session` to the Usage behind it says nothing: both wait."""
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1"), gateway.use("sgw;1;1", 10, 20)], node.now)
    sign(forwarder, door)
    init, usage = forwarder.spool.due(node.now, 10)
    refused = door.decide(usage.envelope)
    assert refused.code == "no_session"
    forwarder.settle([init, usage], [again(init), refused], node.now)
    assert forwarder.spool.counts() == {"readings": 0, "reports": 2, "receipts": 0, "refused": 0}
    assert forwarder.unproven == 0
    node.later(AGAIN_MS_MAX)
    drain(forwarder, door)
    assert counted(node, "sgw;1;1") == 30
    assert not forwarder.spool.refusals()


def test_an_older_receipt_takes_nothing_back(tmp_path, node, door):
    """Two reports are counted, the older one's answer comes last; what is begun anew later begins behind both."""
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1")], node.now)
    drain(forwarder, door)
    for _ in range(2):
        forwarder.take([gateway.use("sgw;1;1", 10, 20)], node.now)
        sign(forwarder, door)
    older, newer = forwarder.spool.due(node.now, 10)
    forwarder.settle([older, newer], [again(older), door.decide(newer.envelope)], node.now)
    node.later(AGAIN_MS_MAX)
    (outcome,) = send(forwarder, door)
    assert outcome.status is Status.SUPERSEDED
    assert forwarder.spool.book("sgw;1;1").session.counted == (20, 40)
    assert forwarder.spool.signed_octets("sgw;1;1") == (20, 40)


def test_nothing_begins_before_the_end_of_what_ran(tmp_path, node, door):
    """A channel was asked for, and meanwhile the running session got its final report: the next one waits for that."""
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1"), gateway.use("sgw;1;1", 10, 20)], node.now)
    drain(forwarder, door)
    gateway.begin_again("sgw;1;1")
    forwarder.take([gateway.use("sgw;1;1", 1, 2)], node.now)
    sign(forwarder, door)  # the final report of the first
    for _ in range(2):
        forwarder.sign([("sgw;1;1", door.active("sgw;1;1"))], node.now)
    assert [(report.seq, report.final) for report in forwarder.spool.due(node.now, 10)] == [(2, True)]
    drain(forwarder, door)
    assert counted(node, "sgw;1;1") == 33


def test_a_session_whose_end_is_refused_is_halted_and_its_reports_are_kept(tmp_path, node, door):
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1")], node.now)
    drain(forwarder, door)
    # The gateway counts what it never told over Gy.
    forwarder.take([reading("sgw;1;1", 10**9, 0, node.now, final=True)], node.now)
    drain(forwarder, door)
    assert [code for _, code, _ in forwarder.spool.refusals()] == ["over_grant"]
    forwarder.take([reading("sgw;1;1", 10**9 + 1, 0, node.now)], node.now)
    drain(forwarder, door)
    assert [code for _, code, _ in forwarder.spool.refusals()] == ["over_grant", "over_grant"]


def test_where_nothing_is_held_nothing_is_signed_and_nothing_is_lost(tmp_path, node, door):
    forwarder = desk(tmp_path / "spool")
    forwarder.take([reading("stranger;1;1", 5, 6, node.now, final=True)], node.now)
    sign(forwarder, door)
    assert forwarder.spool.counts() == {"readings": 1, "reports": 0, "receipts": 0, "refused": 0}
    assert not forwarder.spool.signable(node.now, 1000)
    node.later(NO_CHANNEL_MS + AGAIN_MS_MAX)
    sign(forwarder, door)
    assert forwarder.spool.counts() == {"readings": 0, "reports": 0, "receipts": 0, "refused": 1}
    assert [code for _, code, _ in forwarder.spool.refusals()] == ["no_channel"]


def test_what_is_over_is_forgotten_after_a_while(tmp_path, node, door):
    forwarder, gateway = desk(tmp_path / "spool"), Gateway(node)
    forwarder.take([gateway.attach("sgw;1;1"), gateway.use("sgw;1;1", 1, 2, final=True)], node.now)
    drain(forwarder, door)
    forwarder.prune(node.now + KEPT_MS)
    assert forwarder.spool.counts()["receipts"] == 1
    forwarder.prune(node.now + KEPT_MS + 1)
    assert forwarder.spool.counts()["receipts"] == 0
    assert forwarder.spool.book("sgw;1;1").newest is None


THEN = ("lost", "told", "signed", "signed", "sent", "sent")
"""How far a reading gets at once."""


class Forwarding(RuleBasedStateMachine):
    """Gateways use, forwarders die, answers get lost, channels drain and close: the log holds each octet once."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name) / "spool"
        self.node = SigningNode(bought=10**9)
        self.node.channel(10**6, epochs=24)
        self.door = NodeDoor(self.node)
        self.gateway = Gateway(self.node)
        self.lives = 1
        self.heard = True  # what the gateway tells; not from a reading that is lost until the next subscription
        self.desk = desk(self.path, self.lives)

    @initialize()
    def first(self) -> None:
        self.attach()

    @precondition(lambda self: len(self.gateway.used) < 3)
    @rule()
    def attach(self) -> None:
        if told := self.gateway.attach(f"sgw;1;{len(self.gateway.used)}"):
            self._tell(told)

    @precondition(lambda self: self._alive())
    @rule(data=st.data(), up=st.integers(0, 200_000), down=st.integers(0, 700_000), then=st.sampled_from(THEN))
    def use(self, data: st.DataObject, up: int, down: int, then: str) -> None:
        told = self.gateway.use(data.draw(st.sampled_from(self._alive())), up, down)
        self.heard = self.heard and then != "lost"
        self._tell(told)
        if then in {"signed", "sent"}:
            sign(self.desk, self.door)
        if then == "sent":
            send(self.desk, self.door)

    @precondition(lambda self: len(self._alive()) > 1)
    @rule(data=st.data(), up=st.integers(0, 1000), lost=st.booleans())
    def end(self, data: st.DataObject, up: int, lost: bool) -> None:
        told = self.gateway.use(data.draw(st.sampled_from(self._alive())), up, up, final=True)
        self.heard = self.heard and not lost
        self._tell(told)

    @precondition(lambda self: self._alive())
    @rule(data=st.data())
    def counters_begin_again(self, data: st.DataObject) -> None:
        self.gateway.begin_again(data.draw(st.sampled_from(self._alive())))

    @rule()
    def subscribe_again(self) -> None:
        self.heard = True
        self.desk.take([*self.gateway.newest.values()], self.node.now)

    @rule()
    def sign(self) -> None:
        sign(self.desk, self.door)

    @rule(limit=st.integers(1, 4))
    def send(self, limit: int) -> None:
        send(self.desk, self.door, limit)

    @rule(limit=st.integers(1, 4), data=st.data())
    def send_and_hear_little(self, limit: int, data: st.DataObject) -> None:
        """Some of these are decided, some are not, and of some that are the sender is told to come again."""
        reports = self.desk.spool.due(self.node.now, limit)
        outcomes = []
        for report in reports:
            fate = data.draw(st.sampled_from(["heard", "decided", "nothing"]))
            outcome = self.door.decide(report.envelope) if fate != "nothing" else None
            outcomes.append(
                outcome
                if outcome is not None and fate == "heard"
                else Outcome(message_id=report.message_id, status=Status.AGAIN)
            )
        self.desk.settle(reports, outcomes, self.node.now)

    @rule(limit=st.integers(1, 4))
    def send_and_die(self, limit: int) -> None:
        for report in self.desk.spool.due(self.node.now, limit):
            self.door.decide(report.envelope)
        self.die()

    @rule()
    def die(self) -> None:
        self.desk.spool.close()
        self.lives += 1
        self.desk = desk(self.path, self.lives)

    @rule(seconds=st.integers(1, 1200))
    def later(self, seconds: int) -> None:
        self.node.later(seconds * SECOND)
        self.node.tend()

    @precondition(lambda self: self._unsettled() < 12)
    @rule()
    def next_channel(self) -> None:
        """The newest channel is closed, and another one is open before that."""
        channels = self.node.state.signed.channels
        newest = channels.by_number[channels.newest]
        self.node.channel(10**6, epochs=24)
        self.node.step(cmd.CloseChannel(newest.channel_id))
        self.node.tend()

    @invariant()
    def nothing_is_counted_twice(self) -> None:
        for name, used in self.gateway.used.items():
            assert counted(self.node, name) <= used.total
        self.node.check()

    def teardown(self) -> None:
        try:
            self._check_the_end()
        finally:
            self.desk.spool.close()
            self._folder.cleanup()

    def _check_the_end(self) -> None:
        """With the server back and every session ended, all that was used is in the log, and each receipt proves it."""
        channels = self.node.state.signed.channels
        if self._unsettled() < 16 and channels.by_number[channels.newest].state != ChannelState.OPEN:
            self.node.channel(10**6, epochs=24)
        for name in self._alive():
            self.gateway.use(name, 1, 1)  # its grant binds it to a channel that is open
        for final in (False, True):
            for name in self._alive() if final else ():
                self.gateway.use(name, 1, 1, final=True)
            self.desk.take([*self.gateway.newest.values()], self.node.now)
            drain(self.desk, self.door)
        for name, used in self.gateway.used.items():
            unsigned = [code for gy, code, _ in self.desk.spool.refusals() if gy == name and code == "no_channel"]
            if not unsigned:
                assert counted(self.node, name) == used.total, (name, self.desk.spool.refusals())
        assert self.desk.unproven == 0
        codes = {code for _, code, _ in self.desk.spool.refusals()}
        assert codes <= {"channel_closed", "wrong_channel", "no_session", "no_channel", "grant_conflict"}, codes

    def _unsettled(self) -> int:
        channels = self.node.state.signed.channels.by_number.values()
        return sum(channel.state != ChannelState.SETTLED for channel in channels)

    def _tell(self, told: Reading) -> None:
        if self.heard:
            self.desk.take([told], self.node.now)

    def _alive(self) -> list[str]:
        return [name for name in self.gateway.used if name not in self.gateway.over]


TestForwarding = Forwarding.TestCase
TestForwarding.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_waits_are_spread(tmp_path):
    """Two forwarders that fail at the same moment do not come back at the same moment."""
    waits = {desk(tmp_path / str(seed), seed)._jittered(60_000) for seed in range(8)}
    assert len(waits) > 4
    assert all(30_000 <= wait <= 60_000 for wait in waits)
