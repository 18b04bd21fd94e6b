"""What a gateway lived through: requests, answers by code, latencies, and how often each rule was kept."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from simulator.checks import Findings, Rule, Violation

LATENCIES_KEPT: Final = 5_000
"""Enough for a p99 worth the name, few enough to sort at each refresh of a screen."""

VIOLATIONS_KEPT: Final = 1_000
"""A broken server breaks a rule with every answer; the first thousand tell the story."""


EXPECTATIONS_KEPT: Final = 10_000
"""As many as a scenario of thousands of sessions states; of more only those that do not hold are kept."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a scenario stated at a step (or `invariants`), in words, and whether it held."""

    step: str
    text: str
    held: bool


@dataclass(slots=True)
class Record:
    """Counts since the start; latencies are those of the last `LATENCIES_KEPT` answers, in seconds.

    Attributes:
        requests: CCRs by CC-Request-Type, resent ones included.
        moments: when each of `latencies` was complete, on the monotonic clock.
        looks: how often each rule was held against what came.
        faults: how often each was broken; `violations` keeps the first thousand only.
        expectations: what was stated, in the order in which it was judged.
    """

    answers: int = 0
    requests: Counter[int] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    moments: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    violations: list[Violation] = field(default_factory=list)
    looks: Counter[Rule] = field(default_factory=Counter)
    faults: Counter[Rule] = field(default_factory=Counter)
    expectations: list[Expectation] = field(default_factory=list)

    def answered(self, code: int, seconds: float, moment: float = 0.0) -> None:
        self.answers += 1
        self.codes[code] += 1
        self.latencies.append(seconds)
        self.moments.append(moment)

    def judged(self, findings: Findings) -> None:
        """Take what the checks found in one message."""
        self.looks.update(findings.looks)
        self._break(findings)

    def kept(self, rule: Rule) -> None:
        self.looks[rule] += 1

    def broken(self, violations: Iterable[Violation]) -> None:
        """Take broken rules that no message check found; each was one look."""
        found = list(violations)
        self.looks.update(one.rule for one in found)
        self._break(found)

    def expected(self, step: str, text: str, *, held: bool) -> None:
        if not held or len(self.expectations) < EXPECTATIONS_KEPT:
            self.expectations.append(Expectation(step, text, held))

    def percentile(self, percent: float) -> float:
        """Return the latency in seconds that `percent` of the answers did not exceed; 0 before the first."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent // 100))] if ordered else 0.0

    def _break(self, violations: list[Violation]) -> None:
        self.faults.update(one.rule for one in violations)
        self.violations.extend(violations)
        del self.violations[VIOLATIONS_KEPT:]
