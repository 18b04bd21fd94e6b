"""The serving gateway: it joins the tunnels of both sides, asks for quota, meters each packet, blocks without quota.

The order of its steps is that of the settlement proposal (settlement.md section 3): quota first, then the home PGW;
at an end the last report first, then the rest of the network.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulator.gateway import Gateway, Unanswered
from simulator.plane import gtpu
from simulator.plane.filters import Filters, read_flow
from simulator.plane.gtpc import EUTRAN, BearerContext, Cause, ControlMessage, FTeid, Interface, Kind
from simulator.plane.layers import Malformed
from simulator.plane.loopback import Loopback
from simulator.plane.meter import BearerMeter, volume
from simulator.plane.node import Node, NoResponse, refusal
from simulator.subscriber import Session

TIMERS_SECONDS: Final = 0.1
"""How often Validity-Times are looked at; real seconds, however fast the clock runs."""

OpenSession = Callable[[Gateway, str, str], tuple[Session, Filters]]
"""Gives the credit-control session of a gateway for an IMSI's bearer to an APN, and the filters of its packets."""


@dataclass(slots=True, kw_only=True)
class Bearer:
    """One UE's bearer through this gateway; it stays on record after its end.

    Attributes:
        session: its credit-control session.
        filters: how its packets find their service.
        s11, s1u, s8c, s8u: this gateway's ends.
        mme, enb, pgw_control, pgw_user: the other ends; the eNodeB's is known once the radio link stands.
        leaving: whether its end is under way, or behind it.
    """

    imsi: str
    ebi: int
    session: Session
    filters: Filters
    meter: BearerMeter
    s11: FTeid
    s1u: FTeid
    s8c: FTeid
    s8u: FTeid
    mme: FTeid
    enb: FTeid | None = None
    pgw_control: FTeid
    pgw_user: FTeid | None = None
    leaving: bool = False


