"""Sessions as scenes that read like a ledger: what the gateway says, what it is told, where the money is after it."""

import tracemalloc

import pytest

from ledger_node import EVENT, GATEWAY, INITIAL, MAGMA, OPEN5GS, TERMINATION, UPDATE, Node, ccr, service
from ocs import command as cmd
from ocs import image
from ocs.credit_control.event import EndCause, Note, Refused, State, Stepped, Why
from ocs.credit_control.policy import Policy
from ocs.credit_control.rest import SERVICE_NUMBERS, layout_of, pack
from ocs.credit_control.session import ANSWERS_KEPT
from ocs.credit_control.supervision import Supervision
from ocs.diameter.codes import ResultCode
from ocs.errors import ContradictingAvps, InvalidAvpValue
from ocs.node import Recall
from ocs.units import Credits, Octets, SessionId, UnixMillis

SMALL = Policy(default_octets=Octets(2000), max_octets=Octets(2000), min_octets=Octets(100), threshold_percent=5)
SESSION = SessionId(b"sgw;1;1")


def node(credit: int = 7500, policy: Policy = SMALL, **operator: int) -> Node:
    it = Node(policy)
    it.operator(**operator)
    if credit:
        it.top_up(credit)
    return it


def money(it: Node) -> tuple[int, int, int, int]:
    it.check()
    account = it.account()
    return account.available, account.reserved, account.consumed, account.overrun


def test_a_session_from_first_grant_to_last_octet() -> None:
    it = node()
    first = it.answer(ccr(INITIAL, 0, service(ask=200_000)))
    assert (first.result_code, first.services[0].granted, first.services[0].final) == (2001, 2000, False)
    assert first.services[0].threshold == 100
    assert money(it) == (5500, 2000, 0, 0)
    assert it.answer(ccr(UPDATE, 1, service(ask=1500, used=1500))).services[0].granted == 2000
    assert money(it) == (4000, 2000, 1500, 0)
    assert it.answer(ccr(UPDATE, 2, service(ask=1000, used=1500))).services[0].granted == 2000
    assert money(it) == (2500, 2000, 3000, 0)
    last = it.answer(ccr(UPDATE, 3, service(ask=2000, used=3000))).services[0]
    assert (last.granted, last.final, last.threshold) == (1500, True, 0)
    assert money(it) == (0, 1500, 6000, 0)
    end = it.answer(ccr(TERMINATION, 4, service(ask=None, used=1500)))
    assert (end.result_code, end.services[0].granted) == (2001, 0)
    assert money(it) == (0, 0, 7500, 0)


def test_use_above_grant_and_balance_becomes_overrun_that_the_next_top_up_pays() -> None:
    it = node(credit=1000)
    assert it.answer(ccr(INITIAL, 0, service())).services[0].final
    it.answer(ccr(TERMINATION, 1, service(ask=None, used=3000)))
    assert money(it) == (0, 0, 1000, 2000)
    assert it.events[-1].notes & (Note.OVERRUN | Note.OVER_GRANT) == Note.OVERRUN | Note.OVER_GRANT  # type: ignore[union-attr]
    it.top_up(500)
    assert money(it) == (0, 0, 1500, 1500)
    assert it.answer(ccr(INITIAL, 0, service(), session="b")).result_code == 5003
    it.top_up(2000)
    assert money(it) == (500, 0, 3000, 0)


@pytest.mark.parametrize("gateway", [GATEWAY, MAGMA, OPEN5GS])
def test_no_balance_is_5003_at_command_level_and_keeps_no_session(gateway: object) -> None:
    it = node(credit=0)
    answer = it.answer(ccr(INITIAL, 0, service()), gateway)  # type: ignore[arg-type]
    assert answer.result_code == ResultCode.AUTHORIZATION_REJECTED
    session = it.state.charging.sessions.get(SESSION)
    assert session is not None
    assert (session.state, session.end_cause) == (State.ENDED, EndCause.REFUSED)
    assert money(it) == (0, 0, 0, 0)


