"""A subscriber's session as its gateway keeps it: quotas, what was used of them, and when to report.

Octets come from outside (`use`), time from a `Clock` that may run fast; every decision in between is the gateway's own
and follows its profile.  RFC 8506 sections 5.2 to 5.6, TS 32.299 clauses 6.5 and 7.2.
"""

import asyncio
import time
from enum import StrEnum
from typing import Final, Protocol

from simulator.checks import SUCCESS
from simulator.gateway import UNKNOWN_SESSION_ID, Change, Exchange, Gateway, Unanswered
from simulator.messages import APN, CreditRequest, Reason, ServiceKey, ServiceUnits, Volume
from simulator.profile import Profile, RequestType, TerminationCause
from simulator.quota import NEVER, Quota, QuotaState
from simulator.settlement.messages import Cause, Counters
from simulator.settlement.reading import Reading
from simulator.wire import Avp, Message, text

ATTEMPTS: Final = 3
"""How often a CCR goes out before the gateway gives up: once, and twice with T set."""

TOO_BUSY: Final = 3004

TAKES_NOTHING: Final = frozenset({UNKNOWN_SESSION_ID, 5001, 5004, 5005, 5007, 5008, 5009, 5012, 5014})
"""Besides 3xxx: codes to a report that the server has not taken, for its session or its form."""

RETRY_SECONDS: Final = 0.3
"""The wait before a request that met 3004, or no answer, goes out again."""

CAUSES: Final = {
    Reason.THRESHOLD: Cause.THRESHOLD,
    Reason.HOLDING_TIME: Cause.QHT,
    Reason.FINAL: Cause.QUOTA_EXHAUSTED,  # of an update: the final units are used
    Reason.QUOTA_EXHAUSTED: Cause.QUOTA_EXHAUSTED,
    Reason.VALIDITY_TIME: Cause.VALIDITY_TIMER_EXPIRED,
    Reason.FORCED_REAUTHORISATION: Cause.REAUTH_REQUIRED,
}
"""What signed usage calls it when a CCR-U is sent for this reason."""


def longest_wait(gateway: Gateway, attempts: int = ATTEMPTS) -> float:
    """Give the seconds until a request of this gateway's has its answer, or is given up."""
    return attempts * (gateway.tx_seconds + RETRY_SECONDS)


class OutOfTurn(Exception):
    """A session is asked for what its state does not allow."""


class Meter(Protocol):
    """Whoever signs what a gateway reports."""

    def tell(self, reading: Reading) -> None:
        """Take what was reported over Gy so far, after each answer."""


