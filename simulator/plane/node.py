"""A node of the core network: one address, GTP-C requests that are repeated until answered, GTP-U messages.

TS 29.274 section 7.6 (a request is sent N3 times, T3 apart, under one sequence number; a repeat gets the first answer
again), TS 29.281 section 7.
"""

import asyncio
import contextlib
import itertools
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import replace
from typing import Final, Self

from simulator.plane import gtpc, gtpu
from simulator.plane.gtpc import RESPONSES, Cause, ControlMessage
from simulator.plane.layers import Malformed
from simulator.plane.loopback import Endpoint, Loopback

T3_SECONDS: Final = 3.0
N3: Final = 3

ANSWERS_KEPT: Final = 256
"""Answers that a repeat may still ask for; more requests than that are not on their way within N3 × T3."""

SEQUENCES: Final = 2**23
"""The upper half of the 24 bits is for requests that follow from commands (TS 29.274 section 7.6)."""


class NoResponse(Exception):
    """The other node did not answer N3 requests."""


class Node:
    """What all nodes share; what they do with a request and with a packet is theirs.

    Attributes:
        strays: octets of inner packets that came for no tunnel, or could not be read.
        malformed: messages that could not be read.
        indications: error indications that came.
        t3_seconds: how long a request waits for its answer before it is sent again.
    """

    def __init__(self, network: Loopback) -> None:
        self.network = network
        self.strays = 0
        self.malformed = 0
        self.indications = 0
        self.t3_seconds = T3_SECONDS
        self._teids = itertools.count(1)
        self._sequences = itertools.count(1)
        self._control: Endpoint | None = None
        self._user: Endpoint | None = None
        self._waiting: dict[tuple[str, int], asyncio.Future[ControlMessage]] = {}
        self._echoes: dict[tuple[str, int], asyncio.Future[None]] = {}
        self._answered: OrderedDict[tuple[str, int], bytes | None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def __aenter__(self) -> Self:
        self._control, self._user = await self.network.open(self._control_received, self._user_received)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for endpoint in (self._control, self._user):
            if endpoint is not None:
                endpoint.close()
        if self._failure is not None:
            raise self._failure

    @property
    def address(self) -> str:
        return self._control.address[0] if self._control else ""

    def new_teid(self) -> int:
        return next(self._teids)

    # What a node does

    async def serve(self, request: ControlMessage, peer: str) -> ControlMessage:
        """Answer a request; a node that keeps no sessions, as an eNodeB is here, knows none that it could be for.

        Raises:
            Malformed: an element that the request must have is missing.
        """
        return refusal(request, Cause.CONTEXT_NOT_FOUND)

    def packet(self, teid: int, packet: bytes, peer: str) -> None:
        """Take the inner packet of a G-PDU."""
        self.stray(teid, packet, peer)

    def path_ended(self, teid: int) -> None:
        """Take an end marker."""

    def stray(self, teid: int, packet: bytes, peer: str) -> None:
        """Count a packet without a tunnel, and tell who sent it."""
        self.strays += len(packet)
        self.send_user(gtpu.error_indication(teid, self.address), peer)

    # What a node says

    async def ask(self, request: ControlMessage, peer: str) -> ControlMessage:
        """Send a request until its answer comes.

        Raises:
            NoResponse: none came.
        """
        sequence = next(self._sequences) % SEQUENCES
        octets = replace(request, sequence=sequence).encode()
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[peer, sequence] = waiting
        try:
            for _ in range(N3):
                self._send_control(octets, peer)
                try:
                    async with asyncio.timeout(self.t3_seconds):
                        return await asyncio.shield(waiting)
                except TimeoutError:
                    continue
        finally:
            del self._waiting[peer, sequence]
            waiting.cancel()
        raise NoResponse(f"{peer} does not answer {request.kind.name}")

    async def echo(self, peer: str) -> None:
        """Ask whether the other end of a GTP-U path lives.

        Raises:
            NoResponse: it does not.
        """
        sequence = next(self._sequences) % 2**16
        waiting = self._echoes[peer, sequence] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(T3_SECONDS):
                self.send_user(gtpu.echo_request(sequence), peer)
                await waiting
        except TimeoutError:
            raise NoResponse(f"{peer} does not answer a GTP-U echo") from None
        finally:
            del self._echoes[peer, sequence]

    async def drain(self, peer: str) -> None:
        """Wait until all packets that the peer sent up to now have arrived: an echo goes there and comes behind them.

        A real node lets a timer run; here no packet is left on the way, whatever the machine's pace.
        """
        with contextlib.suppress(NoResponse):
            await self.echo(peer)

    def send_user(self, octets: bytes, peer: str) -> None:
        if self._user is not None:
            self._user.send(octets, peer)

    def _send_control(self, octets: bytes, peer: str) -> None:
        if self._control is not None:
            self._control.send(octets, peer)

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Let this run by itself; the node's end ends it, and raises what it raised."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error

    # What comes

    def _user_received(self, octets: bytes, peer: str) -> None:
        try:
            message = gtpu.read(octets)
        except Malformed:
            self.malformed += 1
            return
        match message.kind:
            case gtpu.Kind.G_PDU:
                self.packet(message.teid, message.payload, peer)
            case gtpu.Kind.END_MARKER:
                self.path_ended(message.teid)
            case gtpu.Kind.ERROR_INDICATION:
                self.indications += 1
            case gtpu.Kind.ECHO_REQUEST:
                self.send_user(gtpu.echo_response(message.sequence or 0), peer)
            case gtpu.Kind.ECHO_RESPONSE:
                waiting = self._echoes.get((peer, message.sequence or 0))
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)

    def _control_received(self, octets: bytes, peer: str) -> None:
        try:
            message = ControlMessage.decode(octets)
        except Malformed:
            self.malformed += 1
            return
        key = peer, message.sequence
        if message.kind not in RESPONSES:
            waiting = self._waiting.get(key)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        elif key not in self._answered:
            self._answered[key] = None
            if len(self._answered) > ANSWERS_KEPT:
                self._answered.popitem(last=False)
            self.start(self._serve(message, peer))
        elif (answer := self._answered[key]) is not None:
            self._send_control(answer, peer)

    async def _serve(self, request: ControlMessage, peer: str) -> None:
        kind = RESPONSES[request.kind]
        if request.kind is gtpc.Kind.ECHO_REQUEST:
            answer = ControlMessage(kind=kind, teid=0, recovery=gtpu.RESTARTS)
        else:
            try:
                answer = await self.serve(request, peer)
            except Malformed:
                answer = ControlMessage(kind=kind, teid=0, cause=Cause.MANDATORY_IE_MISSING)
        octets = replace(answer, sequence=request.sequence).encode()
        self._answered[peer, request.sequence] = octets
        self._send_control(octets, peer)


def refusal(request: ControlMessage, cause: Cause, teid: int = 0) -> ControlMessage:
    """Answer a request with nothing but a cause; `teid` is the asking node's, 0 where it is unknown."""
    return ControlMessage(kind=RESPONSES[request.kind], teid=teid, cause=cause)
