"""A scenario's user plane: sessions that are bearers of UEs in one lab, and the packets that cross their tunnels.

What a scenario does with such a session happens as in a network: an attach begins with the MME, and the CCR-I is one
step of it.  A UE that does not get through is no error here: its session shows what the server said.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from simulator.gateway import Gateway
from simulator.messages import Volume
from simulator.plane import gtpc
from simulator.plane.access import AttachRefused, Ue
from simulator.plane.account import Account, add_up
from simulator.plane.capture import Address, Capture
from simulator.plane.filters import Filters
from simulator.plane.lab import Lab, open_lab
from simulator.plane.loopback import Lost
from simulator.plane.node import NoResponse
from simulator.plane.traffic import Kind, Stream
from simulator.signalling import of_gtpc
from simulator.subscriber import Clock, OutOfTurn, Session


@dataclass(slots=True)
class _Connection:
    """A session's connection; `ue` is there from its attach on."""

    filters: Filters
    begun: bool = False
    moving: bool = False
    ue: Ue | None = None
    streams: dict[tuple[Kind, int], Stream] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passage:
    """What became of the packets of one step.

    Attributes:
        forwarded: octets that gateways let through.
        dropped: octets that they did not, for want of quota.
        strayed: octets that met no tunnel.
    """

    forwarded: Volume = Volume()
    dropped: Volume = Volume()
    strayed: int = 0


class _Waiting:
    """Sessions that wait for their bearer: the SGW asks for the one that its IMSI and its APN name."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[Gateway, str, str], list[tuple[Session, Filters]]] = {}

    def add(self, session: Session, filters: Filters) -> None:
        self._sessions.setdefault((session.gateway, session.imsi, session.apn), []).append((session, filters))

    def take(self, gateway: Gateway, imsi: str, apn: str) -> tuple[Session, Filters]:
        return self._sessions[gateway, imsi, apn].pop(0)


class UserPlane:
    """The user plane of one scenario; made by `open_user_plane`."""

    def __init__(self, lab: Lab, waiting: _Waiting) -> None:
        self.lab = lab
        self._waiting = waiting
        self._connections: dict[Session, _Connection] = {}
        self._sending = 0
        self._all_sent = asyncio.Event()
        self._all_sent.set()

    def __contains__(self, session: Session) -> bool:
        return session in self._connections

    def add(self, session: Session, filters: Filters) -> None:
        """Have a session be a UE's bearer."""
        self._connections[session] = _Connection(filters)

    async def attach(self, session: Session) -> None:
        """Attach the session's UE (proposal 3.2.2).

        Raises:
            OutOfTurn: it has been attached before.
        """
        session.begins()
        connection = self._connections[session]
        if connection.begun:
            raise OutOfTurn("the session attaches once, and has begun to")
        connection.begun = True
        self._waiting.add(session, connection.filters)
        with contextlib.suppress(AttachRefused, NoResponse):
            connection.ue = await self.lab.attach(session.imsi, self._place(session.gateway), session.apn)

    async def send(
        self, session: Session, kinds: Sequence[Kind], packets: int, seed: int, *, paced: bool = False
    ) -> Passage:
        """Let so many packets of each kind of traffic flow, and wait until all have arrived and are reported.

        Traffic of the same kind and seed goes on where it was.

        Raises:
            Lost: a packet did not arrive.
        """
        connection = self._connections[session]
        if (ue := connection.ue) is None:
            return Passage()
        seed += self.lab.ues.index(ue)
        for kind in kinds:
            if (kind, seed) not in connection.streams:
                connection.streams[kind, seed] = Stream(kind, ue.address, seed)
        before = Account.of(self.lab, ue, list(connection.streams.values()))
        self._sending += 1
        self._all_sent.clear()
        try:
            streams = [connection.streams[kind, seed] for kind in kinds]
            await asyncio.gather(*(self.lab.run(ue, stream, packets, paced=paced) for stream in streams))
        finally:
            self._sending -= 1
            if not self._sending:
                self._all_sent.set()
        await self.settled()
        after = Account.of(self.lab, ue, list(connection.streams.values()))
        return Passage(after.metered - before.metered, after.dropped - before.dropped, after.lost - before.lost)

    async def detach(self, session: Session) -> None:
        """Detach the session's UE (proposal 3.2.4); a session without one just ends."""
        ue = self._connections[session].ue
        with contextlib.suppress(NoResponse):
            if ue is not None and ue.attached:
                await self.lab.detach(ue)
            else:
                await session.detach()

    async def delete_from_home(self, session: Session) -> None:
        """Have the home PGW delete the session's connection, and wait for the end of the radio link (3.2.5)."""
        ue = self._connections[session].ue
        if ue is None or not ue.attached or ue.address not in self.lab.pgw.connections:
            return
        with contextlib.suppress(NoResponse, Lost):
            await self.lab.delete_from_home(ue)
            await self.lab.network.until(lambda: not self.lab.mme.knows(ue))

    async def hand_over(self, session: Session, successor: Session) -> bool:
        """Have the successor's gateway serve the session's UE; tell whether it does.

        Raises:
            OutOfTurn: another handover of it is under way.
        """
        connection = self._connections[session]
        ue = connection.ue
        if ue is None or not ue.attached:
            return False
        if connection.moving:
            raise OutOfTurn("another handover of the session is under way")
        connection.moving, before = True, ue.sgw_control
        self._waiting.add(successor, connection.filters)
        try:
            # It is the new gateway that serves the UE even where the old one does not answer any more.
            with contextlib.suppress(AttachRefused, NoResponse):
                await self.lab.move(ue, self._place(successor.gateway))
        finally:
            connection.moving = False
        if ue.sgw_control == before:
            return False
        self._connections[successor] = self._connections.pop(session)
        return True

    async def settled(self) -> None:
        """Wait until all packets have arrived, and what they made due is reported.

        Raises:
            Lost: a packet did not arrive.
        """
        await self._all_sent.wait()
        await self.lab.idle()

    def accounts(self) -> tuple[Account, ...]:
        """Tell of each UE that attached where its octets went."""
        return tuple(
            Account.of(self.lab, one.ue, list(one.streams.values()))
            for one in self._connections.values()
            if one.ue is not None
        )

    @property
    def exact(self) -> bool:
        """Whether every octet is in one place."""
        return add_up(self.accounts(), self.lab.strays)

    def _place(self, gateway: Gateway) -> int:
        return next(number for number, sgw in enumerate(self.lab.sgws) if sgw.gateway is gateway)


@contextlib.asynccontextmanager
async def open_user_plane(
    gateways: Sequence[Gateway],
    *,
    clock: Clock,
    attempts: int,
    capture: Capture | None,
    say: Callable[[str], None],
) -> AsyncIterator[UserPlane]:
    """Open a lab with one SGW for each gateway.

    Args:
        attempts: how often a session's request goes out at most.
        say: is told the name of each message of GTP-C as it leaves.

    Raises:
        NoAddress: loopback has no addresses left.
    """
    waiting = _Waiting()

    def hear(source: Address, destination: Address, octets: bytes) -> None:
        if source[1] == gtpc.PORT:
            say(of_gtpc(octets, visited=lab.mme.address in (source[0], destination[0])))

    async with open_lab(gateways, waiting.take, clock=clock, attempts=attempts, capture=capture, hear=hear) as lab:
        yield UserPlane(lab, waiting)
