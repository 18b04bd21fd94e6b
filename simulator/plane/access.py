"""The visited side of a UE: its eNodeB, which carries its packets, and its MME, which sets the path up and down.

Between the two lies S1AP in a real network; here the MME calls the eNodeB.
"""

import itertools
from dataclasses import dataclass
from typing import Final

from simulator.messages import APN
from simulator.plane import gtpu
from simulator.plane.gtpc import EUTRAN, BearerContext, Cause, ControlMessage, FTeid, Interface, Kind
from simulator.plane.loopback import Loopback
from simulator.plane.node import Node, refusal

PLMN: Final = "99970"
NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104


class AttachRefused(Exception):
    """The network does not take the UE; `cause` says why."""

    def __init__(self, cause: Cause | None) -> None:
        super().__init__(cause.name if cause else "without a cause")
        self.cause = cause


@dataclass(slots=True, kw_only=True)
class Ue:
    """A subscriber's device.

    Attributes:
        apn: what it is connected to.
        address: what the PGW gave it; empty before its attach.
        mme, enb: the visited side's ends of its tunnels.
        sgw_control, sgw_user: those of the SGW that serves it.
        pgw_control, pgw_user: those of its home PGW.
        received: octets of the packets that reached it.
        end_markers: old paths that have run dry.
    """

    imsi: str
    apn: str
    mme: FTeid
    enb: FTeid
    address: str = ""
    attached: bool = False
    ebi: int
    sgw_control: FTeid | None = None
    sgw_user: FTeid | None = None
    pgw_control: FTeid | None = None
    pgw_user: FTeid | None = None
    received: int = 0
    end_markers: int = 0


class Enb(Node):
    """An eNodeB: it knows only tunnels."""

    def __init__(self, network: Loopback) -> None:
        super().__init__(network)
        self._ues: dict[int, Ue] = {}

    def reserve(self) -> FTeid:
        return FTeid(Interface.S1U_ENB, self.new_teid(), self.address)

    def link(self, ue: Ue) -> None:
        """Open the radio link."""
        self._ues[ue.enb.teid] = ue

    def unlink(self, ue: Ue) -> None:
        self._ues.pop(ue.enb.teid, None)

    def uplink(self, ue: Ue, packet: bytes) -> None:
        """Send a packet of the UE; without a radio link it goes nowhere and is a stray."""
        if ue.enb.teid in self._ues and ue.sgw_user is not None:
            self.send_user(gtpu.g_pdu(ue.sgw_user.teid, packet), ue.sgw_user.address)
        else:
            self.strays += len(packet)

    def packet(self, teid: int, packet: bytes, peer: str) -> None:
        if teid in self._ues:
            self._ues[teid].received += len(packet)
        else:
            self.stray(teid, packet, peer)

    def path_ended(self, teid: int) -> None:
        if teid in self._ues:
            self._ues[teid].end_markers += 1


