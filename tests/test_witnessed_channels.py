"""Where the setting asks for it a channel settles only once cosigners have seen all that it counts."""

from dataclasses import replace

import pytest

from ocs import command as cmd
from ocs import image
from ocs.channel.channel import ChannelState
from ocs.channel.event import LogWitnessed
from ocs.errors import OutOfTurn
from signing_node import EPOCH_MS, SigningNode

LINES = "— witness.example AAAAAAAA\n".encode()


def witnessed_node() -> SigningNode:
    node = SigningNode()
    node.usage_policy = replace(node.usage_policy, is_witnessed=True)
    return node


def witness(node: SigningNode, size: int) -> None:
    event = node.step(cmd.WitnessLog(size, node.state.signed.log.root(), LINES)).event
    assert isinstance(event, LogWitnessed)


def pass_epochs(node: SigningNode) -> None:
    for _ in range(2):
        node.later(EPOCH_MS)
        node.tend()


def test_a_channel_waits_until_its_last_commit_is_seen() -> None:
    node = witnessed_node()
    channel = node.channel(1000, epochs=1)
    node.channel(1000, epochs=9)
    node.attach("s;1")
    sgw = node.begin("s;1")
    witness(node, 1)
    node.report(node.usage(sgw, 100_000))
    pass_epochs(node)
    assert channel.state == ChannelState.CLOSING
    node.later(9 * EPOCH_MS)
    node.tend()
    assert channel.state == ChannelState.CLOSING, "it waits for as long as it takes"
    witness(node, 2)
    node.tend()
    assert channel.state == ChannelState.SETTLED
    node.state.signed.channels.check()


def test_a_channel_without_commits_waits_for_any_checkpoint() -> None:
    node = witnessed_node()
    channel = node.channel(1000, epochs=1)
    pass_epochs(node)
    assert channel.state == ChannelState.CLOSING
    witness(node, 0)
    node.tend()
    assert channel.state == ChannelState.SETTLED


def test_one_from_before_its_newest_leaf_was_kept_waits_for_nobody() -> None:
    node = witnessed_node()
    channel = node.channel(1000, epochs=1)
    node.attach("s;1")
    node.begin("s;1")
    channel.last_leaf = -1
    pass_epochs(node)
    assert channel.state == ChannelState.SETTLED
    assert not channel.lies_within(node.state.signed.log.size)


def test_without_the_setting_nobody_waits() -> None:
    node = SigningNode()
    channel = node.channel(1000, epochs=1)
    pass_epochs(node)
    assert channel.state == ChannelState.SETTLED


def test_what_was_seen_only_grows_and_is_never_more_than_there_is() -> None:
    node = witnessed_node()
    node.channel(1000)
    node.attach("s;1")
    node.begin("s;1")
    witness(node, 1)
    for size in (0, 1, 2):
        with pytest.raises(OutOfTurn, match="cosigners saw 1 of 1 leaves"):
            witness(node, size)
    restored = image.restore(image.chunks(node.state))
    assert restored.signed.witnessed == node.state.signed.witnessed is not None
    assert restored.signed.channels.by_number[1].last_leaf == 0
