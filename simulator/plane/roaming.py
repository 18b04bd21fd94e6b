"""A show of the user plane: UEs attach through two gateways, use data, move, leave; no octet is unaccounted for."""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import Final

from simulator.gateway import Gateway
from simulator.messages import Identity, ServiceKey
from simulator.plane.access import AttachRefused, Ue
from simulator.plane.account import Account, add_up
from simulator.plane.capture import Capture
from simulator.plane.filters import TCP, UDP, Filter, Filters
from simulator.plane.lab import Lab, all_alike, open_lab
from simulator.plane.node import NoResponse
from simulator.plane.traffic import Kind, Stream
from simulator.profile import Profile
from simulator.record import Record
from simulator.subscriber import Clock

IMSI_DIGITS: Final = 15
CLOCK_SCALE: Final = 6_000.0
"""An hour and forty minutes in a second: a thing's next reading comes in a tenth of one."""

MOVE_AFTER_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Roaming:
    """How a show went; `strays` are the octets of packets for which some node had no tunnel."""

    accounts: list[Account]
    strays: int

    @property
    def exact(self) -> bool:
        """Whether every octet is in one place."""
        return add_up(self.accounts, self.strays)


def filters(profile: Profile) -> Filters:
    """Give web pages and film a rating group each, where this make of gateway knows rating groups."""
    if profile.rating_group is None:
        return Filters(ServiceKey())
    web, film = ServiceKey(profile.rating_group + 1), ServiceKey(profile.rating_group + 2)
    return Filters(
        ServiceKey(profile.rating_group),
        (Filter(key=web, protocol=TCP, ports=(443, 443)), Filter(key=film, protocol=UDP, ports=(443, 443))),
    )


async def roam(
    host: str,
    port: int,
    *,
    profile: Profile,
    identity: Identity,
    prefix: str,
    ues: int,
    packets: int,
    seed: int,
    record: Record,
    capture: Capture | None = None,
) -> Roaming:
    """Let UEs roam; each has two kinds of traffic, every other one moves, every third is deleted by its home.

    Args:
        prefix: what their IMSIs begin with.
        packets: how many each kind of traffic sends.
        record: where answers and broken rules are counted.

    Raises:
        Unreachable, Rejected: there is no server.
        NoAddress: loopback has no addresses left.
    """
    observe = capture.connection if capture is not None else None
    gateways = [
        Gateway(replace(identity, host=f"{name}.{identity.host}"), profile, record=record, observe=observe)
        for name in ("east", "west")
    ]
    try:
        for gateway in gateways:
            await gateway.connect(host, port)
        clock = Clock(CLOCK_SCALE)
        async with open_lab(gateways, all_alike(filters(profile), clock=clock), clock=clock, capture=capture) as lab:
            stays = await asyncio.gather(*(_stay(lab, prefix, number, packets, seed) for number in range(ues)))
            await lab.quiet()  # the last packets of a UE that home deleted reach it behind the PGW's answer
            accounts = [stay if isinstance(stay, Account) else Account.of(lab, *stay) for stay in stays]
            return Roaming(accounts, lab.strays)
    finally:
        for gateway in gateways:
            await gateway.close()


async def _stay(lab: Lab, prefix: str, number: int, packets: int, seed: int) -> Account | tuple[Ue, list[Stream]]:
    """Let one UE come, use data and go; the account of one that was refused."""
    imsi = f"{prefix}{number + 1:0{IMSI_DIGITS - len(prefix)}}"
    every = list(Kind)
    kinds = (every[number % len(every)], every[(number + 1) % len(every)])
    moves, deleted = number % 2 == 1, number % 3 == 2
    try:
        ue = await lab.attach(imsi, number // 2 % 2)
    except (AttachRefused, NoResponse) as error:
        return Account(imsi=imsi, kinds=kinds, moved=False, cause=str(error))
    streams = [Stream(kind, ue.address, seed + number) for kind in kinds]
    running = asyncio.gather(*(lab.run(ue, stream, packets) for stream in streams))
    if moves:
        await asyncio.sleep(MOVE_AFTER_SECONDS)
        with contextlib.suppress(AttachRefused, NoResponse):
            await lab.move(ue, 1 - number // 2 % 2)
    await running
    if ue.attached:
        with contextlib.suppress(NoResponse):
            await (lab.delete_from_home(ue) if deleted else lab.detach(ue))
    return ue, streams
