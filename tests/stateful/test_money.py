"""A model of money that knows nothing of grants: what was used costs its blocks, what was paid in is there or gone.

Hypothesis plays gateways and administrators at random; after every step the laws hold, and at the end the same events
give the same state again.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger_node import GATEWAY, INITIAL, MAGMA, OPEN5GS, TERMINATION, UPDATE, Node, ccr, parse, service
from ocs import command as cmd
from ocs import image
from ocs.credit_control.event import Stepped
from ocs.credit_control.policy import Policy
from ocs.credit_control.session import Answer
from ocs.diameter.codes import ResultCode
from ocs.errors import Conflict, InvalidInput
from ocs.node import Decision, Recall, evolve
from ocs.state import State
from ocs.units import Credits, GroupIndex, Octets, SessionId, UnixMillis

OPERATORS = {"alpha": ("00101", 1, 1), "beta": ("00102", 7, 1000), "gamma": ("0010277", 0, 1)}
USED = st.one_of(st.just(0), st.integers(1, 50), st.integers(1, 5000), st.integers(1, 10**6))


def session_id_of(message: bytes) -> bytes:
    """Read the Session-Id, which comes first."""
    return message[28 : 20 + int.from_bytes(message[25:28], "big")]


class Money(RuleBasedStateMachine):
    """The machine; `self.sessions` is the model: number of the next request, and octets of each rating group."""

    def __init__(self) -> None:
        super().__init__()
        self.paid_in = dict.fromkeys(OPERATORS, 0)
        self.taken_out = dict.fromkeys(OPERATORS, 0)
        self.written_off = dict.fromkeys(OPERATORS, 0)
        self.used: dict[tuple[str, str, int], int] = {}  # operator, session, rating group
        self.sessions: dict[str, tuple[str, int]] = {}  # alive: operator, next number
        self.sent: list[tuple[bytes, object, bytes]] = []
        self.fresh = 0

    @initialize(
        default=st.integers(1, 5000),
        least=st.integers(1, 500),
        code=st.sampled_from([ResultCode.AUTHORIZATION_REJECTED, ResultCode.CREDIT_LIMIT_REACHED]),
        threshold=st.integers(0, 50),
    )
    def begin(self, default: int, least: int, code: ResultCode, threshold: int) -> None:
        self.node = Node(
            Policy(
                default_octets=Octets(default),
                max_octets=Octets(default * 20),
                min_octets=Octets(least),
                no_balance_code=code,
                threshold_percent=threshold,
            )
        )
        for name, (prefix, price, per) in OPERATORS.items():
            self.node.operator(name, prefix, price, per)

    def charge(self, message: bytes, gateway: object) -> Decision:
        """Send a request; what the node has forgotten it finds in the journal, as the shell would."""
        decision = self.node.charge(message, gateway)  # type: ignore[arg-type]
        if not isinstance(decision.outcome, Recall):
            return decision
        request = decision.outcome.request
        served = [
            event
            for event in self.node.events
            if isinstance(event, Stepped) and (event.session_id, event.number) == (request.session_id, request.number)
        ]
        return self.node.step(cmd.Recalled(*decision.outcome, served[-1] if served else None))

    def send(self, message: bytes, gateway: object) -> Answer:
        decision = self.charge(message, gateway)
        assert isinstance(decision.outcome, Answer)
        self.sent.append((message, gateway, self.node.octets(message, decision.outcome)))
        del self.sent[:-5]
        granted = sum(step.reserved for step in getattr(decision.event, "services", ()))
        assert granted <= sum(self.paid_in.values()), "no grant above the balance"
        return decision.outcome

    @rule(name=st.sampled_from(sorted(OPERATORS)), amount=st.integers(1, 20_000))
    def top_up(self, name: str, amount: int) -> None:
        self.node.top_up(amount, name)
        self.paid_in[name] += amount

    @rule(amount=st.integers(1, 5000))
    def repeat_top_up(self, amount: int) -> None:
        if not self.node.state.top_ups:
            return
        event = self.node.state.top_ups[1]
        name = self.node.state.charging.operators[event.operator].name
        again = self.node.step(cmd.TopUp(name, event.amount, event.kind, event.reference, event.key))
        assert again.event is None
        try:
            self.node.step(cmd.TopUp(name, Credits(event.amount + amount), event.kind, event.reference, event.key))
        except InvalidInput:
            pass
        else:
            raise AssertionError("a key with other content must be refused")

    @rule(amount=st.integers(1, 20_000))
    def reverse(self, amount: int) -> None:
        for number, event in self.node.state.top_ups.items():
            name = self.node.state.charging.operators[event.operator].name
            try:
                self.node.step(cmd.ReverseTopUp(name, number, Credits(amount), "a mistake"))
            except (InvalidInput, Conflict):
                continue
            self.taken_out[name] += amount
            return

    @rule(name=st.sampled_from(sorted(OPERATORS)), amount=st.integers(1, 5000))
    def write_off(self, name: str, amount: int) -> None:
        try:
            self.node.step(cmd.WriteOff(name, Credits(amount), "gone"))
        except Conflict:
            return
        self.written_off[name] += amount

    @rule(
        name=st.sampled_from(sorted(OPERATORS)),
        groups=st.lists(st.integers(1, 3), unique=True, max_size=3),
        ask=st.integers(0, 3000),
        gateway=st.sampled_from([GATEWAY, MAGMA, OPEN5GS]),
    )
    def attach(self, name: str, groups: list[int], ask: int, gateway: object) -> None:
        self.fresh += 1
        session = f"s{self.fresh}"
        imsi = OPERATORS[name][0] + "0" * (15 - len(OPERATORS[name][0]))
        message = ccr(INITIAL, 0, *(service(group, ask=ask) for group in groups), session=session, imsi=imsi)
        if self.send(message, gateway).result_code == ResultCode.SUCCESS:
            self.sessions[session] = (name, 1)

    @precondition(lambda self: self.sessions)
    @rule(
        data=st.data(),
        reports=st.dictionaries(st.integers(1, 3), st.tuples(USED, st.none() | st.integers(0, 3000)), max_size=3),
        gap=st.integers(0, 3),
        gateway=st.sampled_from([GATEWAY, MAGMA]),
        ending=st.booleans(),
    )
    def report(self, data: st.DataObject, reports: dict, gap: int, gateway: object, ending: bool) -> None:
        session = data.draw(st.sampled_from(sorted(self.sessions)))
        name, number = self.sessions[session]
        number += gap
        kind = TERMINATION if ending else UPDATE
        services = [service(group, used=used, ask=None if ending else ask) for group, (used, ask) in reports.items()]
        self.send(ccr(kind, number, *services, session=session), gateway)
        for group, (used, _) in reports.items():
            key = (name, session, group)
            self.used[key] = self.used.get(key, 0) + used
        if ending:
            del self.sessions[session]
        else:
            self.sessions[session] = (name, number + 1)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        message, gateway, answered = data.draw(st.sampled_from(self.sent))
        initial = parse(message).request_type == INITIAL
        if initial and SessionId(session_id_of(message)) not in self.node.state.charging.sessions:
            return  # ten minutes after its end a session is forgotten, and its CCR-I would open a new one
        decision = self.charge(message, gateway)
        assert isinstance(decision.outcome, Answer)
        assert decision.event is None or decision.event.result_code == 5002  # type: ignore[union-attr]
        assert self.node.octets(message, decision.outcome) == answered

    @rule(seconds=st.integers(0, 9000))
    def wait(self, seconds: int) -> None:
        self.node.now = UnixMillis(self.node.now + seconds * 1000)
        for session in list(self.sessions):
            if self.node.step(cmd.Supervise(SessionId(session.encode()))).event is not None:
                del self.sessions[session]

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def drop_an_answer(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(sorted(self.sessions)))
        self.node.step(cmd.DropAnswer(SessionId(session.encode()), self.sessions[session][1] - 1))

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def terminate(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(sorted(self.sessions)))
        self.node.step(cmd.TerminateSession(SessionId(session.encode()), "a test"))

    @invariant()
    def adds_up(self) -> None:
        if not hasattr(self, "node"):
            return
        self.node.check()
        for name, (_, price, per) in OPERATORS.items():
            account = self.node.account(name)
            cost = sum(-(-used // per) * price for (owner, _, _), used in self.used.items() if owner == name)
            assert account.funded == self.paid_in[name] - self.taken_out[name]
            assert account.consumed + account.overrun + account.written_off == cost
            assert account.written_off == self.written_off[name]

    def teardown(self) -> None:
        if not hasattr(self, "node"):
            return
        again = State()
        for place, event in enumerate(self.node.events, 1):
            again.group = GroupIndex(place)
            evolve(again, event)
        assert list(image.chunks(again)) == list(image.chunks(self.node.state)), "replay = run"
        operators = self.node.state.charging.operators
        for session in list(self.sessions):
            self.send(ccr(TERMINATION, 10_000, session=session), GATEWAY)
        for operator in operators.all():
            assert operator.account.reserved == 0, "after all sessions end, nothing is reserved"


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=max(60, settings().max_examples // 3), stateful_step_count=40)
