"""The network between the nodes: UDP on loopback, each node at an address of its own, under the well-known ports.

Linux answers to every address of 127.0.0.0/8, so any number of nodes have port 2123 and port 2152 each, as an F-TEID
demands (it names no port) and as readers of captures expect.  A node takes the next address that nobody holds; several
labs run side by side.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Final, cast

from simulator.plane import gtpc, gtpu
from simulator.plane.capture import Address, Capture

FIRST_HOST: Final = 11
LAST_HOST: Final = 254

IN_FLIGHT_MAX: Final = 48
"""Datagrams on their way before senders of user data wait: they must fit into a socket's buffer of 200 KiB."""

QUIET_SECONDS: Final = 10.0

Received = Callable[[bytes, str], None]
"""Takes a datagram's octets and the sender's address."""

Hear = Callable[[Address, Address, bytes], None]
"""Is told a datagram: from where, to where, and its octets."""


class NoAddress(Exception):
    """Every address of the range is taken, or this host has 127.0.0.1 only."""


class Lost(Exception):
    """A datagram did not arrive: nothing on loopback may get lost, or the octets would not add up."""


class Endpoint(asyncio.DatagramProtocol):
    """One UDP port of one node."""

    def __init__(self, network: "Loopback", received: Received) -> None:
        self._network = network
        self._received = received
        self._transport: asyncio.DatagramTransport | None = None
        self.address: Address = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's own datagram transport is no subclass of asyncio.DatagramTransport.
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address = transport.get_extra_info("sockname")

    def datagram_received(self, octets: bytes, sender: tuple[str | int, int]) -> None:
        self._network.arrived()
        self._received(octets, str(sender[0]))

    def send(self, octets: bytes, peer: str) -> None:
        """Send to the same port of another node."""
        if self._transport is not None and not self._transport.is_closing():
            self._network.left(self.address, (peer, self.address[1]), octets)
            self._transport.sendto(octets, (peer, self.address[1]))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Loopback:
    """All datagrams between the nodes of one lab.

    Args:
        capture: where they are written.
        hear: is told each as it leaves.
    """

    def __init__(self, capture: Capture | None = None, hear: Hear | None = None) -> None:
        self.in_flight = 0
        written = capture.datagram if capture is not None else None
        self._listeners = [listener for listener in (written, hear) if listener is not None]
        self._hosts: Iterator[int] = iter(range(FIRST_HOST, LAST_HOST + 1))
        self._arrived = asyncio.Event()

    async def open(self, control: Received, user: Received) -> tuple[Endpoint, Endpoint]:
        """Give a node its two ports, for GTP-C and GTP-U, at an address of its own.

        Raises:
            NoAddress: there is none left.
        """
        for host in self._hosts:
            opened: list[Endpoint] = []
            for port, received in ((gtpc.PORT, control), (gtpu.PORT, user)):
                try:
                    opened.append(await self._bind((f"127.0.0.{host}", port), received))
                except OSError:
                    break
            if len(opened) == 2:
                return opened[0], opened[1]
            for one in opened:
                one.close()
        raise NoAddress(f"no 127.0.0.{FIRST_HOST} to {LAST_HOST} has both port {gtpc.PORT} and port {gtpu.PORT} free")

    async def _bind(self, address: Address, received: Received) -> Endpoint:
        loop = asyncio.get_running_loop()
        _, endpoint = await loop.create_datagram_endpoint(
            lambda: Endpoint(self, received), local_addr=address, family=socket.AF_INET
        )
        return endpoint

    def left(self, source: Address, destination: Address, octets: bytes) -> None:
        self.in_flight += 1
        for hear in self._listeners:
            hear(source, destination, octets)

    def arrived(self) -> None:
        self.in_flight -= 1
        self._arrived.set()

    async def room(self) -> None:
        """Wait until another packet will fit into every buffer on its way.

        Raises:
            Lost: nothing arrived for a long time.
        """
        await self.until(lambda: self.in_flight < IN_FLIGHT_MAX)

    async def quiet(self) -> None:
        """Wait until every datagram has arrived.

        Raises:
            Lost: one did not.
        """
        await self.until(lambda: self.in_flight == 0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what arriving datagrams bring about; it is asked again behind each that was dealt with.

        Raises:
            Lost: it does not come about.
        """
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                while not condition():
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise Lost(f"not within {QUIET_SECONDS:g} s; {self.in_flight} datagrams did not arrive") from None
