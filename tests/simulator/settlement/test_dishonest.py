"""Each lie is decided by the real node as docs/signing.md says; none counts more than grant and tolerance."""

import re
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from senders import IMSI, MINER, SGW

from ocs.reporting import SignedUsage
from places import DOCS
from signed_reports import NETWORK
from signing_door import NodeDoor
from signing_node import SigningNode
from simulator.settlement.dishonest import ABOVE, ACCEPTED, SCHEMES, Pair, Scheme, Stream, honest, inflated, stream
from simulator.settlement.messages import Counters, Names, SessionInit, subscriber_tag

PAIR = Pair(sgw=SGW, miner=MINER, network=NETWORK)
NAME = "sgw;1;1"
GRANT = 1_000_000


def begun(node: SigningNode, readings: list[Counters]) -> Stream:
    """Play a Gy session whose use is granted and told, and give the stream that its honest SGW would sign."""
    node.channel(10**5, epochs=24)
    node.attach(NAME, ask=GRANT)
    told = Counters()
    for number, octets in enumerate(readings, 1):
        step = node.detach if number == len(readings) else node.update
        step(NAME, number, octets.less(told).total)
        told = octets
    channels = node.state.signed.channels
    hold = channels.holds[NAME.encode()]
    names = Names(
        network=NETWORK,
        channel_id=channels.by_number[hold.bound].channel_id,
        session_id=secrets.token_bytes(16),
        sgw_key=SGW.signer,
        miner_key=MINER.signer,
    )
    init = SessionInit(
        names=names,
        subscriber_tag=subscriber_tag(b"secret", IMSI),
        rat=6,
        operator="00101",
        gy_session_id=NAME,
        started_at_ms=node.now,
        granted_bytes=hold.granted,
        tariff_id=1,
    )
    return stream(names, init, readings, node.now)


def held(signed: SignedUsage) -> int:
    return sum(session.octets for session in signed.channels.sessions.values())


def node_of(tolerance: int = 1000) -> SigningNode:
    return SigningNode(bought=10**7, tolerance=tolerance)


steps = st.lists(st.builds(Counters, st.integers(0, 10**6), st.integers(1, 10**6)), min_size=2, max_size=5)


def summed(parts: list[Counters]) -> list[Counters]:
    counters, total = [], Counters()
    for part in parts:
        total = total.plus(part)
        counters.append(total)
    return counters


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
@given(parts=steps)
@settings(max_examples=15, deadline=None)
def test_each_lie_has_its_code(scheme: Scheme, parts):
    node = node_of()
    said = begun(node, summed(parts))
    door = NodeDoor(node)
    for number, sent in enumerate(scheme.lie(said, PAIR)):
        outcome = door.decide(sent.envelope)
        assert outcome.code == sent.expected, (number, outcome)
        assert held(node.state.signed) == sent.octets, number
    node.check()


@given(parts=steps)
@settings(max_examples=15, deadline=None)
def test_the_honest_stream_is_accepted_whole(parts):
    node = node_of(tolerance=0)
    said = begun(node, summed(parts))
    door = NodeDoor(node)
    for sent in honest(said, PAIR):
        assert door.decide(sent.envelope).code == ACCEPTED
    assert held(node.state.signed) == summed(parts)[-1].total


@pytest.mark.parametrize(("by", "code"), [(1000, ACCEPTED), (1001, "over_grant")])
def test_the_tolerance_is_the_edge(by, code):
    """Octets that were all granted and used: both colluding, one more than the tolerance is one too many."""
    node = node_of(tolerance=1000)
    granted = 10_000_000
    said = begun(node, [Counters(0, granted)])
    assert node.state.signed.channels.holds[NAME.encode()].granted == granted
    door = NodeDoor(node)
    codes = [door.decide(sent.envelope).code for sent in inflated(by, code)(said, PAIR)]
    assert codes == [ACCEPTED, code]


def test_within_the_tolerance_reconciliation_alone_sees_it():
    node = node_of()
    said = begun(node, [Counters(5, 5), Counters(10, 20)])
    scheme = next(one for one in SCHEMES if one.name == "both-within")
    door = NodeDoor(node)
    for sent in scheme.lie(said, PAIR):
        door.decide(sent.envelope)
    assert held(node.state.signed) - 30 == 1


def test_every_code_is_one_of_the_page():
    page = (DOCS / "signing.md").read_text()
    node = node_of()
    said = begun(node, [Counters(5, 5), Counters(10, 20), Counters(10, 30)])
    codes = {sent.expected for scheme in SCHEMES for sent in scheme.lie(said, PAIR)}
    assert codes - {ACCEPTED} <= set(re.findall(r"`(\w+)`", page))
    assert {
        "over_grant",
        "equivocation",
        "session_ended",
        "inner_mismatch",
        "signer_mismatch",
        "wrong_channel",
    } <= codes
    assert ABOVE > 2**30
