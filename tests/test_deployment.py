"""The dates of keys: none that cannot be written, and none that a rotation lengthens."""

import pytest

from ocs import command as cmd
from ocs.deployment import OVERLAP_MS
from ocs.errors import InvalidInput
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.units import DAY, TIME_MAX, UnixMillis
from ocs.usage.event import KeyRotated, SignersAdded
from ocs.usage.rotation import KeyRotation, seal
from signed_reports import MINER, NETWORK, OTHER_MINER
from signing_node import SigningNode

FIRST, SECOND = (SeedSigner(bytes(31) + bytes([last])) for last in (1, 2))


def added(node: SigningNode, since: int = 0, until: int = 0) -> SignersAdded:
    keys = FIRST.public_key, SECOND.public_key
    event = node.step(cmd.AddSigners("other.example", *keys, UnixMillis(since), UnixMillis(until))).event
    assert isinstance(event, SignersAdded)
    return event


def rotated(node: SigningNode, old: SeedSigner, effective_at: int) -> KeyRotated:
    rotation = KeyRotation(signer_of(old.public_key), signer_of(OTHER_MINER.public_key), effective_at, NETWORK)
    event = node.step(cmd.RotateKey(seal(rotation, old=old, new=OTHER_MINER))).event
    assert isinstance(event, KeyRotated)
    return event


def test_keys_are_good_from_now_on_and_without_end_unless_it_is_said() -> None:
    node = SigningNode()
    assert added(node).valid_from == node.now
    view = node.state.signed.register.keys[FIRST.public_key]
    assert (view.valid_from, view.valid_until) == (node.now, None)


@pytest.mark.parametrize(
    ("since", "until"),
    [(-1, 0), (TIME_MAX + 1, 0), (0, -1), (0, TIME_MAX + 1), (0, 2**63), (1, 1), (TIME_MAX, TIME_MAX), (0, 1)],
)
def test_dates_that_cannot_be_are_refused(since: int, until: int) -> None:
    node = SigningNode()
    with pytest.raises(InvalidInput):
        added(node, since, until)
    assert FIRST.public_key not in node.state.signed.register.keys
    assert added(node, 1, TIME_MAX).valid_until == TIME_MAX


@pytest.mark.parametrize("effective_at", [TIME_MAX, TIME_MAX + 1, 2**63, 2**64 - 1])
def test_a_rotation_that_never_comes_is_refused(effective_at: int) -> None:
    """Neither the journal's answers nor the books' columns could hold such a date."""
    node = SigningNode()
    with pytest.raises(Malformed) as refused:
        rotated(node, MINER, effective_at)
    assert refused.value.code is Refusal.OUT_OF_RANGE
    assert rotated(node, MINER, TIME_MAX - 1).old_until == TIME_MAX


def test_a_rotation_lengthens_nothing() -> None:
    node = SigningNode()
    ends = node.now + 10 * DAY
    added(node, until=ends)
    with pytest.raises(Malformed) as refused:
        rotated(node, FIRST, ends)
    assert refused.value.code is Refusal.OUT_OF_RANGE
    late = ends - OVERLAP_MS // 2
    assert rotated(node, FIRST, late).old_until == ends
    keys = node.state.signed.register.keys
    assert keys[FIRST.public_key].valid_until == keys[OTHER_MINER.public_key].valid_until == ends
    assert keys[OTHER_MINER.public_key].valid_from == late


def test_the_old_key_is_good_for_a_day_more() -> None:
    node = SigningNode()
    event = rotated(node, MINER, node.now - DAY)
    assert (event.effective_at, event.old_until) == (node.now, node.now + OVERLAP_MS)
