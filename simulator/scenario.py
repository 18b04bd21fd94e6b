"""Where a scenario plays, and how it is judged.

A scenario (`simulator.script`) drives sessions on a `Stage` and states what must hold; every answer on the way is put
through the checks besides.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from simulator.accounts import Accounts, ApiError, Balance, Channel, Tariff
from simulator.checks import Rule, Violation
from simulator.gateway import Exchange, Gateway, Observe, Unanswered
from simulator.messages import Identity, Volume
from simulator.plane.account import Account
from simulator.plane.capture import Capture
from simulator.plane.loopback import Lost, NoAddress
from simulator.plane.user_plane import UserPlane, open_user_plane
from simulator.profile import STANDARD, Profile
from simulator.record import Record
from simulator.settlement.door import DoorError
from simulator.signalling import of_gy
from simulator.signed_usage import SignedUsage
from simulator.subscriber import Clock, Session
from simulator.wire import Message

IMSI_DIGITS: Final = 15

TRAILING_SECONDS: Final = 3.0
"""How long the books may trail behind the last CCA."""

LOOK_SECONDS: Final = 0.05


class Lacking(Exception):
    """What a scenario needs was not named; the text says what and how to name it."""


class HookFailed(Exception):
    """The command that restarts the server failed."""


@dataclass(slots=True, kw_only=True)
class Operator:
    """A home operator made for one scenario."""

    name: str
    prefix: str
    tariff: Tariff


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """An operator's balance around a scenario, and what its sessions owe by our own arithmetic, in credits.

    Attributes:
        before: after the operator's first top-up, and before any session.
        after: when the scenario has ended.
    """

    operator: Operator
    before: Balance
    after: Balance
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What there is besides the server's Gy port.

    Attributes:
        prefix: IMSIs begin with it where no operator can be made.
        tx_seconds: how long a gateway waits for an answer unless its scenario says otherwise.
        restart: restarts the server, and returns once that is under way; None where nothing does.
        tw_seconds: the server's watchdog interval; None where it was not named.
        time_scale: seconds of the simulated world in one of ours.
        capture: where all that is sent and received is written.
    """

    accounts: Accounts | None = None
    signed: SignedUsage | None = None
    prefix: str = "00101"
    tx_seconds: float = 10.0
    restart: Callable[[], Awaitable[None]] | None = None
    tw_seconds: float | None = None
    time_scale: float = 1.0
    capture: Capture | None = None

    @property
    def observe(self) -> Observe | None:
        return self.capture.connection if self.capture is not None else None


