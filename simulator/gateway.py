"""The gateway: a Diameter client over asyncio, as an SGW's session proxy is one.

It opens the connection and keeps it alive, sends CCRs without waiting for earlier ones, matches answers by their
Hop-by-Hop id, answers what the server asks, and puts every answer through the checks.  What a session does with an
answer is not decided here.  RFC 6733 sections 5 and 6, RFC 3539 section 3.4, RFC 8506 section 5.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Final, Protocol

from simulator.checks import (
    LIMITED_SUCCESS,
    SUCCESS,
    Rule,
    Violation,
    check_capabilities,
    check_credit_control,
    check_server_request,
)
from simulator.line import Line, Observer
from simulator.messages import (
    CreditRequest,
    Identity,
    answer,
    capabilities_exchange_request,
    credit_control_request,
    device_watchdog_request,
    disconnect_peer_request,
)
from simulator.profile import STANDARD, Profile
from simulator.record import Record
from simulator.wire import Command, Flag, Malformed, Message, message_octets, text

TX_SECONDS: Final = 10.0
"""The client's answer timer Tx (RFC 8506 section 13)."""

WATCHDOG_SECONDS: Final = 30.0
"""Tw (RFC 3539 section 3.4.1)."""

BASE_ANSWER_SECONDS: Final = 5.0
"""How long a CEA or DPA may take; the standards leave it open."""

UNKNOWN_SESSION_ID: Final = 5002
COMMAND_UNSUPPORTED: Final = 3001
REBOOTING: Final = 0


class GatewayError(Exception):
    """The server cannot be used."""


class Unreachable(GatewayError):
    """No TCP connection, or no CEA on it."""


class Rejected(GatewayError):
    """The CEA refused us, with this Result-Code."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


class Unanswered(GatewayError):
    """No answer within Tx, or the connection was lost first; `request` can be sent again with T set."""

    def __init__(self, request: Message, reason: str) -> None:
        super().__init__(reason)
        self.request = request


Change = Callable[[Message], Message]


class Attended(Protocol):
    """A session that the server can reach through its gateway."""

    async def reauthorise(self) -> None:
        """Report and ask anew, for a RAR came."""

    async def abort(self) -> None:
        """End, for an ASR came."""


Address = tuple[str, int]
Observe = Callable[[Address, Address], Observer]
"""Makes an observer for a connection, from its own address and the server's."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, its answer, and the seconds between them."""

    request: Message
    answer: Message
    seconds: float

    @property
    def result_code(self) -> int:
        return self.answer.number("Result-Code") or 0


