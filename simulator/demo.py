"""`make demo`: the server and a roaming population together, live, and at the end the proof that the money adds up.

Starts `ocs serve` on loopback, creates three home operators, lets subscribers roam through three makes of gateway for
`DEMO_SECONDS` (60 by default), lets one operator run dry and tops it up half-way, then ends all sessions and holds the
server's books against the simulator's own arithmetic.  One gateway signs what it reports; at the end a stand-alone
verifier checks a channel that was used up and one whose epoch ended.  Exit code 0 only if everything holds.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Final

from rich.console import Console
from rich.live import Live

from simulator.accounts import Accounts, ApiError, Tariff
from simulator.board import LINE_KEY, Board, closing, faults
from simulator.demo_signing import SignedHalf
from simulator.gateway import Gateway, GatewayError
from simulator.messages import Identity
from simulator.population import GRANT_LASTS_SECONDS, HomeOperator, Population
from simulator.profile import MAGMA, OPEN5GS, STANDARD
from simulator.record import Record
from simulator.server_process import ServerFailed, ServerProcess
from simulator.subscriber import Clock

TIME_SCALE: Final = 30.0
"""Half an hour of roaming in a minute."""

SECONDS_DEFAULT: Final = 60.0
LINE_SECONDS: Final = 3.0
LOG_COLUMNS: Final = 120
REFRESH_SECONDS: Final = 0.25
SETTLE_SECONDS: Final = 5.0
"""How long the books may trail behind the last CCA."""

OPENING_BLOCKS: Final = 1_000
"""Blocks of its tariff that the first operator is credited with before the size of a grant is known."""

DRY_AT: Final = 0.25
TOP_UP_AT: Final = 0.5
"""Parts of the show after which the third operator's credit is used up, and is topped up."""

EPOCHS: Final = 4
"""Of channels in the show: one that opened early settles before its end."""

EPOCH_SECONDS_MIN: Final = 8
EPOCH_SECONDS_MAX: Final = 3600

NEXT: Final = """
next:
  make serve                       a server of your own on 127.0.0.1:3868, API on :8080
  .venv/bin/ocs-sim run --help     single scenes against it, with every answer checked
  README.md, docs/                 what it does, and how it is made"""

PROFILES: Final = (STANDARD, MAGMA, OPEN5GS)


