"""Warm-up, then the time that counts, second by second."""

import json
import sys
import time
from array import array
from dataclasses import asdict
from typing import Final

from simulator.load.result import Result, second

STOP_AFTER: Final = 3
"""Seconds in a row with too slow a p99 that end a load: one may be somebody else's fault."""


class Clock:
    """Marks where each second ends among the latencies; percentiles are worked out when nothing is measured any more.

    Args:
        stop_p99_ms, tells: of the job; either has every second summed up as it ends.
    """

    def __init__(self, warm_seconds: float, seconds: float, stop_p99_ms: float = 0.0, *, tells: bool = False) -> None:
        now = time.perf_counter()
        self._counting_from, self._until = now + warm_seconds, now + warm_seconds + seconds
        self._stop_p99_ms, self._tells = stop_p99_ms, tells
        self._cpu = 0.0
        self._second_ends = 0.0
        self._slow = 0
        self._marks: list[tuple[int, int]] = [(0, 0)]  # latencies and errors at the end of each second
        self.is_counting = False

    def goes_on(self, result: Result, latencies: "array[float]") -> bool:
        """Tell whether there is time left; begin to count when the warm-up is over."""
        now = time.perf_counter()
        if not self.is_counting:
            if now >= self._counting_from:
                self.is_counting, self._counting_from, self._cpu = True, now, time.process_time()
                self._second_ends = now + 1
                self._marks = [(0, result.errors)]
        elif now >= self._second_ends:
            self._marks.append((len(latencies), result.errors))
            result.per_second.append(self._marks[-1][0] - self._marks[-2][0])
            self._second_ends += 1
            if self._tells or self._stop_p99_ms:
                self._look(latencies)
        return now < self._until and self._slow < STOP_AFTER

    def sum_up(self, result: Result, latencies: "array[float]") -> None:
        """Fill in what is known at the end: rate, own CPU, percentiles as a whole and by second."""
        wall = time.perf_counter() - self._counting_from
        result.busy = (time.process_time() - self._cpu) / wall
        result.rate = result.answers / wall
        result.cpu_us = 1e6 * result.busy * wall / max(1, result.answers)
        for number in range(1, len(self._marks)):
            (start, before), (end, errors) = self._marks[number - 1], self._marks[number]
            result.seconds.append(second(number - 1, latencies[start:end], errors - before))
        if self._slow == STOP_AFTER:
            result.faults.append(f"ended: p99 above {self._stop_p99_ms:g} ms for {STOP_AFTER} seconds")

    def _look(self, latencies: "array[float]") -> None:
        (start, before), (end, errors) = self._marks[-2:]
        one = second(len(self._marks) - 2, latencies[start:end], errors - before)
        self._slow = self._slow + 1 if 0 < self._stop_p99_ms < one.p99 else 0
        if self._tells:
            sys.stderr.write(json.dumps(asdict(one)) + "\n")
            sys.stderr.flush()
