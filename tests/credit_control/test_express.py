"""With plenty of credit, near its end and beyond it: the express way decides and applies as the rules do."""

from random import Random

import pytest

from ledger_node import EVENT, GATEWAY, INITIAL, MAGMA, OPEN5GS, TERMINATION, UPDATE, Node, ccr, parse, service
from ocs import command as cmd
from ocs import image
from ocs.credit_control import applying, charging, express
from ocs.credit_control.event import State, Stepped
from ocs.credit_control.policy import Policy
from ocs.diameter import avp
from ocs.diameter.codes import Avp, ResultCode
from ocs.errors import DiameterError, InvalidAvpValue, TooBusy
from ocs.node import Recall, charge, evolve
from ocs.units import Credits, GroupIndex, Octets, SessionId, UnixMillis

REQUESTS = 1500


class Pair:
    """A node that goes express, and a twin that takes the same events the slow way."""

    def __init__(self, policy: Policy) -> None:
        self.node = Node(policy)
        self.twin = Node(policy)
        self.decided = self.applied = 0

    def follow(self) -> None:
        """Give the twin what the node has done since."""
        state = self.twin.state
        for event in self.node.events[len(self.twin.events) :]:
            self.twin.events.append(event)
            state.group = GroupIndex(len(self.twin.events))
            if isinstance(event, Stepped):
                applying.apply_step(state.charging, event, state.group, None)
                state.charging.sessions.forget_ended(event.at)
                state.at = event.at
            else:
                evolve(state, event)

    def charge(self, message: bytes, gateway: charging.Gateway) -> bool:
        """Decide a request twice, hold the two against each other, and carry it out; tell whether it moved anything."""
        node, request = self.node, parse(message)
        state = node.state.charging
        event = express.decide(state, node.policy, request, gateway, node.now)
        if event is not None:
            session = state.sessions.get(request.session_id)
            assert session is None or session.answered(request.number) is None
            assert event == charging.decide(state, node.policy, request, session, gateway, node.now)
            self.decided += 1
        before = state.sessions.at_rest.get(request.session_id)
        try:
            decision = node.step(cmd.Charge(request, gateway))
        except DiameterError:
            assert state.sessions.at_rest.get(request.session_id) is before
            return False
        self.follow()
        slow = self.twin.state.charging
        assert state.sessions.at_rest.get(request.session_id) == slow.sessions.at_rest.get(request.session_id)
        assert [one.account for one in state.operators.all()] == [one.account for one in slow.operators.all()]
        return isinstance(decision.event, Stepped)