@dataclass(slots=True)
class Stage:
    """Where a scenario plays: the server's address, and everybody in it by name.

    Attributes:
        groups: sessions by the name of their group; of those that were handed over the newest.
        left: sessions that ended with a handover, by the same names.
        owners: the operator of each group, where operators were made.
        unsigned: groups whose use nobody signs.
        noted: exchanges that a later step is compared with.
        channels: those that the scenario has opened, by a name of its own.
        used_before: data credits that all channels had used when they were marked.
        opening: what each operator had at first.
        signalling: the name of each message of Gy about a session, and of GTP-C, in their order.
        plane: the user plane of those sessions that have tunnels; None where none has.
    """

    host: str
    port: int
    record: Record
    clock: Clock
    rng: random.Random
    around: Around
    gateways: dict[str, Gateway] = field(default_factory=dict)
    operators: dict[str, Operator] = field(default_factory=dict)
    groups: dict[str, list[Session]] = field(default_factory=dict)
    left: dict[str, list[Session]] = field(default_factory=dict)
    owners: dict[str, Operator] = field(default_factory=dict)
    unsigned: set[str] = field(default_factory=set)
    noted: dict[str, Exchange] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    used_before: int = 0
    opening: list[tuple[Operator, Balance]] = field(default_factory=list)
    signalling: list[str] = field(default_factory=list)
    plane: UserPlane | None = None
    _open: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def sessions(self) -> list[Session]:
        return [session for name in self.groups for session in self.sessions_of(name)]

    @property
    def profile(self) -> Profile:
        """The make of the first gateway."""
        return next(iter(self.gateways.values())).profile

    def sessions_of(self, name: str) -> list[Session]:
        """Give all that a group has had, those it was handed over from first."""
        return [*self.left.get(name, ()), *self.groups[name]]

    def overhear(self, message: Message) -> None:
        """Take a message of a gateway's, for `signalling`."""
        if (name := of_gy(message)) is not None:
            self.signalling.append(name)

    async def open_plane(self, attempts: int) -> UserPlane:
        """Open a user plane with one SGW for each gateway.

        Args:
            attempts: how often a session's request goes out at most.

        Raises:
            Lacking: this host has no addresses for it.
        """
        opening = open_user_plane(
            list(self.gateways.values()),
            clock=self.clock,
            attempts=attempts,
            capture=self.around.capture,
            say=self.signalling.append,
        )
        try:
            self.plane = await self._open.enter_async_context(opening)
        except NoAddress as error:
            raise Lacking(f"moves packets: {error}") from error
        return self.plane

    async def attach(self, session: Session) -> Exchange | None:
        """Attach a session, or the UE whose bearer it is; gives the answer, None where there is none.

        Raises:
            Unanswered: there is none, to a session without a UE.
        """
        if self.plane is None or session not in self.plane:
            return await session.attach()
        await self.plane.attach(session)
        return session.last

    async def detach(self, session: Session, *, by_home: bool = False) -> Exchange | None:
        """End a session as its subscriber or its home network does, and give the newest answer; as `attach`.

        Raises:
            Unanswered: there is none, to a session without a UE.
        """
        if self.plane is None or session not in self.plane:
            await (session.delete_from_home() if by_home else session.detach())
            return session.last
        before, open_before = session.last, session.open
        await (self.plane.delete_from_home(session) if by_home else self.plane.detach(session))
        return session.last if session.last is not before or not open_before else None

    async def hand_over(self, session: Session, gateway: Gateway) -> Session:
        """Have another gateway serve a UE; gives its session there, which replaces the old one unless refused."""
        name = next(name for name, group in self.groups.items() if session in group)
        successor = session.successor(gateway, self.meter(name, gateway))
        if await self.user_plane().hand_over(session, successor):
            self.left.setdefault(name, []).append(session)
            group = self.groups[name]
            group[group.index(session)] = successor
        return successor

    def user_plane(self) -> UserPlane:
        """Give the user plane; a step that needs it is about sessions with tunnels, and these open it."""
        if self.plane is None:
            raise RuntimeError("no session of this scenario has tunnels")
        return self.plane

    def meter(self, name: str, gateway: Gateway) -> SignedUsage | None:
        """Give who signs a group's use at a gateway, if anybody does: only the first gateway's keys are registered."""
        first = next(iter(self.gateways.values()))
        return self.around.signed if gateway is first and name not in self.unsigned else None

    async def connect_to(self, gateway: Gateway) -> Message:
        """Connect a gateway and return its CEA; see `Gateway.connect`."""
        return await gateway.connect(self.host, self.port)

    async def make_operator(self, key: str, credit: int, tariff: Tariff, grant_max: int | None = None) -> None:
        """Make a home operator with a prefix of its own and this much credit; no grant is above `grant_max` octets.

        Raises:
            ApiError: the server refused.
        """
        # The PLMN 001-01 is for tests; seven random digits behind it keep one run apart from the next.
        tail = f"{self.rng.randrange(10_000_000):07d}"
        made = Operator(name=f"scene-{tail}", prefix=f"00101{tail}", tariff=tariff)
        await self.accounts().create_operator(made.name, [made.prefix], made.tariff, grant_max)
        if credit:
            await self.accounts().top_up(made.name, credit, "scene")
        self.operators[key] = made
        self.opening.append((made, await self.balance(made)))

    async def balance(self, operator: Operator) -> Balance:
        return await self.accounts().balance(operator.name)

    async def settled_balance(self, operator: Operator, condition: Callable[[Balance], bool]) -> Balance:
        """Read a balance until it is as it should be, or the time in which books may trail is over."""
        until = time.monotonic() + TRAILING_SECONDS / self.clock.scale
        while True:
            shown = await self.balance(operator)
            if condition(shown) or time.monotonic() > until:
                return shown
            await asyncio.sleep(LOOK_SECONDS)

    def due(self, operator: Operator) -> int:
        """Credits for all that its sessions reported, by the simulator's own arithmetic."""
        return sum(
            operator.tariff.charge(quota.reported)
            for name in self.groups
            if self.owners.get(name) is operator
            for session in self.sessions_of(name)
            for quota in session.quotas
        )

    async def books(self) -> tuple[Book, ...]:
        """Read what became of the money of each operator that was made."""
        return tuple(
            [
                Book(operator=one, before=before, after=await self.balance(one), due=self.due(one))
                for one, before in self.opening
            ]
        )

    def new_imsi(self, prefix: str) -> str:
        missing = max(IMSI_DIGITS - len(prefix), 0)
        return prefix + "".join(str(self.rng.randrange(10)) for _ in range(missing))

    def expect(self, held: bool, rule: Rule, step: str, text: str, seen: str, session: Session | None = None) -> None:
        """Note what was stated and whether it held, and a violation where not; the scenario goes on."""
        self.record.expected(step, text, held=held)
        if held:
            self.record.kept(rule)
        else:
            where = session.session_id if session else b""
            self.record.broken([Violation(rule, f"{step}: {seen}, expected {text}", where)])

    async def close(self) -> None:
        """Close the user plane, then every connection."""
        try:
            await self._open.aclose()
        finally:
            async with asyncio.TaskGroup() as group:
                for gateway in self.gateways.values():
                    group.create_task(gateway.close())

    def signing(self) -> SignedUsage:
        """Give who signs.

        Raises:
            Lacking: nobody does.
        """
        if self.around.signed is None:
            raise Lacking("signs usage: name keys with --sign")
        return self.around.signed

    def accounts(self) -> Accounts:
        """Give the money side.

        Raises:
            Lacking: no API was named.
        """
        if self.around.accounts is None:
            raise Lacking("moves money: name the API with --api")
        return self.around.accounts


