"""Who asks: opens connections, makes requests, and holds every answer against the rules that all answers share."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from simulator.conformance import rules
from simulator.conformance.answers import SUCCESS, Seen, credit_control, every_answer
from simulator.conformance.link import DEVICE_WATCHDOG, Link
from simulator.conformance.octets import ORIGIN_HOST, ORIGIN_REALM, Answer, Unreadable, read
from simulator.conformance.rules import Rule
from simulator.messages import (
    CreditRequest,
    Identity,
    Reason,
    ServiceKey,
    ServiceUnits,
    Volume,
    answer,
    capabilities_exchange_request,
    credit_control_request,
    disconnect_peer_request,
)
from simulator.profile import STANDARD, RequestType, TerminationCause
from simulator.wire import Avp, Flag, Malformed, Message, avp, text

PAUSE_SECONDS: Final = 0.02
"""Between the pieces of a message, so that each is a segment of its own."""

TRIES: Final = 4
TRY_AGAIN_SECONDS: Final = 0.5
"""A server may need a moment to see that the connection before has ended."""


class NotOpen(Exception):
    """A probe found no connection to work on, so what it was to show is not seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which server, and as whom.

    Attributes:
        imsi: of a subscriber the server knows, with credit.
        realm: the Destination-Realm; empty takes the CEA's Origin-Realm.
        seconds: how long an answer may take.
    """

    host: str
    port: int
    identity: Identity
    imsi: str
    realm: str = ""
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """A rule held against one exchange; `sent` and `got` are octets, empty where there were none."""

    rule: Rule
    held: bool
    probe: str
    detail: str
    sent: bytes
    got: bytes


@dataclass(slots=True)
class Examiner:
    """What probes work with.

    Attributes:
        looks: every rule held against an exchange, in order.
        seconds: latencies of all answers.
    """

    target: Target
    looks: list[Look] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    probe: str = ""
    server_host: bytes = b""
    server_realm: str = ""
    _identifier: int = field(default_factory=lambda: random.getrandbits(32))
    _sessions: int = 0
    _sent: bytes = b""
    _got: bytes = b""

    def look(self, rule: Rule, held: bool, detail: str = "") -> bool:
        """Note whether a rule holds in the newest exchange, and give that back; `detail` is what is seen where not."""
        self.looks.append(Look(rule, held, self.probe, "" if held else detail, self._sent, self._got))
        return held

    def _look_all(self, seen: Iterable[Seen]) -> None:
        for rule, held, detail in seen:
            self.look(rule, held, detail)

    # Connections

    def connect(self) -> Link:
        """Open a connection without a CER.

        Raises:
            NotOpen: nobody listens any more.
        """
        try:
            return Link(self.target.host, self.target.port, self.target.seconds)
        except OSError as error:
            raise NotOpen(f"no connection: {error}") from error

    @contextmanager
    def opened(self) -> Iterator[Link]:
        """Open a connection, exchange capabilities, and say goodbye at the end.

        Raises:
            NotOpen: no CEA with 2001 came.
        """
        link = self._open()
        try:
            yield link
        finally:
            if not link.is_closed:
                link.send(self.numbered(disconnect_peer_request(self.target.identity, 0)).encode())
                link.closes() if link.receive() is None else None
            link.close()

    def _open(self) -> Link:
        for attempt in range(TRIES):
            link = self.connect()
            link.send(self.numbered(self.cer()).encode())
            octets = link.receive()
            if octets is not None:
                try:
                    cea = read(octets)
                except Unreadable:
                    break
                if cea.code == SUCCESS:
                    self.server_host = cea.all(ORIGIN_HOST)[0].data if cea.all(ORIGIN_HOST) else b""
                    self.server_realm = text(cea.all(ORIGIN_REALM)[0].data) if cea.all(ORIGIN_REALM) else ""
                    return link
            link.close()
            time.sleep(TRY_AGAIN_SECONDS * (attempt + 1))
        raise NotOpen("no CEA with 2001")

    # Requests

    def cer(self) -> Message:
        return capabilities_exchange_request(self.target.identity, STANDARD)

    def session_id(self) -> bytes:
        self._sessions += 1
        return f"{self.target.identity.host};{int(time.time())};{self._identifier % 1_000_000}{self._sessions}".encode()

    def ccr(self, kind: RequestType, session_id: bytes, number: int, *units: ServiceUnits) -> Message:
        """Make a CCR as an ordinary gateway does, for Rating-Group 1 where no units are given."""
        last, first = kind is RequestType.TERMINATION, kind is RequestType.INITIAL
        usual = ServiceUnits(
            key=ServiceKey(1),
            wanted=not last,
            used=None if first else Volume(100, 900),
            reason=None if first else Reason.FINAL if last else Reason.THRESHOLD,
        )
        request = CreditRequest(
            session_id=session_id,
            request_type=kind,
            number=number,
            imsi=self.target.imsi,
            event_time=int(time.time()),
            services=units or (usual,),
            termination_cause=TerminationCause.LOGOUT if last else None,
        )
        realm = self.target.realm or self.server_realm
        return self.numbered(
            credit_control_request(request, STANDARD, replace(self.target.identity, destination_realm=realm))
        )

    def numbered(self, message: Message) -> Message:
        """Give a request identifiers of its own."""
        self._identifier = (self._identifier + 1) & 0xFFFF_FFFF
        return replace(message, hop_by_hop=self._identifier, end_to_end=self._identifier)

    # Answers

    def ask(
        self, link: Link, request: Message | bytes, *, may_close: bool = False, is_mirrored: bool = True
    ) -> Answer | None:
        """Send a request and hold its answer against what every answer must hold; None without an answer.

        Args:
            may_close: whether closing the connection instead of an answer is as good.
            is_mirrored: whether the request is whole enough for its answer to mirror it.
        """
        octets = request if isinstance(request, bytes) else request.encode()
        began = time.perf_counter()
        self.send(link, octets)
        came = self.hear(link)
        if came is None:
            if is_mirrored and not (link.is_closed and may_close):
                why = "the connection was closed" if link.is_closed else "no answer in time"
                self.look(rules.ANSWERED, held=False, detail=why)
            return None
        self.look(rules.ANSWERED, held=True)
        self.latencies.append(time.perf_counter() - began)
        got = self._read(came)
        if got is not None:
            self._look_all(every_answer(octets, got, self.server_host, is_mirrored=is_mirrored))
            if isinstance(request, Message):
                self._look_all(credit_control(request, got, self.server_host))
        return got

    def send(self, link: Link, *octets: bytes) -> None:
        """Send a request in one piece or several, without waiting for its answer."""
        self._sent, self._got = b"".join(octets), b""
        for number, part in enumerate(octets):
            if number:
                time.sleep(PAUSE_SECONDS)
            link.send(part)

    def hear(self, link: Link) -> bytes | None:
        """Give the next answer; what the server asks meanwhile is answered."""
        while (octets := link.receive()) is not None and octets[4] & Flag.REQUEST:
            try:
                asked = Message.decode(octets)
            except Malformed:
                return octets
            is_base = asked.command == DEVICE_WATCHDOG
            link.send(answer(asked, self.target.identity, SUCCESS if is_base else 3001, error=not is_base).encode())
        return octets

    def judge(self, sent: bytes, came: bytes) -> Answer | None:
        """Hold an answer that was not waited for by `ask` against what every answer must hold."""
        self._sent = sent
        got = self._read(came)
        if got is not None:
            self._look_all(every_answer(sent, got, self.server_host, is_mirrored=True))
        return got

    def _read(self, came: bytes) -> Answer | None:
        self._got = came
        try:
            got = read(came)
        except Unreadable as error:
            self.look(rules.READABLE, held=False, detail=str(error))
            return None
        self.look(rules.READABLE, held=True)
        return got


def changed(message: Message, name: str, *instead: Avp) -> Message:
    """Put other AVPs where the one of this name stands; none leaves it out."""
    avps = [new for one in message.avps for new in (instead if one.name == name else (one,))]
    return replace(message, avps=tuple(avps))


def plus(message: Message, *more: Avp) -> Message:
    return replace(message, avps=(*message.avps, *more))


def unknown(code: int, data: bytes, *, is_mandatory: bool) -> Avp:
    """Make an AVP that no specification defines."""
    return Avp(f"AVP 0/{code}", code, 0, 0x40 if is_mandatory else 0, data)


def proxy_info(host: str, state: bytes) -> Avp:
    return avp("Proxy-Info", [avp("Proxy-Host", host), avp("Proxy-State", state)])


Probe = Callable[[Examiner], None]
