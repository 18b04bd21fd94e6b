"""The home PGW: it gives a UE its address, and stands between the tunnels and the Internet."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from simulator.plane import gtpu
from simulator.plane.filters import read_flow
from simulator.plane.gtpc import BearerContext, Cause, ControlMessage, FTeid, Interface, Kind
from simulator.plane.layers import Malformed
from simulator.plane.loopback import Loopback
from simulator.plane.node import Node, refusal

UE_NETWORK: Final = IPv4Network("10.45.0.0/16")


@dataclass(slots=True, kw_only=True)
class Connection:
    """A PDN connection: the two ends of its tunnels, and the UE's address."""

    imsi: str
    address: str
    ebi: int
    charging_id: int
    control: FTeid
    user: FTeid
    sgw_control: FTeid
    sgw_user: FTeid


class Pgw(Node):
    """Args:
        internet: takes every packet a UE sent, once it has left the tunnel.

    Attributes:
        connections: those that live, by the UE's address.
    """

    def __init__(self, network: Loopback, internet: Callable[[bytes], None]) -> None:
        super().__init__(network)
        self.connections: dict[str, Connection] = {}
        self._internet = internet
        self._addresses: Iterator[IPv4Address] = UE_NETWORK.hosts()
        self._charging_ids = itertools.count(1)
        self._controls: dict[int, Connection] = {}
        self._users: dict[int, Connection] = {}

    def downlink(self, packet: bytes) -> None:
        """Send a packet from the Internet to the UE it is addressed to; without one it is a stray."""
        try:
            connection = self.connections.get(str(read_flow(packet, up=False).ue))
        except Malformed:
            connection = None
        if connection is None:
            self.strays += len(packet)
        else:
            self.send_user(gtpu.g_pdu(connection.sgw_user.teid, packet), connection.sgw_user.address)

    async def delete(self, address: str) -> Cause | None:
        """End a UE's connection from home (TS 23.401 clause 5.4.4.1), and return the SGW's cause.

        Raises:
            NoResponse: the SGW is gone.
            KeyError: no UE has this address.
        """
        connection = self.connections[address]
        request = ControlMessage(
            kind=Kind.DELETE_BEARER_REQUEST, teid=connection.sgw_control.teid, linked_ebi=connection.ebi
        )
        answer = await self.ask(request, connection.sgw_control.address)
        await self._forget(connection)
        return answer.cause

    def packet(self, teid: int, packet: bytes, peer: str) -> None:
        if teid in self._users:
            self._internet(packet)
        else:
            self.stray(teid, packet, peer)

    async def serve(self, request: ControlMessage, peer: str) -> ControlMessage:
        if request.kind is Kind.CREATE_SESSION_REQUEST:
            return self._create(request)
        connection = self._controls.get(request.teid)
        if connection is None:
            return refusal(request, Cause.CONTEXT_NOT_FOUND)
        if request.kind is Kind.MODIFY_BEARER_REQUEST:
            return self._switch(connection, request)
        if request.kind is Kind.DELETE_SESSION_REQUEST:
            await self._forget(connection)
        return refusal(request, Cause.ACCEPTED, connection.sgw_control.teid)

    def _create(self, request: ControlMessage) -> ControlMessage:
        bearer = request.bearer or BearerContext()
        connection = Connection(
            imsi=request.imsi,
            address=str(next(self._addresses)),
            ebi=bearer.ebi,
            charging_id=next(self._charging_ids),
            control=FTeid(Interface.S8C_PGW, self.new_teid(), self.address),
            user=FTeid(Interface.S8U_PGW, self.new_teid(), self.address),
            sgw_control=request.fteid(Interface.S8C_SGW),
            sgw_user=request.fteid(Interface.S8U_SGW),
        )
        self.connections[connection.address] = connection
        self._controls[connection.control.teid] = self._users[connection.user.teid] = connection
        return ControlMessage(
            kind=Kind.CREATE_SESSION_RESPONSE,
            teid=connection.sgw_control.teid,
            cause=Cause.ACCEPTED,
            fteids=(connection.control,),
            address=connection.address,
            bearer=BearerContext(
                ebi=connection.ebi,
                cause=Cause.ACCEPTED,
                fteids=(connection.user,),
                qos=True,
                charging_id=connection.charging_id,
            ),
            recovery=gtpu.RESTARTS,
        )

    def _switch(self, connection: Connection, request: ControlMessage) -> ControlMessage:
        """Send downlink to another SGW from now on, and mark the end of the old path."""
        old = connection.sgw_user
        connection.sgw_control = request.fteid(Interface.S8C_SGW)
        connection.sgw_user = request.fteid(Interface.S8U_SGW)
        self.send_user(gtpu.end_marker(old.teid), old.address)
        return ControlMessage(
            kind=Kind.MODIFY_BEARER_RESPONSE,
            teid=connection.sgw_control.teid,
            cause=Cause.ACCEPTED,
            bearer=BearerContext(ebi=connection.ebi, cause=Cause.ACCEPTED, charging_id=connection.charging_id),
        )

    async def _forget(self, connection: Connection) -> None:
        """Close the tunnels behind the last packet."""
        await self.drain(connection.sgw_user.address)
        self.connections.pop(connection.address, None)
        self._controls.pop(connection.control.teid, None)
        self._users.pop(connection.user.teid, None)
