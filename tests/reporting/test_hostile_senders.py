"""What rows 58 to 65 of the matrix of faults inject beyond the table of attacks, on a node in memory."""

import secrets

import msgspec
import pytest

from closures import Handover, audited
from ledger_node import GATEWAY
from ocs import command as cmd
from ocs.channel.channel import ChannelState
from ocs.channel.event import ChannelStepped, SessionFrozen, UsageCommitted
from ocs.channel.leaf import split
from ocs.channel.record import ChannelClose, CloseReason, Commit
from ocs.channel.transition import Step
from ocs.node import decide
from ocs.reporting import Flag, Receipted, Superseded, Verdict
from ocs.signed.ed25519 import SeedSigner
from ocs.signed.refusal import Refusal
from ocs.units import MINUTE, UnixMillis
from ocs.usage.dispute import Dispute, DisputeKind
from ocs.usage.opening import Opened, open_report, open_signed
from ocs.usage.record import Usage
from signed_reports import NETWORK
from signing_node import EPOCH_MS, PER_OCTETS, Sgw, SigningNode

GRANT = 10_000_000
CREDITS = GRANT // PER_OCTETS
REPLAYS = 100_000


@pytest.fixture
def node() -> SigningNode:
    node = SigningNode()
    node.channel(3 * CREDITS)
    node.channel(3 * CREDITS)
    return node


def opened(node: SigningNode, octets: bytes) -> Opened:
    found = open_report(octets, node.state.signed.register.keys, NETWORK, node.now)
    assert isinstance(found, Opened), found
    return found


def code(node: SigningNode, octets: bytes) -> Refusal:
    told = node.report(octets)
    assert isinstance(told, Verdict), told
    return told.code


@pytest.mark.fault(58)
def test_a_hundred_thousand_repeats_are_one_report(node: SigningNode) -> None:
    node.attach("s;1")
    sgw = node.begin("s;1")
    octets = node.usage(sgw, 1_000_000)
    assert node.report(octets) == Receipted(1)
    events, used = len(node.events), node.held_in("s;1").used
    repeat, receipt = cmd.Report(opened(node, octets)), Receipted(1)
    for _ in range(REPLAYS):
        decision = decide(node.state, node.policy, repeat, node.now, node.usage_policy)
        assert decision.event is None
        assert decision.outcome == receipt
    assert (len(node.events), len(node.leaves), node.held_in("s;1").used) == (events, 2, used)
    assert node.report(node.usage(sgw, 1)) == Receipted(2)
    node.check()


@pytest.mark.fault(60)
@pytest.mark.parametrize("ends", ["the SGW's key is revoked", "the miner's key is revoked", "both expire"])
def test_keys_are_good_or_not_when_the_core_receives_a_report(node: SigningNode, ends: str) -> None:
    """Neither the date that a report bears counts, nor when its signatures were verified."""
    signer, miner = (SeedSigner(secrets.token_bytes(32)) for _ in range(2))
    valid = UnixMillis(node.now + MINUTE), UnixMillis(node.now + 2 * MINUTE)
    node.step(cmd.AddSigners(GATEWAY.origin_host, signer.public_key, miner.public_key, *valid))
    node.attach("s;1")
    sgw = Sgw(secrets.token_bytes(16), node.held_in("s;1").channel_id, "s;1", signer=signer, miner=miner)
    init = node.init(sgw)
    assert code(node, init) is Refusal.BAD_KEY, "not valid yet"
    node.later(MINUTE)
    assert node.report(init) == Receipted(0)
    first, second = (cmd.Report(opened(node, node.usage(sgw, 1))) for _ in range(2))
    node.later(MINUTE - 1)
    assert node.step(first).outcome == Receipted(1)
    if ends == "both expire":
        node.later(1)
    else:
        node.step(cmd.RevokeKey((miner if "miner" in ends else signer).public_key, "stolen"))
    told = node.step(second).outcome
    assert isinstance(told, Verdict)
    assert told.code is (Refusal.BAD_KEY if ends == "both expire" else Refusal.KEY_REVOKED)
    assert len(node.leaves) == 2


@pytest.mark.fault(61)
@pytest.mark.parametrize("kind", [DisputeKind.SAME_SEQ, DisputeKind.LOWER_COUNTER])
def test_a_contradiction_is_a_proof_for_who_has_nothing_but_its_two_messages(
    node: SigningNode, kind: DisputeKind
) -> None:
    node.attach("s;1")
    node.attach("s;2")
    sgw, neighbour = node.begin("s;1"), node.begin("s;2")
    node.report(node.usage(sgw, 1000, 1000))
    used = node.held_in("s;1").used
    if kind is DisputeKind.SAME_SEQ:
        sgw.seq -= 1
    assert code(node, node.usage(sgw, 1_000_000, -1)) is Refusal.EQUIVOCATION
    frozen = node.events[-1]
    assert isinstance(frozen, SessionFrozen)

    dispute = Dispute.decode(Dispute(DisputeKind(frozen.kind), frozen.first, frozen.second).encode())
    assert dispute.kind is kind
    one, other = (open_signed(octets, NETWORK).report for octets in (dispute.first, dispute.second))
    assert isinstance(one, Usage)
    assert isinstance(other, Usage)
    assert (one.sgw_key, one.session_id) == (other.sgw_key, other.session_id)
    assert one != other
    if kind is DisputeKind.SAME_SEQ:
        assert one.seq == other.seq
    else:
        assert one.seq < other.seq
        assert one.cum_down_bytes > other.cum_down_bytes

    assert node.held_in("s;1").used == used, "what was counted before stays, and nothing is added"
    assert code(node, node.usage(sgw, 0, 1)) is Refusal.SESSION_ENDED
    assert isinstance(node.report(node.usage(neighbour, 1000)), Receipted)
    node.check()


