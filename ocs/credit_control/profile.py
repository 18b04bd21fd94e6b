"""What makes of gateway need and cannot do, as data.  One is set for each peer, or proposed by its Product-Name."""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Refusal(Enum):
    """How AUTHORIZATION_REJECTED is said when only some services of a session are refused."""

    REJECTED = "5003"  # in the MSCC: the rating group is barred, the rest goes on
    SUSPENDED = "4012"  # in the MSCC: this client would end the whole session on 5003


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The traits of one make of gateway that change what we send."""

    name: str
    honours_reauth: bool  # a RAR brings a CCR-U; otherwise only Validity-Time brings the gateway back
    honours_abort: bool  # an ASR brings a CCR-T; otherwise the next CCR-U is refused
    threshold: bool  # acts on Volume-Quota-Threshold
    holding_time: bool  # acts on Quota-Holding-Time
    partial_refusal: Refusal


STANDARD: Final = Profile(
    name="standard",
    honours_reauth=True,
    honours_abort=True,
    threshold=True,
    holding_time=True,
    partial_refusal=Refusal.REJECTED,
)
OPEN5GS: Final = Profile(
    name="open5gs",
    honours_reauth=False,
    honours_abort=False,
    threshold=True,
    holding_time=False,
    partial_refusal=Refusal.REJECTED,
)
MAGMA: Final = Profile(
    name="magma",
    honours_reauth=True,
    honours_abort=True,
    threshold=False,
    holding_time=False,
    partial_refusal=Refusal.SUSPENDED,
)

PROFILES: Final = {profile.name: profile for profile in (STANDARD, OPEN5GS, MAGMA)}


def propose(product_name: str) -> Profile:
    """Propose a profile for a peer that has none set, by the Product-Name of its CER."""
    return OPEN5GS if product_name.lower() == "freediameter" else STANDARD
