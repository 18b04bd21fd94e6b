"""Diameter over TCP and TLS: an asyncio protocol around each `PeerConnection`.  No rule lives here."""

import asyncio
import random
import socket
from collections.abc import Callable
from itertools import groupby
from typing import Final, Protocol

import structlog

from ocs.credit_control.event import Gateway
from ocs.credit_control.forms import Forms
from ocs.credit_control.profile import STANDARD, Profile
from ocs.credit_control.screening import Agreement, Seen
from ocs.diameter.base import Introduction, LocalNode
from ocs.diameter.happening import Answer, Happening, Opened, Reason, Request, Unanswered
from ocs.diameter.peer import Admission, PeerConnection, PeerLimits, Verdict
from ocs.shell.core.backlog import Backlog
from ocs.shell.core.tls import PeerCertificate, certificate_names, names_of
from ocs.units import SECOND, UnixMillis

WRITE_BUFFER_OCTETS_MAX: Final = 8 * 1024 * 1024
"""About 30,000 answers that a peer does not read; more is not kept for it."""


READ_OCTETS: Final = 256 * 1024
"""Taken from a socket at once: about six hundred CCRs.  Reading must be far ahead of serving where more comes than can
be served; the backlog sees to it that no more is served at once than is good."""

_RECEIVED: Final = memoryview(bytearray(READ_OCTETS))
"""One buffer for all connections: the loop reads one socket at a time, and what came is copied before the next."""


log = structlog.get_logger()


class Register(Protocol):
    """Whom a connection tells that it came, who it is, and that it went."""

    def connected(self, connection: "DiameterConnection") -> str | None:
        """Take a new connection, or give the reason why it must go."""

    def admit(self, connection: "DiameterConnection", introduction: Introduction) -> Admission: ...
    def turned_away(self, reason: str) -> None:
        """Count a peer that was refused before it was asked whether it is known."""

    def opened(self, connection: "DiameterConnection", introduction: Introduction) -> None: ...
    def happened(self, connection: "DiameterConnection", happening: Happening) -> None: ...
    def closed(self, connection: "DiameterConnection") -> None: ...


class Host(Protocol):
    """What a connection needs of the core."""

    local: LocalNode
    limits: PeerLimits
    backlog: "Backlog[DiameterConnection]"

    @property
    def connections(self) -> Register: ...
    def now(self) -> UnixMillis: ...
    def answered(self, connection: "DiameterConnection", answer: Answer) -> None: ...
    def unanswered(self, connection: "DiameterConnection", happening: Unanswered) -> None: ...


class DiameterConnection(asyncio.BufferedProtocol):
    """One accepted connection.

    Attributes:
        address: of the other end, without its port.
        machine: the peer connection's state machine.
        profile: what the peer needs of its answers; set once it is admitted.
        peer: its Origin-Host, "" before.
        forms: the layouts of its CCRs.
    """

    transport: asyncio.Transport
    machine: PeerConnection

    def __init__(self, host: Host, *, secure: bool, match_names: bool = False) -> None:
        self._host = host
        self.secure = secure
        self._match_names = match_names  # the certificate's with the Origin-Host
        self.address = ""
        self.port = 0
        self.peer = ""
        self.realm = ""
        self.gateway = Gateway("", "", "", "")  # the one whose request came last
        self.forms = Forms()
        self.seen = Seen(Agreement(origin_host="", origin_realm=""))  # of the peer, once it is admitted
        self.profile: Profile = STANDARD
        self.since = UnixMillis(0)
        self.errors = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: UnixMillis | None = None
        self._refused = False
        self._paused = False
        self._unread = 0

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        host = self._host
        peername = transport.get_extra_info("peername") or ("", 0)
        self.address, self.port = str(peername[0]).removeprefix("::ffff:"), int(peername[1])
        self.since = host.now()
        self.machine = PeerConnection(
            host.local,
            self._admit,
            self.since,
            random.Random(),  # noqa: S311  # ids and jitter are no secrets, and jitter is drawn for each request
            secure=self.secure,
            limits=host.limits,
        )
        self._refused = host.connections.connected(self) is not None
        if self._refused:
            transport.abort()
            return
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_OCTETS_MAX)
        self._after()

    def _admit(self, introduction: Introduction) -> Admission:
        """Ask the core, once the certificate, where there is one, names whom the CER does."""
        certificate: PeerCertificate | None = self.transport.get_extra_info("peercert")
        if self._match_names and certificate and not certificate_names(certificate, introduction.origin_host):
            reason = "its certificate does not name this Origin-Host"
            self._host.connections.turned_away("certificate-name")
            log.warning(
                "peer refused",
                peer=introduction.origin_host,
                address=self.address,
                reason=reason,
                names=names_of(certificate),
                mend="a certificate with the Origin-Host as DNS name, or gy.tls.match_origin_host: false",
            )
            return Admission(Verdict.REFUSE, reason)
        return self._host.connections.admit(self, introduction)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _RECEIVED

    def buffer_updated(self, nbytes: int) -> None:
        self._tell(self.machine.receive(bytes(_RECEIVED[:nbytes]), self._host.now()))

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._refused:
            return
        reason, detail = Reason.LOST, "the peer closed it without a goodbye"
        if self._unread:
            reason, detail = Reason.UNREAD, f"the peer left {self._unread} octets of answers unread"
        elif error is not None:
            detail = str(error)
        self._tell(self.machine.lost(self._host.now(), reason, detail))
        self._host.connections.closed(self)

    def pause_writing(self) -> None:
        # The peer does not read its answers.  They are durable; it gets them on a new connection.
        self._unread = self.transport.get_write_buffer_size()
        self.transport.abort()

    # the core

    def flush(self) -> None:
        """Send what the machine has queued, in one write, and obey its other wishes."""
        data = self.machine.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(data)
        self._after()

    def act(self, step: Callable[[], list[Happening]]) -> None:
        """Let the machine do `step`, tell of what comes out, and flush."""
        self._tell(step())

    def _tell(self, happenings: list[Happening]) -> None:
        host = self._host
        for kind, alike in groupby(happenings, type):
            if kind is Request:
                host.backlog.take(self, list(alike))  # type: ignore[arg-type]  # that is the kind they are of
                continue
            for happening in alike:
                match happening:
                    case Answer():
                        host.answered(self, happening)
                    case Unanswered():
                        host.unanswered(self, happening)
                    case Opened(introduction):
                        host.connections.opened(self, introduction)
                    case _:
                        host.connections.happened(self, happening)
        self.flush()

    def _after(self) -> None:
        """Close, pause or arm the timer, as the machine wants."""
        machine = self.machine
        if machine.want_close:
            if not self.transport.is_closing():
                self.transport.close()
            return
        if machine.reading == self._paused and not self.transport.is_closing():
            self._paused = not self._paused
            if self._paused:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()
        due = machine.next_deadline()
        # A timer that is early finds nothing due and is set anew, so only an earlier deadline moves it.
        if due is not None and (self._timer_at is None or due < self._timer_at):
            self._arm(due)

    def _arm(self, due: UnixMillis) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer_at = due
        self._timer = loop.call_later(max(0, due - self._host.now()) / SECOND, self._tick)

    def _tick(self) -> None:
        self._timer = self._timer_at = None
        if not self.machine.want_close:
            self._tell(self.machine.tick(self._host.now()))
