"""The core: one event loop that does nothing but Diameter, decide and commit.  DESIGN: a still core, a thin shell.

    request -> Reception -> decide -> event -> Committer -> sync -> answer

No rule lives here; what is told to anybody waits for the newest group it could have seen.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from ocs import command as cmd
from ocs.channel.event import ChannelStepped
from ocs.channel.transition import Step
from ocs.credit_control import answer as cca
from ocs.credit_control.applying import answer_of
from ocs.credit_control.event import Expired, Gateway, Note, Refused, Stepped
from ocs.credit_control.event import State as SessionState
from ocs.credit_control.form import Form
from ocs.credit_control.one_time import MOVES_NOTHING
from ocs.credit_control.policy import Policy
from ocs.credit_control.request import CreditControlRequest
from ocs.credit_control.screening import Finding, Rule, Screening
from ocs.credit_control.session import Answer as StoredAnswer
from ocs.credit_control.supervision import Supervision
from ocs.diameter import base
from ocs.diameter.base import LocalNode
from ocs.diameter.codes import CcRequestType, ResultCode
from ocs.diameter.happening import Answer, Request, Unanswered
from ocs.diameter.peer import PeerLimits
from ocs.errors import DiameterError, TooBusy, UnableToComply, Unavailable
from ocs.node import Decision, Done, Recall, charge, decide, evolve
from ocs.reporting import UsagePolicy
from ocs.shell.clock import Clock
from ocs.shell.core.backlog import EXIT_BUG, Backlog
from ocs.shell.core.committer import Committer, Promise
from ocs.shell.core.connections import Connections
from ocs.shell.core.diameter_tcp import DiameterConnection
from ocs.shell.core.measures import MALFORMED, Measures
from ocs.shell.core.outgoing import Outgoing
from ocs.shell.core.reception import Reception
from ocs.shell.core.usage_desk import UsageDesk
from ocs.shell.live import Live
from ocs.state import Event, PeerAllowed, PeerRevoked, State
from ocs.units import SECOND, SessionId, UnixMillis

SHED_SECONDS = 0.25
"""A commit under way for longer means a queue that would end in late answers."""

SUCCESS = ResultCode.SUCCESS
TERMINATION = CcRequestType.TERMINATION

TOLD_SECONDS = 60
"""Between two lines of the log about one rule of screening and one peer."""

SUPERVISED_AT_ONCE = 200
"""Sessions ended between two looks at the sockets: a burst of expiries delays nobody's answer."""

TENDED_SECONDS = 0.5
"""Between two looks at the channels."""

Recollector = Callable[[SessionId, int], Awaitable[Stepped | None]]

Asked = tuple[Request, CreditControlRequest, Form | None]
Served = tuple[Request, CreditControlRequest, Form | None, Event | None, StoredAnswer | Stepped]

log = structlog.get_logger()


