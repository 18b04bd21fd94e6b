"""Requests of ours: RAR when a top-up ends an operator's drought, ASR when a session is to end.  RFC 8506 section 5.5,
RFC 6733 section 8.5.

They are hints, not charges: none is journaled, and a lost one leaves Validity-Time and supervision to do its work.
"""

import asyncio
from typing import Final, Protocol

import structlog

from ocs.credit_control.event import Gateway
from ocs.credit_control.event import State as SessionState
from ocs.credit_control.profile import PROFILES, STANDARD
from ocs.credit_control.session import Session
from ocs.diameter import avp
from ocs.diameter.base import LocalNode
from ocs.diameter.codes import APPLICATION_CREDIT_CONTROL, Avp, Command
from ocs.diameter.framing import HEADER_OCTETS
from ocs.diameter.happening import Answer, Unanswered
from ocs.errors import InvalidAvpLength, OutOfTurn, Unavailable
from ocs.shell.core.connections import Connections
from ocs.shell.core.diameter_tcp import DiameterConnection
from ocs.shell.core.measures import Measures
from ocs.state import State
from ocs.units import SessionId, UnixMillis

AT_ONCE: Final = 50
PAUSE_SECONDS: Final = 0.05
"""Fifty RARs each twentieth of a second: a thousand a second, so that the CCR-Us they bring do not come at once."""

AUTHORIZE_ONLY: Final = 0
RESULT_OCTETS: Final = 4

log = structlog.get_logger()


class Sender(Protocol):
    """What requests of ours need of the core."""

    state: State
    local: LocalNode
    measures: Measures
    connections: Connections

    def now(self) -> UnixMillis: ...


class Outgoing:
    """Sends RAR and ASR over the connection that a session's requests come from."""

    def __init__(self, core: Sender) -> None:
        self._core = core
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: dict[tuple[DiameterConnection, int], SessionId] = {}

    def reauthorise(self, operator_name: str) -> None:
        """Ask each session of an operator that was refused, or is on its last grant, to come for more."""
        charging = self._core.state.charging
        operator = charging.operators.named(operator_name)
        if operator is None or not operator.account.available:
            return
        thirsty = list(charging.sessions.thirsty.get(operator.number, ()))
        if thirsty:
            task = asyncio.get_running_loop().create_task(self._reauthorise(thirsty))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reauthorise(self, session_ids: list[SessionId]) -> None:
        for place, session_id in enumerate(session_ids, 1):
            session = self._core.state.charging.sessions.get(session_id)
            if session is not None and session.state != SessionState.ENDED and session.thirsty:
                self._send(Command.RE_AUTH, session_id, session)
            if place % AT_ONCE == 0:
                await asyncio.sleep(PAUSE_SECONDS)

    def abort(self, session_id: SessionId) -> None:
        """Ask the gateway to end a session; where it cannot, its next CCR-U is refused."""
        session = self._core.state.charging.sessions.get(session_id)
        if session is not None:
            self._send(Command.ABORT_SESSION, session_id, session)

    def _send(self, command: Command, session_id: SessionId, session: Session) -> None:
        core = self._core
        gateway = core.state.charging.sessions.gateways[session.gateway]
        profile = PROFILES.get(gateway.profile, STANDARD)
        if not (profile.honours_reauth if command == Command.RE_AUTH else profile.honours_abort):
            core.measures.reauths["not-supported"] += 1
            return
        connection = core.connections.of(gateway.peer)
        if connection is None:
            core.measures.reauths["not-connected"] += 1
            return
        try:
            avps = self._avps(command, session_id, gateway)
            hop_by_hop = connection.machine.send(command, APPLICATION_CREDIT_CONTROL, avps, core.now())
        except (OutOfTurn, Unavailable):
            core.measures.reauths["not-connected"] += 1
            return
        self._asked[connection, hop_by_hop] = session_id
        connection.flush()

    def _avps(self, command: Command, session_id: SessionId, gateway: Gateway) -> bytes:
        local = self._core.local
        parts = [
            avp.encode(Avp.SESSION_ID, session_id),
            avp.utf8(Avp.ORIGIN_HOST, local.origin_host),
            avp.utf8(Avp.ORIGIN_REALM, local.origin_realm),
            avp.utf8(Avp.DESTINATION_REALM, gateway.origin_realm),
            avp.utf8(Avp.DESTINATION_HOST, gateway.origin_host),
            avp.unsigned32(Avp.AUTH_APPLICATION_ID, APPLICATION_CREDIT_CONTROL),
        ]
        if command == Command.RE_AUTH:
            parts.append(avp.unsigned32(Avp.RE_AUTH_REQUEST_TYPE, AUTHORIZE_ONLY))
        return b"".join(parts)

    def answered(self, connection: DiameterConnection, answer: Answer) -> None:
        """Count an RAA or ASA; the CCR it promises is what counts for charging."""
        session_id = self._asked.pop((connection, answer.header.hop_by_hop), None)
        code = _result_code(answer.message)
        self._core.measures.reauths[str(code)] += 1
        if session_id is not None and code // 1000 != 2:
            log.info("request of ours refused", peer=connection.peer, result_code=code)

    def unanswered(self, connection: DiameterConnection, happening: Unanswered) -> None:
        self._asked.pop((connection, happening.hop_by_hop), None)
        self._core.measures.reauths["unanswered"] += 1


def _result_code(message: bytes) -> int:
    """Read the Result-Code of an answer, 0 for none."""
    try:
        for raw in avp.walk(message, HEADER_OCTETS, len(message)):
            if raw.code == Avp.RESULT_CODE and not raw.vendor and raw.end - raw.start == RESULT_OCTETS:
                return int.from_bytes(message[raw.start : raw.end], "big")
    except InvalidAvpLength:
        pass  # an answer to us needs no answer; it counts as one without a code
    return 0