def test_no_balance_as_4012_stays_in_the_service_and_waits_for_the_top_up() -> None:
    it = node(credit=0, policy=Policy(no_balance_code=ResultCode.CREDIT_LIMIT_REACHED))
    answer = it.answer(ccr(INITIAL, 0, service()))
    assert (answer.result_code, answer.services[0].result_code, answer.services[0].granted) == (2001, 4012, 0)
    assert answer.services[0].validity_seconds == 60
    operator = it.state.charging.operators.named("home")
    assert operator is not None
    assert list(it.state.charging.sessions.thirsty[operator.number]) == [SESSION]
    it.top_up(10_000)
    assert it.answer(ccr(UPDATE, 1, service(reason=7))).services[0].granted == 10_000
    assert list(it.state.charging.sessions.thirsty[operator.number]) == [SESSION], "its last grant: thirsty still"


def test_one_service_is_refused_while_its_neighbour_runs_on() -> None:
    it = node(credit=2000)
    it.answer(ccr(INITIAL, 0, service(1)))
    answer = it.answer(ccr(UPDATE, 1, service(2)))
    assert (answer.result_code, answer.services[0].result_code) == (2001, 5003)
    other = Node(SMALL)
    other.operator()
    other.top_up(2000)
    other.answer(ccr(INITIAL, 0, service(1)), MAGMA)
    assert other.answer(ccr(UPDATE, 1, service(2)), MAGMA).services[0].result_code == 4012, "5003 would end all of it"


def test_an_update_refused_as_a_whole_leaves_the_session_ending_and_its_last_report_is_charged() -> None:
    it = node(credit=2000)
    it.answer(ccr(INITIAL, 0, service()))
    assert it.answer(ccr(UPDATE, 1, service(used=2000))).result_code == 5003
    session = it.state.charging.sessions.get(SESSION)
    assert session is not None
    assert session.state == State.ENDING
    assert it.answer(ccr(TERMINATION, 2, service(ask=None, used=10))).result_code == 2001
    assert money(it) == (0, 0, 2000, 10)


def test_a_repeat_is_the_same_octets_and_charges_nothing() -> None:
    it = node()
    it.answer(ccr(INITIAL, 0, service()))
    request = ccr(UPDATE, 1, service(2), service(1, used=700))
    first = it.octets(request, it.answer(request))
    before, events = money(it), len(it.events)
    assert it.octets(request, it.answer(request)) == first
    reordered = ccr(UPDATE, 1, service(1, used=700), service(2), retransmitted=True)
    assert it.answer(reordered).result_code == 2001
    assert (money(it), len(it.events)) == (before, events)


def test_the_same_number_with_other_content_is_refused_and_written_down() -> None:
    it = node()
    it.answer(ccr(INITIAL, 0, service()))
    it.answer(ccr(UPDATE, 1, service(used=700)))
    before = money(it)
    for other in (
        ccr(UPDATE, 1, service(used=701)),
        ccr(UPDATE, 1, service(2, used=700)),
        ccr(TERMINATION, 1, service(used=700)),
        ccr(UPDATE, 1, service(used=700, ask=5)),
        ccr(UPDATE, 1, service(used=700, reason=2)),
    ):
        decision = it.charge(other)
        assert isinstance(decision.event, Refused)
        assert decision.outcome.result_code == 5012  # type: ignore[union-attr]
        assert money(it) == before


def test_a_repeat_older_than_memory_is_looked_up() -> None:
    it = node(credit=1_000_000)
    it.answer(ccr(INITIAL, 0, service()))
    for number in range(1, 12):
        it.answer(ccr(UPDATE, number, service(used=10)))
    request = ccr(UPDATE, 2, service(used=10))
    decision = it.charge(request)
    assert isinstance(decision.outcome, Recall)
    served = next(event for event in it.events if isinstance(event, Stepped) and event.number == 2)
    before = money(it)
    again = it.step(cmd.Recalled(*decision.outcome, served))
    assert again.event is None
    assert again.outcome.services[0].granted == 2000  # type: ignore[union-attr]
    assert money(it) == before
    late = it.charge(ccr(UPDATE, 1_000, service(used=10)))
    assert isinstance(late.event, Stepped), "a jump in numbers is a new request"