class Core:
    """State, journal and connections of the running server."""

    def __init__(
        self,
        *,
        state: State,
        policy: Policy,
        clock: Clock,
        committer: Committer,
        reception: Reception,
        screening: Screening,
        connections: Connections,
        local: LocalNode,
        limits: PeerLimits,
        measures: Measures,
        deadline_ms: int,
        usage_policy: UsagePolicy,
    ) -> None:
        self.state = state
        self.policy = policy
        self.usage_policy = usage_policy
        self.local = local
        self.limits = limits
        self.measures = measures
        self.committer = committer
        self.connections = connections
        self.has_room = True  # on the disk of the journal
        self.started_at = clock.now()
        self.recollect: Recollector | None = None
        self._clock = clock
        self._reception = reception
        self._screening = screening
        self._identity = cca.Identity.of(local.origin_host, local.origin_realm)
        self._deadline_ms = deadline_ms
        self._touched: set[DiameterConnection] = set()
        self._supervision = Supervision()
        self._outgoing = Outgoing(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._well_at = UnixMillis(0)
        self._told_of: dict[tuple[str, Rule], int] = {}
        self._told_of_load = 0
        self.usage = UsageDesk(self.step, committer)
        self.backlog = Backlog(local, self.now, self.serve, self._shed)
        state.charging.sessions.supervise(self._supervision)

    def now(self) -> UnixMillis:
        return self._clock.now()

    # One step

    def step(self, command: cmd.Command, now: UnixMillis | None = None) -> Decision:
        """Decide and evolve; what comes of it may be told only through the committer.

        Args:
            now: where the caller has just looked at the clock, and nothing was stepped since.

        Raises:
            OcsError: the command is refused; nothing has changed.
        """
        decision = decide(self.state, self.policy, command, self.now() if now is None else now, self.usage_policy)
        if decision.event is not None:
            self._evolve(decision.event, None)
        return decision

    def _evolve(self, event: Event, answer: StoredAnswer | None) -> None:
        """Apply an event, and put it into the group that fills."""
        state, committer = self.state, self.committer
        state.group = committer.filling
        try:
            evolve(state, event, answer)
            committer.submit(event)
        except BaseException:
            # Half of an event may be in the state: nothing can be answered from it any more.  The journal does not
            # hold the event, so the next start is sound.
            log.critical("an event is applied or recorded by halves; stopping", exc_info=True, of=type(event).__name__)
            os._exit(EXIT_BUG)
        if not isinstance(event, Stepped) or event.notes:
            self._note(event)

    def administer(self, command: cmd.AdministratorCommand, reply: Callable[[Done], None]) -> None:
        """Carry out an administrator's command; `reply` is called once it is durable.

        Raises:
            OcsError: it is refused.
        """
        outcome = self.step(command).outcome
        assert isinstance(outcome, Done)
        self.committer.after_sync(partial(self._administered, command, outcome, reply))

    def _administered(self, command: cmd.AdministratorCommand, done: Done, reply: Callable[[Done], None]) -> None:
        reply(done)
        match command, done.event:
            case cmd.TopUp(operator=name), _ if not done.repeated:
                self._outgoing.reauthorise(name)
            case cmd.TerminateSession(session_id=session_id), _:
                self._outgoing.abort(SessionId(session_id))
            case _, PeerAllowed(origin_host=host):
                self.connections.doorkeeper.forget(host)
            case _, PeerRevoked(origin_host=host):
                self.connections.turn_out(host)

    # Diameter requests

    def serve(self, connection: DiameterConnection, requests: list[Request]) -> None:
        """Serve CCRs that came together: read all, charge one after the other, write all answers.

        In stages, for a processor that does the same thing again has it at hand: one request all the way after the
        other takes half as long again.
        """
        read = self._reception.receive
        realm, forms = connection.realm, connection.forms
        asked: list[Asked] = []
        for request in requests:
            try:
                charged, form = read(request.message, realm, forms)
            except Exception as error:  # noqa: BLE001  # a bug met by one request harms no other
                self._fail(connection, request, error)
            else:
                asked.append((request, charged, form))
        promises: list[Promise] = []
        for served in self._charge(connection, asked):
            try:
                promises.append(self._promise(connection, *served))
            except Exception as error:  # noqa: BLE001  # what it tells stands, and the others are told theirs
                self._fail(connection, served[0], error)
        if promises:
            self.committer.promise(promises)

    def _charge(self, connection: DiameterConnection, asked: list[Asked]) -> list[Served]:
        """Screen, decide and evolve CCRs, one after the other; refusals and recalls are answered apart."""
        state, policy = self.state, self.policy
        charging, look, seen = state.charging, self._screening.look, connection.seen
        served: list[Served] = []
        for request, charged, form in asked:
            now = request.received
            if now < state.at:
                now = state.at  # it waited while others were decided, and time goes on from the last of them
            try:
                if now != self._well_at and charged.request_type != TERMINATION:
                    self._shed_if_late(now)
                broken = look(seen, charged, charging, now)
                if broken is not None:
                    self._screened(connection, charged, broken)
                gateway = connection.gateway
                if gateway.origin_host != charged.origin_host or gateway.origin_realm != charged.origin_realm:
                    # Behind a relay; most peers speak for themselves, and the one before is the same.
                    gateway = connection.gateway = Gateway(
                        charged.origin_host, charged.origin_realm, connection.peer, connection.profile.name
                    )
                event, told = charge(state, policy, charged, gateway, now)
                if event is not None:
                    self._evolve(event, told if isinstance(told, StoredAnswer) else None)
            except Exception as error:  # noqa: BLE001  # nothing has changed, and the others go on
                self._fail(connection, request, error)
                continue
            if isinstance(told, Recall):
                self._recall(connection, request, told)
            else:
                served.append((request, charged, form, event, told))
        return served

    def _fail(self, connection: DiameterConnection, request: Request, error: Exception) -> None:
        """Refuse a request for what is wrong with it, or, if we are wrong, for that."""
        if not isinstance(error, DiameterError):
            log.error("a bug in serving a request", peer=connection.peer, exc_info=error)
            error = UnableToComply("this server failed; its log says more")
        self._refuse(connection, request, error)

    def _screened(self, connection: DiameterConnection, request: CreditControlRequest, broken: list[Finding]) -> None:
        """Tell of a request that breaks rules of screening.

        Raises:
            DiameterError: one of them refuses it.
        """
        second = self.now() // SECOND
        for rule, evidence in broken:
            self.measures.screened[rule] += 1
            # Each rule and peer is told of once a minute; the metric counts them all.
            if second - self._told_of.get((connection.peer, rule), 0) >= TOLD_SECONDS:
                self._told_of[connection.peer, rule] = second
                log.warning("screening", rule=str(rule), peer=connection.peer, evidence=evidence)
        self._screening.refuse(broken, request)

    def _shed_if_late(self, now: UnixMillis) -> None:
        """Refuse new work early rather than answer it late; a CCR-T is always served: it ends what costs."""
        if self.committer.waiting_seconds() > SHED_SECONDS:
            self.measures.shed["journal"] += 1
            raise TooBusy("the journal is slow; try another server, or again in a moment")
        if not self.has_room:
            self.measures.shed["disk"] += 1
            raise TooBusy("the disk of the journal is nearly full")
        self._well_at = now  # for the others that came at the same instant

    def _promise(
        self,
        connection: DiameterConnection,
        request: Request,
        charged: CreditControlRequest,
        form: Form | None,
        event: Event | None,
        told: StoredAnswer | Stepped,
    ) -> Promise:
        """Write the answer, which leaves once what it tells is durable."""
        if event is None and charged.action not in MOVES_NOTHING:
            self.measures.repeats += 1
        if form is not None:
            octets = form.answers.write(charged, told, self._identity, self.policy)
        else:
            answer = answer_of(told) if isinstance(told, Stepped) else told
            octets = cca.write(charged, answer, self._identity, self.policy)
        if told.result_code != SUCCESS:
            connection.errors += 1
        return Promise(connection, request, charged, event, told, octets)

    def keep(self, promises: list[Promise]) -> None:
        """Send what is durable now, each connection's answers in one write; drop what its gateway has given up."""
        now = self.now()
        too_old = now - self._deadline_ms
        touched = self._touched
        waits: dict[UnixMillis, int] = {}
        for promise in promises:
            connection, request = promise.connection, promise.request
            received = request.received
            if received < too_old:
                self.measures.late += 1
                connection.machine.drop(request)
                self.step(cmd.DropAnswer(promise.charged.session_id, promise.charged.number), now)
            else:
                connection.machine.answer(request, promise.octets)
                waits[received] = waits.get(received, 0) + 1
            touched.add(connection)
        for received, count in waits.items():
            self.measures.answered((now - received) / SECOND, count)
        self.measures.decided(promises)
        self._touched = set()
        for connection in touched:
            connection.flush()

    def _refuse(self, connection: DiameterConnection, request: Request, error: DiameterError) -> None:
        connection.errors += 1
        self.measures.answers[connection.peer, MALFORMED, error.result_code] += 1
        log.info("request refused", peer=connection.peer, result_code=error.result_code, reason=error.detail)
        message = base.error_answer(request.message, self.local, error)
        self.committer.after_sync(partial(self._send_refusal, connection, request, message))

    def _send_refusal(self, connection: DiameterConnection, request: Request, message: bytes) -> None:
        connection.machine.answer(request, message)
        self._touched.add(connection)

    def _recall(self, connection: DiameterConnection, request: Request, recall: Recall) -> None:
        """Ask the follower, which reads the journal, whether this request was served before."""
        self.measures.recalls += 1
        recollect = self.recollect
        if recollect is None:
            self._refuse(connection, request, TooBusy("the journal's reader is starting; try again in a moment"))
            return
        task = asyncio.get_running_loop().create_task(self._recollected(recollect, connection, request, recall))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _recollected(
        self, recollect: Recollector, connection: DiameterConnection, request: Request, recall: Recall
    ) -> None:
        charged = recall.request
        decision = Decision(None, recall)
        try:
            while isinstance(decision.outcome, Recall):
                served = await recollect(charged.session_id, charged.number)
                decision = self.step(cmd.Recalled(*decision.outcome, served))
            told = decision.outcome
            assert isinstance(told, StoredAnswer)
            promise = self._promise(connection, request, charged, None, decision.event, told)
        except Unavailable as error:
            self._refuse(connection, request, TooBusy(str(error)))
        except Exception as error:  # noqa: BLE001  # else its gateway would wait in vain
            self._fail(connection, request, error)
        else:
            self.committer.promise([promise])

    def _note(self, event: Event) -> None:
        """Count an event, and log what someone should know of."""
        match event:
            case Stepped():
                self._note_oddities(event)
            case Refused():
                self.measures.conflicts += 1
                log.warning(
                    "request in conflict",
                    session_id=event.session_id.decode("utf-8", "replace"),
                    cc_request_number=event.number,
                    result_code=event.result_code,
                    octets=event.used,
                    reason=event.detail,
                )
            case Expired():
                self.measures.expired += 1

    def _note_oddities(self, event: Stepped) -> None:
        for note in Note(event.notes):
            assert note.name is not None
            self.measures.notes[note.name.lower()] += 1
        if event.notes & (Note.LATE_REPEAT | Note.OVERRUN):
            log.warning(
                "use to look at",
                session_id=event.session_id.decode("utf-8", "replace"),
                cc_request_number=event.number,
                notes=[str(note.name).lower() for note in Note(event.notes)],
            )

    # Supervision

    async def supervise(self) -> None:
        """End sessions whose supervision is due, a few at a time, for as long as the server runs."""
        while True:
            due = self._supervision.next_due()
            wait = 1.0 if due is None else min(1.0, (due - self.now()) / SECOND)
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            for place, session_id in enumerate(self._supervision.take(self.now())):
                if place % SUPERVISED_AT_ONCE == SUPERVISED_AT_ONCE - 1:
                    await asyncio.sleep(0)
                self._supervise(session_id)

    def _supervise(self, session_id: SessionId) -> None:
        self.step(cmd.Supervise(session_id))
        session = self.state.charging.sessions.get(session_id)
        if session is not None and session.state != SessionState.ENDED:
            self._supervision.watch(session_id, session.deadline)

    async def tend(self) -> None:
        """Take each step of a channel towards its end when it is due, for as long as the server runs."""
        while True:
            while (event := self.step(cmd.Tend()).event) is not None:
                assert isinstance(event, ChannelStepped)
                log.info("channel", number=event.number, step=Step(event.step).name.lower())
                await asyncio.sleep(0)
            await asyncio.sleep(TENDED_SECONDS)

    # What connections bring besides requests

    def _shed(self, connection: DiameterConnection, count: int) -> None:
        """Count requests that were answered 3004 because more came than can be served."""
        connection.errors += count
        self.measures.shed["load"] += count
        self.measures.answers[connection.peer, MALFORMED, ResultCode.TOO_BUSY] += count
        second = self.now() // SECOND
        if second - self._told_of_load >= TOLD_SECONDS:
            self._told_of_load = second
            log.warning("overload", peer=connection.peer, mend="more comes than this machine can serve; share the load")

    def answered(self, connection: DiameterConnection, answer: Answer) -> None:
        self._outgoing.answered(connection, answer)

    def unanswered(self, connection: DiameterConnection, happening: Unanswered) -> None:
        self._outgoing.unanswered(connection, happening)

    # What others ask

    def live(self) -> Live:
        """Give a view of the running core."""
        self.measures.groups = self.committer.groups
        self.measures.events = self.committer.events
        self.measures.commit_seconds = self.committer.commit_seconds
        self.measures.peers = self.connections.counters()
        self.measures.clock_drift_seconds = self._clock.drift_ms() / SECOND
        return Live(
            self.started_at,
            self.now(),
            self.committer.synced,
            self.connections.taken,
            self.connections.views(),
            list(self.connections.doorkeeper.waiting.values()),
            self.measures.text(),
        )

    async def stop(self, seconds: float) -> None:
        """Say goodbye to every peer, answer what is in flight, and wait for the journal."""
        await self.connections.end(seconds)
        self.backlog.clear()
        await self.committer.drain()