@pytest.mark.parametrize("credit", [10**4, 10**6, 10**8, 10**15])
@pytest.mark.parametrize("seed", range(4))
def test_both_ways_agree(credit: int, seed: int) -> None:
    rng = Random(f"{credit} {seed}")
    policy = Policy(
        default_octets=Octets(10_000),
        max_octets=Octets(rng.choice((10_000, 200_000))),
        min_octets=Octets(rng.choice((1, 3_000))),
        emergency_rating_groups=frozenset({112}),
        holding_seconds=rng.choice((None, 30)),
    )
    pair = Pair(policy)
    node = pair.node
    price, per = rng.choice((1, 7)) if seed else 0, rng.choice((1, 1000))
    node.operator(price=price, per=per, grant_max=rng.choice((None, Octets(15_000))))
    node.top_up(credit)
    odd = 0.005 if credit < 10**15 else 0  # once is more than all the credit
    moved, numbers = 0, {}
    for _ in range(REQUESTS):
        services = [
            service(
                rating_group,
                ask=rng.choice((None, 0, 0, 0, 50_000)),
                used=rng.choice((None, 0, 500, 9_000, 30_000)) if rng.random() > odd else 2**62,
                reason=rng.choice((None, 2, 3)),
                service_ids=(2, 1) if rng.random() < 0.05 else (),
            )
            for rating_group in rng.sample((1, 2, 3, 112 if rng.random() < 0.1 else 4), rng.choice((0, 1, 1, 2, 3)))
        ]
        kind = rng.choice((INITIAL, INITIAL, UPDATE, UPDATE, UPDATE, UPDATE, TERMINATION))
        name = f"s{rng.randrange(30)}"
        number = numbers[name] = max(0, numbers.get(name, 0) + rng.choice((1, 1, 1, 1, 2, 0, -1, -9)))
        message = ccr(kind, number, *services, session=name)
        moved += pair.charge(message, rng.choice((GATEWAY,) * 18 + (MAGMA, OPEN5GS)))
        node.now = UnixMillis(node.now + rng.choice((0, 10, 3_000, 200_000)))
        if rng.random() < 0.01:
            node.top_up(credit // 10)
        alive = node.state.charging.sessions.get(SessionId(name.encode()))
        if rng.random() < 0.01 and alive is not None and alive.state != State.ENDED:
            node.step(cmd.TerminateSession(SessionId(name.encode()), "test"))
    node.check()
    pair.follow()
    assert list(image.chunks(node.state)) == list(image.chunks(pair.twin.state))
    assert node.state.charging.sessions.thirsty == pair.twin.state.charging.sessions.thirsty
    assert node.state.charging.sessions.open_count == pair.twin.state.charging.sessions.open_count
    restored = image.restore(image.chunks(node.state))
    assert list(image.chunks(restored)) == list(image.chunks(node.state))
    assert restored.charging.sessions.open_total == node.state.charging.sessions.open_total
    if credit == 10**15 and seed:
        assert pair.decided > REQUESTS / 25
    assert moved > REQUESTS / 10


def odd_service(rng: Random, rating_group: int | None, most: int) -> bytes:
    """Write one MSCC as gateways have them, and as none has."""
    members = [avp.unsigned32(Avp.RATING_GROUP, rating_group)] if rating_group is not None else []
    members += [avp.unsigned32(Avp.SERVICE_IDENTIFIER, each) for each in rng.choice(((),) * 9 + ((1,), (2, 1), (1, 2)))]
    if rng.random() < 0.8:
        asked = avp.unsigned64(Avp.CC_TOTAL_OCTETS, rng.randrange(1, 2 * most))
        members.append(avp.grouped(Avp.REQUESTED_SERVICE_UNIT, rng.choice((b"", b"", asked))))
    for _ in range(rng.choice((0, 1, 1, 2))):
        codes = rng.choice(
            ((Avp.CC_TOTAL_OCTETS,),) * 4 + ((Avp.CC_INPUT_OCTETS, Avp.CC_OUTPUT_OCTETS, Avp.CC_TOTAL_OCTETS), ())
        )
        counters = [avp.unsigned64(code, rng.choice((0, 500, rng.randrange(most)))) for code in codes]
        members.append(avp.grouped(Avp.USED_SERVICE_UNIT, *counters))
    return avp.grouped(Avp.MULTIPLE_SERVICES_CREDIT_CONTROL, *members)


@pytest.mark.parametrize("most", [2**16, 2**34, 2**62])
@pytest.mark.parametrize("seed", range(4))
def test_both_ways_agree_on_the_odd_and_the_large(most: int, seed: int) -> None:
    """Numbers near the end of their fields, many services, and administrators who change what they can."""
    rng = Random(f"{most} {seed}")
    pair = Pair(Policy(max_octets=Octets(rng.choice((10**8, most))), holding_seconds=rng.choice((None, 0))))
    node = pair.node
    node.operator(price=rng.choice((1, 3)), per=rng.choice((1, 2**50) if most == 2**62 else (1, 1000)))
    node.top_up(2**62)
    groups = (None, 0, 2**32 - 1, *range(1, 20))
    numbers: dict[str, int] = {}
    for _ in range(REQUESTS // 3):
        name = f"s{rng.randrange(12)}"
        number = numbers[name] = numbers.get(name, -1) + rng.choice((1, 1, 1, 1, 1, 2))
        kind = rng.choice((INITIAL, UPDATE, UPDATE, UPDATE, UPDATE, TERMINATION)) if number else INITIAL
        number = 2**32 - 1 if rng.random() < 0.002 else number
        count = rng.choice((0, 1, 1, 1, 2, 3, 12))
        services = [odd_service(rng, group, most) for group in rng.sample(groups[: max(4, count)], count)]
        try:
            pair.charge(ccr(kind, number, *services, session=name), rng.choice((GATEWAY,) * 18 + (MAGMA, OPEN5GS)))
        except InvalidAvpValue:
            continue  # more than can be counted, already as it is read
        node.now = UnixMillis(node.now + rng.choice((0, 10, 3_000, 200_000)))
        if rng.random() < 0.02:
            limit = rng.choice((None, Octets(15_000), Octets(2**62)))
            node.step(cmd.ChangeOperator("home", [], limit))
            node.step(cmd.AddTariff("home", rng.choice((None, 1)), None, Credits(rng.choice((0, 2))), Octets(1000)))
            node.charge(ccr(EVENT, 0, service(1, ask=most), session=f"e{number}", action=rng.choice((0, 1))))
    node.check()
    pair.follow()
    assert list(image.chunks(node.state)) == list(image.chunks(pair.twin.state))


@pytest.mark.parametrize("services", [1, 2, 8])
def test_an_ordinary_session_goes_express(services: int) -> None:
    node = Node()
    node.operator(price=1, per=1000)
    node.top_up(10**12)
    for number in range(20):
        kind = INITIAL if number == 0 else TERMINATION if number == 19 else UPDATE
        used = 10**6 if number else None
        request = parse(ccr(kind, number, *[service(group, used=used) for group in range(services, 0, -1)]))
        state = node.state.charging
        event = express.decide(state, node.policy, request, GATEWAY, node.now)
        assert event is not None
        assert express.apply(state, event, GroupIndex(number + 1))
        node.now = UnixMillis(node.now + 1000)
    node.check()
    session = node.state.charging.sessions.get(request.session_id)
    assert session is not None
    assert session.state == State.ENDED
    assert node.account().consumed == 19 * services * 1000


def test_a_repeat_is_never_express() -> None:
    """Also where a higher number came first, and its answer is kept no longer."""
    node = Node()
    node.operator(price=1, per=1000)
    node.top_up(10**12)
    first = ccr(UPDATE, 100, service(used=5000))
    node.charge(ccr(INITIAL, 0, service()))
    node.charge(first)
    for number in range(1, 10):
        told = node.charge(ccr(UPDATE, number, service(used=5000))).outcome
        if isinstance(told, Recall):
            node.step(cmd.Recalled(*told, None))  # the journal knows of none
    consumed = node.account().consumed
    assert express.decide(node.state.charging, node.policy, parse(first), GATEWAY, node.now) is None
    _, told = charge(node.state, node.policy, parse(first), GATEWAY, node.now)
    assert isinstance(told, Recall), "only the journal can tell"
    assert node.account().consumed == consumed


@pytest.mark.parametrize("services", [1, 2])
def test_a_first_grant_may_be_larger_than_a_plain_answer_holds(services: int) -> None:
    node = Node(Policy(max_octets=Octets(2**40)))
    node.operator(price=1, per=1000)
    node.top_up(10**15)
    groups = range(1, services + 1)
    first = node.answer(ccr(INITIAL, 0, *[service(group, ask=2**33) for group in groups]))
    assert [each.granted for each in first.services] == [2**33] * services
    again = node.answer(ccr(UPDATE, 1, *[service(group, ask=2**33, used=2**33) for group in groups]))
    assert all(each.granted > 2**33 for each in again.services)
    assert node.answer(ccr(TERMINATION, 2)).result_code == ResultCode.SUCCESS
    node.check()


def differs(node: Node, message: bytes) -> bool:
    """Tell whether a request is decided another way than the rules do."""
    request, state = parse(message), node.state.charging
    event = express.decide(state, node.policy, request, GATEWAY, node.now)
    session = state.sessions.get(request.session_id)
    return event is not None and event != charging.decide(state, node.policy, request, session, GATEWAY, node.now)


def test_what_a_later_service_costs_is_not_plenty_for_an_earlier_one() -> None:
    node = Node(Policy(default_octets=Octets(10_000), min_octets=Octets(100)))
    node.operator(price=1, per=1)
    node.step(cmd.AddTariff("home", 3, None, Credits(1), Octets(10**6)))
    node.top_up(1_000_000)
    for place in range(30):
        node.charge(ccr(INITIAL, 0, session=f"s{place}"))
    node.charge(ccr(INITIAL, 0, service(1), service(2), service(3)))
    assert not differs(node, ccr(UPDATE, 1, service(1), service(2, ask=None, used=960_000)))
    assert not differs(node, ccr(UPDATE, 1, service(1), service(2, ask=None, used=960_000), service(3)))
    assert not differs(node, ccr(UPDATE, 1, service(2, ask=None, used=960_000), service(1)))


@pytest.mark.parametrize("used", [2**62 - 10**8, 2**62 - 10**6, 2**62 - 1, 2**62])
def test_a_grant_never_leads_beyond_what_is_counted(used: int) -> None:
    node = Node()
    node.operator(price=1, per=2**50)
    node.top_up(10**9)
    node.charge(ccr(INITIAL, 0, service()))
    message = ccr(UPDATE, 1, service(used=used))
    assert not differs(node, message)
    assert node.answer(message).services[0].granted <= 2**62 - used


def test_unequal_counters_are_noted_of_a_first_request() -> None:
    node = Node()
    node.operator()
    node.top_up(10**12)
    used = (avp.unsigned64(code, 5 * place) for place, code in enumerate((Avp.CC_TOTAL_OCTETS, Avp.CC_INPUT_OCTETS)))
    members = (*used, avp.unsigned64(Avp.CC_OUTPUT_OCTETS, 1))
    unit = avp.grouped(Avp.USED_SERVICE_UNIT, *members)
    mscc = avp.grouped(Avp.MULTIPLE_SERVICES_CREDIT_CONTROL, avp.unsigned32(Avp.RATING_GROUP, 1), unit)
    assert not differs(node, ccr(INITIAL, 0, mscc))


def test_invented_gateways_meet_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocs.credit_control.sessions.GATEWAYS_MAX", 3)
    node = Node()
    node.operator()
    node.top_up(10**9)
    gateways = [
        charging.Gateway(f"g{number}.visited.example", "visited.example", "relay", "standard") for number in range(4)
    ]
    for number, gateway in enumerate(gateways[:3]):
        node.charge(ccr(INITIAL, 0, service(), session=f"s{number}"), gateway)
    for kind, session in ((INITIAL, "s3"), (UPDATE, "s0")):
        with pytest.raises(TooBusy, match="Origin-Host"):
            node.charge(ccr(kind, 1, service(), session=session), gateways[3])
    node.charge(ccr(UPDATE, 1, service(), session="s0"), gateways[1])
    assert node.state.charging.sessions.gateways == gateways[:3]


def test_invented_gateways_take_no_other_peer_s_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocs.credit_control.sessions.GATEWAYS_OF_PEER_MAX", 3)
    node = Node()
    node.operator()
    node.top_up(10**9)
    gateways = [
        charging.Gateway(f"g{number}.visited.example", "visited.example", "relay", "standard") for number in range(4)
    ]
    for number, gateway in enumerate(gateways[:3]):
        node.charge(ccr(INITIAL, 0, service(), session=f"s{number}"), gateway)
    node.charge(ccr(INITIAL, 0, service(), session="s3"), GATEWAY)
    node.state = image.restore(image.chunks(node.state))
    with pytest.raises(TooBusy, match="Origin-Host"):
        node.charge(ccr(INITIAL, 0, service(), session="s4"), gateways[3])
    node.charge(ccr(INITIAL, 0, service(), session="s5"), MAGMA)
    assert node.state.charging.sessions.gateways == [*gateways[:3], GATEWAY, MAGMA]