@pytest.mark.parametrize("ending", [False, True])
def test_what_was_served_and_let_go_while_the_journal_was_read_is_looked_up_again(*, ending: bool) -> None:
    it = node(credit=1_000_000)
    it.answer(ccr(INITIAL, 0, service()))
    for number in range(100, 110):
        it.answer(ccr(UPDATE, number, service(used=10)))
    late = ccr(UPDATE, 50, service(used=500))
    first, again = it.charge(late).outcome, it.charge(late).outcome
    assert isinstance(first, Recall)
    assert isinstance(again, Recall)
    served = it.step(cmd.Recalled(*first, None)).event
    assert isinstance(served, Stepped)
    for number in range(110, 112 if ending else 120):
        it.answer(ccr(TERMINATION if ending and number == 111 else UPDATE, number, service(ask=None, used=10)))
    before = money(it)
    asked_again = it.step(cmd.Recalled(*again, None)).outcome
    assert isinstance(asked_again, Recall)
    told = it.step(cmd.Recalled(*asked_again, served))
    assert told.event is None
    assert told.outcome.services[0].granted == 2000  # type: ignore[union-attr]
    assert money(it) == before


def test_a_snapshot_with_more_answers_than_are_kept_now_is_taken() -> None:
    it = node(credit=1_000_000)
    kept = []
    it.answer(ccr(INITIAL, 0, service()))
    for number in range(1, 9):
        it.answer(ccr(UPDATE, number, service(used=10)))
        session = it.state.charging.sessions.get(SESSION)
        assert session is not None
        kept.append(session.answers[-1])
    session.answers = kept
    it.state.charging.sessions.at_rest[SESSION] = pack(session)
    it.state = image.restore(image.chunks(it.state))
    for number in range(9, 300):
        it.answer(ccr(UPDATE, number, service(used=10)))
    assert isinstance(it.charge(ccr(UPDATE, 2, service(used=10))).outcome, Recall)
    session = it.state.charging.sessions.get(SESSION)
    assert session is not None
    assert len(session.answers) == ANSWERS_KEPT


def test_use_of_an_unknown_session_is_5002_and_on_the_list() -> None:
    it = node()
    decision = it.charge(ccr(TERMINATION, 3, service(ask=None, used=99), session="gone"))
    assert isinstance(decision.outcome, Recall)
    decision = it.step(cmd.Recalled(*decision.outcome, None))
    assert isinstance(decision.event, Refused)
    assert (decision.event.used, decision.event.result_code) == (99, 5002)
    assert money(it) == (7500, 0, 0, 0)


@pytest.mark.parametrize(
    ("imsi", "context", "code", "why"),
    [
        ("999990000000001", "32251@3gpp.org", 5030, Why.UNKNOWN_OPERATOR),
        (None, "32251@3gpp.org", 5030, Why.NO_IMSI),
        ("001010000000001", "32274@3gpp.org", 5031, Why.UNKNOWN_CONTEXT),
    ],
)
def test_who_cannot_be_charged_is_refused_as_a_whole(imsi: str | None, context: str, code: int, why: Why) -> None:
    it = node()
    request = ccr(INITIAL, 0, service(), imsi=imsi, context=context)
    assert it.answer(request).result_code == code
    assert it.events[-1].why == why  # type: ignore[union-attr]
    assert it.answer(request).result_code == code, "and again, from memory"


def test_supervision_returns_the_reservation_and_keeps_what_was_charged() -> None:
    it = node()
    it.answer(ccr(INITIAL, 0, service()))
    it.answer(ccr(UPDATE, 1, service(used=700)))
    session = it.state.charging.sessions.get(SESSION)
    assert session is not None
    assert session.deadline == it.now + 2 * 3600 * 1000
    it.now = UnixMillis(session.deadline - 1)
    assert it.step(cmd.Supervise(SESSION)).event is None
    it.now = session.deadline
    assert it.step(cmd.Supervise(SESSION)).event is not None
    assert money(it) == (6800, 0, 700, 0)
    assert isinstance(it.charge(ccr(UPDATE, 5, service(used=9))).event, Refused), "5002 from now on"


@pytest.mark.parametrize("credit", [7500, 10**9])
def test_an_ended_session_is_not_supervised_for_hours(credit: int) -> None:
    it = node(credit=credit)
    supervision = Supervision()
    it.state.charging.sessions.supervise(supervision)
    it.answer(ccr(INITIAL, 0, service(), session="short"))
    it.answer(ccr(TERMINATION, 1, session="short"))
    it.answer(ccr(INITIAL, 0, service(), session="long"))
    it.now = UnixMillis(it.now + 601_000)
    assert supervision.take(it.now) == [b"short", b"long"]
    assert supervision.next_due() is None


