"""Whether a load was as easy at its end as at its beginning: the last minute beside the second one."""

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean, median
from typing import Final

from simulator.load import Result
from simulator.load.process import Sample
from simulator.verdict.load import Limit

MINUTE_SECONDS: Final = 60
"""The first one is not looked at: caches and buffers fill in it."""


def flat(result: Result, samples: Sequence[Sample], percent: float) -> Iterator[Limit]:
    """Hold the last minute against the second one.

    Args:
        samples: of the server's process, about one for each second that counts; none where it was not watched.
        percent: by which a figure of the last may leave that of the second.
    """
    yield _limit("rate", _minutes([one.answers for one in result.seconds]), fmean, percent, "/s")
    yield _limit("p50", _minutes([one.p50 for one in result.seconds]), median, percent, " ms")
    yield _limit("p99", _minutes([one.p99 for one in result.seconds]), median, percent, " ms")
    if samples:
        yield _limit("memory", _minutes([one.resident / 1e6 for one in samples]), fmean, percent, " MB")


def _minutes(figures: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """Give those of the second minute and of the last one."""
    return figures[MINUTE_SECONDS : 2 * MINUTE_SECONDS], figures[-MINUTE_SECONDS:]


def _limit(
    name: str,
    minutes: tuple[Sequence[float], Sequence[float]],
    middle: Callable[[Sequence[float]], float],
    percent: float,
    unit: str,
) -> Limit:
    second, last = (middle(figures or [0.0]) for figures in minutes)
    holds = second > 0 and abs(last - second) <= second * percent / 100
    found = f"{second:,.2f}{unit} in the second minute, {last:,.2f}{unit} in the last"
    return Limit(asks=f"{name} of the last minute within {percent:g} % of the second", found=found, holds=holds)
