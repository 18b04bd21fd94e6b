"""What SGW, miner and owner may try, each with the code it gets.  The numbers are the rows of the table of attacks."""

import secrets

import pytest

from ledger_node import GATEWAY
from ocs import command as cmd
from ocs.channel.channel import ChannelState
from ocs.channel.event import SessionFrozen, UsageCommitted
from ocs.channel.hold import SessionState
from ocs.channel.record import CloseReason
from ocs.errors import Conflict, OutOfTurn
from ocs.node import Done
from ocs.reporting import Flag, Receipted, Superseded, Verdict
from ocs.signed.ed25519 import SeedSigner
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.units import MINUTE, DataCredits
from ocs.usage.event import ReportRefused
from signed_reports import MINER, OTHER_MINER, SGW
from signing_node import EPOCH_MS, OWNER, PER_OCTETS, Sgw, SigningNode

GRANT = 10_000_000  # the policy's default
GRANT_CREDITS = GRANT // PER_OCTETS


@pytest.fixture
def node() -> SigningNode:
    node = SigningNode()
    node.channel(2 * GRANT_CREDITS)
    node.channel(2 * GRANT_CREDITS)
    return node


def standing(node: SigningNode) -> object:
    channels = node.state.signed.channels.by_number.values()
    return [(one.used, one.reserved, one.state, one.commits) for one in channels], len(node.leaves)


def refused(node: SigningNode, octets: bytes, code: Refusal) -> str:
    """Have a report refused: it is kept with its reason, and nothing else changes."""
    before = standing(node)
    told = node.report(octets)
    assert isinstance(told, Verdict), told
    assert told.code is code, told
    if code is not Refusal.EQUIVOCATION:
        kept = node.events[-1]
        assert isinstance(kept, ReportRefused)
        assert (kept.code, kept.report) == (code.value, octets)
        assert standing(node) == before
    node.check()
    return told.detail


def counted(node: SigningNode, octets: bytes) -> int:
    told = node.report(octets)
    assert isinstance(told, Receipted), told
    node.check()
    return told.leaf


def test_a_session_from_its_grant_to_its_final_report(node: SigningNode) -> None:
    first = node.state.signed.channels.by_number[1]
    node.attach("s;1")
    assert (first.reserved, first.used) == (GRANT_CREDITS, 0)
    sgw = node.begin("s;1")
    assert counted(node, node.usage(sgw, 1, 4_000_000)) == 1
    assert (first.reserved, first.used) == (GRANT_CREDITS - 201, 201)
    node.detach("s;1", 1, 4_500_000)
    assert counted(node, node.usage(sgw, 0, 499_999, final=True)) == 2
    assert (first.reserved, first.used) == (0, 225)
    assert not node.state.signed.channels.holds
    (summary,) = first.summaries.values()
    assert (summary.commits, summary.credits, summary.octets, summary.sessions) == (3, 225, 4_500_000, 1)


@pytest.mark.fault(58)
def test_8_a_repeat_gets_the_same_receipt_and_is_counted_once(node: SigningNode) -> None:
    node.attach("s;1")
    sgw = Sgw(secrets.token_bytes(16), node.held_in("s;1").channel_id, "s;1")
    init = node.init(sgw)
    reports = [node.usage(sgw, 100_000) for _ in range(4)]
    places = [counted(node, octets) for octets in (init, *reports)]
    leaves = len(node.leaves)
    for later in (0, 1000, 25 * 60 * MINUTE):
        node.later(later)
        node.tend()
        for octets, place in zip((init, *reports), places, strict=True):
            assert node.report(octets) == Receipted(place)
    assert len(node.leaves) == leaves == 5


@pytest.mark.fault(61)
def test_9_the_same_content_in_another_encoding_is_equivocation(node: SigningNode) -> None:
    node.attach("s;1")
    sgw = node.begin("s;1")
    first = node.usage(sgw, 100)
    counted(node, first)
    sgw.seq, sgw.up = 0, 0
    refused(node, node.usage(sgw, 100, cc_request_number=77), Refusal.EQUIVOCATION)
    frozen = node.events[-1]
    assert isinstance(frozen, SessionFrozen)
    assert frozen.first == first, "both messages are kept"
    assert node.state.signed.channels.sessions[sgw.session_id].state == SessionState.FROZEN
    refused(node, node.usage(sgw, 100, seq=9), Refusal.SESSION_ENDED)
    # Only that session: another of the same pair goes on.
    node.attach("s;2")
    other = node.begin("s;2")
    counted(node, node.usage(other, 100))


