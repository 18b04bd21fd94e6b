"""What a Gy session holds in channels, at its ends: names used twice, channels that settle first, late repeats."""

import pytest

from ocs import command as cmd
from ocs.channel.channel import ChannelState
from ocs.reporting import Receipted, Verdict
from ocs.signed.refusal import Refusal
from ocs.units import SessionId
from signing_node import EPOCH_MS, PER_OCTETS, SigningNode

SESSION = "sgw;1"


@pytest.fixture
def node() -> SigningNode:
    made = SigningNode()
    made.channel(100_000, epochs=1)
    made.channel(100_000, epochs=30)
    return made


def settle(node: SigningNode) -> None:
    node.later(EPOCH_MS)
    node.tend()
    node.later(EPOCH_MS)
    node.tend()
    assert node.state.signed.channels.by_number[1].state == ChannelState.SETTLED


def test_a_gy_session_that_ends_after_its_channel_leaves_nothing_behind(node: SigningNode) -> None:
    node.attach(SESSION)
    settle(node)
    assert node.state.signed.channels.holds[SESSION.encode()].bound == 0
    node.later(EPOCH_MS)
    assert node.step(cmd.Supervise(SessionId(SESSION.encode()))).event is not None
    assert not node.state.signed.channels.holds


def test_a_name_that_is_used_again_signs_for_both_sessions(node: SigningNode) -> None:
    channels = node.state.signed.channels
    node.attach(SESSION)
    first = node.begin(SESSION)
    node.detach(SESSION, 1, 5_000_000)
    node.later(11 * 60_000)  # the ended session is forgotten over Gy
    node.attach("another")
    answer = node.attach(SESSION)
    assert answer.result_code == 2001
    hold = channels.holds[SESSION.encode()]
    assert hold.ended_at == 0
    assert hold.granted == hold.before + 10_000_000
    channels.check()

    assert isinstance(node.report(node.usage(first, 5_000_000, final=True)), Receipted)
    assert SESSION.encode() in channels.holds, "Gy goes on, and what it grants is held"
    again = node.begin(SESSION)
    node.detach(SESSION, 1, 3_000_000)
    assert isinstance(node.report(node.usage(again, 3_000_000, final=True)), Receipted)
    assert SESSION.encode() not in channels.holds
    channels.check()
    assert channels.by_number[1].reserved == 10_000_000 // PER_OCTETS, "of the other session"
    assert channels.by_number[1].used == 8_000_000 // PER_OCTETS


@pytest.mark.fault(58)
def test_a_repeat_has_its_receipt_though_its_channel_is_long_closed(node: SigningNode) -> None:
    node.attach(SESSION)
    sgw = node.begin(SESSION)
    older, newer = node.usage(sgw, 1000), node.usage(sgw, 1000)
    assert [node.report(older), node.report(newer)] == [Receipted(1), Receipted(2)]
    settle(node)
    assert [node.report(older), node.report(newer)] == [Receipted(1), Receipted(2)]
    late = node.report(node.usage(sgw, 1000))
    assert isinstance(late, Verdict)
    assert late.code is Refusal.CHANNEL_CLOSED
