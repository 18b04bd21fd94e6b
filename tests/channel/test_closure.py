"""A close that the log proves, and every way in which it may not: the first broken rule is told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.channel import closure
from ocs.channel.closure import Counted, Recount
from ocs.channel.event import ChannelOpened
from ocs.channel.leaf import split
from ocs.channel.record import ChannelClose, Commit, Summary
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.usage.opening import Opened, open_report
from ocs.usage.record import SessionInit
from signed_reports import NETWORK
from signing_node import EPOCH_MS, SigningNode


def made() -> SigningNode:
    """A channel that closed, with a frozen session, a final one, and one that its end cut off."""
    node = SigningNode()
    node.channel(2000, epochs=1)
    node.channel(100, epochs=3)
    sessions = []
    for number in range(3):
        node.attach(f"s;{number}")
        sessions.append(node.begin(f"s;{number}"))
    for step in range(4):
        for sgw in sessions:
            node.report(node.usage(sgw, 30_000 + step, 1000 * step))
    node.report(node.usage(sessions[0], 7, final=True))
    sessions[1].seq -= 1
    node.report(node.usage(sessions[1], 1))
    node.later(EPOCH_MS)
    node.tend()
    node.later(EPOCH_MS)
    node.tend()
    return node


NODE = made()
LOG = NODE.state.signed.log
CHANNEL = NODE.state.signed.channels.by_number[1]
OPENINGS = [event for event in NODE.events if isinstance(event, ChannelOpened)]
CHANNEL_ID, OPENED = closure.opened_channel(OPENINGS[0].envelope)
CLOSE = closure.propose(CHANNEL, LOG.size, LOG.root())


def read(octets: bytes) -> Counted:
    opened = open_report(octets, NODE.state.signed.register.keys, NETWORK, NODE.now)
    if not isinstance(opened, Opened):
        raise Malformed(opened.detail, opened.code)
    report = opened.report
    of_usage = (0, 0, False) if isinstance(report, SessionInit) else (report.seq, report.cum_bytes, report.final)
    keys = report.sgw_key, report.miner_key
    return Counted(opened.countersign_id, report.channel_id, report.session_id, *keys, *of_usage)


def recount(leaves: list[bytes]) -> Recount:
    count = Recount(CHANNEL_ID, CHANNEL.per_octets)
    for leaf in leaves:
        count.add(leaf, read)
    return count


WHOLE = recount(NODE.leaves)


def test_the_ledgers_close_is_what_the_log_says() -> None:
    assert CHANNEL.channel_id == CHANNEL_ID
    assert (WHOLE.used, WHOLE.commits) == (CHANNEL.used, CHANNEL.commits)
    assert WHOLE.used > 10
    closure.check(CLOSE, OPENED, WHOLE, LOG.size, LOG.root())
    assert ChannelClose.decode(CLOSE.encode()) == CLOSE


def first(**changes: Any) -> tuple[Summary, ...]:
    return (msgspec.structs.replace(CLOSE.summaries[0], **changes), *CLOSE.summaries[1:])


OTHER = msgspec.structs.replace(CLOSE.summaries[0], client_pubkeybin=b"\x01" + bytes(32))
BROKEN: dict[str, tuple[dict[str, Any], Refusal]] = {
    "another channel": ({"channel_id": bytes(32)}, Refusal.WRONG_CHANNEL),
    "an older nonce": ({"nonce": 0}, Refusal.STALE_NONCE),
    "used above the amount": ({"used_dc": 2001}, Refusal.OVERSPENT),
    "unsorted": ({"summaries": (*CLOSE.summaries, OTHER)}, Refusal.SUMMARIES_UNSORTED),
    "one key twice": ({"summaries": CLOSE.summaries * 2}, Refusal.SUMMARIES_DUPLICATE),
    "a credit too few": ({"used_dc": CLOSE.used_dc - 1}, Refusal.WRONG_SUM),
    "a summary's credits": ({"summaries": first(num_dcs=CLOSE.used_dc + 1)}, Refusal.WRONG_SUM),
    "a summary's commits": ({"summaries": first(num_packets=1)}, Refusal.WRONG_SUM),
    "a summary's octets": ({"summaries": first(num_bytes=1)}, Refusal.WRONG_SUM),
    "a summary's sessions": ({"summaries": first(num_sessions=9)}, Refusal.WRONG_SUM),
    "a miner left out": ({"summaries": ()}, Refusal.WRONG_SUM),
    "a miner too many": ({"summaries": (OTHER, *CLOSE.summaries)}, Refusal.WRONG_SUM),
    "another root": ({"log_root": bytes(32)}, Refusal.WRONG_ROOT),
    "another size": ({"log_size": LOG.size - 1}, Refusal.WRONG_ROOT),
    "a refund off by one": ({"refund_dc": CLOSE.refund_dc + 1}, Refusal.WRONG_REFUND),
}


@pytest.mark.fault(65)
@pytest.mark.parametrize("name", BROKEN)
def test_24_a_close_that_is_wrong_in_one_thing(name: str) -> None:
    changes, code = BROKEN[name]
    with pytest.raises(Malformed) as error:
        closure.check(msgspec.structs.replace(CLOSE, **changes), OPENED, WHOLE, LOG.size, LOG.root())
    assert error.value.code is code


def test_25_a_leaf_that_is_left_out_is_missed() -> None:
    for place in range(len(NODE.leaves) - 1):
        with pytest.raises(Malformed) as error:
            recount([*NODE.leaves[:place], *NODE.leaves[place + 1 :]])
        assert error.value.code is Refusal.WRONG_SUM
    with pytest.raises(Malformed) as error:
        closure.check(CLOSE, OPENED, recount(NODE.leaves[:-1]), LOG.size, LOG.root())
    assert error.value.code is Refusal.WRONG_SUM


@given(place=st.integers(0, len(NODE.leaves) - 1), data=st.data())
def test_26_any_bit_of_any_leaf_that_flips_is_found(place: int, data: st.DataObject) -> None:
    leaf = bytearray(NODE.leaves[place])
    bit = data.draw(st.integers(0, 8 * len(leaf) - 1))
    leaf[bit // 8] ^= 1 << bit % 8
    leaves = [*NODE.leaves[:place], bytes(leaf), *NODE.leaves[place + 1 :]]
    try:
        closure.check(CLOSE, OPENED, recount(leaves), LOG.size, LOG.root())
    except Malformed:
        return
    # What no sum and no signature covers, the time of a last commit, the tree does.
    assert split(bytes(leaf))[1] == split(NODE.leaves[place])[1]
    changed, kept = (Commit.decode(split(one)[0]) for one in (bytes(leaf), NODE.leaves[place]))
    assert msgspec.structs.replace(changed, committed_at_ms=kept.committed_at_ms) == kept
    assert place == len(NODE.leaves) - 1


FORGED: dict[str, tuple[Callable[[Commit], Commit], Refusal]] = {
    "octets": (lambda one: msgspec.structs.replace(one, delta_bytes=one.delta_bytes + 1), Refusal.WRONG_SUM),
    "credits": (lambda one: msgspec.structs.replace(one, delta_dc=one.delta_dc + 1), Refusal.WRONG_SUM),
    "total": (lambda one: msgspec.structs.replace(one, channel_total_dc=10**6), Refusal.WRONG_SUM),
    "seq": (lambda one: msgspec.structs.replace(one, seq=one.seq + 1), Refusal.INNER_MISMATCH),
    "miner": (lambda one: msgspec.structs.replace(one, miner_key=b"\x01" + bytes(32)), Refusal.INNER_MISMATCH),
    "report": (lambda one: msgspec.structs.replace(one, countersign_id=bytes(32)), Refusal.INNER_MISMATCH),
    "chain": (lambda one: msgspec.structs.replace(one, prev_commit=bytes(32)), Refusal.WRONG_SUM),
    "channel": (lambda one: msgspec.structs.replace(one, channel_id=bytes(32)), Refusal.WRONG_CHANNEL),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_commit_that_says_other_than_its_report(name: str) -> None:
    forge, code = FORGED[name]
    payload, countersigned = split(NODE.leaves[5])
    leaves = [*NODE.leaves[:5], forge(Commit.decode(payload)).encode() + countersigned]
    with pytest.raises(Malformed) as error:
        recount(leaves)
    assert error.value.code is code


def test_a_session_keeps_its_keys_order_and_end() -> None:
    count = recount(NODE.leaves[:4])
    leaf = NODE.leaves[4]
    said = read(split(leaf)[1])

    def forged(**changes: Any) -> Refusal:
        with pytest.raises(Malformed) as error:
            count.add(leaf, lambda octets: replace(said, **changes))
        return error.value.code

    assert forged(sgw_key=b"\x01" + bytes(32)) is Refusal.SIGNER_MISMATCH
    assert forged(octets=-1) is Refusal.REGRESSION
    over = recount(NODE.leaves[:4])
    over.add(leaf, lambda octets: replace(said, final=True))
    following = next(one for one in NODE.leaves[5:] if read(split(one)[1]).session_id == said.session_id)
    payload, countersigned = split(following)
    chained = msgspec.structs.replace(Commit.decode(payload), index=over.commits, prev_commit=over.last_commit)
    with pytest.raises(Malformed) as error:
        over.add(chained.encode() + countersigned, read)
    assert error.value.code is Refusal.SESSION_ENDED