class Clock:
    """Seconds of the simulated world: `scale` of them pass in a real one, and `skip` jumps ahead."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._start = time.monotonic()
        self._skipped = 0.0

    def now(self) -> float:
        return (time.monotonic() - self._start) * self.scale + self._skipped

    def skip(self, seconds: float) -> None:
        self._skipped += seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.scale)


class SessionState(StrEnum):
    IDLE = "idle"
    OPEN = "open"
    REFUSED = "refused"
    ENDED = "ended"


class Session:
    """One credit-control session.  Its requests go out one after the other.

    Args:
        apn: what its bearer is connected to.
        keys: the services it uses; the profile's default quota when none is named.
        meter: is told what was reported, where usage is signed.
        attempts: how often a request goes out before the gateway gives up.

    Attributes:
        reported: octets in all reports that the server has taken, all services together.
        last: the newest exchange.
    """

    def __init__(
        self,
        gateway: Gateway,
        imsi: str,
        *,
        apn: str = APN,
        clock: Clock | None = None,
        keys: tuple[ServiceKey, ...] = (),
        meter: Meter | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.imsi = imsi
        self.apn = apn
        self.state = SessionState.IDLE
        self.session_id = gateway.new_session_id(imsi)
        self.quotas = [Quota(key) for key in keys or (ServiceKey(gateway.profile.rating_group),)]
        self.last: Exchange | None = None
        self.reports = 0
        self.reported = Volume()
        self._meter = meter
        self._attempts = attempts
        self._asked: CreditRequest | None = None
        self._unanswered: Message | None = None
        self._gateway = gateway
        self._clock = clock or Clock()
        self._number = 0
        self._server_host = ""
        self._lock = asyncio.Lock()
        self._answered = asyncio.Event()

    @property
    def profile(self) -> Profile:
        return self._gateway.profile

    @property
    def gateway(self) -> Gateway:
        return self._gateway

    @property
    def open(self) -> bool:
        return self.state is SessionState.OPEN

    @property
    def metered(self) -> bool:
        """Whether its usage is signed."""
        return self._meter is not None

    @property
    def result_code(self) -> int:
        """The newest answer's code: of the first service that failed, else of the command."""
        if self.last is None or self.last.result_code != SUCCESS:
            return self.last.result_code if self.last else 0
        return next((quota.result_code for quota in self.quotas if quota.result_code != SUCCESS), SUCCESS)

    async def next_answer(self) -> None:
        """Wait until the session has met its next answer, whoever caused the request."""
        await self._answered.wait()

    def begins(self) -> None:
        """Insist that nothing was asked for yet.

        Raises:
            OutOfTurn: the session has begun.
        """
        if self.state is not SessionState.IDLE:
            raise OutOfTurn(f"the session attaches once, and is {self.state}")

    async def attach(self) -> Exchange:
        """Ask for a first quota of every service (CCR-I).

        Raises:
            OutOfTurn: it was asked for before.
            Unanswered: there was no answer.
        """
        async with self._lock:
            self.begins()
            self._gateway.attend(self.session_id, self)
            units = [ServiceUnits(key=quota.key, wanted=True) for quota in self.quotas]
            exchange = await self._send(RequestType.INITIAL, units)
            if exchange.result_code == SUCCESS:
                self.state = SessionState.OPEN
                await self._obey_refusals()
            else:
                self._close(SessionState.REFUSED)
            return exchange

    async def use(self, volume: Volume, service: int = 0) -> Volume:
        """Move octets as far as quota lasts, report as often as that takes, and return what was moved."""
        quota = self.quotas[service]
        moved, left = Volume(), volume
        while left.total and self.open and quota.state is QuotaState.ACTIVE:
            room = max(quota.report_at(self.profile) - quota.used, 0)
            # A gateway that does not block counts what passes, and reports once the limit lies behind it.
            step = _part(left, room) if self.profile.blocks_at_quota else left
            quota.move(step)
            moved, left = moved + step, Volume(left.up - step.up, left.down - step.down)
            await self._report(quota)
        return moved

    def admit(self, volume: Volume, service: int = 0) -> bool:
        """Count a packet if its quota has room for it, and tell whether it may pass.

        A report that becomes due goes out by itself while packets that still have quota pass.  The first packet without
        room ends the grant: no other takes what is left of it.
        """
        quota = self.quotas[service]
        if not self.open or quota.state is not QuotaState.ACTIVE:
            return False
        blocks = self.profile.blocks_at_quota
        fits = not blocks or (not quota.full and quota.used + volume.total <= quota.granted)
        if fits:
            quota.move(volume)
        else:
            quota.full = True
        if quota.due(self.profile) and not quota.reporting:
            quota.reporting = True
            self._gateway.start(self._report_while_due(quota))
        return fits

    async def check_timers(self) -> None:
        """Report and ask anew for every quota whose Validity-Time has passed (RFC 8506 section 8.33)."""
        async with self._lock:
            expired = [quota for quota in self.quotas if quota.expires_at <= self._clock.now()]
            if self.open and expired:
                if self.profile.final_ends_session and any(quota.final for quota in expired):
                    await self._terminate(TerminationCause.LOGOUT)
                else:
                    await self._update(expired, Reason.VALIDITY_TIME)

    async def reauthorise(self) -> None:
        """Report and ask anew for every quota, as a RAR demands (RFC 8506 section 5.5)."""
        async with self._lock:
            if self.open:
                await self._update(self.quotas, Reason.FORCED_REAUTHORISATION)

    async def say(
        self,
        request_type: RequestType,
        units: list[ServiceUnits],
        *,
        number: int | None = None,
        change: Change | None = None,
    ) -> Exchange:
        """Send one request once, whatever the session's state: it waits for no other, and may be out of order.

        Args:
            number: its CC-Request-Number; the next one when none is named.
            change: what a gateway out of order makes of the request.

        Raises:
            Unanswered: there was no answer.
        """
        for unit in units:
            self._quota(unit.key).move(unit.used or Volume())
        request = self._request(request_type, units, number=number)
        return self._take(request, await self._once(request, change))

    async def repeat(self, *, told: bool = True) -> Exchange:
        """Send the newest request again, as it was; if it had no answer yet, take the one that comes.

        Args:
            told: whether the T bit is set.

        Raises:
            Unanswered: there was no answer this time either.
            OutOfTurn: nothing was sent yet.
        """
        if self._unanswered is not None and self._asked is not None:
            exchange = await self._gateway.resend(self._unanswered, told=told)
            self._unanswered = None
            return self._take(self._asked, exchange)
        if self.last is None:
            raise OutOfTurn("nothing was sent yet that could be repeated")
        return await self._gateway.resend(self.last.request, told=told)

    def successor(self, gateway: Gateway, meter: Meter | None) -> "Session":
        """Make the session that another gateway begins when it takes the bearer over."""
        keys = tuple(quota.key for quota in self.quotas)
        return Session(
            gateway, self.imsi, apn=self.apn, clock=self._clock, keys=keys, meter=meter, attempts=self._attempts
        )

    def move(self, gateway: Gateway) -> None:
        """Go on through another gateway of the same make, as after a failover."""
        self._gateway.leave(self.session_id)
        self._gateway = gateway
        gateway.attend(self.session_id, self)

    async def detach(self) -> None:
        """End because the subscriber does."""
        await self._end(TerminationCause.LOGOUT)

    async def delete_from_home(self) -> None:
        """End because the home PGW deletes the session."""
        await self._end(TerminationCause.ADMINISTRATIVE)

    async def abort(self) -> None:
        """End because the server says so (ASR, RFC 6733 section 8.5)."""
        await self._end(TerminationCause.ADMINISTRATIVE)

    async def _end(self, cause: TerminationCause) -> None:
        async with self._lock:
            if self.open:
                await self._terminate(cause)

    async def _report_while_due(self, quota: Quota) -> None:
        """Report until the newest grant has room for what passed meanwhile."""
        try:
            # A grant so small that it is due before its first octet is reported when something moved.
            while self.open and quota.due(self.profile) and (quota.used or quota.full):
                await self._report(quota)
        finally:
            quota.reporting = False

    async def _report(self, quota: Quota) -> None:
        """Send what is due: nothing, an update, or the last report of final units."""
        async with self._lock:
            profile = self.profile
            # Asked again under the lock: a RAR may have replaced the grant while this report waited.
            if not self.open or not quota.due(profile):
                return
            if not quota.final:
                exhausted = quota.full or quota.used >= quota.granted
                await self._update([quota], Reason.QUOTA_EXHAUSTED if exhausted else Reason.THRESHOLD)
            elif profile.final_ends_session:
                await self._terminate(TerminationCause.LOGOUT)
            else:
                quota.state, quota.expires_at = QuotaState.FINAL, NEVER
                await self._update([quota], Reason.FINAL, wanted=False)

    async def _update(self, quotas: list[Quota], reason: Reason, *, wanted: bool = True) -> None:
        self.reports += 1
        units = [ServiceUnits(key=one.key, wanted=wanted, used=one.unreported, reason=reason) for one in quotas]
        exchange = await self._send(RequestType.UPDATE, units)
        if exchange.result_code == SUCCESS:
            await self._obey_refusals()
        elif exchange.result_code == UNKNOWN_SESSION_ID:
            self._close(SessionState.ENDED)
        else:
            await self._terminate(TerminationCause.ADMINISTRATIVE)

    async def _obey_refusals(self) -> None:
        """End the session where the profile takes a refused service for the end of all."""
        classes = {one.result_code // 1000 for one in self.quotas if one.state is QuotaState.BLOCKED}
        if classes & self.profile.refusal_ends_session:
            await self._terminate(TerminationCause.ADMINISTRATIVE)

    async def _terminate(self, cause: TerminationCause) -> None:
        units = [
            ServiceUnits(key=quota.key, wanted=False, used=quota.unreported, reason=Reason.FINAL)
            for quota in self.quotas
        ]
        # Ended before the answer: traffic stops with the bearer, not with the CCA.
        self.state = SessionState.ENDED
        await self._send(RequestType.TERMINATION, units, cause)
        self._close(SessionState.ENDED)

    def _close(self, state: SessionState) -> None:
        self.state = state
        self._gateway.leave(self.session_id)

    async def _send(
        self, request_type: RequestType, units: list[ServiceUnits], cause: TerminationCause | None = None
    ) -> Exchange:
        """Send one request until it has an answer other than 3004, and take that answer.

        Raises:
            Unanswered: the last attempt had no answer either.
        """
        request = self._request(request_type, units, cause)
        return self._take(request, await self._persist(request))

    def _request(
        self,
        request_type: RequestType,
        units: list[ServiceUnits],
        cause: TerminationCause | None = None,
        number: int | None = None,
    ) -> CreditRequest:
        if number is None:
            number = self._number
        self._number = max(self._number, number + 1)
        return CreditRequest(
            session_id=self.session_id,
            request_type=request_type,
            number=number,
            imsi=self.imsi,
            apn=self.apn,
            event_time=int(time.time()),
            services=tuple(units),
            termination_cause=cause,
            server_host=self._server_host,
        )

    def _take(self, request: CreditRequest, exchange: Exchange) -> Exchange:
        """Take an answer: what was reported is reported, and what is granted may be used."""
        request_type, units = request.request_type, request.services
        self.last = exchange
        self._server_host = text(exchange.answer.octets("Origin-Host"))
        # An unknown session has nothing to charge, and 3xxx took nothing; any other answer means the report was taken.
        if exchange.result_code not in TAKES_NOTHING and exchange.result_code // 1000 != 3:
            for unit in units:
                self._quota(unit.key).count(unit.used)
                self.reported += unit.used or Volume()
        if exchange.result_code == SUCCESS and request_type is not RequestType.TERMINATION:
            given = {_key(service): service for service in exchange.answer.services}
            for unit in units:
                self._quota(unit.key).take(given.get(unit.key), self._clock.now())
        if self._meter is not None and (request_type is not RequestType.INITIAL or exchange.result_code == SUCCESS):
            self._meter.tell(self._reading(request, exchange))
        self._answered.set()
        self._answered = asyncio.Event()
        return exchange

    def _reading(self, request: CreditRequest, exchange: Exchange) -> Reading:
        """Give what is signed of the session after this answer."""
        final = request.request_type is RequestType.TERMINATION or exchange.result_code == UNKNOWN_SESSION_ID
        reason = next((unit.reason for unit in request.services if unit.reason is not None), Reason.THRESHOLD)
        return Reading(
            gy_session_id=text(self.session_id),
            imsi=self.imsi,
            octets=Counters(self.reported.up, self.reported.down),
            granted_bytes=sum(quota.reported + quota.granted for quota in self.quotas),
            measured_at_ms=time.time_ns() // 1_000_000,
            cause=Cause.TERMINATED if final else CAUSES[reason],
            cc_request_number=request.number,
            final=final,
        )

    def _quota(self, key: ServiceKey) -> Quota:
        return next(quota for quota in self.quotas if quota.key == key)

    async def _persist(self, request: CreditRequest) -> Exchange:
        sent: Message | None = None
        for attempt in range(self._attempts):
            try:
                exchange = await (self._gateway.resend(sent) if sent else self._once(request))
            except Unanswered as error:
                sent = error.request
                if attempt == self._attempts - 1:
                    raise
            else:
                self._unanswered = None
                if exchange.result_code != TOO_BUSY or attempt == self._attempts - 1:
                    return exchange
                sent = exchange.request
            await asyncio.sleep(RETRY_SECONDS)
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, request: CreditRequest, change: Change | None = None) -> Exchange:
        """Send a request once, and remember it while it has no answer."""
        try:
            return await self._gateway.credit_control(request, change)
        except Unanswered as error:
            self._asked, self._unanswered = request, error.request
            raise


def _part(volume: Volume, octets: int) -> Volume:
    """Return at most `octets` of a volume, up and down in the same proportion."""
    if octets >= volume.total:
        return volume
    up = octets * volume.up // volume.total
    return Volume(up, octets - up)


def _key(service: Avp) -> ServiceKey:
    return ServiceKey(service.number("Rating-Group"), service.number("Service-Identifier"))
