"""The one step: what a command means, and what an event changes.

    decide(state, policy, command, now) -> Decision(event or None, outcome)     reads
    evolve(state, event)                                                        changes, in place

Live traffic, recovery, the follower and a simulation all use these two functions.  An administrator's command that
cannot be obeyed raises an `OcsError` and leaves no event.
"""

from dataclasses import replace
from typing import Final, NamedTuple, assert_never

import msgspec

from ocs import administration as admin
from ocs import command as cmd
from ocs import deployment, holding, reporting
from ocs.balance import transfer
from ocs.balance.account import Account
from ocs.balance.event import OperatorAdded, OperatorChanged, Reversed, TariffAdded, ToppedUp, WrittenOff
from ocs.balance.operator import Operator
from ocs.channel.event import (
    ChannelOpened,
    ChannelStepped,
    CreditsBought,
    LogWitnessed,
    SessionBegun,
    SessionFrozen,
    UsageCommitted,
)
from ocs.credit_control import charging, express, one_time
from ocs.credit_control.applying import answer_of, apply_dropped, apply_expired, apply_step, apply_termination
from ocs.credit_control.event import (
    AnswerDropped,
    EndCause,
    Expired,
    Gateway,
    Refused,
    Stepped,
    TerminationAsked,
)
from ocs.credit_control.event import State as SessionState
from ocs.credit_control.policy import Policy
from ocs.credit_control.request import CreditControlRequest, has_digest
from ocs.credit_control.rest import unpack_answer
from ocs.credit_control.session import ANSWERS_KEPT, Answer, Session
from ocs.diameter.codes import CcRequestType, Flag, ResultCode
from ocs.errors import TooBusy
from ocs.rating.tariff import Tariff
from ocs.reporting import SignedUsage, UsagePolicy
from ocs.signed.refusal import Refusal
from ocs.state import Event, PeerAllowed, PeerRevoked, Started, State
from ocs.units import Octets, SessionId, UnixMillis
from ocs.usage.event import KeyRevoked, KeyRotated, ReportRefused, SignersAdded

INITIAL: Final = CcRequestType.INITIAL
EVENT: Final = CcRequestType.EVENT
ENDED: Final = SessionState.ENDED
OPENING_TYPES: Final = (INITIAL, EVENT)
LATER_TYPES: Final = (CcRequestType.UPDATE, CcRequestType.TERMINATION)
RETRANSMITTED: Final = int(Flag.RETRANSMITTED)
OTHER_CONTENT: Final = "this CC-Request-Number was served with other content"
NO_SESSION: Final = "no such session"
GRANT_LEAST: Final = 1000
"""Octets: where a channel has room for less the grant is refused, and not made of crumbs."""

NO_USAGE: Final = UsagePolicy()
"""Nobody may open a channel."""

SignedEvent = (
    SessionBegun
    | UsageCommitted
    | SessionFrozen
    | ReportRefused
    | SignersAdded
    | KeyRevoked
    | KeyRotated
    | CreditsBought
    | ChannelOpened
    | ChannelStepped
    | LogWitnessed
)


class Recall(NamedTuple):
    """Only the journal can tell whether this request was served before; find out and come back with `Recalled`."""

    request: CreditControlRequest
    gateway: Gateway
    newest: int
    """The number of the session's newest answer; while that is kept, so is every answer that the journal may lack."""


class Done(NamedTuple):
    """An administrator's command is carried out, or was before (`repeated`)."""

    event: Event
    repeated: bool = False


Served = tuple[Event | None, Answer | Stepped | Recall]
"""What a CCR changes, and what it is told; for a plain request that is the event itself."""

Outcome = Answer | Recall | Done | reporting.Told | None

SignedCommand = (
    cmd.AddSigners
    | cmd.RevokeKey
    | cmd.RotateKey
    | cmd.BuyCredits
    | cmd.OpenChannel
    | cmd.CloseChannel
    | cmd.WitnessLog
    | cmd.Report
    | cmd.RefuseReport
)


class Decision(msgspec.Struct, frozen=True, gc=False):
    event: Event | None
    outcome: Outcome


