"""Subscribers of several home operators that come, use data and go, as long as the show lasts."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from simulator.accounts import Balance, Tariff
from simulator.checks import SUCCESS
from simulator.gateway import Gateway, Unanswered
from simulator.messages import Volume
from simulator.subscriber import Clock, Meter, Session

TICK_SECONDS: Final = 6.0
GRANT_LASTS_SECONDS: Final = (24.0, 72.0)
"""A subscriber's rate is set so that its first grant lasts this long: the show keeps its pace at any grant size."""

STAY_SECONDS: Final = (120.0, 600.0)
PAUSE_SECONDS: Final = (6.0, 45.0)
"""All of these are seconds of the simulated world."""

UPLINK_PERCENT: Final = 15
DELETED_BY_HOME_PERCENT: Final = 20

IMSI_DIGITS: Final = 15


@dataclass(slots=True, kw_only=True)
class HomeOperator:
    """A home operator in the show: what it pays, who roams from it, and the newest balance read.

    Attributes:
        sessions: every session so far, ended ones too: what they reported is what must be charged.
        refused: answers that granted nothing.
        recovered: sessions that were granted again after they had been refused.
    """

    name: str
    prefix: str
    tariff: Tariff
    gateways: Sequence[Gateway]
    people: int
    balance: Balance = field(
        default_factory=lambda: Balance(credited=0, available=0, reserved=0, consumed=0, overrun=0)
    )
    sessions: list[Session] = field(default_factory=list)
    refused: int = 0
    recovered: int = 0

    @property
    def due(self) -> int:
        """Credits for all reported octets, by the simulator's own arithmetic."""
        return sum(self.tariff.charge(quota.reported) for one in self.sessions for quota in one.quotas)

    @property
    def open_sessions(self) -> list[Session]:
        return [session for session in self.sessions if session.open]


class Population:
    """Everyone who roams in the show."""

    def __init__(self, operators: Sequence[HomeOperator], clock: Clock, rng: random.Random) -> None:
        self.operators = operators
        self._clock = clock
        self._rng = rng
        self.meters: dict[Gateway, Meter] = {}  # of gateways that sign what they report
        self._leaving = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Let everyone arrive, spread over one pause."""
        for operator in self.operators:
            for number in range(operator.people):
                gateway = operator.gateways[number % len(operator.gateways)]
                self._tasks.append(asyncio.create_task(self._roam(operator, gateway, number)))

    async def leave(self) -> None:
        """Let everyone detach, and wait until they have.

        Raises:
            Exception: what ended a subscriber other than a missing answer; a bug.
        """
        self._leaving.set()
        await asyncio.gather(*self._tasks)

    def new_session(self, operator: HomeOperator, gateway: Gateway) -> Session:
        missing = IMSI_DIGITS - len(operator.prefix)
        imsi = operator.prefix + "".join(str(self._rng.randrange(10)) for _ in range(missing))
        operator.sessions.append(Session(gateway, imsi, clock=self._clock, meter=self.meters.get(gateway)))
        return operator.sessions[-1]

    async def _roam(self, operator: HomeOperator, gateway: Gateway, number: int) -> None:
        await self._wait(self._rng.uniform(0, PAUSE_SECONDS[1]) * number / operator.people)
        while not self._leaving.is_set() and gateway.connected:
            # A missing answer is recorded by the gateway as a violation; this subscriber starts afresh.
            with contextlib.suppress(Unanswered):
                await self._stay(operator, self.new_session(operator, gateway))
            await self._wait(self._rng.uniform(*PAUSE_SECONDS))

    async def _stay(self, operator: HomeOperator, session: Session) -> None:
        """Attach, use, and detach or be deleted."""
        await session.attach()
        operator.refused += session.result_code != SUCCESS
        leaves_at = self._clock.now() + self._rng.uniform(*STAY_SECONDS)
        rate = session.quotas[0].granted / self._rng.uniform(*GRANT_LASTS_SECONDS)
        blocked = not session.quotas[0].granted
        while session.open and not self._leaving.is_set() and self._clock.now() < leaves_at:
            await self._wait(TICK_SECONDS)
            rate = rate or session.quotas[0].granted / self._rng.uniform(*GRANT_LASTS_SECONDS)
            octets = int(rate * TICK_SECONDS * self._rng.uniform(0.5, 1.5))
            up = octets * UPLINK_PERCENT // 100
            await session.use(Volume(up, octets - up))
            await session.check_timers()
            granted = session.quotas[0].granted > 0
            operator.refused += not granted and not blocked
            operator.recovered += granted and blocked
            blocked = not granted
        if self._rng.randrange(100) < DELETED_BY_HOME_PERCENT:
            await session.delete_from_home()
        else:
            await session.detach()

    async def _wait(self, seconds: float) -> None:
        """Wait in simulated seconds, or until everyone is to leave."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds / self._clock.scale):
                await self._leaving.wait()