class Mme(Node):
    """Args:
    enb: where all of its UEs are.
    """

    def __init__(self, network: Loopback, enb: Enb) -> None:
        super().__init__(network)
        self._enb = enb
        self._ues: dict[int, Ue] = {}

    async def attach(self, imsi: str, sgw_address: str, pgw_address: str, apn: str = APN) -> Ue:
        """Attach a UE through this SGW and this PGW (proposal 3.2.2), or connect an attached one to another APN.

        Raises:
            AttachRefused: quota was refused, or the home network took no connection.
            NoResponse: the SGW does not answer.
        """
        mme = FTeid(Interface.S11_MME, self.new_teid(), self.address)
        taken = {one.ebi for one in self._ues.values() if one.imsi == imsi}
        ebi = next(number for number in itertools.count(BearerContext().ebi) if number not in taken)
        ue = Ue(imsi=imsi, apn=apn, mme=mme, enb=self._enb.reserve(), ebi=ebi)
        self._ues[mme.teid] = ue
        asked = BearerContext(ebi=ue.ebi, qos=True)
        try:
            sgw = await self._create(ue, sgw_address, FTeid(Interface.S8C_PGW, 0, pgw_address), asked)
        except AttachRefused:
            del self._ues[mme.teid]
            raise
        self._enb.link(ue)
        ue.attached = True
        request = ControlMessage(
            kind=Kind.MODIFY_BEARER_REQUEST,
            teid=sgw.teid,
            bearer=BearerContext(ebi=ue.ebi, fteids=(ue.enb,)),
            recovery=gtpu.RESTARTS,
        )
        await self.ask(request, sgw.address)
        return ue

    def knows(self, ue: Ue) -> bool:
        """Tell whether the UE is still on record: until its radio link is closed, and nothing of it is on its way."""
        return ue.mme.teid in self._ues

    async def detach(self, ue: Ue) -> None:
        """Detach a UE at its own wish (proposal 3.2.4)."""
        if ue.sgw_control is not None:
            request = ControlMessage(
                kind=Kind.DELETE_SESSION_REQUEST, teid=ue.sgw_control.teid, linked_ebi=ue.ebi, forward=True
            )
            await self.ask(request, ue.sgw_control.address)
        await self._release(ue)

    async def move(self, ue: Ue, sgw_address: str) -> None:
        """Have another SGW serve a UE while its packets flow (TS 23.401 clause 5.5.1.1.3).

        The new SGW makes its tunnels and has the PGW switch downlink to them; the eNodeB then sends uplink there.  The
        old SGW is told to delete its tunnels, without the PGW, once nothing is left on the old path.

        Raises:
            AttachRefused: the new SGW has no quota for the UE; all stays as it was.
            NoResponse: an SGW does not answer.
        """
        if ue.sgw_control is None or ue.pgw_control is None or ue.pgw_user is None:
            raise ValueError(f"{ue.imsi} was never attached")
        old = ue.sgw_control
        asked = BearerContext(ebi=ue.ebi, qos=True, fteids=(ue.enb, ue.pgw_user))
        await self._create(ue, sgw_address, ue.pgw_control, asked)
        await self._enb.drain(old.address)
        request = ControlMessage(kind=Kind.DELETE_SESSION_REQUEST, teid=old.teid, linked_ebi=ue.ebi)
        await self.ask(request, old.address)

    async def serve(self, request: ControlMessage, peer: str) -> ControlMessage:
        """Close the radio link when the SGW says that the bearer is gone."""
        ue = self._ues.get(request.teid)
        if ue is None or ue.sgw_control is None or request.kind is not Kind.DELETE_BEARER_REQUEST:
            return refusal(request, Cause.CONTEXT_NOT_FOUND)
        if peer == ue.sgw_control.address:
            await self._release(ue)
        return ControlMessage(
            kind=Kind.DELETE_BEARER_RESPONSE,
            teid=ue.sgw_control.teid,
            cause=Cause.ACCEPTED,
            linked_ebi=ue.ebi,
        )

    async def _create(self, ue: Ue, sgw_address: str, pgw: FTeid, asked: BearerContext) -> FTeid:
        request = ControlMessage(
            kind=Kind.CREATE_SESSION_REQUEST,
            teid=0,
            imsi=ue.imsi,
            plmn=PLMN,
            rat=EUTRAN,
            apn=ue.apn,
            address=ue.address or NO_ADDRESS,
            fteids=(ue.mme, pgw),
            bearer=asked,
            recovery=gtpu.RESTARTS,
        )
        answer = await self.ask(request, sgw_address)
        if answer.cause is not Cause.ACCEPTED:
            raise AttachRefused(answer.cause)
        ue.address = answer.address
        sgw = ue.sgw_control = answer.fteid(Interface.S11_SGW)
        ue.sgw_user = answer.fteid(Interface.S1U_SGW)
        ue.pgw_control = answer.fteid(Interface.S8C_PGW)
        ue.pgw_user = answer.fteid(Interface.S8U_PGW)
        return sgw

    async def _release(self, ue: Ue) -> None:
        """Close the radio link behind the last packet."""
        ue.attached = False
        if ue.sgw_user is not None:
            await self._enb.drain(ue.sgw_user.address)
        self._enb.unlink(ue)
        self._ues.pop(ue.mme.teid, None)
