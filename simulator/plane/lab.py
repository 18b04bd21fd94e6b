"""A visited network and a home PGW, joined: UEs attach, move their packets, move on themselves, and leave.

    UE - eNodeB - S1-U - SGW - S8 - PGW - Internet
            MME - S11 ---/  \\--- Gy - the server

Every packet that a `Stream` gives out ends in one of four places, and the octets of the four add up: it reached the
other end, an SGW dropped it for lack of quota, or some node had no tunnel for it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from simulator.gateway import Gateway
from simulator.messages import APN, Volume
from simulator.plane.access import Enb, Mme, Ue
from simulator.plane.capture import Capture
from simulator.plane.filters import Filters, read_flow
from simulator.plane.loopback import Hear, Loopback
from simulator.plane.meter import total
from simulator.plane.node import T3_SECONDS, Node
from simulator.plane.pgw import Pgw
from simulator.plane.sgw import Bearer, OpenSession, Sgw
from simulator.plane.traffic import Stream
from simulator.subscriber import ATTEMPTS, Clock, Meter, Session, longest_wait

LOOK_SECONDS: Final = 0.01


@dataclass(slots=True)
class Internet:
    """Everything behind the PGW: octets that came from each UE, by its address."""

    received: dict[str, int]

    def take(self, packet: bytes) -> None:
        source = str(read_flow(packet, up=True).ue)
        self.received[source] = self.received.get(source, 0) + len(packet)


class Lab:
    """The nodes of one lab; made by `open_lab`.

    Attributes:
        ues: all that ever attached.
    """

    def __init__(
        self, network: Loopback, mme: Mme, enb: Enb, sgws: Sequence[Sgw], pgw: Pgw, internet: Internet, clock: Clock
    ) -> None:
        self.network = network
        self.mme = mme
        self.enb = enb
        self.sgws = sgws
        self.pgw = pgw
        self.internet = internet
        self.ues: list[Ue] = []
        self._clock = clock

    async def attach(self, imsi: str, sgw: int = 0, apn: str = APN) -> Ue:
        """Attach a UE through the SGW in this place, or connect it to another APN.

        Raises:
            AttachRefused: the network does not take it.
        """
        ue = await self.mme.attach(imsi, self.sgws[sgw].address, self.pgw.address, apn)
        self.ues.append(ue)
        return ue

    async def run(self, ue: Ue, stream: Stream, packets: int, *, paced: bool = True) -> None:
        """Send that many packets of the stream, or fewer if the UE is detached meanwhile.

        Args:
            paced: whether the pauses between them are kept, on the lab's clock.
        """
        for _ in range(packets):
            if not ue.attached:
                return
            packet = next(stream)
            # Streams take turns even where no time passes.
            await self._clock.sleep(packet.after if paced else 0.0)
            await self.network.room()
            if packet.up:
                self.enb.uplink(ue, packet.octets)
            else:
                self.pgw.downlink(packet.octets)

    async def move(self, ue: Ue, sgw: int) -> None:
        """Have the SGW in this place serve the UE, whatever flows meanwhile."""
        await self.mme.move(ue, self.sgws[sgw].address)

    async def detach(self, ue: Ue) -> None:
        await self.mme.detach(ue)

    async def delete_from_home(self, ue: Ue) -> None:
        await self.pgw.delete(ue.address)

    async def quiet(self) -> None:
        """Wait until every datagram has arrived."""
        await self.network.quiet()

    async def idle(self) -> None:
        """Wait until every datagram has arrived, and what they made due is reported."""
        await self.quiet()
        while True:
            if not any(quota.reporting for sgw in self.sgws for one in sgw.bearers for quota in one.session.quotas):
                return
            await asyncio.sleep(LOOK_SECONDS)

    def bearers(self, ue: Ue) -> list[Bearer]:
        """Give the UE's bearers, those of SGWs it has left too."""
        return [bearer for sgw in self.sgws for bearer in sgw.bearers if bearer.mme == ue.mme]

    def metered(self, ue: Ue) -> Volume:
        """Give the octets that SGWs let through."""
        return total(bearer.meter.forwarded for bearer in self.bearers(ue))

    def dropped(self, ue: Ue) -> Volume:
        """Give the octets that SGWs did not let through."""
        return total(bearer.meter.dropped for bearer in self.bearers(ue))

    def reported(self, ue: Ue) -> Volume:
        """Give the octets in all reports that the server has taken."""
        return total(bearer.session.reported for bearer in self.bearers(ue))

    def delivered(self, ue: Ue) -> Volume:
        """Give the octets that reached the other end."""
        return Volume(up=self.internet.received.get(ue.address, 0), down=ue.received)

    @property
    def strays(self) -> int:
        """Octets of packets that came to some node without a tunnel for them."""
        nodes: tuple[Node, ...] = (self.enb, self.pgw, *self.sgws)
        return sum(node.strays for node in nodes)


def all_alike(filters: Filters, *, clock: Clock | None = None, signer: Meter | None = None) -> OpenSession:
    """Have a new session made for each bearer, and the same filters for all.

    Args:
        signer: is told what was reported, where usage is signed.
    """

    def open_session(gateway: Gateway, imsi: str, apn: str) -> tuple[Session, Filters]:
        return Session(gateway, imsi, apn=apn, clock=clock, keys=filters.keys, meter=signer), filters

    return open_session


@contextlib.asynccontextmanager
async def open_lab(
    gateways: Sequence[Gateway],
    open_session: OpenSession,
    *,
    clock: Clock | None = None,
    attempts: int = ATTEMPTS,
    capture: Capture | None = None,
    hear: Hear | None = None,
) -> AsyncIterator[Lab]:
    """Open a lab with one SGW for each of these Diameter clients.

    Args:
        open_session: makes the session of each bearer.
        clock: paces traffic.
        attempts: how often a session's request goes out; MME and PGW are patient enough for all of them.
        hear: is told each datagram as it leaves.

    Raises:
        NoAddress: loopback has no addresses left.
    """
    network, clock, internet = Loopback(capture, hear), clock or Clock(), Internet({})
    async with contextlib.AsyncExitStack() as stack:
        enb = await stack.enter_async_context(Enb(network))
        mme = await stack.enter_async_context(Mme(network, enb))
        sgws = [await stack.enter_async_context(Sgw(network, gateway, open_session)) for gateway in gateways]
        pgw = await stack.enter_async_context(Pgw(network, internet.take))
        # What they ask an SGW for may wait for a server that is slow: for a report that is under way, then for itself.
        patience = max(longest_wait(gateway, attempts) for gateway in gateways)
        mme.t3_seconds = pgw.t3_seconds = T3_SECONDS + 2 * patience
        yield Lab(network, mme, enb, sgws, pgw, internet, clock)
