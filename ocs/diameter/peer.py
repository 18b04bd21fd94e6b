"""One accepted connection of a peer: bytes and `now` in; bytes, requests and a deadline out.  RFC 6733 section 5.

The server's side only: nobody is called from here, so of the RFC's states those of the initiator and the election are
missing.  What stands instead of its R-Open and Closing says what is still owed:

    WAIT_CER ──CER──▶ OPEN ──own stop──▶ FINISHING ──all answered──▶ CLOSING ──DPA──▶ CLOSED
                       └──────DPR──────▶ DRAINING ──all answered──▶ LEAVING ──peer closes──▶ CLOSED

The table is in peer_state.py.  An event without a row raises `OutOfTurn` and changes nothing.

Choices where the RFC leaves one:

- P on a base request or missing on a CCR, T on a base request, reserved flags: accepted; the answer repeats P alone.
- A second connection with the identity of an open one is the shell's to judge (`yields_to`).  BUSY is answered with
  4003, after which clients call again later; other codes make some give a peer up for good.
- After our DPR a request is answered 3004, and the client sends it elsewhere at once; after the peer's own it is
  counted and dropped.
- A DPA ends our DPR whatever its ids; any other answer has to match a request of ours, or is counted and dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, NamedTuple

from ocs.diameter import base, framing, watchdog
from ocs.diameter.base import Introduction, LocalNode
from ocs.diameter.codes import Command, DisconnectCause, Flag
from ocs.diameter.framing import HEADER_OCTETS, MESSAGE_OCTETS_MAX, Framer, FramingError, Header, read_header
from ocs.diameter.happening import (
    Answer,
    Closed,
    Counters,
    Happening,
    Leaving,
    Opened,
    Reason,
    Request,
    Unanswered,
    WatchdogChanged,
)
from ocs.diameter.peer_state import CCR_HEADS, TABLE, Action, Event, State, classify, header_fault
from ocs.diameter.watchdog import Rng, Watchdog
from ocs.errors import (
    DiameterError,
    ElectionLost,
    OutOfTurn,
    TooBusy,
    UnableToComply,
    Unavailable,
    UnknownPeer,
    UnsupportedVersion,
)
from ocs.units import SECOND, UnixMillis

DOUBT_MS: Final = 3 * SECOND
"""A live peer answers a DWR at once; when one is unanswered for this long, a new connection may take the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLimits:
    """Everything has an end; times in milliseconds."""

    introduction_ms: int = 10 * SECOND  # from accept to the CER: a stranger holds a socket no longer
    message_ms: int = 10 * SECOND  # for the rest of a message that has begun
    request_ms: int = 10 * SECOND  # for the answer to a request of ours (RFC 8506 section 13, Tx)
    goodbye_ms: int = 4 * SECOND  # for outstanding answers, then as long again for the DPA or the peer's close
    watchdog_ms: int = watchdog.INTERVAL_MS_DEFAULT
    outstanding_max: int = 4096  # requests of the peer without an answer; more than a second of one gateway's peak
    pending_max: int = 1024  # requests of ours without an answer
    message_octets_max: int = MESSAGE_OCTETS_MAX


class Verdict(IntEnum):
    ACCEPT = 1
    REFUSE = 2  # unknown identity or address: CEA 3010
    BUSY = 3  # a live connection has this identity: CEA 4003


class Admission(NamedTuple):
    """What the shell says to an introduction; the reason goes into Error-Message and the log."""

    verdict: Verdict
    reason: str = ""


OPEN: Final = State.OPEN  # bound once: an enum's member costs as much as a call each time it is named
_NO_HEADER: Final = Header(0, 0, 0, 0, 0, 0)


class _Pending(NamedTuple):
    command: int
    deadline: UnixMillis


