"""Run a load in a process of its own, and hold what was charged against what was reported."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from simulator.accounts import Accounts, ApiError, Balance, Tariff
from simulator.load import Job, Result, Second
from simulator.load.process import Sample, Watch
from simulator.templates import USED

TARIFF: Final = Tariff(price=1, per_octets=777_777)
"""No divisor of what a report holds, so that how a charge is rounded shows."""

CREDIT: Final = 10**15
NOT_FOUND: Final = ": 404 "
CONFLICT: Final = ": 409 "


class LoadFailed(Exception):
    """The generator could not do its work: nobody answered, or the server refused it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Who pays for a load, by which tariff, and the balance before."""

    operator: str
    tariff: Tariff
    before: Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What was charged to the load's operator, beside what its reports cost by our own arithmetic, in credits."""

    operator: str
    before: Balance
    after: Balance
    due: int

    @property
    def charged(self) -> int:
        after, before = self.after, self.before
        return after.consumed + after.overrun - before.consumed - before.overrun

    @property
    def hold(self) -> bool:
        """Whether every octet was charged once, and no more is reserved than before."""
        return self.charged == self.due and self.after.reserved == self.before.reserved and self.after.adds_up


def run(job: Job, server_pid: int | None, tell: Callable[[Second], None]) -> tuple[Result, list[Sample]]:
    """Run the generator; `tell` hears each second as it ends.  Samples are of the seconds that count.

    Raises:
        LoadFailed: the generator ended with an error.
        ProcessLookupError: there is no server of that process id.
    """
    with ExitStack() as stack:
        watch = stack.enter_context(Watch(server_pid)) if server_pid else None
        # Its answer may be larger than a pipe holds, and nobody reads it before the end.
        answer = stack.enter_context(tempfile.TemporaryFile("w+"))
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "simulator.load"],
                stdin=subprocess.PIPE,
                stdout=answer,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        if process.stdin is None or process.stderr is None:
            raise LoadFailed("the generator has no pipes")
        process.stdin.write(job.to_json())
        process.stdin.close()
        last, began, ended = "", -1, 0
        for line in process.stderr:
            if line.startswith("{"):
                ended = len(watch.samples) if watch else 0
                began = max(0, ended - 1) if began < 0 else began
                tell(Second(**json.loads(line)))
            elif line.strip():
                last = line.strip()
        if process.wait():
            raise LoadFailed(last or f"the generator ended with {process.returncode}")
        answer.seek(0)
        return Result.from_json(json.load(answer)), watch.samples[began:ended] if watch else []


async def open_books(accounts: Accounts, prefix: str, operator: str) -> Opened:
    """Read what an operator has before the load; without a name one is made for the prefix, with credit.

    Raises:
        ApiError: there is no such operator, another one has the prefix, or the server refused otherwise.
    """
    name = operator or f"load-{prefix}"
    if not operator:
        try:
            await accounts.balance(name)
        except ApiError as error:
            if NOT_FOUND not in str(error):
                raise
            try:
                await accounts.create_operator(name, [prefix], TARIFF)
            except ApiError as refusal:
                if CONFLICT in str(refusal):
                    raise ApiError(f"{prefix} is another operator's: name that with --operator") from refusal
                raise
        await accounts.top_up(name, CREDIT, "load")
    return Opened(operator=name, tariff=await accounts.tariff(name), before=await accounts.balance(name))


async def close_books(accounts: Accounts, opened: Opened, result: Result, groups: int) -> Books:
    """Read the balance after a drained load.

    Args:
        groups: services of each session; each of them reports `USED` with every update and at the end.
    """
    due = groups * sum(count * opened.tariff.charge(number * USED.total) for number, count in result.reports.items())
    after = await accounts.balance(opened.operator)
    return Books(operator=opened.operator, before=opened.before, after=after, due=due)
