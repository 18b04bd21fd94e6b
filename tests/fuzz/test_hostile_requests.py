"""Requests that are nearly right, bent at random: each gets an answer by the grammar, and the money stays right."""

import os
from ipaddress import ip_address
from random import Random

import pytest

from ledger_node import EVENT, GATEWAY, INITIAL, MAGMA, OPEN5GS, TERMINATION, UPDATE, Node, ccr, service
from ocs import command as cmd
from ocs.credit_control import answer as cca
from ocs.credit_control.forms import Forms
from ocs.credit_control.session import Answer
from ocs.diameter import avp, base, strict
from ocs.diameter.base import LocalNode
from ocs.diameter.codes import Avp
from ocs.diameter.framing import read_header
from ocs.errors import DiameterError
from ocs.node import Recall
from ocs.shell import dictionaries
from ocs.shell.core.reception import Destinations, Reception
from ocs.units import UnixMillis

MESSAGES = int(os.environ.get("FUZZ_MESSAGES", "4000"))
DICTIONARY = dictionaries.load()
LOCAL = LocalNode(
    origin_host="ocs.example.net",
    origin_realm="example.net",
    addresses=(ip_address("127.0.0.1"),),
    origin_state_id=1,
)
RECEPTION = Reception(
    DICTIONARY, Destinations(origin_host="ocs.example.net", realms=frozenset({"example.net"}), strict=False)
)


def bent(rng: Random) -> bytes:
    """Write a CCR of some session, and change none or some of its octets."""
    services = [
        service(
            rng.choice((None, 1, 2, 3)),
            ask=rng.choice((None, 0, 100, 10**9)),
            used=rng.choice((None, 0, 5, 10**6, 2**40, 2**62)),
            reason=rng.choice((None, 0, 2, 3, 4)),
            service_ids=rng.choice(((), (1,), (2, 1))),
        )
        for _ in range(rng.randrange(4))
    ]
    extra = (b"", b"", avp.grouped(Avp.REQUESTED_SERVICE_UNIT), avp.grouped(Avp.PROXY_INFO, avp.utf8(280, "relay")))
    message = bytearray(
        ccr(
            rng.choice((INITIAL, INITIAL, UPDATE, UPDATE, UPDATE, TERMINATION, EVENT)),
            rng.randrange(14),
            *services,
            session=f"s{rng.randrange(40)}",
            action=rng.choice((None, None, 0, 1, 2, 3, 7)),
            extra=rng.choice(extra),
            apn=rng.choice(("internet", "sos", "")),
            retransmitted=rng.random() < 0.2,
        )
    )
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 5))):
        place = rng.randrange(20, len(message))
        message[place] = rng.choice((0, 1, 255, rng.randrange(256), message[place] ^ 1))
    return bytes(message)


def serve(node: Node, message: bytes, forms: Forms, rng: Random) -> tuple[bytes, bool]:
    """Serve one request as the shell does; give the answer, and whether the request could be read."""
    try:
        request, form = RECEPTION.receive(message, "visited.example", forms)
        assert request == RECEPTION.receive_in_full(message, "visited.example")
        decision = node.step(cmd.Charge(request, rng.choice((GATEWAY, MAGMA, OPEN5GS))))
        if isinstance(decision.outcome, Recall):
            decision = node.step(cmd.Recalled(*decision.outcome, None))
    except DiameterError as error:
        return base.error_answer(message, LOCAL, error), False
    assert isinstance(decision.outcome, Answer)
    identity = cca.Identity.of("ocs.example.net", "example.net")
    octets = cca.write(request, decision.outcome, identity, node.policy)
    if form is not None:
        assert form.answers.write(request, decision.outcome, identity, node.policy) == octets
    return octets, True


@pytest.mark.fault(22)
@pytest.mark.parametrize("seed", range(3))
def test_every_request_is_answered_and_every_credit_kept(seed: int) -> None:
    rng = Random(seed)
    node = Node()
    node.operator(price=3, per=7)
    node.top_up(10**10)
    forms = Forms()
    served = 0
    for number in range(MESSAGES):
        message = bent(rng)
        answer, was_read = serve(node, message, forms, rng)
        header = read_header(answer)
        assert header.length == len(answer)
        assert (header.hop_by_hop, header.end_to_end) == read_header(message)[4:6]
        if was_read:
            served += 1
            strict.check(answer, DICTIONARY)
        if number % 100 == 0:
            node.now = UnixMillis(node.now + rng.randrange(10**7))
            for session_id in list(node.state.charging.sessions):
                node.step(cmd.Supervise(session_id))
        account = node.account()
        account.check()
        sessions = node.state.charging.sessions
        if number % 50 == 0:
            held = [sessions.get(session_id) for session_id in sessions]
            assert account.reserved == sum(one.reserved for session in held if session for one in session.services)
    assert served > MESSAGES / 20, "some were right"
