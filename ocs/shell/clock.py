"""The one clock of the core: wall time read once, carried on by the monotonic clock.

So `now` never goes back, an operator who sets the wall clock ends no session, and a restart continues at or after the
last instant the journal holds.  What it is not for: timing of latencies, which reads the monotonic clock itself.
"""

import time
from collections.abc import Callable
from typing import Final

from ocs.units import UnixMillis

_NANOSECONDS_PER_MILLISECOND: Final = 1_000_000


class Clock:
    """Unix time in milliseconds that never goes back and never jumps.

    Args:
        floor: the instant of the journal's last group; a wall clock behind it is overruled.
        wall_ns: Unix time in nanoseconds.
        monotonic_ns: nanoseconds since any instant, never going back.
    """

    def __init__(
        self,
        floor: UnixMillis,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        # What is added to the monotonic clock is fixed here, once; no later reading of the wall changes it.
        self._offset_ns = max(wall_ns(), floor * _NANOSECONDS_PER_MILLISECOND) - monotonic_ns()

    def now(self) -> UnixMillis:
        """Read the time; equal to or later than every earlier reading."""
        return UnixMillis((self._offset_ns + self._monotonic_ns()) // _NANOSECONDS_PER_MILLISECOND)

    def drift_ms(self) -> int:
        """Return wall time minus ours, in milliseconds: far from 0 after someone has set the wall clock.

        Negative from the start where the journal's last group lies in the wall clock's future.
        """
        ours_ns = self._offset_ns + self._monotonic_ns()
        # Rounded towards zero, so that a wall a few nanoseconds behind ours does not read as -1.
        difference_ns = self._wall_ns() - ours_ns
        ms = abs(difference_ns) // _NANOSECONDS_PER_MILLISECOND
        return ms if difference_ns >= 0 else -ms