@pytest.mark.fault(61, 62)
def test_10_counters_that_fall_are_a_contradiction(node: SigningNode) -> None:
    for name, up, down in (("s;1", -1, 5), ("s;2", 5, -1)):
        node.attach(name)
        sgw = node.begin(name)
        counted(node, node.usage(sgw, 1000, 1000))
        refused(node, node.usage(sgw, up, down), Refusal.EQUIVOCATION)


@pytest.mark.fault(62, 64)
def test_10_an_older_report_that_says_more_is_refused_and_one_that_agrees_is_superseded(node: SigningNode) -> None:
    node.attach("s;1")
    sgw = node.begin("s;1")
    late = node.usage(sgw, 1000)
    newest = counted(node, node.usage(sgw, 1000))
    assert node.report(late) == Superseded(newest)
    event = node.events[-1]
    assert isinstance(event, UsageCommitted)
    assert event.flags == Flag.GAP
    sgw.seq, sgw.up = 0, 5000
    refused(node, node.usage(sgw, 0), Refusal.REGRESSION)


@pytest.mark.fault(62)
@pytest.mark.parametrize("seq", [2_000_000, 10**9])
def test_11_a_jump_in_seq(node: SigningNode, seq: int) -> None:
    node.attach("s;1")
    sgw = node.begin("s;1")
    refused(node, node.usage(sgw, 1, seq=seq), Refusal.BAD_SEQ)
    for bad in (0, 2**64 - 1):
        refused(node, node.usage(sgw, 1, seq=bad), Refusal.BAD_SEQ)


def test_13_a_report_counts_in_its_own_channel_network_and_tariff_alone(node: SigningNode) -> None:
    node.attach("s;1")
    other = node.state.signed.channels.by_number[2].channel_id
    sgw = Sgw(secrets.token_bytes(16), other, "s;1")
    refused(node, node.init(sgw), Refusal.WRONG_CHANNEL)
    sgw.channel_id = bytes(32)
    refused(node, node.init(sgw), Refusal.WRONG_CHANNEL)
    sgw = Sgw(secrets.token_bytes(16), node.held_in("s;1").channel_id, "s;1")
    refused(node, node.init(sgw, tariff_id=2), Refusal.WRONG_CHANNEL)
    refused(node, node.init(sgw, network="elsewhere"), Refusal.WRONG_NETWORK)
    counted(node, node.init(sgw))
    sgw.channel_id = other
    refused(node, node.usage(sgw, 1), Refusal.WRONG_CHANNEL)


@pytest.mark.fault(62)
def test_14_usage_before_its_init_and_after_its_final_report(node: SigningNode) -> None:
    node.attach("s;1")
    sgw = Sgw(secrets.token_bytes(16), node.held_in("s;1").channel_id, "s;1")
    refused(node, node.usage(sgw, 1), Refusal.NO_SESSION)
    sgw.seq = sgw.up = 0
    counted(node, node.init(sgw))
    counted(node, node.usage(sgw, 1, final=True))
    refused(node, node.usage(sgw, 1), Refusal.SESSION_ENDED)
    refused(node, node.usage(sgw, 1, final=True), Refusal.SESSION_ENDED)


@pytest.mark.fault(61)
def test_15_a_second_init_of_one_session_id(node: SigningNode) -> None:
    node.attach("s;1")
    sgw = Sgw(secrets.token_bytes(16), node.held_in("s;1").channel_id, "s;1")
    counted(node, node.init(sgw))
    refused(node, node.init(sgw, granted_bytes=5), Refusal.EQUIVOCATION)
    assert node.state.signed.channels.sessions[sgw.session_id].state == SessionState.FROZEN


@pytest.mark.fault(62)
@pytest.mark.parametrize("tolerance", [0, 1000])
def test_16_one_octet_above_grant_and_tolerance(tolerance: int) -> None:
    node = SigningNode(tolerance=tolerance)
    node.channel(10 * GRANT_CREDITS)
    node.attach("s;1")
    sgw = node.begin("s;1", started_at_ms=node.now - 4 * MINUTE)
    counted(node, node.usage(sgw, GRANT + tolerance))
    refused(node, node.usage(sgw, 1), Refusal.OVER_GRANT)
    node.update("s;1", 1, GRANT)
    sgw.seq, sgw.up = sgw.seq - 1, sgw.up - 1
    counted(node, node.usage(sgw, 1))