class Scenario(Protocol):
    """What can be played."""

    @property
    def name(self) -> str: ...

    @property
    def shows(self) -> str:
        """One sentence, without the full stop."""

    def make(self, asked: Profile) -> Profile:
        """Give the make of the first gateway: the one asked for, unless the scenario is of one make."""

    def lacks(self, around: Around, profile: Profile) -> str:
        """Say what it needs and was not named; empty when there is everything."""

    async def play(self, stage: Stage, identity: Identity, profile: Profile) -> None:
        """Connect, play every step, and judge what must hold at the end.

        Raises:
            Unreachable, Rejected: there is no server to play with.
        """


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scenario went.

    Attributes:
        began: on the monotonic clock, as the record's moments are.
        reported: octets in all reports that the server took.
        books: the money of each operator the scenario made.
        packets: where the octets of each UE's packets went.
    """

    scenario: Scenario
    profile: Profile
    record: Record
    seconds: float
    began: float = 0.0
    reported: Volume = Volume()
    books: tuple[Book, ...] = ()
    packets: tuple[Account, ...] = ()

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
    around: Around | None = None,
    seed: int | None = None,
    watch: Callable[[Stage], None] | None = None,
) -> Outcome:
    """Play one scenario on connections of its own and judge it; `watch` is told the stage before it begins.

    Raises:
        Unreachable, Rejected: there is no server to play with.
        Lacking: it needs what was not named.
    """
    around = around or Around()
    if lacking := scenario.lacks(around, profile):
        raise Lacking(f"{scenario.name} {lacking}")
    profile = scenario.make(profile)
    record, started = Record(), time.monotonic()
    stage = Stage(host, port, record, Clock(around.time_scale), random.Random(seed), around)
    if watch is not None:
        watch(stage)
    books: tuple[Book, ...] = ()
    try:
        await scenario.play(stage, identity or Identity(), profile)
        books = await stage.books()
    except Lacking as error:
        raise Lacking(f"{scenario.name} {error}") from error
    except (Unanswered, ApiError, DoorError, HookFailed, Lost) as error:
        stage.expect(False, Rule.NOT_ANSWERED, "the scenario", "an end", str(error))
    finally:
        await stage.close()
    reported = sum((session.reported for session in stage.sessions), Volume())
    packets = stage.plane.accounts() if stage.plane is not None else ()
    return Outcome(scenario, profile, record, time.monotonic() - started, started, reported, books, packets)


async def until(condition: Callable[[], bool], session: Session, seconds: float) -> bool:
    """Wait for what the server has to start, answer by answer; tell whether it came in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not condition():
                await session.next_answer()
    return condition()
