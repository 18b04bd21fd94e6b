"""What a running scene looks like on a terminal: rates, latencies and the quota of each session; nothing elsewhere."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simulator.board import masked, quota_bar
from simulator.record import Record
from simulator.scenario import Stage
from simulator.verdict.plot import histogram

SESSIONS_SHOWN: Final = 12
BAR_CELLS: Final = 40
REFRESHES_A_SECOND: Final = 8


class LiveView:
    """A picture of one scene after the other; it is wiped when the scene has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @asynccontextmanager
    async def watching(self, name: str) -> AsyncIterator[Callable[[Stage], None] | None]:
        """Draw while the body runs; gives what has to be told the stage, None where there is no terminal."""
        if not self._console.is_terminal:
            yield None
            return
        picture = Picture(name)
        with Live(picture, console=self._console, refresh_per_second=REFRESHES_A_SECOND, transient=True):
            yield picture.show


class Picture:
    """Renders a stage as it is at the moment it is asked."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stage: Stage | None = None
        self._began = time.monotonic()

    def show(self, stage: Stage) -> None:
        self._stage = stage

    def __rich__(self) -> RenderableType:
        head = Text(f"{self._name}  {time.monotonic() - self._began:.1f} s", style="bold")
        if self._stage is None:
            return head
        return Group(head, rates(self._stage.record, self._began), bars(self._stage.record),
                     _sessions(self._stage))  # fmt: skip


def rates(record: Record, began: float) -> Text:
    """Give answers, their rate since `began` on the monotonic clock, latencies, and what was broken."""
    rate = record.answers / max(time.monotonic() - began, 0.001)
    p50, p99 = (1000 * record.percentile(percent) for percent in (50, 99))
    told = Text(f"{record.answers} answers  {rate:.0f}/s  p50 {p50:.1f} ms  p99 {p99:.1f} ms")
    if record.violations:
        told.append(f"  {len(record.violations)} broken, the last: {record.violations[-1]}", style="red")
    return told


def bars(record: Record) -> Text:
    """Draw the histogram of latencies, a line for each column."""
    plot = histogram("latencies", [1000 * one for one in record.latencies])
    values = plot.series[0].values
    highest = max(values, default=1.0)
    lines = [
        f"{label:>8} ms {'█' * max(1 if value else 0, round(BAR_CELLS * value / highest))} {value:.0f}"
        for label, value in zip(plot.labels, values, strict=True)
    ]
    return Text("\n".join(lines), style="cyan")


def _sessions(stage: Stage) -> Table:
    table = Table("IMSI", "state", "service", "quota, ┃ report due", "reported", box=SIMPLE_HEAD, pad_edge=False)
    for session in stage.sessions[-SESSIONS_SHOWN:]:
        for quota in session.quotas:
            bar = quota_bar(quota, session.profile)
            group = "bearer" if quota.key.rating_group is None else str(quota.key.rating_group)
            table.add_row(masked(session.imsi), session.state, group, bar, f"{quota.reported:,}")
    return table