class PeerConnection:
    """A connection from accept to close.

    Feed it with `receive`, `tick` and `lost`; after each call send `data_to_send()`, obey `reading` and `want_close`,
    and call `tick` again at `next_deadline()`.

    Attributes:
        state: where the table stands.
        identity: what the admitted CER said; none before.
        counters: totals of this connection.
    """

    def __init__(
        self,
        local: LocalNode,
        admit: Callable[[Introduction], Admission],
        now: UnixMillis,
        rng: Rng,
        *,
        secure: bool,
        limits: PeerLimits,
    ) -> None:
        self.state = State.WAIT_CER
        self.identity: Introduction | None = None
        self.counters = Counters()
        self._local = local
        self._admit = admit
        self._now = now
        self._rng = rng
        self._secure = secure
        self._limits = limits
        self._framer = Framer(limits.message_octets_max)
        self._out: list[bytes] = []
        self._happenings: list[Happening] = []
        self._deadline: UnixMillis | None = UnixMillis(now + limits.introduction_ms)  # of the state; none while OPEN
        self._partial_since: UnixMillis | None = None
        self._watchdog: Watchdog | None = None
        self._watchdog_hop_by_hop: int | None = None
        self._outstanding = 0
        self._pending: dict[int, _Pending] = {}  # by Hop-by-Hop id, oldest first
        self._hop_by_hop = rng.randint(0, 0xFFFFFFFF)
        # RFC 6733 section 3: unique over four minutes and over restarts, counted up from here.
        self._end_to_end = (now // SECOND & 0xFFF) << 20 | rng.randint(0, 0xFFFFF)
        self._disconnect_cause = DisconnectCause.REBOOTING
        self._goodbye = b""  # the DPA that waits until everything is answered
        self._loss = Reason.LOST, ""

    # In

    def receive(self, data: bytes, now: UnixMillis) -> list[Happening]:
        """Take bytes as they came; however they are cut, the same comes out."""
        if self.state is State.CLOSED:
            return []
        self._now = now
        broken: FramingError | None = None
        try:
            messages = self._framer.feed(data)
        except FramingError as error:
            broken, messages = error, error.messages
        if not self._framer.pending:
            self._partial_since = None
        elif messages or self._partial_since is None:
            self._partial_since = now

        for message in messages:
            if self.state is OPEN and message[4:12] in CCR_HEADS:
                # What the table says of OPEN and REQUEST, without looking it up for each of thousands a second.
                self._outstanding += 1
                self.counters.requests += 1
                self._happenings.append(Request(message, now))
                continue
            header = read_header(message)
            self._step(classify(header), header, message)
            if self.want_close:
                return self._take()
        if messages and self._watchdog is not None:
            self._watch(self._watchdog.message(now))
        if broken is not None:
            self._end_of_stream(broken)
        return self._take()

    def tick(self, now: UnixMillis) -> list[Happening]:
        """Do what is due; nothing is lost when it is called early or late."""
        self._now = now
        while self._pending:
            hop_by_hop, oldest = next(iter(self._pending.items()))
            if oldest.deadline > now:
                break
            del self._pending[hop_by_hop]
            self._unanswered(hop_by_hop, oldest)
        if self._partial_since is not None and self._partial_since + self._limits.message_ms <= now:
            self._step(Event.STALLED)
        if self._deadline is not None and self._deadline <= now:
            self._step(Event.TIMEOUT)
        if self.state is State.OPEN and self._watchdog is not None:
            due = self._watchdog.deadline
            if due is not None and due <= now:
                self._watch(self._watchdog.expired(now))
        return self._take()

    def lost(
        self, now: UnixMillis, reason: Reason = Reason.LOST, detail: str = "the transport ended"
    ) -> list[Happening]:
        """Note that the transport ended, and why where that is known; one that was closing keeps its own reason."""
        self._now = now
        self._loss = reason, detail
        self._step(Event.LOST)
        return self._take()

    def disconnect(self, cause: DisconnectCause, now: UnixMillis) -> list[Happening]:
        """Wish to stop: answer what is outstanding, send a DPR, close at the DPA or when the time is up.

        Until the DPR is out new requests are answered 3004, so that the client turns to another server at once.

        Raises:
            OutOfTurn: the connection is closed already.
        """
        self._now = now
        self._disconnect_cause = cause
        self._step(Event.STOP)
        return self._take()

    # Out

    def answer(self, request: Request, message: bytes) -> None:
        """Queue the answer to `request`; silently dropped and counted where the connection is past it."""
        assert message[12:20] == request.message[12:20], "an answer bears the ids of its request"
        if self.state is OPEN:  # the row of OPEN and ANSWERED
            assert self._outstanding > 0, "each request is given back once"
            self._outstanding -= 1
            self.counters.answers += 1
            self._out.append(message)
        else:
            self._step(Event.ANSWERED, _NO_HEADER, message)

    def drop(self, request: Request) -> None:
        """Give up on `request`: its answer came too late to be sent."""
        self._step(Event.ANSWERED)

    def send(self, command: Command, application: int, avps: bytes, now: UnixMillis) -> int:
        """Queue a request of ours, RAR or ASR; return its Hop-by-Hop id, by which an `Answer` is known.

        Raises:
            OutOfTurn: the connection is not open.
            Unavailable: too many requests of ours wait for an answer.
        """
        if self.state is State.OPEN and len(self._pending) >= self._limits.pending_max:
            raise Unavailable(f"{len(self._pending)} requests to this peer wait for an answer")
        self._step(Event.SEND)
        hop_by_hop, end_to_end = self._ids()
        flags = Flag.REQUEST | Flag.PROXIABLE
        self._out.append(framing.encode(flags, command, application, hop_by_hop, end_to_end, avps))
        self._pending[hop_by_hop] = _Pending(command, UnixMillis(now + self._limits.request_ms))
        return hop_by_hop

    def data_to_send(self) -> bytes:
        """Give all that is queued, once."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def next_deadline(self) -> UnixMillis | None:
        """Give the time at which `tick` has something to do, if nothing comes before."""
        due = self._deadline
        if self.state is State.OPEN and self._watchdog is not None:
            due = self._watchdog.deadline
        if self._partial_since is not None:
            stalled = UnixMillis(self._partial_since + self._limits.message_ms)
            due = stalled if due is None else min(due, stalled)
        if self._pending:
            oldest = next(iter(self._pending.values())).deadline
            due = oldest if due is None else min(due, oldest)
        return due

    @property
    def want_close(self) -> bool:
        """Whether the transport is to be closed once everything is sent."""
        return self.state is State.CLOSED

    @property
    def reading(self) -> bool:
        """Whether the transport may read on; false while the peer has too many answers outstanding."""
        return self._outstanding < self._limits.outstanding_max and self.state is not State.CLOSED

    @property
    def watchdog_state(self) -> watchdog.State | None:
        """The watchdog's state; none before the CER."""
        return self._watchdog.state if self._watchdog is not None else None

    def yields_to(self, introduction: Introduction, now: UnixMillis) -> bool:
        """Tell whether a new connection of the same peer may take this one's place.

        RFC 6733 section 5.6 rejects the new one.  But a connection that the peer lost without our knowing would lock
        it out until the watchdog ends it, so this one yields once it is doubtful: on its way out, a DWR unanswered
        for `DOUBT_MS`, or a risen Origin-State-Id, which tells of a restart (section 8.16).  Two live
        nodes with one identity do not get past that.
        """
        if self.state is not State.OPEN or self.identity is None or self._watchdog is None:
            return True
        if introduction.origin_state_id > self.identity.origin_state_id > 0:
            return True
        since = self._watchdog.pending_since
        return since is not None and since + DOUBT_MS <= now

    # The loop

    def _step(self, event: Event, header: Header = _NO_HEADER, message: bytes = b"") -> None:
        row = TABLE.get((self.state, event))
        if row is None:
            raise OutOfTurn(f"a connection that is {self.state.name} has no {event.name}")
        action, self.state = row
        self._ACTIONS[action](self, header, message)

    def _take(self) -> list[Happening]:
        happenings, self._happenings = self._happenings, []
        return happenings

    def _ids(self) -> tuple[int, int]:
        self._hop_by_hop = self._hop_by_hop + 1 & 0xFFFFFFFF
        self._end_to_end = self._end_to_end + 1 & 0xFFFFFFFF
        return self._hop_by_hop, self._end_to_end

    def _watch(self, action: watchdog.Action) -> None:
        """Do what the watchdog asks for."""
        assert self._watchdog is not None
        if action is watchdog.Action.SEND:
            self._watchdog_hop_by_hop, end_to_end = self._ids()
            self._out.append(base.watchdog_request(self._local, self._watchdog_hop_by_hop, end_to_end))
            self.counters.watchdog_requests += 1
        elif action in (watchdog.Action.FAILOVER, watchdog.Action.FAILBACK):
            self._happenings.append(WatchdogChanged(self._watchdog.state))
        elif action is watchdog.Action.CLOSE:
            self._step(Event.DEAD)

    def _end_of_stream(self, broken: FramingError) -> None:
        """Answer a header that could be read, if it is a request's and we are to answer here, and close."""
        reason = Reason.VERSION if isinstance(broken.reason, UnsupportedVersion) else Reason.LENGTH
        header = read_header(broken.header) if len(broken.header) == HEADER_OCTETS else _NO_HEADER
        introduced = self.state is not State.WAIT_CER or header.command == Command.CAPABILITIES_EXCHANGE
        answerable = header.is_request and introduced and self.state is not State.LEAVING
        self._step(Event.BROKEN)
        if answerable:
            self._refuse_with(broken.header, broken.reason)
        self._end(reason, broken.reason.detail)

    def _end(self, reason: Reason, detail: str) -> None:
        """Tell of the end once; what waited for an answer of the peer waits no more."""
        assert self.state is State.CLOSED
        for hop_by_hop, pending in self._pending.items():
            self._unanswered(hop_by_hop, pending)
        self._pending.clear()
        self._deadline = self._partial_since = None
        if self._watchdog is not None and self._watchdog.state is not watchdog.State.DOWN:
            self._watchdog.transport_down(self._now)
        self._happenings.append(Closed(reason, detail))

    def _unanswered(self, hop_by_hop: int, pending: _Pending) -> None:
        self.counters.unanswered += 1
        self._happenings.append(Unanswered(hop_by_hop, pending.command))

    def _refuse_with(self, message: bytes, error: DiameterError) -> None:
        refusals = self.counters.refusals
        refusals[error.result_code] = refusals.get(error.result_code, 0) + 1
        self._out.append(base.error_answer(message, self._local, error))

    # Actions; the table names them

    def _nothing(self, header: Header, message: bytes) -> None:
        """The new state is all."""

    def _judge(self, header: Header, message: bytes) -> None:
        try:
            introduction = base.read_introduction(message, secure=self._secure)
            admission = self._admit(introduction)
            if admission.verdict is Verdict.BUSY:
                raise ElectionLost(admission.reason or "this identity is connected already")
            if admission.verdict is Verdict.REFUSE:
                raise UnknownPeer(admission.reason or "this peer is not known here")
        except DiameterError as error:
            self._refuse_with(message, error)
            self._step(Event.REFUSED)
            self._end(Reason.REFUSED, f"{error.result_code}: {error.detail}")
        else:
            self.identity = introduction
            self._step(Event.ADMITTED, header, message)

    def _open(self, header: Header, message: bytes) -> None:
        assert self.identity is not None
        self._out.append(base.capabilities_answer(header, self._local))
        self._deadline = None
        self._watchdog = Watchdog(self._limits.watchdog_ms, self._rng, self._now)
        self._happenings.append(Opened(self.identity))

    def _turn_away(self, header: Header, message: bytes) -> None:
        if header.command == Command.CAPABILITIES_EXCHANGE:
            self._refuse_with(message, header_fault(header))
        self._not_an_introduction(header, message)

    def _not_an_introduction(self, header: Header, message: bytes) -> None:
        self._end(Reason.NOT_AN_INTRODUCTION, f"command {header.command} came before a CER")

    def _serve(self, header: Header, message: bytes) -> None:
        self._outstanding += 1
        self.counters.requests += 1
        self._happenings.append(Request(message, self._now))

    def _match(self, header: Header, message: bytes) -> None:
        pending = self._pending.get(header.hop_by_hop)
        if pending is None or pending.command != header.command:
            self.counters.answers_unmatched += 1
            return
        del self._pending[header.hop_by_hop]
        self._happenings.append(Answer(message, header))

    def _unmatched(self, header: Header, message: bytes) -> None:
        self.counters.answers_unmatched += 1

    def _refuse_second_cer(self, header: Header, message: bytes) -> None:
        self._refuse_with(message, UnableToComply("capabilities are exchanged once for each connection"))

    def _refuse(self, header: Header, message: bytes) -> None:
        self._refuse_with(message, header_fault(header))

    def _shed(self, header: Header, message: bytes) -> None:
        self._refuse_with(message, TooBusy("this server is about to close the connection"))

    def _drop_request(self, header: Header, message: bytes) -> None:
        self.counters.requests_dropped += 1

    def _answer_watchdog(self, header: Header, message: bytes) -> None:
        try:
            base.check_watchdog_request(message)
        except DiameterError as error:
            self._refuse_with(message, error)
        else:
            self._out.append(base.watchdog_answer(header, self._local))

    def _note_watchdog(self, header: Header, message: bytes) -> None:
        assert self._watchdog is not None
        if header.hop_by_hop == self._watchdog_hop_by_hop:
            self._watchdog_hop_by_hop = None
            self._watch(self._watchdog.answered(self._now))
        else:
            self.counters.answers_unmatched += 1

    def _put(self, header: Header, message: bytes) -> None:
        assert self._outstanding > 0, "each request is given back once"
        self._outstanding -= 1
        if message:
            self.counters.answers += 1
            self._out.append(message)
        else:
            self.counters.answers_dropped += 1

    def _put_then_go(self, header: Header, message: bytes) -> None:
        self._put(header, message)
        self._go_if_drained()

    def _drop_answer(self, header: Header, message: bytes) -> None:
        assert self._outstanding > 0, "each request is given back once"
        self._outstanding -= 1
        self.counters.answers_dropped += 1

    def _finish(self, header: Header, message: bytes) -> None:
        self._deadline = UnixMillis(self._now + self._limits.goodbye_ms)
        self._go_if_drained()

    def _hear_goodbye(self, header: Header, message: bytes) -> None:
        cause = self._prepare_goodbye(header, message)
        self._happenings.append(Leaving(cause))
        self._deadline = UnixMillis(self._now + self._limits.goodbye_ms)
        self._go_if_drained()

    def _cross_goodbye(self, header: Header, message: bytes) -> None:
        self._prepare_goodbye(header, message)
        self._out.append(self._goodbye)

    def _prepare_goodbye(self, header: Header, message: bytes) -> int | None:
        """Build the DPA.  A peer that wants to go is let go, also where its DPR is not in order."""
        try:
            cause = base.read_disconnect_cause(message)
        except DiameterError as error:
            self._goodbye = base.error_answer(message, self._local, error)
            return None
        self._goodbye = base.disconnect_answer(header, self._local)
        return cause

    def _go_if_drained(self) -> None:
        if self._outstanding == 0:
            self._step(Event.DRAINED)

    def _send_dpr(self, header: Header, message: bytes) -> None:
        self._out.append(base.disconnect_request(self._local, self._disconnect_cause, *self._ids()))
        self._extend_goodbye()

    def _send_dpa(self, header: Header, message: bytes) -> None:
        self._out.append(self._goodbye)
        self._extend_goodbye()

    def _extend_goodbye(self) -> None:
        # From the first deadline on, not from now: an answer brings no `now` with it, and the whole stays bounded.
        assert self._deadline is not None
        self._deadline = UnixMillis(self._deadline + self._limits.goodbye_ms)

    def _end_unintroduced(self, header: Header, message: bytes) -> None:
        self._end(Reason.NO_INTRODUCTION, "no CER in time")

    def _end_stalled(self, header: Header, message: bytes) -> None:
        self._end(Reason.STALLED, f"{self._framer.pending} octets of a message came and the rest did not")

    def _end_dead(self, header: Header, message: bytes) -> None:
        self._end(Reason.WATCHDOG, "nothing was heard for three watchdog intervals")

    def _end_stopped(self, header: Header, message: bytes) -> None:
        self._end(Reason.STOPPED, f"by this server, {self._disconnect_cause.name}")

    def _end_left(self, header: Header, message: bytes) -> None:
        self._end(Reason.LEFT, "the peer said goodbye")

    def _end_lost(self, header: Header, message: bytes) -> None:
        self._end(*self._loss)

    _ACTIONS: ClassVar[dict[Action, Callable[["PeerConnection", Header, bytes], None]]] = {
        Action.NOTHING: _nothing,
        Action.JUDGE: _judge,
        Action.OPEN: _open,
        Action.TURN_AWAY: _turn_away,
        Action.NOT_AN_INTRODUCTION: _not_an_introduction,
        Action.SERVE: _serve,
        Action.MATCH: _match,
        Action.UNMATCHED: _unmatched,
        Action.REFUSE_SECOND_CER: _refuse_second_cer,
        Action.REFUSE: _refuse,
        Action.SHED: _shed,
        Action.DROP_REQUEST: _drop_request,
        Action.ANSWER_WATCHDOG: _answer_watchdog,
        Action.NOTE_WATCHDOG: _note_watchdog,
        Action.PUT: _put,
        Action.PUT_THEN_GO: _put_then_go,
        Action.DROP_ANSWER: _drop_answer,
        Action.FINISH: _finish,
        Action.HEAR_GOODBYE: _hear_goodbye,
        Action.CROSS_GOODBYE: _cross_goodbye,
        Action.SEND_DPR: _send_dpr,
        Action.SEND_DPA: _send_dpa,
        Action.END_UNINTRODUCED: _end_unintroduced,
        Action.END_STALLED: _end_stalled,
        Action.END_DEAD: _end_dead,
        Action.END_STOPPED: _end_stopped,
        Action.END_LEFT: _end_left,
        Action.END_LOST: _end_lost,
    }