class Sgw(Node):
    """Args:
        gateway: its Diameter client.
        open_session: makes the session of each bearer.

    Attributes:
        bearers: all so far, in the order of their attach.
    """

    def __init__(self, network: Loopback, gateway: Gateway, open_session: OpenSession) -> None:
        super().__init__(network)
        self.gateway = gateway
        self.bearers: list[Bearer] = []
        self._open_session = open_session
        self._controls: dict[int, Bearer] = {}
        self._users: dict[int, tuple[Bearer, bool]] = {}

    # Packets

    def packet(self, teid: int, packet: bytes, peer: str) -> None:
        """Pass a packet on if its service has quota for it, and count it either way."""
        if teid not in self._users:
            self.stray(teid, packet, peer)
            return
        bearer, up = self._users[teid]
        try:
            flow = read_flow(packet, up=up)
        except Malformed:
            self.strays += len(packet)
            return
        service = bearer.filters.service(flow)
        target = bearer.pgw_user if up else bearer.enb
        passes = target is not None and bearer.session.admit(volume(flow), service)
        bearer.meter.services[service].add(flow, forwarded=passes)
        if passes and target is not None:
            self.send_user(gtpu.g_pdu(target.teid, packet), target.address)

    def path_ended(self, teid: int) -> None:
        """Pass the PGW's end marker on to the eNodeB."""
        bearer, up = self._users.get(teid, (None, True))
        if bearer is not None and not up and bearer.enb is not None:
            self.send_user(gtpu.end_marker(bearer.enb.teid), bearer.enb.address)

    # Requests

    async def serve(self, request: ControlMessage, peer: str) -> ControlMessage:
        if request.kind is Kind.CREATE_SESSION_REQUEST:
            return await self._create(request)
        bearer = self._controls.get(request.teid)
        if bearer is None:
            return refusal(request, Cause.CONTEXT_NOT_FOUND)
        match request.kind:
            case Kind.MODIFY_BEARER_REQUEST:
                return self._modify(bearer, request)
            case Kind.DELETE_SESSION_REQUEST:
                return await self._delete_for_ue(bearer, request)
            case _:
                return await self._delete_for_home(bearer, request)

    async def _create(self, request: ControlMessage) -> ControlMessage:
        """Attach a UE, or take over one that another SGW served: CCR-I, then the PGW, then the answer to the MME."""
        mme = request.fteid(Interface.S11_MME)
        session, filters = self._open_session(self.gateway, request.imsi, request.apn)
        bearer = Bearer(
            imsi=request.imsi,
            ebi=(request.bearer or BearerContext()).ebi,
            session=session,
            filters=filters,
            meter=BearerMeter(len(filters.keys)),
            s11=FTeid(Interface.S11_SGW, self.new_teid(), self.address),
            s1u=FTeid(Interface.S1U_SGW, self.new_teid(), self.address),
            s8c=FTeid(Interface.S8C_SGW, self.new_teid(), self.address),
            s8u=FTeid(Interface.S8U_SGW, self.new_teid(), self.address),
            mme=mme,
            enb=request.fteid(Interface.S1U_ENB) if request.has(Interface.S1U_ENB) else None,
            pgw_control=request.fteid(Interface.S8C_PGW),
            pgw_user=request.fteid(Interface.S8U_PGW) if request.has(Interface.S8U_PGW) else None,
        )
        self.bearers.append(bearer)
        with contextlib.suppress(Unanswered):
            await bearer.session.attach()
        if not bearer.session.open:
            bearer.leaving = True
            return refusal(request, Cause.NOT_AUTHORISED, mme.teid)
        # The tunnels take packets before the PGW hears of them: it may send the first with its answer.
        self._controls |= {bearer.s11.teid: bearer, bearer.s8c.teid: bearer}
        self._users |= {bearer.s1u.teid: (bearer, True), bearer.s8u.teid: (bearer, False)}
        try:
            address, cause, charging_id = await self._reach_home(bearer, request)
        except NoResponse:
            address, cause, charging_id = "", Cause.REMOTE_PEER_NOT_RESPONDING, None
        if cause is not Cause.ACCEPTED:
            await self._end(bearer, by_home=False)
            return refusal(request, cause or Cause.MANDATORY_IE_MISSING, mme.teid)
        self.start(self._watch(bearer))
        return ControlMessage(
            kind=Kind.CREATE_SESSION_RESPONSE,
            teid=mme.teid,
            cause=Cause.ACCEPTED,
            fteids=(bearer.s11, bearer.pgw_control),
            address=address,
            bearer=BearerContext(
                ebi=bearer.ebi,
                cause=Cause.ACCEPTED,
                fteids=tuple(one for one in (bearer.s1u, bearer.pgw_user) if one is not None),
                qos=True,
                charging_id=charging_id,
            ),
            recovery=gtpu.RESTARTS,
        )

    async def _reach_home(self, bearer: Bearer, request: ControlMessage) -> tuple[str, Cause | None, int | None]:
        """Make the connection at the PGW or have it switched to this SGW; return address, cause and charging id.

        Raises:
            NoResponse: the PGW does not answer.
        """
        switch = bearer.pgw_user is not None
        context = BearerContext(ebi=bearer.ebi, fteids=(bearer.s8u,), qos=not switch)
        if switch:
            answer = await self.ask(
                ControlMessage(
                    kind=Kind.MODIFY_BEARER_REQUEST,
                    teid=bearer.pgw_control.teid,
                    plmn=request.plmn,
                    rat=EUTRAN,
                    fteids=(bearer.s8c,),
                    bearer=context,
                ),
                bearer.pgw_control.address,
            )
        else:
            answer = await self.ask(
                ControlMessage(
                    kind=Kind.CREATE_SESSION_REQUEST,
                    teid=0,
                    imsi=bearer.imsi,
                    plmn=request.plmn,
                    rat=EUTRAN,
                    apn=request.apn,
                    address=request.address,
                    fteids=(bearer.s8c,),
                    bearer=context,
                    recovery=gtpu.RESTARTS,
                ),
                bearer.pgw_control.address,
            )
        if answer.cause is Cause.ACCEPTED and not switch:
            bearer.pgw_control = answer.fteid(Interface.S8C_PGW)
            bearer.pgw_user = answer.fteid(Interface.S8U_PGW)
        charging_id = answer.bearer.charging_id if answer.bearer else None
        return answer.address or request.address, answer.cause, charging_id

    def _modify(self, bearer: Bearer, request: ControlMessage) -> ControlMessage:
        """Learn where the eNodeB's end of the tunnel is."""
        bearer.enb = request.fteid(Interface.S1U_ENB)
        return ControlMessage(
            kind=Kind.MODIFY_BEARER_RESPONSE,
            teid=bearer.mme.teid,
            cause=Cause.ACCEPTED,
            bearer=BearerContext(ebi=bearer.ebi, cause=Cause.ACCEPTED, fteids=(bearer.s1u,)),
        )

    # Ends

    async def _delete_for_ue(self, bearer: Bearer, request: ControlMessage) -> ControlMessage:
        """CCR-T, then the PGW unless another SGW serves the UE now, then the answer to the MME (proposal 3.2.4)."""
        await self._end(bearer, by_home=False)
        if request.forward:
            await self._delete_at_home(bearer)
        return refusal(request, Cause.ACCEPTED, bearer.mme.teid)

    async def _delete_for_home(self, bearer: Bearer, request: ControlMessage) -> ControlMessage:
        """CCR-T, then the answer to the PGW; the radio link is closed behind it (proposal 3.2.5)."""
        await self._end(bearer, by_home=True)
        self.start(self._release(bearer))
        return ControlMessage(
            kind=Kind.DELETE_BEARER_RESPONSE,
            teid=bearer.pgw_control.teid,
            cause=Cause.ACCEPTED,
            linked_ebi=bearer.ebi,
        )

    async def _watch(self, bearer: Bearer) -> None:
        """Take the bearer down on both sides when its session has ended by itself: refused, final units, or an ASR."""
        while bearer.session.open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIMERS_SECONDS):
                    await bearer.session.next_answer()
            with contextlib.suppress(Unanswered):
                await bearer.session.check_timers()
        if not bearer.leaving:
            await self._end(bearer, by_home=False)
            await self._delete_at_home(bearer)
            await self._release(bearer)

    async def _end(self, bearer: Bearer, *, by_home: bool) -> None:
        """Send the last report and close both tunnels; an answer that does not come holds up nobody's leaving."""
        bearer.leaving = True
        with contextlib.suppress(Unanswered):
            await (bearer.session.delete_from_home() if by_home else bearer.session.detach())
        for teid in (bearer.s11.teid, bearer.s8c.teid):
            self._controls.pop(teid, None)
        for teid in (bearer.s1u.teid, bearer.s8u.teid):
            self._users.pop(teid, None)

    async def _delete_at_home(self, bearer: Bearer) -> None:
        request = ControlMessage(kind=Kind.DELETE_SESSION_REQUEST, teid=bearer.pgw_control.teid, linked_ebi=bearer.ebi)
        with contextlib.suppress(NoResponse):
            await self.ask(request, bearer.pgw_control.address)

    async def _release(self, bearer: Bearer) -> None:
        """Have the MME close the radio link."""
        request = ControlMessage(kind=Kind.DELETE_BEARER_REQUEST, teid=bearer.mme.teid, linked_ebi=bearer.ebi)
        with contextlib.suppress(NoResponse):
            await self.ask(request, bearer.mme.address)
