"""What a serving gateway counts of one bearer, service by service, and up apart from down."""

from collections.abc import Iterable
from dataclasses import dataclass

from simulator.messages import Volume
from simulator.plane.filters import Flow


def volume(flow: Flow) -> Volume:
    """Give a packet's octets in its direction."""
    return Volume(up=flow.octets) if flow.up else Volume(down=flow.octets)


def total(volumes: Iterable[Volume]) -> Volume:
    return sum(volumes, Volume())


@dataclass(slots=True)
class Count:
    """One service: octets that were let through, and octets that were not, for lack of quota."""

    forwarded: Volume = Volume()
    dropped: Volume = Volume()
    packets_forwarded: int = 0
    packets_dropped: int = 0

    def add(self, flow: Flow, *, forwarded: bool) -> None:
        if forwarded:
            self.forwarded += volume(flow)
            self.packets_forwarded += 1
        else:
            self.dropped += volume(flow)
            self.packets_dropped += 1


class BearerMeter:
    """The counts of one bearer; `services` in the order of its filters' keys."""

    def __init__(self, services: int) -> None:
        self.services = [Count() for _ in range(services)]

    @property
    def forwarded(self) -> Volume:
        return total(count.forwarded for count in self.services)

    @property
    def dropped(self) -> Volume:
        return total(count.dropped for count in self.services)
