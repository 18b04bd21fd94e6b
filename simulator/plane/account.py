"""Where the octets of UEs went: every one that a stream gave out is delivered, dropped for want of quota, or lost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from simulator.messages import Volume
from simulator.plane.access import Ue
from simulator.plane.lab import Lab
from simulator.plane.meter import total
from simulator.plane.traffic import Kind, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where one UE's octets went; `cause` names the refusal of a UE that got no connection.

    Attributes:
        offered: what its streams gave out.
        delivered: what reached the other end.
        metered, dropped: what gateways let through, and what they did not for lack of quota.
        reported: what they reported over Gy.
    """

    imsi: str
    kinds: tuple[Kind, ...]
    moved: bool
    offered: Volume = Volume()
    delivered: Volume = Volume()
    metered: Volume = Volume()
    dropped: Volume = Volume()
    reported: Volume = Volume()
    cause: str = ""

    @property
    def lost(self) -> int:
        """Octets that met no tunnel, for the session had ended."""
        return (self.offered.total - self.metered.total) - self.dropped.total

    @property
    def exact(self) -> bool:
        """Whether what was let through is what arrived, and what was reported."""
        return self.metered == self.delivered == self.reported and self.lost >= 0

    def __str__(self) -> str:
        told = ", ".join(f"{name} {volume.up:,} + {volume.down:,}" for name, volume in self.volumes().items())
        return f"{told}, without a tunnel {self.lost:,}"

    def volumes(self) -> dict[str, Volume]:
        """Give every count by its name."""
        return {
            "offered": self.offered,
            "passed": self.metered,
            "delivered": self.delivered,
            "reported": self.reported,
            "dropped": self.dropped,
        }

    @classmethod
    def of(cls, lab: Lab, ue: Ue, streams: Sequence[Stream]) -> Self:
        """Count what became of these streams, which must be all of the UE's."""
        return cls(
            imsi=ue.imsi,
            kinds=tuple(dict.fromkeys(stream.kind for stream in streams)),
            moved=len(lab.bearers(ue)) > 1,
            offered=total(stream.offered for stream in streams),
            delivered=lab.delivered(ue),
            metered=lab.metered(ue),
            dropped=lab.dropped(ue),
            reported=lab.reported(ue),
        )


def add_up(accounts: Iterable[Account], strays: int) -> bool:
    """Tell whether every octet is in one place, as many of them lost as nodes saw without a tunnel."""
    counted = list(accounts)
    return all(one.exact for one in counted) and sum(one.lost for one in counted) == strays
