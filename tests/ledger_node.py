"""A node in memory, for tests: real decide and evolve, a clock to turn by hand, and CCRs from real octets."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ocs import command as cmd
from ocs.balance.account import Account
from ocs.balance.event import TopUpKind
from ocs.credit_control import answer as cca
from ocs.credit_control.event import Gateway
from ocs.credit_control.policy import Policy
from ocs.credit_control.request import CreditControlRequest, read
from ocs.credit_control.session import Answer
from ocs.diameter import avp, framing
from ocs.diameter.codes import VENDOR_3GPP, Avp, Avp3gpp, Flag
from ocs.node import Decision, decide, evolve
from ocs.reporting import UsagePolicy
from ocs.state import Event, State
from ocs.units import Credits, GroupIndex, Octets, UnixMillis

GATEWAY = Gateway("sgw.visited.example", "visited.example", "sgw.visited.example", "standard")
MAGMA = Gateway("agw.visited.example", "visited.example", "agw.visited.example", "magma")
OPEN5GS = Gateway("smf.visited.example", "visited.example", "smf.visited.example", "open5gs")
IMSI = "001010000000001"
CONTEXT = "32251@3gpp.org"
INITIAL, UPDATE, TERMINATION, EVENT = 1, 2, 3, 4
_IDS = count(1)


def service(
    rating_group: int | None = 1,
    *,
    ask: int | None = 0,
    used: int | None = None,
    reason: int | None = None,
    service_ids: tuple[int, ...] = (),
    asked_unit: int = Avp.CC_TOTAL_OCTETS,
) -> bytes:
    """Write one MSCC: `ask` None for no RSU, 0 for an empty one."""
    members = []
    if rating_group is not None:
        members.append(avp.unsigned32(Avp.RATING_GROUP, rating_group))
    members.extend(avp.unsigned32(Avp.SERVICE_IDENTIFIER, number) for number in service_ids)
    if ask is not None:
        wish = avp.unsigned64(asked_unit, ask) if ask else b""
        members.append(avp.grouped(Avp.REQUESTED_SERVICE_UNIT, wish))
    if used is not None:
        members.append(avp.grouped(Avp.USED_SERVICE_UNIT, avp.unsigned64(Avp.CC_TOTAL_OCTETS, used)))
    if reason is not None:
        members.append(avp.unsigned32(Avp3gpp.REPORTING_REASON, reason, vendor=VENDOR_3GPP))
    return avp.grouped(Avp.MULTIPLE_SERVICES_CREDIT_CONTROL, *members)


def ccr(
    kind: int,
    number: int,
    *services: bytes,
    session: str = "sgw;1;1",
    imsi: str | None = IMSI,
    context: str = CONTEXT,
    apn: str = "internet",
    action: int | None = None,
    retransmitted: bool = False,
    bearer: bytes | None = None,
    extra: bytes = b"",
) -> bytes:
    """Write a CCR; `bearer` takes the place of a Service-Information that names the APN alone."""
    parts = [
        avp.utf8(Avp.SESSION_ID, session),
        avp.utf8(Avp.ORIGIN_HOST, "sgw.visited.example"),
        avp.utf8(Avp.ORIGIN_REALM, "visited.example"),
        avp.utf8(Avp.DESTINATION_REALM, "example.net"),
        avp.unsigned32(Avp.AUTH_APPLICATION_ID, 4),
        avp.utf8(Avp.SERVICE_CONTEXT_ID, context),
        avp.unsigned32(Avp.CC_REQUEST_TYPE, kind),
        avp.unsigned32(Avp.CC_REQUEST_NUMBER, number),
    ]
    if imsi is not None:
        parts.append(
            avp.grouped(
                Avp.SUBSCRIPTION_ID,
                avp.unsigned32(Avp.SUBSCRIPTION_ID_TYPE, 1),
                avp.utf8(Avp.SUBSCRIPTION_ID_DATA, imsi),
            )
        )
    if action is not None:
        parts.append(avp.unsigned32(Avp.REQUESTED_ACTION, action))
    parts.extend(services)
    if bearer is None:
        inner = avp.grouped(Avp3gpp.PS_INFORMATION, avp.utf8(Avp.CALLED_STATION_ID, apn), vendor=VENDOR_3GPP)
        bearer = avp.grouped(Avp3gpp.SERVICE_INFORMATION, inner, vendor=VENDOR_3GPP)
    parts.append(bearer)
    parts.append(extra)
    flags = Flag.REQUEST | Flag.PROXIABLE | (Flag.RETRANSMITTED if retransmitted else 0)
    ids = next(_IDS)
    return framing.encode(flags, 272, 4, ids, ids, b"".join(parts))


def parse(message: bytes) -> CreditControlRequest:
    return read(message)


@dataclass
class Node:
    """State, policy, and every event that was decided.

    Attributes:
        group: the commit group that events are in; 0 gives each a group of its own.
    """

    policy: Policy = field(default_factory=Policy)
    state: State = field(default_factory=State)
    now: UnixMillis = UnixMillis(1_800_000_000_000)
    events: list[Event] = field(default_factory=list)
    group: int = 0
    usage_policy: UsagePolicy = field(default_factory=UsagePolicy)

    def step(self, command: cmd.Command) -> Decision:
        decision = decide(self.state, self.policy, command, self.now, self.usage_policy)
        if decision.event is not None:
            self.state.group = GroupIndex(self.group or len(self.events) + 1)
            evolve(self.state, decision.event)
            self.events.append(decision.event)
        return decision

    def operator(self, name: str = "home", prefix: str = "00101", price: int = 1, per: int = 1, **more: Any) -> None:
        self.step(cmd.AddOperator(name, [prefix], Credits(price), Octets(per), **more))

    def top_up(self, amount: int, name: str = "home", key: str = "") -> Decision:
        key = key or f"key-{len(self.state.top_ups)}"
        return self.step(cmd.TopUp(name, Credits(amount), TopUpKind.PAID, "test", key))

    def charge(self, message: bytes, gateway: Gateway = GATEWAY) -> Decision:
        return self.step(cmd.Charge(parse(message), gateway))

    def answer(self, message: bytes, gateway: Gateway = GATEWAY) -> Answer:
        outcome = self.charge(message, gateway).outcome
        assert isinstance(outcome, Answer)
        return outcome

    def octets(self, message: bytes, answer: Answer) -> bytes:
        identity = cca.Identity.of("ocs.example.net", "example.net")
        return cca.write(parse(message), answer, identity, self.policy)

    def account(self, name: str = "home") -> Account:
        operator = self.state.charging.operators.named(name)
        assert operator is not None
        return operator.account

    def check(self) -> None:
        """Every law of both ledgers, over everything there is."""
        self.state.signed.channels.check()
        reserved: dict[int, int] = {}
        alive: dict[int, int] = {}
        sessions = self.state.charging.sessions
        for session_id in sessions:
            session = sessions.get(session_id)
            assert session is not None
            reserved[session.operator] = reserved.get(session.operator, 0) + sum(s.reserved for s in session.services)
            alive[session.operator] = alive.get(session.operator, 0) + (session.state != 3)
        for operator in self.state.charging.operators.all():
            operator.account.check()
            assert operator.account.reserved == reserved.get(operator.number, 0)
            assert sessions.open_count.get(operator.number, 0) == alive.get(operator.number, 0)
