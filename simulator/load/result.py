"""What came of a load, as a whole and second by second; latencies in milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(slots=True, kw_only=True)
class Second:
    """One second of the time that counts.

    Attributes:
        at: when it began, seconds from the beginning of the count.
        errors: wrong answers in it.
    """

    at: float
    answers: int
    errors: int
    p50: float
    p99: float
    longest: float


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of it; latencies in milliseconds.

    Attributes:
        answers: counted ones; `errors` are among them.
        longest: the slowest answer.
        busy: the part of one CPU this generator took; near 1 it measured itself.
        cpu_us: its CPU for each request, microseconds.
        late_sends: open loop: requests that left more than a millisecond after their time, for the generator was late.
        crowded: open loop: requests that found every session of their connection with one under way.
        opening_rate: sessions opened a second, before the count began; 0 where none had to be.
        per_second: answers in each second.
        seconds: the same with latencies.
        faults: the first few answers that were wrong, or what else went wrong.
        unanswered: requests without an answer when a drained load ended.
        reports: drained load: how many sessions had this many reports of use answered 2001, by that number.
    """

    answers: int = 0
    errors: int = 0
    rate: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    longest: float = 0.0
    busy: float = 0.0
    cpu_us: float = 0.0
    late_sends: int = 0
    crowded: int = 0
    opening_rate: float = 0.0
    per_second: list[int] = field(default_factory=list)
    seconds: list[Second] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unanswered: int = 0
    reports: dict[int, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """Read what the generator wrote."""
        seconds = [Second(**each) for each in told.pop("seconds")]
        reports = {int(number): count for number, count in told.pop("reports").items()}
        return cls(**told, seconds=seconds, reports=reports)

    def take_latencies(self, latencies: Sequence[float]) -> None:
        """Set the percentiles from all latencies, in seconds."""
        if latencies:
            ordered = sorted(latencies)
            self.p50, self.p99, self.p999 = (1000 * of(ordered, part) for part in (0.5, 0.99, 0.999))
            self.longest = 1000 * ordered[-1]


def of(ordered: Sequence[float], part: float) -> float:
    """Give the value that this part of them does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def second(at: float, latencies: Sequence[float], errors: int) -> Second:
    """Sum up one second."""
    ordered = sorted(latencies) or [0.0]
    p50, p99 = (1000 * of(ordered, part) for part in (0.5, 0.99))
    return Second(at=at, answers=len(latencies), errors=errors, p50=p50, p99=p99, longest=1000 * ordered[-1])