class Show:
    """The operators, gateways and subscribers of one demo."""

    def __init__(self, server: ServerProcess, accounts: Accounts, seconds: float, console: Console) -> None:
        rng = random.Random()
        self._server, self._accounts, self._seconds, self._console = server, accounts, seconds, console
        self.record = Record()
        self._gateways = [
            Gateway(Identity(host=f"sgw{number}.visited.example"), profile, record=self.record, rng=rng)
            for number, profile in enumerate(PROFILES, 1)
        ]
        self.operators = [
            HomeOperator(
                name="aurora", prefix="00101", tariff=Tariff(2, 1_000_000), gateways=self._gateways, people=12
            ),
            HomeOperator(
                name="borealis", prefix="001021", tariff=Tariff(5, 1_048_576), gateways=self._gateways, people=12
            ),
            # The first gateway alone keeps a session open whatever the refusal says; RAR then brings it back.
            HomeOperator(
                name="cumulus", prefix="001029", tariff=Tariff(3, 500_000), gateways=self._gateways[:1], people=10
            ),
        ]
        self._clock = Clock(TIME_SCALE)
        self._population = Population(self.operators, self._clock, rng)
        self._granted = 0
        self._signed = SignedHalf(server, accounts, self._gateways[0].identity.host)
        self._proof: list[str] = []
        self._unproved: list[str] = []
        self._board = Board(self.operators, self._signed, self.record, seconds, server.url)

    async def run(self, stopping: asyncio.Event) -> None:
        """Play until the time is over or `stopping` is set; afterwards every session has ended.

        Raises:
            GatewayError, ApiError: the server did not do its part.
        """
        for gateway in self._gateways:
            await gateway.connect("127.0.0.1", self._server.gy_port)
        await self._open_accounts()
        async with self._signed.running() as signed:
            self._population.meters[self._gateways[0]] = signed
            self._population.start()
            async with _background(self._watch_money(), self._top_up_half_way(), self._draw()):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds):
                        await stopping.wait()
                self._board.news = "all subscribers detach"
                await self._population.leave()
            for gateway in self._gateways:
                await gateway.close()
            await self._settle()
            sessions = [session for operator in self.operators for session in operator.sessions if session.metered]
            self.record.broken(await signed.check(sessions))
        self._proof, self._unproved = await self._signed.prove()

    def story(self) -> str:
        """Tell what happened to the operator that ran dry."""
        dry = self.operators[-1]
        if not dry.refused:
            return f"{dry.name} had no time to run dry; give the demo more seconds"
        return f"{dry.name} ran dry: {dry.refused} refusals; {dry.recovered} sessions came back after the top-up"

    def proof(self) -> list[str]:
        """Tell what a stranger said of the channels."""
        return self._proof

    def faults(self) -> list[str]:
        """Say all that did not hold."""
        found = [fault for operator in self.operators for fault in faults(operator)]
        violations = self.record.violations
        found += [str(violation) for violation in violations[:10]]
        if len(violations) > 10:
            found.append(f"and {len(violations) - 10} violations more")
        if not self.record.answers:
            found.append("no CCR was answered")
        return found + self._unproved

    async def _open_accounts(self) -> None:
        """Create the operators and credit them by what a grant is worth: one subscriber first shows its size."""
        for one in self.operators:
            await self._accounts.create_operator(one.name, [one.prefix], one.tariff)
        first, _, dry = self.operators
        await self._top_up(first, OPENING_BLOCKS * first.tariff.price)
        session = self._population.new_session(first, self._gateways[0])
        await session.attach()
        self._granted = session.quotas[0].granted
        await session.detach()
        if not self._granted:
            raise ApiError(f"the first subscriber got no grant but {session.result_code}")
        for one in self.operators:
            await self._top_up(one, self._expected_cost(one, DRY_AT if one is dry else 2.0))

    def _expected_cost(self, operator: HomeOperator, part: float) -> int:
        """Estimate the credits an operator's people use in this part of the show, one grant each held in reserve."""
        grant_lasts = sum(GRANT_LASTS_SECONDS) / 2 / TIME_SCALE
        grants = operator.people * (1 + part * self._seconds / grant_lasts)
        return int(grants) * operator.tariff.charge(self._granted)

    async def _top_up(self, operator: HomeOperator, amount: int) -> None:
        await self._accounts.top_up(operator.name, amount, "demo")

    async def _top_up_half_way(self) -> None:
        await asyncio.sleep(self._seconds * TOP_UP_AT)
        dry = self.operators[-1]
        amount = self._expected_cost(dry, 1.0)
        self._board.news = f"{dry.name} met {dry.refused} refusals, and is topped up with {amount:,} credits now"
        await self._top_up(dry, amount)

    async def _watch_money(self) -> None:
        while True:
            await self._read_balances()
            await self._signed.read()
            await asyncio.sleep(2 * REFRESH_SECONDS)

    async def _read_balances(self) -> None:
        for one in self.operators:
            one.balance = await self._accounts.balance(one.name)

    async def _draw(self) -> None:
        if not self._console.is_terminal:
            self._console.print(LINE_KEY, highlight=False)
            while True:
                await asyncio.sleep(min(LINE_SECONDS, self._seconds / 4))
                self._console.print(self._board.line(), soft_wrap=True, highlight=False)
        with Live(self._board, console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.refresh()
                await asyncio.sleep(REFRESH_SECONDS)

    async def _settle(self) -> None:
        """Read the balances until they hold all that was reported, or the time for that is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._read_balances()
                while any(faults(one) for one in self.operators):
                    await asyncio.sleep(REFRESH_SECONDS)
                    await self._read_balances()


@contextlib.asynccontextmanager
async def _background(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run endless work beside the block; end it with the block, and end the block if some of it fails."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()


async def demo(seconds: float, console: Console) -> int:
    """Run the whole show and return the exit code."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    console.print("starting the server ...")
    server = ServerProcess(max(EPOCH_SECONDS_MIN, min(EPOCH_SECONDS_MAX, int(seconds / EPOCHS))))
    try:
        async with server, Accounts(server.url, server.token) as accounts:
            console.print(f"ready: Gy 127.0.0.1:{server.gy_port}, console {server.url}/docs", highlight=False)
            show = Show(server, accounts, seconds, console)
            await _while_alive(server, show.run(stopping))
            console.print(closing(show.operators))
            console.print(show.story(), highlight=False)
            for line in show.proof():
                console.print(line, highlight=False, markup=False, soft_wrap=True)
            found = show.faults()
            await server.stop()
    except (ServerFailed, GatewayError, ApiError) as error:
        found = [str(error), *(f"server: {line}" for line in server.log)]
    if found:
        for line in found:
            console.print(f"✘ {line}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    console.print(f"✔ {show.record.answers} answers checked, no rule broken, every credit accounted for", style="green")
    console.print(NEXT)
    return 0


async def _while_alive(server: ServerProcess, work: Coroutine[None, None, None]) -> None:
    """Do the work unless the server ends meanwhile.

    Raises:
        ServerFailed: it ended.
    """
    show, end = asyncio.ensure_future(work), asyncio.ensure_future(server.ended())
    try:
        await asyncio.wait({show, end}, return_when=asyncio.FIRST_COMPLETED)
        if end.done():
            raise ServerFailed("the server ended in the middle of the show")
        await show
    except ExceptionGroup as group:
        # Whatever failed first in the background is the reason; the rest was cancelled.
        raise group.exceptions[0] from group
    finally:
        for task in (show, end):
            task.cancel()
        await asyncio.gather(show, end, return_exceptions=True)


def main() -> int:
    """Run the demo for `DEMO_SECONDS` and return its exit code: 0, 1 with a reason, 2 for a wrong setting."""
    console = Console()
    if not console.is_terminal:
        console.width = LOG_COLUMNS  # A log has no edge to wrap at; tables need some width.
    given = os.environ.get("DEMO_SECONDS") or str(SECONDS_DEFAULT)
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        console.print(f"DEMO_SECONDS is a number of seconds above 0, not {given!r}", style="red")
        return 2
    return asyncio.run(demo(seconds, console))


if __name__ == "__main__":
    sys.exit(main())