class Gateway:
    """One gateway and its connection to the server.

    Args:
        watchdog_seconds: silence after which a DWR is sent; twice of it closes the connection.
        record: where answers and broken rules are counted; several gateways may share one.
        observe: makes an observer for each connection, from its own address and the server's.
        overhear: is told each message that leaves or comes.

    Attributes:
        line: the way to the server; None while there is no connection.
        tx_seconds: how long a CCR waits for its answer.
    """

    def __init__(
        self,
        identity: Identity,
        profile: Profile = STANDARD,
        *,
        tx_seconds: float = TX_SECONDS,
        watchdog_seconds: float = WATCHDOG_SECONDS,
        record: Record | None = None,
        rng: random.Random | None = None,
        observe: Observe | None = None,
        overhear: Callable[[Message], None] | None = None,
    ) -> None:
        self.identity = identity
        self.profile = profile
        self.record = record or Record()
        self.server_host = b""
        self.tx_seconds = tx_seconds
        self._watchdog_seconds = watchdog_seconds
        self._rng = rng or random.Random()
        self._hop_by_hop = self._rng.getrandbits(32)
        # Low 12 bits of the time above 20 random ones: no repeat within four minutes (RFC 6733 section 3).
        self._end_to_end = (int(time.time()) & 0xFFF) << 20 | self._rng.getrandbits(20)
        self._session_high, self._session_low = int(time.time()), self._rng.getrandbits(31)
        self.line: Line | None = None
        self._gone = asyncio.Event()
        self._mute = False
        self._observe = observe
        self._overhear = overhear or _ignore
        self._pending: dict[int, asyncio.Future[tuple[Message, float]]] = {}
        self._attended: dict[bytes, Attended] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._heard_at = 0.0

    @property
    def connected(self) -> bool:
        return self.line is not None

    async def connect(self, host: str, port: int) -> Message:
        """Open the connection, exchange capabilities and return the CEA.

        Raises:
            Unreachable: nobody listens there, or no CEA came.
            Rejected: the CEA says anything but 2001.
        """
        try:
            async with asyncio.timeout(BASE_ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            raise Unreachable(f"no Diameter server at {host}:{port}: {error or 'timed out'}") from error
        observer = None
        if self._observe is not None:
            own, server = (writer.get_extra_info(end)[:2] for end in ("sockname", "peername"))
            observer = self._observe(own, server)
        self.line, self._mute = Line(writer, observer), False
        self._gone.clear()
        self.start(self._read(reader, self.line))
        try:
            cea = (await self._ask(capabilities_exchange_request(self.identity, self.profile), BASE_ANSWER_SECONDS))[1]
        except Unanswered as error:
            self._lost()
            raise Unreachable(f"no CEA from {host}:{port}: {error}") from error
        self.record.judged(check_capabilities(cea))
        if (code := cea.number("Result-Code")) != SUCCESS:
            self._lost()
            raise Rejected(
                f"the server refused {self.identity.host}: {code} {text(cea.octets('Error-Message'))}", code or 0
            )
        self.server_host = cea.octets("Origin-Host") or b""
        if not self.identity.destination_realm:
            self.identity = replace(self.identity, destination_realm=text(cea.octets("Origin-Realm")))
        self.start(self._watch())
        return cea

    async def close(self) -> None:
        """Say goodbye with a DPR, wait for the DPA, and close."""
        if self.line is not None and not self._mute:
            with contextlib.suppress(Unanswered):
                await self.disconnect()
        await self.drop()

    async def disconnect(self) -> int:
        """Send a DPR and return the Result-Code of its DPA, after which nothing may be sent any more.

        Raises:
            Unanswered: no DPA came, or there is no connection.
        """
        _, dpa, _ = await self._ask(disconnect_peer_request(self.identity, REBOOTING), BASE_ANSWER_SECONDS)
        return dpa.number("Result-Code") or 0

    async def drop(self) -> None:
        """Cut the connection without a word, as a gateway that fails does; its sessions live on."""
        line = self.line
        self._lost()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if line is not None:
            with contextlib.suppress(OSError):
                await line.writer.wait_closed()
        if self._failure is not None:
            raise self._failure

    def vanish(self, *, sends_still: bool = False) -> None:
        """Let all octets come to nothing, both ways, or those to the gateway alone; the connection stays half open.

        What has no answer because of it breaks no rule of the server's.
        """
        self._mute = True
        if self.line is not None:
            self.line.cut_off = not sends_still

    async def closed_by_server(self, seconds: float) -> bool:
        """Wait until the server has closed the connection; False when it has not in this time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.line is not None:
                    await self._gone.wait()
        return self.line is None

    def new_session_id(self, imsi: str) -> bytes:
        """Make the next Session-Id, in the form of this gateway's profile."""
        self._session_low += 1
        return self.profile.new_session_id(self.identity.host, self._session_high, self._session_low, imsi)

    def attend(self, session_id: bytes, session: Attended) -> None:
        """Let the server's requests for this session reach it."""
        self._attended[session_id] = session

    def leave(self, session_id: bytes) -> None:
        """Forget the session; a request for it is answered 5002 from now on."""
        self._attended.pop(session_id, None)

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Let this run by itself; the end of the connection ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def credit_control(self, request: CreditRequest, change: Change | None = None) -> Exchange:
        """Send a CCR and return it with its checked answer.

        Args:
            change: what a gateway out of order makes of the request.

        Raises:
            Unanswered: Tx ran out or the connection was lost; also recorded as a violation.
        """
        message = credit_control_request(request, self.profile, self.identity)
        return await self._checked(change(message) if change else message)

    async def resend(self, request: Message, *, told: bool = True) -> Exchange:
        """Send a CCR again, on whatever connection there is now, with the same End-to-End id; `told`: T is set.

        Raises:
            Unanswered: as `credit_control`.
        """
        flag = Flag.RETRANSMITTED if told else 0
        return await self._checked(replace(request, flags=request.flags & ~Flag.RETRANSMITTED | flag), again=True)

    async def watchdog(self) -> int:
        """Send a DWR and return the Result-Code of its DWA.

        Raises:
            Unanswered: no DWA within Tw.
        """
        _, dwa, _ = await self._ask(device_watchdog_request(self.identity), self._watchdog_seconds)
        return dwa.number("Result-Code") or 0

    async def _checked(self, request: Message, *, again: bool = False) -> Exchange:
        self.record.requests[request.number("CC-Request-Type") or 0] += 1
        try:
            sent, came, seconds = await self._ask(request, self.tx_seconds, again=again)
        except Unanswered as error:
            if not self._mute:
                self.record.broken([Violation(Rule.NOT_ANSWERED, str(error), request.session_id)])
            raise
        exchange = Exchange(sent, came, seconds)
        self.record.answered(exchange.result_code, seconds, time.monotonic())
        self.record.judged(check_credit_control(sent, came, self.server_host))
        return exchange

    async def _ask(self, request: Message, patience: float, *, again: bool = False) -> tuple[Message, Message, float]:
        """Send a request under a fresh Hop-by-Hop id; a fresh End-to-End id unless it is sent again."""
        self._hop_by_hop = (self._hop_by_hop + 1) & 0xFFFFFFFF
        if not again:
            self._end_to_end = (self._end_to_end + 1) & 0xFFFFFFFF
            request = replace(request, end_to_end=self._end_to_end)
        request = replace(request, hop_by_hop=self._hop_by_hop)
        octets = request.encode()
        if self.line is None:
            raise Unanswered(request, "not connected")
        waiting = asyncio.get_running_loop().create_future()
        self._pending[request.hop_by_hop] = waiting
        sent_at = time.monotonic()
        self._overhear(request)
        self.line.send(octets)
        try:
            async with asyncio.timeout(patience):
                came, came_at = await waiting
        except TimeoutError:
            raise Unanswered(request, f"no answer within {patience:g} s") from None
        except ConnectionError as error:
            raise Unanswered(request, str(error)) from None
        finally:
            self._pending.pop(request.hop_by_hop, None)
        return request, came, came_at - sent_at

    async def _read(self, reader: asyncio.StreamReader, line: Line) -> None:
        """Take messages until the stream ends; whatever ends it, those who wait are told."""
        try:
            while True:
                start = await reader.readexactly(4)
                octets = start + await reader.readexactly(message_octets(start) - len(start))
                if self._mute:
                    continue
                came_at = self._heard_at = time.monotonic()
                if line.observer is not None:
                    line.observer.received(octets)
                message = Message.decode(octets)
                self._overhear(message)
                if message.is_request:
                    self._serve(message, line)
                elif (waiting := self._pending.get(message.hop_by_hop)) and not waiting.done():
                    waiting.set_result((message, came_at))
                if line.shape.read_pause:
                    await asyncio.sleep(line.shape.read_pause)
        except (asyncio.IncompleteReadError, OSError):
            pass  # The other side closed: those who wait learn it below.
        except Malformed as error:
            self.record.broken([Violation(Rule.COMMAND, f"unreadable octets: {error}")])
        finally:
            if self.line is line:
                self._lost()

    def _serve(self, request: Message, line: Line) -> None:
        """Answer a request of the server at once; what follows from it runs as a task of its own."""
        code, follow_up, error = SUCCESS, None, False
        session = self._attended.get(request.session_id)
        match request.command:
            case Command.DEVICE_WATCHDOG | Command.DISCONNECT_PEER:
                pass
            case Command.RE_AUTH:
                self._check_server_request(request)
                if session is None:
                    code = UNKNOWN_SESSION_ID
                elif self.profile.honours_reauth:
                    code, follow_up = LIMITED_SUCCESS, session.reauthorise()
            case Command.ABORT_SESSION if self.profile.honours_abort:
                self._check_server_request(request)
                if session is None:
                    code = UNKNOWN_SESSION_ID
                else:
                    follow_up = session.abort()
            case _:
                code, error = COMMAND_UNSUPPORTED, True
        told = answer(request, self.identity, code, error=error)
        self._overhear(told)
        line.send(told.encode())
        if follow_up is not None:
            self.start(follow_up)

    def _check_server_request(self, request: Message) -> None:
        self.record.judged(check_server_request(request, self.server_host, self.identity.host.encode()))

    async def _watch(self) -> None:
        """Send a DWR after each silence of Tw; close when even that is not answered (RFC 3539 section 3.4.1)."""
        while self.line is not None:
            silent = time.monotonic() - self._heard_at
            if silent < self._watchdog_seconds:
                await asyncio.sleep(self._watchdog_seconds - silent)
                continue
            try:
                await self.watchdog()
            except Unanswered:
                self._lost()

    def _lost(self) -> None:
        line, self.line = self.line, None
        self._gone.set()
        if line is not None:
            line.close()
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the connection was lost"))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # A follow-up that went unanswered is recorded already; anything else is a bug, and closing raises it.
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Unanswered):
            self._failure = self._failure or error


def _ignore(message: Message) -> None:
    """Be told a message, where nobody listens."""
