"""`ocs-sim plane`: real packets through GTP tunnels, charged by a server, and a capture of all of it."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simulator.gateway import Rejected, Unreachable
from simulator.messages import Identity, Volume
from simulator.plane.account import Account
from simulator.plane.capture import Capture
from simulator.plane.loopback import NoAddress
from simulator.plane.roaming import roam
from simulator.profile import PROFILES
from simulator.record import Record

EXIT_VIOLATIONS: Final = 1
EXIT_UNREACHABLE: Final = 4

_console = Console()


def plane(
    host: Annotated[str, typer.Option(help="Where the server listens for Diameter.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3868,
    realm: Annotated[str, typer.Option(help="Destination-Realm; the CEA's Origin-Realm when not given.")] = "",
    profile: Annotated[str, typer.Option(help=f"Make of gateway: {', '.join(PROFILES)}.")] = "standard",
    imsi_prefix: Annotated[str, typer.Option(help="What IMSIs begin with.")] = "00101",
    ues: Annotated[int, typer.Option(min=1, max=1000, help="How many subscribers.")] = 5,
    packets: Annotated[int, typer.Option(min=1, help="Packets of each of a subscriber's two kinds of traffic.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same packets.")] = 1,
    pcap: Annotated[Path | None, typer.Option(help="Write GTP-C, GTP-U and Diameter, as Wireshark opens it.")] = None,
) -> None:
    """Attach subscribers, send their packets through GTP tunnels, and hold what was charged against what crossed."""
    if profile not in PROFILES:
        raise typer.BadParameter(f"{profile!r} is none of {', '.join(PROFILES)}", param_hint="--profile")
    if not (imsi_prefix.isdecimal() and imsi_prefix.isascii() and 5 <= len(imsi_prefix) <= 12):
        raise typer.BadParameter(f"{imsi_prefix!r} is not 5 to 12 digits", param_hint="--imsi-prefix")
    record = Record()
    try:
        with contextlib.closing(Capture(pcap)) if pcap is not None else contextlib.nullcontext() as writing:
            shown = asyncio.run(
                roam(
                    host,
                    port,
                    profile=PROFILES[profile],
                    identity=Identity(destination_realm=realm),
                    prefix=imsi_prefix,
                    ues=ues,
                    packets=packets,
                    seed=seed,
                    record=record,
                    capture=writing,
                )
            )
    except (Unreachable, Rejected, NoAddress, OSError) as error:
        _console.print(f"✘ {escape(str(error))}", style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_UNREACHABLE) from error
    _console.print(_table(shown.accounts))
    for violation in record.violations:
        _console.print(f"    {violation}", highlight=False, markup=False, soft_wrap=True)
    if record.violations or not shown.exact:
        raise typer.Exit(EXIT_VIOLATIONS)


def _table(accounts: list[Account]) -> Table:
    table = Table(caption="octets of whole IP packets, up + down")
    for name in ("IMSI", "traffic", "offered", "delivered", "no quota", "no tunnel", "reported", ""):
        table.add_column(name, justify="left" if name in ("IMSI", "traffic", "") else "right")
    for one in accounts:
        judged = one.cause or ("exact" if one.exact else "WRONG")
        offered, delivered, dropped, reported = map(_volume, (one.offered, one.delivered, one.dropped, one.reported))
        traffic = ", ".join(one.kinds) + (", moves" if one.moved else "")
        table.add_row(one.imsi, traffic, offered, delivered, dropped, f"{one.lost:,}", reported, judged)
    return table


def _volume(volume: Volume) -> str:
    return f"{volume.up:,} + {volume.down:,}"
