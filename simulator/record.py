"""What a gateway lived through: answers by code, latencies, and every broken rule."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from simulator.checks import Violation

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
        expectations: what was stated, in the order in which it was judged.
    """

    answers: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    violations: list[Violation] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)

    def answered(self, code: int, seconds: float) -> None:
        self.answers += 1
        self.codes[code] += 1
        self.latencies.append(seconds)

    def broken(self, violations: Iterable[Violation]) -> None:
        self.violations.extend(violations)
        del self.violations[VIOLATIONS_KEPT:]

    def expected(self, step: str, text: str, *, held: bool) -> None:
        if not held or len(self.expectations) < EXPECTATIONS_KEPT:
            self.expectations.append(Expectation(step, text, held))

    def percentile(self, percent: int) -> float:
        """Return the latency in seconds that `percent` of the answers did not exceed; 0 before the first."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0
