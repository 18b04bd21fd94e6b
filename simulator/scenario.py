"""Scenes between a gateway and the server: what a scene is, where it plays, and how it is judged.

A scene is an `async` function that drives sessions on a `Stage` and states what must hold; every answer on the way is
put through the checks besides.  The scenes themselves are in `simulator.scenarios`.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from simulator.accounts import Accounts, ApiError, Balance, Tariff
from simulator.checks import Rule, Violation
from simulator.gateway import Gateway, Unanswered
from simulator.messages import Identity, ServiceKey, Volume
from simulator.profile import STANDARD, Profile
from simulator.record import Record
from simulator.settlement.door import DoorError
from simulator.signed_usage import SignedUsage
from simulator.subscriber import Clock, Session

EVENT_SECONDS_MAX: Final = 15.0
"""How long a scene waits for something the server has to start, such as a RAR after a top-up."""

IMSI_DIGITS: Final = 15

TARIFF: Final = Tariff(price=1, per_octets=1_000_000)
"""What a scene's operator pays unless the scene says otherwise."""


class NeedsAccounts(Exception):
    """A scene that moves money was played without the API's address."""


class NeedsSigning(Exception):
    """A scene of signed usage was played without keys."""


@dataclass(slots=True, kw_only=True)
class Operator:
    """A home operator made for one scene."""

    name: str
    prefix: str
    tariff: Tariff


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """An operator's balance around a scene, and what its sessions owe by our own arithmetic, in credits.

    Attributes:
        before: after the operator's first top-up, and before any session.
        after: when every session has ended.
    """

    operator: Operator
    before: Balance
    after: Balance
    due: int


@dataclass(slots=True)
class Stage:
    """Where a scene plays: the server's address, one gateway, and the accounts if there are any.

    Attributes:
        prefix: IMSIs begin with it when the scene made no operator of its own.
        signed: who signs what its sessions report; None where nobody does.
    """

    host: str
    port: int
    gateway: Gateway
    accounts: Accounts | None
    prefix: str
    clock: Clock
    rng: random.Random
    signed: SignedUsage | None = None
    sessions: list[Session] = field(default_factory=list)
    opening: list[tuple[Operator, Balance]] = field(default_factory=list)

    async def operator(self, *, credit: int, tariff: Tariff = TARIFF) -> Operator:
        """Make a home operator with a prefix of its own and this much credit.

        Raises:
            NeedsAccounts: no API was named.
        """
        # The PLMN 001-01 is for tests; five random digits behind it keep one run apart from the next.
        tail = f"{self.rng.randrange(100_000):05d}"
        made = Operator(name=f"scene-{tail}", prefix=f"00101{tail}", tariff=tariff)
        accounts = self._accounts()
        await accounts.create_operator(made.name, [made.prefix], made.tariff)
        if credit:
            await accounts.top_up(made.name, credit, "scene")
        self.prefix = made.prefix
        self.opening.append((made, await self.balance(made)))
        return made

    async def top_up(self, operator: Operator, amount: int) -> None:
        await self._accounts().top_up(operator.name, amount, "scene")

    async def balance(self, operator: Operator) -> Balance:
        return await self._accounts().balance(operator.name)

    def session(self, *keys: ServiceKey, metered: bool = True) -> Session:
        """Make a session of a new subscriber; `metered`: its usage is signed, where anybody signs."""
        missing = IMSI_DIGITS - len(self.prefix)
        imsi = self.prefix + "".join(str(self.rng.randrange(10)) for _ in range(missing))
        meter = self.signed if metered else None
        self.sessions.append(Session(self.gateway, imsi, clock=self.clock, keys=keys, meter=meter))
        return self.sessions[-1]

    def expect(self, condition: bool, rule: Rule, detail: str, session: Session | None = None) -> None:
        """Note a violation unless the condition holds; the scene goes on."""
        if condition:
            self.gateway.record.kept(rule)
        else:
            self.gateway.record.broken([Violation(rule, detail, session.session_id if session else b"")])

    def expect_code(self, session: Session, *codes: int) -> None:
        """Expect the session's newest result, at whichever level it was given, to be one of these."""
        detail = f"{session.result_code}, expected {' or '.join(map(str, codes))}"
        self.expect(session.result_code in codes, Rule.RESULT, detail, session)

    async def until(self, session: Session, condition: Callable[[], bool], rule: Rule, detail: str) -> None:
        """Wait for what the server has to start; note a violation when the session meets no such answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVENT_SECONDS_MAX):
                while not condition():
                    await session.next_answer()
        self.expect(condition(), rule, detail, session)

    async def expect_charged(self, operator: Operator) -> None:
        """Expect the books to hold what the scene's sessions used by this tariff, and nothing reserved."""
        due = self.due(operator)
        shown = await self.balance(operator)
        self.expect(shown.adds_up, Rule.MONEY, f"credited is not available + reserved + consumed: {shown}")
        self.expect(shown.consumed + shown.overrun == due, Rule.MONEY, f"{due} credits are due: {shown}")
        self.expect(shown.reserved == 0, Rule.MONEY, f"{shown.reserved} credits stay reserved")

    def due(self, operator: Operator) -> int:
        """Return what the sessions of this operator's subscribers cost by its tariff, in credits."""
        sessions = [one for one in self.sessions if one.imsi.startswith(operator.prefix)]
        return sum(operator.tariff.charge(quota.reported) for one in sessions for quota in one.quotas)

    async def books(self) -> tuple[Book, ...]:
        """Read what became of the money of each operator that the scene made."""
        return tuple(
            [
                Book(operator=one, before=before, after=await self.balance(one), due=self.due(one))
                for one, before in self.opening
            ]
        )

    def signing(self) -> SignedUsage:
        """Give who signs.

        Raises:
            NeedsSigning: nobody does.
        """
        if self.signed is None:
            raise NeedsSigning("this scenario signs usage: name keys with --sign")
        return self.signed

    def _accounts(self) -> Accounts:
        if self.accounts is None:
            raise NeedsAccounts("this scenario moves money: name the API with --api")
        return self.accounts