def decide(
    state: State, policy: Policy, command: cmd.Command, now: UnixMillis, usage_policy: UsagePolicy = NO_USAGE
) -> Decision:
    """Decide what `command` means at `now`, changing nothing.

    Raises:
        OcsError: an administrator's command that cannot be obeyed; TooBusy where no more sessions fit.
    """
    match command:
        case cmd.Charge(request, gateway):
            return _decision(*charge(state, policy, request, gateway, now))
        case cmd.Recalled():
            return _decision(*_recalled(state, policy, command, now))
        case cmd.Supervise(session_id):
            return Decision(_supervise(state, session_id, now), None)
        case cmd.DropAnswer(session_id, number):
            return Decision(_drop_answer(state, policy, session_id, number, now), None)
        case cmd.Start(version, grace):
            return _done(Started(now, version, grace, usage_policy.tolerance))
        case cmd.AddOperator():
            return _done(admin.add_operator(state, command, now))
        case cmd.ChangeOperator():
            return _done(admin.change_operator(state, command, now))
        case cmd.AddTariff():
            return _done(admin.add_tariff(state, command, now))
        case cmd.TopUp():
            event, repeated = admin.top_up(state, command, now)
            return Decision(None, Done(event, repeated)) if repeated else _done(event)
        case cmd.ReverseTopUp():
            return _done(admin.reverse(state, command, now))
        case cmd.WriteOff():
            return _done(admin.write_off(state, command, now))
        case cmd.AllowPeer():
            return _done(admin.allow_peer(state, command, now))
        case cmd.RevokePeer():
            return _done(admin.revoke_peer(state, command, now))
        case cmd.TerminateSession():
            return _done(admin.terminate(state, command, now))
        case cmd.Tend():
            return Decision(deployment.tend(state.signed, usage_policy, now), None)
        case _:
            return _decide_signed(state, usage_policy, command, now)


def _decide_signed(state: State, policy: UsagePolicy, command: SignedCommand, now: UnixMillis) -> Decision:
    """Decide what concerns keys, channels and reports."""
    signed = state.signed
    match command:
        case cmd.AddSigners():
            return _done(deployment.add_signers(signed, command, now))
        case cmd.RevokeKey():
            return _done(deployment.revoke_key(signed, command, now))
        case cmd.RotateKey():
            return _done(deployment.rotate_key(signed, policy, command, now))
        case cmd.BuyCredits():
            bought, repeated = deployment.buy_credits(signed, command, now)
            return Decision(None, Done(bought, repeated)) if repeated else _done(bought)
        case cmd.OpenChannel():
            return _done(deployment.open_channel(signed, policy, command, now))
        case cmd.CloseChannel():
            return _done(deployment.close_channel(signed, command, now))
        case cmd.WitnessLog():
            return _done(deployment.witness_log(signed, command, now))
        case cmd.Report():
            return Decision(*reporting.receive(signed, policy, command, now))
        case cmd.RefuseReport(code, detail, miner_key, envelope):
            event = ReportRefused(now, code, detail, miner_key, envelope)
            return Decision(event, reporting.Verdict(Refusal(code), detail))
        case _:
            assert_never(command)


def _done(event: Event) -> Decision:
    return Decision(event, Done(event))


def _decision(event: Event | None, told: Answer | Stepped | Recall) -> Decision:
    return Decision(event, answer_of(told) if isinstance(told, Stepped) else told)


def charge(state: State, policy: Policy, request: CreditControlRequest, gateway: Gateway, now: UnixMillis) -> Served:
    """Decide a CCR: a repeat, a conflict, a question to the journal, or one to serve."""
    sessions = state.charging.sessions
    plain = express.decide(state.charging, policy, request, gateway, now)
    if plain is not None and holding.room(state.signed, sessions, plain, gateway) is None:
        return plain, plain
    if not sessions.has_room_for(gateway):
        raise TooBusy("no more Origin-Hosts can be kept; let gy.screening.origin_host refuse those that are invented")
    session = sessions.get(request.session_id)
    if session is None:
        initial = request.request_type in OPENING_TYPES
        if not initial or (request.flags & RETRANSMITTED and request.request_type == CcRequestType.EVENT):
            return None, Recall(request, gateway, -1)
        return _serve(state, policy, request, None, gateway, now)
    answered = session.answered(request.number)
    if answered is not None:
        return _repeat(request, unpack_answer(answered), now)
    if request.number <= session.highest and _has_let_go(session):
        # It may have been one whose answer is kept no longer.
        return None, Recall(request, gateway, session.newest_number)
    if session.state != ENDED and request.request_type in LATER_TYPES:
        event = _decide(state, policy, request, session, gateway, now)
        return event, answer_of(event)
    return _unserved(state, policy, request, session, gateway, now)