@pytest.mark.fault(62)
def test_17_more_than_a_radio_carries() -> None:
    node = SigningNode(rate=1000)
    node.channel(10 * GRANT_CREDITS)
    node.attach("s;1")
    sgw = node.begin("s;1")
    counted(node, node.usage(sgw, 300_000))  # five minutes are allowed for clocks
    refused(node, node.usage(sgw, 1), Refusal.RATE_CAP)
    sgw.seq, sgw.up = sgw.seq - 1, sgw.up - 1
    node.later(1000)
    counted(node, node.usage(sgw, 1000))


def test_18_clocks(node: SigningNode) -> None:
    node.attach("s;1")
    sgw = node.begin("s;1")
    far = 5 * MINUTE + 1
    for measured in (node.now - far, node.now + far):
        refused(node, node.usage(sgw, 0, seq=1, measured_at_ms=measured), Refusal.CLOCK)
    node.later(1000)
    counted(node, node.usage(sgw, 1, seq=2))
    refused(node, node.usage(sgw, 1, seq=3, measured_at_ms=node.now - 1), Refusal.CLOCK)


def test_19_ten_thousand_small_reports_cost_what_one_costs(node: SigningNode) -> None:
    for name, steps in (("s;1", [1] * 1000), ("s;2", [1000])):
        node.attach(name)
        sgw = node.begin(name)
        before = node.state.signed.channels.by_number[1].used
        for more in steps:
            counted(node, node.usage(sgw, more))
        assert node.state.signed.channels.by_number[1].used - before == 1


@pytest.mark.fault(65)
def test_20_a_channel_pays_exactly_to_zero_and_closes() -> None:
    node = SigningNode()
    channel = node.channel(GRANT_CREDITS)
    node.channel(GRANT_CREDITS - 1)
    node.attach("s;1")
    assert channel.free == 0
    smaller = node.attach("s;2")
    assert smaller.services[0].granted == (GRANT_CREDITS - 1) * PER_OCTETS, "as much as the spare channel can hold"
    assert node.attach("s;3").result_code == 5003, "no channel has room for a third grant"
    assert b"s;3" not in node.state.signed.channels.holds
    sgw = node.begin("s;1")
    counted(node, node.usage(sgw, GRANT))
    assert (channel.used, channel.free) == (GRANT_CREDITS, 0)
    node.tend()
    assert (channel.state, channel.reason) == (ChannelState.CLOSING, CloseReason.EXHAUSTED)
    node.check()


@pytest.mark.fault(65)
def test_20_a_session_moves_to_the_spare_channel_without_loss() -> None:
    node = SigningNode()
    first, second = node.channel(GRANT_CREDITS + 10), node.channel(5 * GRANT_CREDITS)
    node.attach("s;1")
    sgw = node.begin("s;1")
    node.update("s;1", 1, GRANT)
    assert node.held_in("s;1") is second
    assert first.reserved == GRANT_CREDITS, "what runs there is paid there"
    counted(node, node.usage(sgw, GRANT, final=True))
    assert (first.used, first.reserved) == (GRANT_CREDITS, 0)
    moved = node.begin("s;1")
    assert moved.channel_id == second.channel_id
    node.detach("s;1", 2, GRANT)
    counted(node, node.usage(moved, GRANT, final=True))
    assert first.used + second.used == 2 * GRANT_CREDITS
    assert not node.state.signed.channels.holds


@pytest.mark.fault(62, 65)
def test_22_a_closed_channel_takes_nothing_and_a_late_final_report_within_its_grace(node: SigningNode) -> None:
    node.attach("s;1")
    node.attach("s;2")
    late, lost = node.begin("s;1"), node.begin("s;2")
    channel = node.held_in("s;1")
    node.later(channel.expires_at - node.now)
    node.tend()
    assert (channel.state, channel.reason) == (ChannelState.CLOSING, CloseReason.EPOCH_END)
    node.later(EPOCH_MS - 1)
    counted(node, node.usage(late, 1000, final=True))
    node.later(1)
    refused(node, node.usage(lost, 1000), Refusal.CHANNEL_CLOSED)
    node.tend()
    assert channel.state == ChannelState.SETTLED
    account = node.state.signed.channels.account
    assert (account.spent, account.locked) == (1, 0)
    refused(node, node.usage(lost, 1000), Refusal.CHANNEL_CLOSED)