@pytest.mark.fault(62)
def test_ten_terabytes_at_once_are_more_than_was_granted_or_a_radio_carries(node: SigningNode) -> None:
    node.attach("s;1")
    sgw = node.begin("s;1")
    assert code(node, node.usage(sgw, 10**13)) is Refusal.OVER_GRANT
    sgw.seq, sgw.up = 0, 0
    node.update("s;1", 1, 10**13)  # and now the gateway says so over Gy too
    assert code(node, node.usage(sgw, 10**13)) is Refusal.RATE_CAP
    sgw.seq, sgw.up = 0, 0
    assert node.report(node.usage(sgw, GRANT)) == Receipted(1)
    assert node.state.signed.channels.by_number[1].used == CREDITS
    node.check()


@pytest.mark.fault(64)
def test_a_report_that_is_missing_for_ever_costs_only_what_no_later_one_says(node: SigningNode) -> None:
    channel = node.state.signed.channels.by_number[1]
    node.attach("s;1")
    sgw = node.begin("s;1")
    reports = [node.usage(sgw, 1_000_000) for _ in range(6)]
    lost, never_followed = reports[2], reports[5]
    assert node.report(reports[0]) == Receipted(1)
    assert node.report(reports[4]) == Receipted(2)
    assert node.report(reports[1]) == node.report(reports[3]) == Superseded(2)
    gaps = [event.seq for event in node.events if isinstance(event, UsageCommitted) and event.flags & Flag.GAP]
    assert gaps == [5]
    for _ in range(2):
        node.later(3 * EPOCH_MS)
        node.tend()
    assert channel.state == ChannelState.SETTLED
    assert code(node, never_followed) is code(node, lost) is Refusal.CHANNEL_CLOSED
    found = audited(Handover(node, 1).octets())
    assert found.fault is None
    assert found.close is not None
    (summary,) = found.close.summaries
    assert (summary.num_bytes, summary.num_packets, found.close.used_dc) == (5_000_000, 3, 250)


@pytest.mark.fault(65)
def test_a_channel_that_is_used_up_at_the_end_of_its_epoch_closes_once() -> None:
    node = SigningNode()
    channel, following = node.channel(CREDITS, epochs=1), node.channel(3 * CREDITS, epochs=3)
    node.attach("s;1")
    sgw = node.begin("s;1")
    node.later(channel.expires_at - node.now)
    last = node.usage(sgw, GRANT)
    assert node.report(last) == Receipted(1)
    assert channel.free == 0, "used up, and its epoch is over"
    node.tend()
    closes = [one for one in node.events if isinstance(one, ChannelStepped) and one.step == Step.CLOSE]
    assert [(one.number, one.reason) for one in closes] == [(channel.number, CloseReason.EPOCH_END)]
    assert node.tend() == 0
    assert code(node, node.usage(sgw, 1)) in {Refusal.OVER_GRANT, Refusal.EXHAUSTED}

    # What was used at the border is counted where it began, and in no other epoch.
    sgw.channel_id, sgw.seq, sgw.up = following.channel_id, 0, 0
    assert code(node, node.usage(sgw, GRANT)) is Refusal.WRONG_CHANNEL
    assert node.report(last) == Receipted(1)
    counted = [Commit.decode(split(leaf)[0]) for leaf in node.leaves]
    assert {one.channel_id for one in counted} == {channel.channel_id}
    assert (sum(one.delta_dc for one in counted), following.used) == (CREDITS, 0)
    node.later(EPOCH_MS)
    node.tend()
    assert channel.state == ChannelState.SETTLED
    assert len([one for one in node.events if isinstance(one, ChannelStepped) and one.number == channel.number]) == 2


@pytest.mark.fault(65)
def test_a_close_of_an_older_state_does_not_stand(node: SigningNode) -> None:
    channel = node.state.signed.channels.by_number[1]
    node.attach("s;1")
    sgw = node.begin("s;1")
    node.step(cmd.CloseChannel(channel.channel_id))
    older: list[ChannelClose] = []
    for _ in range(3):  # within its grace it counts on
        older.append(Handover(node, channel.number).proposed())
        assert isinstance(node.report(node.usage(sgw, 1_000_000)), Receipted)
    node.later(EPOCH_MS)
    node.tend()
    assert channel.state == ChannelState.SETTLED
    assert audited(Handover(node, channel.number).octets()).fault is None
    for close in older:
        fault = audited(Handover(node, channel.number, close=msgspec.structs.asdict(close)).octets()).fault
        assert fault is not None
        assert (fault.code, fault.place) == (Refusal.WRONG_ROOT, "the checkpoint"), "not of this log"
        ends = {"log_size": len(node.leaves), "log_root": node.state.signed.log.root()}
        fault = audited(Handover(node, channel.number, close=msgspec.structs.asdict(close) | ends).octets()).fault
        assert fault is not None
        assert (fault.code, fault.place) == (Refusal.WRONG_SUM, "the Close")