def _repeat(request: CreditControlRequest, answered: Answer, now: UnixMillis) -> Served:
    """Give the first answer again; where the content differs nothing is charged and someone is told."""
    if answered.request_type == request.request_type and has_digest(request, answered.digest):
        return None, answered
    return _refuse(request, ResultCode.UNABLE_TO_COMPLY, OTHER_CONTENT, now)


def _recalled(state: State, policy: Policy, command: cmd.Recalled, now: UnixMillis) -> Served:
    request, gateway, newest, event = command
    if event is not None:
        return _repeat(request, answer_of(event), now)
    # While the journal was read the same request may have come and been served: memory speaks first.
    session = state.charging.sessions.get(request.session_id)
    if session is not None:
        answered = session.answered(request.number)
        if answered is not None:
            return _repeat(request, unpack_answer(answered), now)
        if _has_let_go(session) and session.answered(newest) is None:
            return None, Recall(request, gateway, session.newest_number)  # served, and let go, in the meantime perhaps
    return _unserved(state, policy, request, session, gateway, now)


def _has_let_go(session: Session) -> bool:
    """Tell whether answers of a session may be kept no longer."""
    return session.state == ENDED or len(session.answers) == ANSWERS_KEPT


def _unserved(
    state: State,
    policy: Policy,
    request: CreditControlRequest,
    session: Session | None,
    gateway: Gateway,
    now: UnixMillis,
) -> Served:
    """Decide a request that no answer was ever given to."""
    initial = request.request_type in OPENING_TYPES
    if session is None:
        if initial:
            return _serve(state, policy, request, None, gateway, now)
        return _refuse(request, ResultCode.UNKNOWN_SESSION_ID, NO_SESSION, now)
    if initial:
        return _refuse(request, ResultCode.UNABLE_TO_COMPLY, "it would begin a session that is there already", now)
    if session.state == ENDED:
        return _refuse(request, ResultCode.UNKNOWN_SESSION_ID, "the session has ended", now)
    return _serve(state, policy, request, session, gateway, now)


def _serve(
    state: State,
    policy: Policy,
    request: CreditControlRequest,
    session: Session | None,
    gateway: Gateway,
    now: UnixMillis,
) -> Served:
    if session is None and state.charging.sessions.open_total >= policy.sessions_max:
        raise TooBusy(f"{policy.sessions_max} sessions are open; no more fit")
    if request.request_type == EVENT:
        event = one_time.decide(state.charging, policy, request, gateway, now)
        if request.action in one_time.MOVES_NOTHING:
            return None, answer_of(event)
    else:
        event = _decide(state, policy, request, session, gateway, now)
    return event, answer_of(event)


def _decide(
    state: State,
    policy: Policy,
    request: CreditControlRequest,
    session: Session | None,
    gateway: Gateway,
    now: UnixMillis,
) -> Stepped:
    """Decide a request of a session; where its gateway signs, no more is granted than a channel can hold."""
    event = charging.decide(state.charging, policy, request, session, gateway, now)
    room = holding.room(state.signed, state.charging.sessions, event, gateway)
    if room is None:
        return event
    policy = replace(policy, max_octets=min(policy.max_octets, room), may_grant=room >= GRANT_LEAST)
    return charging.decide(state.charging, policy, request, session, gateway, now)


def _refuse(request: CreditControlRequest, code: ResultCode, detail: str, now: UnixMillis) -> Served:
    """Refuse and change nothing; reported use is written down where no session can take it."""
    answer = Answer(request.number, request.request_type, request.digest, code, ())
    used = sum(service.used for service in request.services)
    if code == ResultCode.UNKNOWN_SESSION_ID and not used:
        return None, answer
    event = Refused(
        at=now,
        session_id=request.session_id,
        request_type=request.request_type,
        number=request.number,
        result_code=code,
        used=Octets(used),
        origin_host=request.origin_host,
        detail=detail,
    )
    return event, answer