OPENS = {
    "bad nonce": ({"owner_nonce": 7}, Refusal.BAD_NONCE),
    "over the balance": ({"amount_dc": 10**9}, Refusal.OVER_BALANCE),
    "nothing": ({"amount_dc": 0}, Refusal.OVER_BALANCE),
    "expired": ({"expire_height": 1}, Refusal.BAD_EXPIRY),
    "too far": ({"expire_height": 10**9}, Refusal.BAD_EXPIRY),
    "an operator": ({"operator_id": "nobody"}, Refusal.UNKNOWN_OPERATOR),
    "another network": ({"network": "elsewhere"}, Refusal.WRONG_NETWORK),
    "another tariff": ({"tariff_id": 9}, Refusal.OUT_OF_RANGE),
}


@pytest.mark.parametrize("name", OPENS)
def test_23_an_open_that_breaks_a_rule(node: SigningNode, name: str) -> None:
    changes, code = OPENS[name]
    with pytest.raises(Malformed) as error:
        node.channel(**changes)  # type: ignore[arg-type]  # as the names say
    assert error.value.code is code


def test_23_an_open_twice_or_of_another_owner_or_too_many(node: SigningNode) -> None:
    octets = node.channel_open(10)
    node.step(cmd.OpenChannel(octets))
    with pytest.raises(Malformed) as error:
        node.step(cmd.OpenChannel(octets))
    assert error.value.code is Refusal.REUSED_ID
    with pytest.raises(Malformed) as error:
        node.channel(by=SGW)
    assert error.value.code is Refusal.BAD_KEY
    while len(node.state.signed.channels.by_number) < node.usage_policy.channels_max:
        node.channel(1)
    with pytest.raises(Malformed) as error:
        node.channel(1)
    assert error.value.code is Refusal.TOO_MANY_CHANNELS
    node.check()


@pytest.mark.fault(65)
def test_24_a_channel_closes_once(node: SigningNode) -> None:
    channel = node.state.signed.channels.by_number[1]
    node.step(cmd.CloseChannel(channel.channel_id))
    with pytest.raises(OutOfTurn):
        node.step(cmd.CloseChannel(channel.channel_id))
    node.later(EPOCH_MS)
    node.tend()
    assert channel.state == ChannelState.SETTLED
    with pytest.raises(OutOfTurn):
        node.step(cmd.CloseChannel(channel.channel_id))


@pytest.mark.fault(60)
def test_29_a_revoked_key_signs_nothing_whatever_date_its_report_bears(node: SigningNode) -> None:
    node.attach("s;1")
    sgw = node.begin("s;1")
    before = node.usage(sgw, 1)
    node.later(10)
    node.step(cmd.RevokeKey(SGW.public_key, "stolen"))
    refused(node, before, Refusal.KEY_REVOKED)
    assert not node.state.signed.register.signs(GATEWAY.origin_host)


@pytest.mark.fault(59, 60)
def test_3_and_5_keys_are_registered_once_and_are_good(node: SigningNode) -> None:
    fresh = SeedSigner(bytes(31) + b"\x09").public_key
    for keys, code in (((bytes(32), fresh), Refusal.BAD_KEY), ((fresh, fresh), Refusal.ROLE_MISMATCH)):
        with pytest.raises(Malformed) as error:
            node.step(cmd.AddSigners("other.example", *keys))
        assert error.value.code is code
    with pytest.raises(Conflict):
        node.step(cmd.AddSigners("other.example", fresh, MINER.public_key))


def test_33_a_grant_is_one_gateways_and_one_sessions(node: SigningNode) -> None:
    node.step(cmd.AddSigners("other.example", OTHER_MINER.public_key, OWNER.public_key))
    sgw = Sgw(secrets.token_bytes(16), node.state.signed.channels.by_number[1].channel_id, "s;1")
    refused(node, node.init(sgw), Refusal.GRANT_CONFLICT)  # nothing is granted yet
    node.attach("s;1")
    node.begin("s;1")
    refused(node, node.init(sgw), Refusal.GRANT_CONFLICT)
    refused(node, node.init(sgw, granted_bytes=GRANT + 1), Refusal.GRANT_CONFLICT)


def test_credits_are_bought_once_for_each_key(node: SigningNode) -> None:
    account = node.state.signed.channels.account
    before = account.funded
    again = node.step(cmd.BuyCredits(DataCredits(10**6), "bought", "key-1")).outcome
    assert isinstance(again, Done)
    assert again.repeated
    with pytest.raises(Conflict):
        node.step(cmd.BuyCredits(DataCredits(5), "bought", "key-1"))
    assert account.funded == before
