"""Sessions in memory: found, forgotten in time, and the same in every process that folds the same events."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_node import EVENT, INITIAL, TERMINATION, UPDATE, Node, ccr, service
from ocs import image
from ocs.credit_control.sessions import ENDED_KEPT_MS
from ocs.credit_control.shelves import SHELVES, Shelves
from ocs.state import State
from ocs.units import SessionId, UnixMillis

DEBIT = 0
NAME = SessionId(b"sgw;1;1")


def fresh() -> Node:
    node = Node()
    node.operator()
    node.top_up(10**12)
    return node


def copy(node: Node) -> Node:
    """Give the node that a snapshot of this one makes."""
    return Node(policy=node.policy, state=image.restore(image.chunks(node.state)), now=node.now, group=1)


def chunks(state: State) -> list[bytes]:
    return list(image.chunks(state))


def test_a_snapshot_is_of_the_moment_whatever_becomes_of_the_state_while_it_is_taken() -> None:
    node = fresh()
    for name in ("stays;1", "ends;1", "is forgotten;1"):
        node.answer(ccr(INITIAL, 0, service(), session=name))
    node.answer(ccr(TERMINATION, 1, service(ask=None, used=5), session="is forgotten;1"))
    before, taken = chunks(node.state), image.chunks(node.state)
    node.now = UnixMillis(node.now + ENDED_KEPT_MS + 1)
    node.answer(ccr(TERMINATION, 1, service(ask=None, used=7), session="ends;1"))
    node.answer(ccr(INITIAL, 0, service(), session="comes;1"))
    assert SessionId(b"is forgotten;1") not in node.state.charging.sessions
    assert list(taken) == before != chunks(node.state)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["event", "open", "end", "copy"]),
            st.integers(0, 5),
            st.sampled_from([0, 0, 1, ENDED_KEPT_MS // 3, ENDED_KEPT_MS]),
        ),
        max_size=40,
    )
)
@settings(max_examples=150)
def test_who_began_with_a_snapshot_forgets_as_who_ran_all_the_while(steps: list[tuple[str, int, int]]) -> None:
    node = fresh()
    others = [copy(node)]
    running: set[str] = set()
    for number, (act, which, later) in enumerate(steps, 1):
        node.now = UnixMillis(node.now + later)
        if act == "copy":
            others.append(copy(node))
            continue
        name = f"{act if act == 'event' else 'session'};{which}"
        message = ccr(EVENT, number, service(ask=5), session=name, action=DEBIT)
        if act == "open":
            message = ccr(INITIAL, 0, service(), session=name)
            running.add(name)
        elif act == "end":
            message = ccr(TERMINATION, 1, service(ask=None, used=number), session=name)
            if name not in running:
                continue
            running.discard(name)
        for one in (node, *others):
            one.now, one.group = node.now, number
            one.charge(message)
    for other in others:
        other.state.group = node.state.group
        assert chunks(other.state) == chunks(node.state)
        assert other.state.charging.sessions.ended == node.state.charging.sessions.ended
    node.check()


def test_no_shelf_holds_much_more_than_its_share() -> None:
    shelves = Shelves()
    for number in range(100 * SHELVES):
        shelves[SessionId(b"sgw1.visited.example;1700000000;%d;gx" % number)] = b"."
    assert len(shelves) == 100 * SHELVES
    assert max(len(shelf) for shelf in shelves._shelves) < 200


@given(
    services=st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from([(), (7,), (7, 8)]), st.integers(1, 10**6), st.integers(1, 10**6)),
        min_size=1,
        max_size=5,
        unique_by=lambda one: one[:2],
    )
)
def test_its_octets_are_those_of_all_its_services(services: list[tuple[int, tuple[int, ...], int, int]]) -> None:
    node = fresh()
    asked = [service(group, ask=first, service_ids=ids) for group, ids, first, _ in services]
    assert node.answer(ccr(INITIAL, 0, *asked)).result_code == 2001
    for at in range(2):
        sessions = node.state.charging.sessions
        session = sessions.get(NAME)
        assert session is not None
        assert sessions.octets(NAME) == sum(one.used + one.granted for one in session.services) > 0
        used = [service(group, ask=5, used=octets, service_ids=ids) for group, ids, _, octets in services]
        assert node.answer(ccr(UPDATE, at + 1, *used)).result_code == 2001