def _supervise(state: State, session_id: SessionId, now: UnixMillis) -> Expired | None:
    session = state.charging.sessions.get(session_id)
    if session is None or session.state == ENDED or session.deadline > now:
        return None
    unanswered = session.dropped >= 0 and len(session.answers) == 1
    cause = EndCause.UNANSWERED if unanswered else EndCause.EXPIRED
    return Expired(now, session_id, cause, session.last)


def _drop_answer(
    state: State, policy: Policy, session_id: SessionId, number: int, now: UnixMillis
) -> AnswerDropped | None:
    """A session whose first answer never left ends soon, unless its gateway is heard again."""
    session = state.charging.sessions.get(session_id)
    if session is None or session.newest_number != number:
        return None
    newest = unpack_answer(session.answers[-1])
    first = len(session.answers) == 1 and newest.request_type == CcRequestType.INITIAL
    deadline = UnixMillis(now + policy.unanswered_ms) if first else session.deadline
    return AnswerDropped(now, session_id, number, deadline, session.last)


def evolve(state: State, event: Event, answer: Answer | None = None) -> None:
    """Apply one event, in place; `state.group` is the commit group that holds it.

    Args:
        answer: what `answer_of(event)` gives, where the caller has it at hand.
    """
    charging_state = state.charging
    state.at = event.at
    if isinstance(event, Stepped):
        if not express.apply(charging_state, event, state.group):
            apply_step(charging_state, event, state.group, answer)
        holding.follow(state.signed, charging_state.sessions, event)
        charging_state.sessions.forget_ended(event.at)
        return
    match event:
        case Expired():
            apply_expired(charging_state, event, state.group)
            holding.end(state.signed, SessionId(event.session_id), event.at)
        case AnswerDropped():
            apply_dropped(charging_state, event, state.group)
        case Refused():
            pass  # for the books alone
        case TerminationAsked():
            apply_termination(charging_state, event, state.group)
        case Started():
            charging_state.sessions.postpone(event.grace, event.at)
        case OperatorAdded():
            _evolve_operator_added(state, event)
        case OperatorChanged():
            operator = charging_state.operators[event.operator]
            operator.prefixes.extend(event.added)
            charging_state.operators.add_prefixes(operator, event.added)
            operator.grant_max = event.grant_max
        case TariffAdded():
            charging_state.tariffs.add(
                Tariff(event.tariff, event.operator, event.rating_group, event.apn, event.price, event.per_octets)
            )
        case ToppedUp():
            transfer.top_up(charging_state.operators[event.operator].account, event.amount)
            state.top_ups[event.number] = event
            state.top_up_keys[event.operator, event.key] = event.number
        case Reversed():
            transfer.reverse(charging_state.operators[event.operator].account, event.amount)
            taken = state.reversed_credits.get(event.top_up, 0)
            state.reversed_credits[event.top_up] = type(event.amount)(taken + event.amount)
        case WrittenOff():
            transfer.write_off(charging_state.operators[event.operator].account, event.amount)
        case PeerAllowed():
            state.peers[event.origin_host] = event
        case PeerRevoked():
            state.peers.pop(event.origin_host, None)
        case _:
            _evolve_signed(state.signed, event)
    charging_state.sessions.forget_ended(event.at)


def _evolve_signed(signed: SignedUsage, event: SignedEvent) -> None:
    """Apply what concerns keys, channels and reports."""
    match event:
        case SessionBegun() | UsageCommitted() | SessionFrozen() | ReportRefused():
            reporting.evolve(signed, event)
        case SignersAdded() | KeyRevoked() | KeyRotated():
            signed.register.apply(event)
        case CreditsBought():
            signed.channels.buy(event.amount)
            signed.purchases[event.key] = event
        case ChannelOpened() | ChannelStepped():
            deployment.evolve(signed, event)
        case LogWitnessed():
            signed.witnessed = event
        case _:
            assert_never(event)


def _evolve_operator_added(state: State, event: OperatorAdded) -> None:
    state.charging.operators.add(
        Operator(event.operator, event.name, list(event.prefixes), event.at, event.grant_max, Account())
    )
    state.charging.tariffs.add(Tariff(event.tariff, event.operator, None, None, event.price, event.per_octets))