def test_a_session_is_supervised_once_however_often_its_deadline_came_nearer() -> None:
    supervision = Supervision()
    for second in (5, 4, 3):
        supervision.watch(SESSION, UnixMillis(second * 1000))
    for second in (4, 5, 6):
        for session_id in supervision.take(UnixMillis(second * 1000)):
            supervision.watch(session_id, UnixMillis(9_000))
    assert supervision.take(UnixMillis(10_000)) == [SESSION]
    assert supervision.next_due() is None


def test_an_answer_that_came_too_late_ends_a_session_nobody_heard_of() -> None:
    it = node()
    it.answer(ccr(INITIAL, 0, service()))
    it.step(cmd.DropAnswer(SESSION, 0))
    it.now = UnixMillis(it.now + 10_000)
    event = it.step(cmd.Supervise(SESSION)).event
    assert event is not None
    assert event.cause == EndCause.UNANSWERED  # type: ignore[union-attr]
    assert money(it) == (7500, 0, 0, 0)


def test_use_after_a_dropped_answer_is_charged_and_flagged() -> None:
    it = node()
    it.answer(ccr(INITIAL, 0, service()))
    it.answer(ccr(UPDATE, 1, service(used=700)))
    it.step(cmd.DropAnswer(SESSION, 1))
    it.answer(ccr(UPDATE, 2, service(used=900)))
    assert it.events[-1].notes & Note.LATE_REPEAT  # type: ignore[union-attr]
    assert money(it)[2] == 1600


def test_an_outage_of_ours_ends_nobody() -> None:
    it = node()
    it.answer(ccr(INITIAL, 0, service()))
    it.now = UnixMillis(it.now + 30 * 3600 * 1000)
    it.step(cmd.Start("0", UnixMillis(it.now + 3600_000)))
    assert it.step(cmd.Supervise(SESSION)).event is None
    assert it.answer(ccr(UPDATE, 1, service(used=5))).result_code == 2001


def test_emergency_services_are_free_and_never_refused() -> None:
    it = node(credit=0)
    answer = it.answer(ccr(INITIAL, 0, service(), apn="SOS"))
    assert (answer.services[0].granted, answer.services[0].final) == (2000, False)
    it.answer(ccr(TERMINATION, 1, service(ask=None, used=5000)))
    assert money(it) == (0, 0, 0, 0)
    grouped = Node(Policy(emergency_rating_groups=frozenset({99})))
    grouped.operator()
    assert grouped.answer(ccr(INITIAL, 0, service(99))).services[0].granted


def test_a_change_of_price_leaves_running_sessions_alone() -> None:
    it = node(credit=1_000_000)
    it.answer(ccr(INITIAL, 0, service()))
    it.step(cmd.AddTariff("home", None, None, Credits(10), Octets(1)))
    it.step(cmd.AddTariff("home", 5, "internet", Credits(3), Octets(1)))
    it.answer(ccr(UPDATE, 1, service(used=100), service(5)))
    it.answer(ccr(TERMINATION, 2, service(5, ask=None, used=100)))
    assert money(it)[2] == 200
    it.answer(ccr(INITIAL, 0, service(1), service(5), session="new"))
    it.answer(ccr(TERMINATION, 1, service(1, ask=None, used=10), service(5, ask=None, used=10), session="new"))
    assert money(it)[2] == 200 + 100 + 30


def test_the_last_megabytes_are_shared() -> None:
    it = Node(Policy(default_octets=Octets(1000), max_octets=Octets(1000), min_octets=Octets(10)))
    it.operator()
    it.top_up(3000)
    grants = [it.answer(ccr(INITIAL, 0, service(), session=f"s{place}")).services for place in range(100)]
    octets = [services[0].granted for services in grants if services]
    assert sum(octets) <= 3000
    assert sum(octet > 0 for octet in octets) > 15, "many get some"
    assert max(octets[2:]) < 1000
    it.check()


