"""When requests leave in an open loop: at a rate that stays, or goes in a straight line to another and stays there."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """Requests a second from `rate` to `rate_to` within `ramp_seconds`; `rate_to` 0 keeps the first.

    Raises:
        ValueError: the first rate is not above zero.
    """

    rate: float
    rate_to: float = 0.0
    ramp_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"a rate of {self.rate:g} sends nothing")

    @property
    def is_ramp(self) -> bool:
        return self.rate_to > 0 and self.ramp_seconds > 0

    @property
    def ramped(self) -> float:
        """Return how many requests the ramp takes."""
        return (self.rate + self.rate_to) / 2 * self.ramp_seconds

    def rate_at(self, seconds: float) -> float:
        if not self.is_ramp:
            return self.rate
        return self.rate + (self.rate_to - self.rate) * min(1.0, seconds / self.ramp_seconds)

    def due(self, seconds: float) -> int:
        """Return how many requests must have left by then."""
        if not self.is_ramp:
            return int(seconds * self.rate) + 1
        if seconds > self.ramp_seconds:
            return int(self.ramped + (seconds - self.ramp_seconds) * self.rate_to) + 1
        return int(seconds * (self.rate + self.rate_at(seconds)) / 2) + 1

    def time_of(self, number: int) -> float:
        """Return when the request of this number, from 0, has to leave."""
        if not self.is_ramp:
            return number / self.rate
        if number > self.ramped:
            return self.ramp_seconds + (number - self.ramped) / self.rate_to
        growth = (self.rate_to - self.rate) / self.ramp_seconds
        if growth == 0:
            return number / self.rate
        # number = rate t + growth t² / 2, solved for t in the form that loses no digits.
        return 2 * number / (self.rate + math.sqrt(max(0.0, self.rate * self.rate + 2 * growth * number)))
