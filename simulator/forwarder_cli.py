"""`ocs-sim forwarder`: the session-forwarder beside a gateway, as a process of its own."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from simulator.settlement.forwarder import Forwarder
from simulator.settlement.keys import Key, NoKey
from simulator.settlement.receipt import Unproven
from simulator.settlement.signing import NETWORK, TAG_SECRET, Signing, forwarding
from simulator.settlement.spool import SpoolError
from simulator.settlement.statistics import subscribe

EXIT_CONFIGURATION: Final = 3
TOLD_SECONDS: Final = 2.0

_console = Console()


def forward(
    spool: Annotated[Path, typer.Option(help="SQLite file with what is under way; made where there is none.")],
    sgw_key: Annotated[Path, typer.Option(help="The SGW's private key, as `ocs key new` makes one.")],
    miner_key: Annotated[Path, typer.Option(help="The miner's private key.")],
    server: Annotated[str, typer.Option(help="URL of the HTTP API.")] = "http://127.0.0.1:8080",
    grpc: Annotated[str, typer.Option(help="HOST:PORT of the gRPC service; reports go there in place of HTTP.")] = "",
    statistics: Annotated[str, typer.Option(help="HOST:PORT where the gateway offers its sessions' statistics.")] = (
        "127.0.0.1:9190"
    ),
    network: Annotated[str, typer.Option(help="Name of the deployment.")] = NETWORK,
    tag_secret: Annotated[Path | None, typer.Option(help="File with the home operator's secret for tags.")] = None,
    log_key: Annotated[str, typer.Option(help="The log's verifier key; the server's word at the first start.")] = "",
) -> None:
    """Sign what a gateway counts, and send it until each report has its receipt."""
    try:
        signing = Signing(
            sgw=Key.load(sgw_key),
            miner=Key.load(miner_key),
            server=server,
            grpc=grpc,
            network=network,
            spool=spool,
            tag_secret=tag_secret.read_bytes() if tag_secret is not None else TAG_SECRET,
            log_key=log_key,
        )
        asyncio.run(_forward(signing, statistics))
    except (NoKey, SpoolError, Unproven, OSError) as error:
        _console.print(f"✘ {escape(str(error))}", style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_CONFIGURATION) from error


async def _forward(signing: Signing, statistics: str) -> None:
    """Forward until SIGTERM or SIGINT; what is under way then goes out at the next start."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with forwarding(signing, _tell) as forwarder:
        _tell(f"forwarding from {statistics} to {signing.grpc or signing.server}, spool {signing.spool}")
        work = [asyncio.create_task(_take(forwarder, statistics)), asyncio.create_task(_report(forwarder))]
        stop = asyncio.create_task(ended.wait())
        done, _ = await asyncio.wait([stop, *work], return_when=asyncio.FIRST_COMPLETED)
        for task in (stop, *work):
            task.cancel()
        await asyncio.gather(stop, *work, return_exceptions=True)
        for task in done - {stop}:
            await task


async def _take(forwarder: Forwarder, statistics: str) -> None:
    async for readings in subscribe(statistics, _tell):
        await forwarder.take(readings)


async def _report(forwarder: Forwarder) -> None:
    """Tell now and then what there is, when it has changed."""
    told: dict[str, int] = {}
    while True:
        spool = forwarder.desk.spool
        if (counts := {"sessions": spool.open_sessions()} | spool.counts()) != told:
            told = counts
            _tell("  ".join(f"{name} {count}" for name, count in counts.items()))
        await asyncio.sleep(TOLD_SECONDS)


def _tell(line: str) -> None:
    _console.print(line, highlight=False, markup=False, soft_wrap=True)
