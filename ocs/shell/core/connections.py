"""The connections there are, by peer; which are taken, and how all of them end.  RFC 6733 section 5.6."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from ocs.credit_control.event import Gateway
from ocs.credit_control.screening import Seen
from ocs.diameter.base import Introduction
from ocs.diameter.codes import DisconnectCause
from ocs.diameter.happening import Closed, Counters, Happening, WatchdogChanged
from ocs.diameter.peer import Admission, Verdict
from ocs.diameter.peer_state import State as PeerState
from ocs.shell.core.admission import Doorkeeper
from ocs.shell.core.diameter_tcp import DiameterConnection
from ocs.shell.core.measures import Measures
from ocs.shell.live import PeerView
from ocs.units import UnixMillis

log = structlog.get_logger()


class Connections:
    """All of them, those that are still strangers' too.

    Args:
        most: no more are taken.
        most_of_address: nor more from one address.

    Attributes:
        taken: whether new ones are.
    """

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        measures: Measures,
        now: Callable[[], UnixMillis],
        *,
        most: int,
        most_of_address: int,
    ) -> None:
        self.doorkeeper = doorkeeper
        self.taken = False
        self._measures = measures
        self._now = now
        self._most = most
        self._most_of_address = most_of_address
        self._all: set[DiameterConnection] = set()
        self._by_peer: dict[str, DiameterConnection] = {}
        self._gone = Counters()  # of connections that have ended
        self._all_gone = asyncio.Event()

    # What a connection tells

    def connected(self, connection: DiameterConnection) -> str | None:
        """Take a connection within the limits; the reason otherwise."""
        same = sum(other.address == connection.address for other in self._all)
        reason = None
        if len(self._all) >= self._most:
            reason = "connections-max"
        elif same >= self._most_of_address:
            reason = "connections-per-address-max"
        elif not self.taken:
            reason = "stopping"
        if reason is not None:
            self.turned_away(reason)
            return reason
        self._all.add(connection)
        self._measures.connections = len(self._all)
        return None

    def turned_away(self, reason: str) -> None:
        """Count a connection that ended before its peer was asked whether it is known."""
        self._measures.refused_peers[reason] += 1

    def admit(self, connection: DiameterConnection, introduction: Introduction) -> Admission:
        """Judge a CER; where its identity is connected already, the one that still answers stays."""
        reason = self.doorkeeper.judge(introduction, connection.address, self._now())
        if reason is not None:
            self._measures.refused_peers["unknown-peer"] += 1
            log.warning(
                "peer refused",
                peer=introduction.origin_host,
                address=connection.address,
                reason=reason,
                mend=f"ocs peer allow {introduction.origin_host} --address {connection.address}",
            )
            return Admission(Verdict.REFUSE, reason)
        old = self._by_peer.get(introduction.origin_host.lower())
        if old is not None:
            if not old.machine.yields_to(introduction, self._now()):
                return Admission(Verdict.BUSY, "this identity is connected already")
            old.act(partial(old.machine.lost, self._now()))
            old.transport.abort()
        return Admission(Verdict.ACCEPT)

    def opened(self, connection: DiameterConnection, introduction: Introduction) -> None:
        connection.peer = introduction.origin_host
        connection.realm = introduction.origin_realm
        connection.profile = self.doorkeeper.profile(introduction)
        connection.seen = Seen(self.doorkeeper.agreement(introduction))
        connection.gateway = Gateway(
            introduction.origin_host, introduction.origin_realm, connection.peer, connection.profile.name
        )
        self._by_peer[introduction.origin_host.lower()] = connection
        log.info("peer open", peer=connection.peer, address=connection.address, profile=connection.profile.name)

    def happened(self, connection: DiameterConnection, happening: Happening) -> None:
        match happening:
            case Closed(reason, detail):
                self._measures.closed[str(reason)] += 1
                log.info(
                    "peer closed", peer=connection.peer, address=connection.address, reason=str(reason), detail=detail
                )
            case WatchdogChanged(state):
                log.warning("watchdog", peer=connection.peer, state=state.name)
            case _:
                pass

    def closed(self, connection: DiameterConnection) -> None:
        self._all.discard(connection)
        self._gone.add(connection.machine.counters)
        self._measures.connections = len(self._all)
        if not self._all:
            self._all_gone.set()
        if self._by_peer.get(connection.peer.lower()) is connection:
            del self._by_peer[connection.peer.lower()]

    # What others ask

    def of(self, peer: str) -> DiameterConnection | None:
        """Give the open connection of a peer."""
        connection = self._by_peer.get(peer.lower())
        return connection if connection is not None and connection.machine.state is PeerState.OPEN else None

    def turn_out(self, peer: str) -> None:
        """Disconnect a peer that is let in no longer."""
        connection = self.of(peer)
        if connection is not None and self.doorkeeper.judge_again(peer, connection.address) is not None:
            cause = DisconnectCause.DO_NOT_WANT_TO_TALK_TO_YOU
            connection.act(partial(connection.machine.disconnect, cause, self._now()))

    def counters(self) -> Counters:
        """Add up what all connections counted, those that have ended too."""
        total = Counters()
        for counters in (self._gone, *(connection.machine.counters for connection in self._all)):
            total.add(counters)
        return total

    def views(self) -> list[PeerView]:
        return [_view(connection) for connection in self._all if connection.peer]

    async def end(self, seconds: float) -> None:
        """Say goodbye to every peer; whoever has not gone after `seconds` is cut off."""
        self.taken = False
        for connection in list(self._all):
            if connection.machine.want_close:
                continue
            if connection.machine.state is PeerState.OPEN:
                connection.act(partial(connection.machine.disconnect, DisconnectCause.REBOOTING, self._now()))
            else:
                connection.transport.close()
        self._all_gone.clear()
        if self._all:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_gone.wait(), seconds)
        for connection in list(self._all):
            connection.transport.abort()


def _view(connection: DiameterConnection) -> PeerView:
    machine = connection.machine
    identity = machine.identity
    watchdog = machine.watchdog_state
    return PeerView(
        origin_host=connection.peer,
        origin_realm=connection.realm,
        address=f"[{connection.address}]:{connection.port}"
        if ":" in connection.address
        else f"{connection.address}:{connection.port}",
        profile=connection.profile.name,
        product_name=identity.product_name if identity is not None else "",
        state=machine.state.name,
        watchdog=watchdog.name if watchdog is not None else "",
        secure=connection.secure,
        since=connection.since,
        requests=machine.counters.requests,
        answers=machine.counters.answers,
        errors=connection.errors,
        last_watchdog_ms=-1,
    )
