"""With plenty of credit, near its end and beyond it: the quick decision is the one that the rules give."""

from random import Random

import pytest

from ledger_node import GATEWAY, INITIAL, MAGMA, OPEN5GS, TERMINATION, UPDATE, Node, ccr, parse, service
from ocs import command as cmd
from ocs.credit_control import charging, plenty
from ocs.credit_control.event import State, Stepped
from ocs.credit_control.policy import Policy
from ocs.credit_control.profile import STANDARD
from ocs.credit_control.request import CreditControlRequest
from ocs.credit_control.session import Session
from ocs.errors import DiameterError
from ocs.units import Octets, UnixMillis

REQUESTS = 1500


def both(node: Node, message: bytes, gateway: charging.Gateway) -> bool:
    """Decide a request twice, hold the two against each other, and carry it out; tell whether it moved anything."""
    request = parse(message)
    state = node.state.charging
    session = state.sessions.get(request.session_id)
    fresh = session is None or session.answered(request.number) is None
    if (
        (session is None) == (request.request_type == INITIAL)
        and fresh
        and (session is None or session.state != State.ENDED)
    ):
        told = []
        for quickly in (True, False):
            try:
                told.append(charging.decide(state, node.policy, request, session, gateway, node.now, quickly=quickly))
            except DiameterError as error:
                told.append((type(error), error.detail, error.failed_avp))
        assert told[0] == told[1]
    try:
        return isinstance(node.step(cmd.Charge(request, gateway)).event, Stepped)
    except DiameterError:
        return False


@pytest.mark.parametrize("credit", [10**4, 10**6, 10**8, 10**15])
@pytest.mark.parametrize("seed", range(4))
def test_quick_and_full_decisions_agree(credit: int, seed: int) -> None:
    rng = Random(f"{credit} {seed}")
    policy = Policy(
        default_octets=Octets(10_000),
        max_octets=Octets(rng.choice((10_000, 200_000))),
        min_octets=Octets(rng.choice((1, 3_000))),
        emergency_rating_groups=frozenset({112}),
        holding_seconds=rng.choice((None, 30)),
    )
    node = Node(policy)
    node.operator(price=rng.choice((0, 1, 7)), per=rng.choice((1, 1000)), grant_max=rng.choice((None, Octets(15_000))))
    node.top_up(credit)
    moved = 0
    for _ in range(REQUESTS):
        services = [
            service(
                rating_group,
                ask=rng.choice((None, 0, 0, 0, 50_000)),
                used=rng.choice((None, 0, 500, 9_000, 30_000, 2**62)),
                reason=rng.choice((None, 2, 3)),
                service_ids=rng.choice(((), (), (2, 1))),
            )
            for rating_group in rng.sample((1, 2, 3, 112), rng.choice((0, 1, 1, 2, 3)))
        ]
        kind = rng.choice((INITIAL, INITIAL, UPDATE, UPDATE, UPDATE, UPDATE, TERMINATION))
        message = ccr(kind, rng.randrange(10**6), *services, session=f"s{rng.randrange(30)}")
        moved += both(node, message, rng.choice((GATEWAY, GATEWAY, MAGMA, OPEN5GS)))
        node.now = UnixMillis(node.now + rng.choice((0, 10, 3_000, 200_000)))
        if rng.random() < 0.01:
            node.top_up(credit // 10)
        alive = node.state.charging.sessions.get(parse(message).session_id)
        if rng.random() < 0.01 and alive is not None and alive.state != State.ENDED:
            node.step(cmd.TerminateSession(parse(message).session_id, "test"))
    node.check()
    assert moved > REQUESTS / 10


def test_an_ordinary_session_is_decided_quickly() -> None:
    node = Node()
    node.operator(price=1, per=1000)
    node.top_up(10**12)
    for number in range(9):
        kind = INITIAL if number == 0 else TERMINATION if number == 8 else UPDATE
        request = parse(
            ccr(kind, number, service(used=10**6 if number else None), service(2, used=5 if number else None))
        )
        session = node.state.charging.sessions.get(request.session_id) or opened(node, request)
        operator = node.state.charging.operators[session.operator]
        tariffs = node.state.charging.tariffs
        assert plenty.steps(tariffs, node.policy, STANDARD, operator, session, request, 0, node.now) is not None
        node.step(cmd.Charge(request, GATEWAY))


def opened(node: Node, request: CreditControlRequest) -> Session:
    charging_state = node.state.charging
    operator = charging_state.operators.of(request.imsi)
    return charging.open_session(charging.opening_of(charging_state, node.policy, request, operator), 0, node.now)