Scene = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scene with its name, what it shows (its docstring's first line), and whether it needs the API, and keys."""

    name: str
    shows: str
    needs_accounts: bool
    needs_signing: bool
    scene: Scene


SCENARIOS: Final[dict[str, Scenario]] = {}


def scenario(name: str, *, needs_accounts: bool = False, needs_signing: bool = False) -> Callable[[Scene], Scene]:
    """Enter a scene under its name."""

    def enter(scene: Scene) -> Scene:
        shows = (scene.__doc__ or "").strip().splitlines()[0].rstrip(".")
        SCENARIOS[name] = Scenario(name, shows, needs_accounts, needs_signing, scene)
        return scene

    return enter


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scene went.

    Attributes:
        began: on the monotonic clock, as the record's moments are.
        reported: octets in all reports that the server took.
        books: the money of each operator the scene made.
    """

    scenario: Scenario
    profile: Profile
    record: Record
    seconds: float
    began: float = 0.0
    reported: Volume = Volume()
    books: tuple[Book, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.record.violations


async def play(
    scenario: Scenario,
    host: str,
    port: int,
    *,
    profile: Profile = STANDARD,
    identity: Identity | None = None,
    accounts: Accounts | None = None,
    signed: SignedUsage | None = None,
    prefix: str = "00101",
    tx_seconds: float = 10.0,
    seed: int | None = None,
    watch: Callable[[Stage], None] | None = None,
) -> Outcome:
    """Play one scene on a connection of its own and judge it; `watch` is told the stage before the scene begins.

    Raises:
        Unreachable, Rejected: there is no server to play with.
        NeedsAccounts: the scene moves money and no API was named.
        NeedsSigning: the scene signs usage and no keys were named.
    """
    if scenario.needs_signing and signed is None:
        raise NeedsSigning(f"{scenario.name} signs usage: name keys with --sign")
    if scenario.needs_accounts and accounts is None:
        raise NeedsAccounts(f"{scenario.name} moves money: name the API with --api")
    rng = random.Random(seed)
    record, started = Record(), time.monotonic()
    gateway = Gateway(identity or Identity(), profile, tx_seconds=tx_seconds, record=record, rng=rng)
    books: tuple[Book, ...] = ()
    async with _connection(gateway, host, port):
        stage = Stage(host, port, gateway, accounts, prefix, Clock(), rng, signed)
        if watch is not None:
            watch(stage)
        try:
            await scenario.scene(stage)
            for session in stage.sessions:
                await session.detach()
            if signed is not None:
                record.broken(await signed.check([session for session in stage.sessions if session.metered]))
            books = await stage.books()
        except (Unanswered, ApiError, DoorError) as error:
            stage.expect(condition=False, rule=Rule.NOT_ANSWERED, detail=str(error))
    reported = sum((session.reported for session in stage.sessions), Volume())
    return Outcome(scenario, profile, record, time.monotonic() - started, started, reported, books)


@contextlib.asynccontextmanager
async def _connection(gateway: Gateway, host: str, port: int) -> AsyncIterator[None]:
    await gateway.connect(host, port)
    try:
        yield
    finally:
        await gateway.close()