def test_a_grant_grows_with_the_rate_of_use() -> None:
    it = Node(Policy(default_octets=Octets(1000), max_octets=Octets(1_000_000)))
    it.operator()
    it.top_up(10**9)
    it.answer(ccr(INITIAL, 0, service()))
    it.now = UnixMillis(it.now + 10_000)
    assert it.answer(ccr(UPDATE, 1, service(used=1000))).services[0].granted == 12_000
    it.now = UnixMillis(it.now + 1000)
    assert it.answer(ccr(UPDATE, 2, service(used=12_000))).services[0].granted == 1_000_000


def test_one_time_events() -> None:
    it = node(credit=100, price=3, per=10)
    debit = it.answer(ccr(EVENT, 0, service(ask=25), session="e1", action=0))
    assert (debit.result_code, debit.services[0].granted) == (2001, 25)
    assert money(it) == (91, 0, 9, 0)
    it.answer(ccr(EVENT, 0, service(ask=25), session="e1", action=0))
    assert money(it) == (91, 0, 9, 0), "a repeat debits nothing"
    it.answer(ccr(EVENT, 0, service(ask=10), session="e2", action=1))
    assert money(it) == (94, 0, 6, 0)
    events = len(it.events)
    assert it.answer(ccr(EVENT, 0, service(ask=10), session="e3", action=2)).services[0].granted
    assert not it.answer(ccr(EVENT, 0, service(ask=10_000), session="e4", action=2)).services[0].granted
    assert it.answer(ccr(EVENT, 0, service(ask=11), session="e5", action=3)).services[0].charged == 6
    assert len(it.events) == events, "questions leave no record"
    assert it.answer(ccr(EVENT, 0, service(ask=10_000), session="e6", action=0)).result_code == 5003
    assert it.answer(ccr(EVENT, 0, service(ask=10_000), session="e7", action=1)).result_code == 5012
    with pytest.raises(ContradictingAvps):
        it.answer(ccr(EVENT, 0, service(ask=10_000), session="e8"))


def test_the_sum_of_many_prices_can_be_told() -> None:
    it = node()
    request = ccr(EVENT, 0, *[service(group, ask=2**62) for group in range(5)], action=3)
    told = it.answer(request)
    assert [each.result_code for each in told.services] == [2001, 5031, 5031, 5031, 5031]
    assert it.octets(request, told)


@pytest.mark.parametrize("kind", [INITIAL, UPDATE])
def test_the_threshold_of_a_large_grant_can_be_told(kind: int) -> None:
    it = node(credit=10**15, policy=Policy(max_octets=Octets(2**40)))
    if kind == UPDATE:
        it.answer(ccr(INITIAL, 0))
    request = ccr(kind, 1, service(ask=2**40))
    told = it.answer(request)
    assert (told.services[0].granted, told.services[0].threshold) == (2**40, 2**32 - 1)
    assert it.octets(request, told)


def test_a_session_to_be_terminated_is_refused_at_its_next_update() -> None:
    it = node()
    it.answer(ccr(INITIAL, 0, service()))
    it.step(cmd.TerminateSession(SESSION, "fraud"))
    answer = it.answer(ccr(UPDATE, 1, service(used=100)))
    assert answer.result_code == 5003
    assert money(it) == (7400, 0, 100, 0)


def test_requests_without_a_service_are_normal() -> None:
    it = node()
    assert it.answer(ccr(INITIAL, 0)).result_code == 2001
    assert it.answer(ccr(UPDATE, 1)).result_code == 2001
    report = it.answer(ccr(UPDATE, 2, service(ask=None, used=10)))
    assert (report.services[0].granted, report.services[0].validity_seconds) == (0, 3600)
    assert it.answer(ccr(TERMINATION, 3)).result_code == 2001
    assert money(it) == (7490, 0, 10, 0)


@pytest.mark.fault(20)
def test_implausible_counters_and_twins_are_refused() -> None:
    with pytest.raises(InvalidAvpValue):
        Node().charge(ccr(UPDATE, 1, service(used=2**64 - 1)))
    with pytest.raises(InvalidAvpValue):
        Node().charge(ccr(UPDATE, 1, service(1), service(1)))


