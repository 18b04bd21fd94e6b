"""Reports of signed usage in the core: decided a few at a time between two commits, so that Gy does not feel them.

A CCR that comes while reports are decided waits for a few of them at most.  While a group is written the journal's
thread has the interpreter for itself, and reports wait.  As long as they come, the committer leaves them a moment after
each group: a busy Gy slows them, and never stops them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from ocs.command import ReportCommand
from ocs.node import Decision
from ocs.reporting import Told
from ocs.shell.core.committer import Committer

AT_ONCE: Final = 8
"""Some 0.3 ms; then the sockets are looked at again."""

GATHERING_SECONDS: Final = 0.1
"""After reports came, groups gather for so long: more reports will come."""

log = structlog.get_logger()

Reply = Callable[[list[Told] | None], None]
"""Called with the verdicts once they are durable; with None where this server failed, and nothing is known of them."""


@dataclass(slots=True)
class _Batch:
    reports: Sequence[ReportCommand]
    reply: Reply
    told: list[Told] = field(default_factory=list)


class UsageDesk:
    """Decides batches of reports in the order in which they came."""

    def __init__(self, step: Callable[[ReportCommand], Decision], committer: Committer) -> None:
        self._step = step
        self._committer = committer
        self._batches: deque[_Batch] = deque()
        self._scheduled = False

    def take(self, reports: Sequence[ReportCommand], reply: Reply) -> None:
        """Decide reports soon; `reply` is called once what was decided is durable."""
        self._batches.append(_Batch(reports, reply))
        self._schedule()

    def landed(self) -> None:
        """Go on: a group is durable, and its answers are given."""
        self._schedule()

    def _schedule(self) -> None:
        if not self._batches:
            return
        self._committer.gather(GATHERING_SECONDS)
        if not self._scheduled and not self._committer.is_writing:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if not self._committer.is_writing:
            self._decide_some()

    def _decide_some(self) -> None:
        batch = self._batches[0]
        told = batch.told
        try:
            for report in batch.reports[len(told) : len(told) + AT_ONCE]:
                outcome = self._step(report).outcome
                assert outcome is not None
                told.append(outcome)  # type: ignore[arg-type]  # a report is told nothing else
        except Exception:  # a bug met by one batch harms no other
            log.exception("a bug in deciding reports")
            self._batches.popleft()
            self._committer.after_sync(lambda: batch.reply(None))
        else:
            if len(told) == len(batch.reports):
                self._batches.popleft()
                self._committer.after_sync(lambda: batch.reply(told))
        self._schedule()
