"""What the demo shows: operators and their money, sessions and their quota, rates; as tables or as plain lines."""

import time
from collections.abc import Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simulator.checks import SUCCESS
from simulator.demo_signing import SignedHalf
from simulator.population import HomeOperator
from simulator.profile import Profile
from simulator.quota import Quota, QuotaState
from simulator.record import Record

SESSIONS_SHOWN: Final = 12
MONEY_CELLS: Final = 20
LINE_KEY: Final = "credits of each operator: available + reserved (r) + consumed (c) + overrun (o)"
MONEY_KEY: Final = "█ used ▒ held ░ left"
QUOTA_CELLS: Final = 16


class Board:
    """Renders the state of the show at the moment it is asked.

    Args:
        seconds: how long the show is to last.
        url: the server's address.
    """

    def __init__(
        self, operators: Sequence[HomeOperator], signed: SignedHalf, record: Record, seconds: float, url: str
    ) -> None:
        self._operators = operators
        self._signed = signed
        self._record = record
        self._seconds = seconds
        self._url = url
        self._started = time.monotonic()
        self.news = ""
        self._told = ""

    def __rich__(self) -> RenderableType:
        return Group(
            self._money(),
            self._sessions(),
            self._channels(),
            Text(self._rates()),
            self._links(),
            Text(self.news, style="bold yellow"),
        )

    def line(self) -> str:
        """Show everything in one line, for a log; news once.  `LINE_KEY` says what the letters mean."""
        money = "  ".join(
            f"{one.name} {one.balance.available:,} + r {one.balance.reserved:,} + c {one.balance.consumed:,}"
            + (f" + o {one.balance.overrun:,}" if one.balance.overrun else "")
            for one in self._operators
        )
        news, self._told = (self.news if self.news != self._told else ""), self.news
        parts = [f"{self._elapsed():5.1f} s", self._rates(), money, self._signed.line(), news]
        return "  ".join(part for part in parts if part)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _money(self) -> Table:
        table = _table("prepaid credit of the home operators", "operator")
        for heading in ("credited", "available", "reserved", "consumed", "overrun"):
            table.add_column(heading, justify="right")
        table.add_column(MONEY_KEY)
        for one in self._operators:
            balance = one.balance
            figures = (balance.credited, balance.available, balance.reserved, balance.consumed, balance.overrun)
            table.add_row(one.name, *(f"{figure:,}" for figure in figures), money_bar(one))
        return table

    def _sessions(self) -> Table:
        shown = [(one, session) for one in self._operators for session in one.open_sessions[-SESSIONS_SHOWN // 3 :]]
        count = sum(len(one.open_sessions) for one in self._operators)
        table = _table(f"{count} sessions, {len(shown)} shown", "IMSI", "operator", "gateway", "used, ┃ report due")
        for heading in ("granted", "result"):
            table.add_column(heading, justify="right")
        for one, session in shown:
            quota, profile = session.quotas[0], session.profile
            code = Text(str(session.result_code), style="green" if session.result_code == SUCCESS else "red")
            bar = quota_bar(quota, profile)
            table.add_row(masked(session.imsi), one.name, profile.name, bar, f"{quota.granted:,}", code)
        return table

    def _channels(self) -> Table:
        table = _table("channels of the gateway that signs", "channel", "state")
        for heading in ("data credits", "used", "commits"):
            table.add_column(heading, justify="right")
        table.add_column("█ used")
        for row in self._signed.rows():
            table.add_row(*row)
        return table

    def _rates(self) -> str:
        record = self._record
        rate = record.answers / max(self._elapsed(), 0.001)
        p50, p99 = (record.percentile(percent) * 1000 for percent in (50, 99))
        broken = f"  {len(record.violations)} violations" if record.violations else ""
        count = sum(len(one.open_sessions) for one in self._operators)
        return f"{count} sessions  {record.answers} CCR  {rate:.0f}/s  p50 {p50:.1f} ms  p99 {p99:.1f} ms{broken}"

    def _links(self) -> Text:
        left = max(0, self._seconds - self._elapsed())
        return Text(f"{self._url}/docs  {self._url}/api/v1  ({left:.0f} s left, Ctrl-C ends early)", style="cyan")


def money_bar(operator: HomeOperator) -> Text:
    """Draw consumed, reserved and available as parts of what was credited."""
    balance = operator.balance
    whole = max(balance.credited, 1)
    consumed = MONEY_CELLS * balance.consumed // whole
    reserved = min(-(-MONEY_CELLS * balance.reserved // whole), MONEY_CELLS - consumed)
    return Text.assemble(
        ("█" * consumed, "red"), ("▒" * reserved, "yellow"), ("░" * (MONEY_CELLS - consumed - reserved), "green")
    )


def quota_bar(quota: Quota, profile: Profile) -> Text:
    """Draw the use of a grant, with a tick where the next report is due."""
    if quota.state is not QuotaState.ACTIVE:
        return Text(quota.state, style="red")
    filled = min(QUOTA_CELLS, QUOTA_CELLS * quota.used // quota.granted)
    cells = list("█" * filled + "·" * (QUOTA_CELLS - filled))
    tick = min(QUOTA_CELLS - 1, QUOTA_CELLS * quota.report_at(profile) // quota.granted)
    cells[tick] = "┃"
    return Text("".join(cells) + (" last" if quota.final else ""))


def masked(imsi: str) -> str:
    """Hide the middle of an IMSI: the PLMN and the last four digits stay."""
    return f"{imsi[:5]}{'*' * (len(imsi) - 9)}{imsi[-4:]}"


def closing(operators: Sequence[HomeOperator]) -> Table:
    """Draw the last table: the server's books beside our own arithmetic."""
    table = _table("does it add up?", "operator")
    for heading in ("credited", "available", "reserved", "consumed", "overrun", "due by our count", "adds up"):
        table.add_column(heading, justify="right")
    for one in operators:
        balance = one.balance
        figures = (balance.credited, balance.available, balance.reserved, balance.consumed, balance.overrun, one.due)
        mark = Text("✘", style="bold red") if faults(one) else Text("✔", style="bold green")
        table.add_row(one.name, *(f"{figure:,}" for figure in figures), mark)
    return table


def _table(title: str, *headings: str) -> Table:
    return Table(*headings, title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def faults(operator: HomeOperator) -> list[str]:
    """Say what does not add up in an operator's books once all its sessions have ended; nothing if all does."""
    balance, due = operator.balance, operator.due
    found = []
    if not balance.adds_up:
        found.append(f"{operator.name}: credited is not available + reserved + consumed: {balance}")
    if balance.reserved:
        found.append(f"{operator.name}: {balance.reserved} credits stay reserved without a session")
    if balance.consumed + balance.overrun != due:
        charged = balance.consumed + balance.overrun
        found.append(f"{operator.name}: {due} credits are due, {charged} were charged")
    return found