def test_replay_equals_run() -> None:
    it = node()
    it.answer(ccr(INITIAL, 0, service(1), service(2, ask=500)))
    it.answer(ccr(UPDATE, 1, service(1, used=1999)), MAGMA)
    it.answer(ccr(INITIAL, 0, service(1), session="b"))
    it.step(cmd.DropAnswer(SessionId(b"b"), 0))
    it.answer(ccr(TERMINATION, 2, service(2, ask=None, used=7)))
    from ocs.node import evolve
    from ocs.state import State as NodeState

    again = NodeState()
    for place, event in enumerate(it.events, 1):
        again.group = type(again.group)(place)
        evolve(again, event)
    assert list(image.chunks(again)) == list(image.chunks(it.state))
    assert list(image.chunks(image.restore(image.chunks(again)))) == list(image.chunks(it.state))


@pytest.mark.fault(20)
@pytest.mark.parametrize(("price", "used"), [(1, 2**62), (0, 2**62), (2**40, 2**24)])
def test_counters_beyond_plausibility_change_nothing(price: int, used: int) -> None:
    """What no record or account could hold is refused, report after report; the session goes on."""
    node = Node(SMALL)
    node.operator(price=price)
    node.top_up(2**62)
    node.charge(ccr(INITIAL, 0, service(1)))
    node.charge(ccr(UPDATE, 1, service(1, used=1)))
    consumed = node.account().consumed
    for number in range(2, 6):
        with pytest.raises(InvalidAvpValue, match="octets more cannot be") as told:
            node.charge(ccr(UPDATE, number, service(1, used=used)))
        assert told.value.failed_avp
    assert node.account().consumed == consumed
    assert node.answer(ccr(UPDATE, 9, service(1, used=0))).result_code == 2001
    node.check()


def test_a_session_has_so_many_services_at_the_most() -> None:
    node = Node(SMALL)
    node.operator()
    node.top_up(10**9)
    node.charge(ccr(INITIAL, 0))
    for number in range(1, 33):
        groups = range(8 * number, 8 * number + 8)
        assert node.answer(ccr(UPDATE, number, *(service(group) for group in groups))).result_code == 2001
    with pytest.raises(InvalidAvpValue, match="256 services at the most"):
        node.charge(ccr(UPDATE, 40, service(5000)))
    assert node.answer(ccr(UPDATE, 41, service(8, used=5))).result_code == 2001


def test_a_service_has_so_many_identifiers_at_the_most() -> None:
    it = node()
    assert it.answer(ccr(INITIAL, 0, service(service_ids=tuple(range(32))))).result_code == 2001
    with pytest.raises(InvalidAvpValue, match="32 Service-Identifiers at the most") as told:
        it.charge(ccr(UPDATE, 1, service(service_ids=tuple(range(33)))))
    assert told.value.failed_avp


def test_refunds_give_no_service_more_than_can_be_counted() -> None:
    """What is refunded leaves the operator's total, and not the service's."""
    node = Node(SMALL)
    node.operator(price=2**40)
    node.top_up(2**63 - 1)
    node.charge(ccr(INITIAL, 0, service(ask=None)))
    node.charge(ccr(UPDATE, 1, service(ask=None, used=2**22)))
    assert node.answer(ccr(EVENT, 0, service(ask=2**22), action=1, session="refund")).result_code == 2001
    with pytest.raises(InvalidAvpValue, match="octets more cannot be"):
        node.charge(ccr(UPDATE, 2, service(ask=None, used=2**22)))
    assert node.answer(ccr(UPDATE, 3, service(ask=None, used=2**22 - 1))).result_code == 2001
    node.check()


@pytest.mark.parametrize(("kind", "action"), [(INITIAL, None), (EVENT, 0), (EVENT, 3)])
def test_a_first_request_has_as_many_services_at_the_most(kind: int, action: int | None) -> None:
    node = Node(SMALL)
    node.operator()
    node.top_up(10**12)
    services = [service(group, ask=10) for group in range(257)]
    with pytest.raises(InvalidAvpValue, match="256 services at the most"):
        node.charge(ccr(kind, 0, *services, action=action))
    assert node.answer(ccr(kind, 0, *services[1:], action=action)).result_code == 2001
    node.check()


def test_a_session_of_many_services_takes_no_memory_for_ever() -> None:
    """Older journals hold one-time events of thousands."""
    tracemalloc.start()
    try:
        assert layout_of(3000).size > 3000 * SERVICE_NUMBERS
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000
    assert peak < 10_000_000
