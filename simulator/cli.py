"""`ocs-sim`: play scenes against any Gy server, or the whole demo.

Exit codes: 0 all held, 1 a rule was broken, 2 wrong usage, 4 the server cannot be reached.
"""

import asyncio
import contextlib
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from simulator import demo as whole_demo
from simulator.accounts import Accounts, ApiUnreachable
from simulator.conformance.cli import conform
from simulator.forwarder_cli import forward
from simulator.gateway import Rejected, Unreachable
from simulator.live_view import LiveView
from simulator.load_cli import load
from simulator.messages import Identity
from simulator.plane.capture import Capture
from simulator.plane_cli import plane
from simulator.profile import PROFILES
from simulator.restart import by_command
from simulator.scenario import Around, Lacking, Outcome, play
from simulator.script.document import NEEDS, Script
from simulator.script.library import find, shipped
from simulator.script.value import ScriptError
from simulator.settlement.keys import Key, NoKey
from simulator.settlement.signing import NETWORK, Signing
from simulator.signed_usage import signed_usage
from simulator.verdict.files import HtmlFile, JsonFile, JunitFile, write
from simulator.verdict.scenes import Verdict

EXIT_VIOLATIONS: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 4

NO_CREDIT: Final = frozenset({4012, 5003})
NO_CREDIT_MEANING: Final = "4012 and 5003 mostly mean: the operator of prefix {prefix} has no credit left; top it up"

UNKNOWN: Final = 5030
UNKNOWN_MEANING: Final = (
    "5030 mostly means: the server knows no operator of prefix {prefix}; add one, name another with --imsi-prefix, "
    "or let each scenario make its own with --api"
)

_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="An SGW with subscribers, for trying a Gy server.",
    context_settings={"help_option_names": ["--help", "-h"]},
)
_console = Console()


def _show_version(wanted: bool) -> None:
    if wanted:
        _console.print(f"ocs-sim {version('session-purchaser')}", highlight=False)
        raise typer.Exit


@_app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


@_app.command("list")
def _list() -> None:
    """List the scenarios and what each shows."""
    for scenario in shipped().values():
        needs = [NEEDS[need].option for need in scenario.needs]
        tail = f"  (needs {', '.join(needs)})" if needs else ""
        tail += f"  (for {', '.join(scenario.only_for)})" if scenario.only_for else ""
        _console.print(f"{scenario.name:<26}{scenario.shows}{tail}", highlight=False, markup=False, soft_wrap=True)


@_app.command("run")
def _run(
    names: Annotated[
        list[str],
        typer.Argument(metavar="SCENARIO...", help="Files (docs/scenarios.md), names from `ocs-sim list`, or `all`."),
    ],
    host: Annotated[str, typer.Option(help="Where the server listens for Diameter.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3868,
    realm: Annotated[str, typer.Option(help="Destination-Realm; the CEA's Origin-Realm when not given.")] = "",
    api: Annotated[str, typer.Option(help="URL of the HTTP API; its token is read from OCS_API_TOKEN.")] = "",
    profile: Annotated[str, typer.Option(help=f"Make of gateway: {', '.join(PROFILES)}.")] = "standard",
    origin_host: Annotated[str, typer.Option(help="The gateway's own name.")] = Identity().host,
    origin_realm: Annotated[str, typer.Option(help="The gateway's own realm.")] = Identity().realm,
    imsi_prefix: Annotated[str, typer.Option(help="What IMSIs begin with where no operator is made.")] = "00101",
    tx: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 10.0,
    sign: Annotated[bool, typer.Option("--sign", help="Sign what is used, and hold every receipt against Gy.")] = False,
    sgw_key: Annotated[Path | None, typer.Option(help="The SGW's private key, with --sign.")] = None,
    miner_key: Annotated[Path | None, typer.Option(help="The miner's private key, with --sign.")] = None,
    network: Annotated[str, typer.Option(help="Name of the deployment, with --sign.")] = NETWORK,
    grpc: Annotated[str, typer.Option(help="HOST:PORT of the gRPC service, with --sign; else HTTP.")] = "",
    restart: Annotated[str, typer.Option(help="A shell command that restarts the server.")] = "",
    watchdog: Annotated[float, typer.Option(min=0, help="The server's Tw in seconds; 0: not to be waited for.")] = 0,
    time_scale: Annotated[float, typer.Option(min=0.01, help="How fast the simulated time goes.")] = 1.0,
    pcap: Annotated[Path | None, typer.Option(help="Write Diameter, GTP-C and GTP-U, as Wireshark opens it.")] = None,
    html: HtmlFile = None,
    junit: JunitFile = None,
    json: JsonFile = None,
) -> None:
    """Play scenarios and check every answer."""
    if profile not in PROFILES:
        raise typer.BadParameter(f"{profile!r} is none of {', '.join(PROFILES)}", param_hint="--profile")
    if not (imsi_prefix.isdecimal() and imsi_prefix.isascii() and 5 <= len(imsi_prefix) <= 15):
        raise typer.BadParameter(f"{imsi_prefix!r} is not 5 to 15 digits", param_hint="--imsi-prefix")
    scripts = _scripts(names)
    identity = Identity(host=origin_host, realm=origin_realm, destination_realm=realm)

    async def play_all(signing: Signing | None, live: LiveView) -> list[Outcome]:
        async with contextlib.AsyncExitStack() as stack:
            around = Around(
                accounts=await stack.enter_async_context(Accounts(api)) if api else None,
                signed=await stack.enter_async_context(signed_usage(signing)) if signing else None,
                prefix=imsi_prefix,
                tx_seconds=tx,
                restart=by_command(restart) if restart else None,
                tw_seconds=watchdog or None,
                time_scale=time_scale,
                capture=stack.enter_context(contextlib.closing(Capture(pcap))) if pcap else None,
            )
            played = []
            for one in scripts:
                try:
                    async with live.watching(one.name) as watch:
                        make = PROFILES[profile]
                        outcome = await play(
                            one, host, port, profile=make, identity=identity, around=around, watch=watch
                        )
                except Lacking as error:
                    _console.print(f"- left out: {error}", highlight=False, markup=False, soft_wrap=True)
                    continue
                _show(outcome)
                played.append(outcome)
            return played

    at = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with tempfile.TemporaryDirectory(prefix="ocs-sim-") as folder:
            signing = _signing(sgw_key, miner_key, api, grpc, network, Path(folder)) if sign else None
            outcomes = asyncio.run(play_all(signing, LiveView(_console)))
    except (Unreachable, Rejected, ApiUnreachable) as error:
        _console.print(f"✘ {escape(str(error))}", style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_UNREACHABLE) from error
    if not outcomes:
        raise typer.Exit(EXIT_USAGE)
    verdict = Verdict(server=f"{host}:{port}", at=at, outcomes=outcomes)
    write(verdict, html, junit, json)
    if any(outcome.record.codes.keys() & NO_CREDIT for outcome in outcomes if not outcome.passed):
        _console.print(NO_CREDIT_MEANING.format(prefix=imsi_prefix), highlight=False, soft_wrap=True)
    if not api and any(UNKNOWN in outcome.record.codes for outcome in outcomes if not outcome.passed):
        _console.print(UNKNOWN_MEANING.format(prefix=imsi_prefix), highlight=False, soft_wrap=True)
    if not verdict.holds:
        raise typer.Exit(EXIT_VIOLATIONS)


def _scripts(names: list[str]) -> list[Script]:
    """Find the scenarios.

    Raises:
        typer.BadParameter: one is not there, or is wrong.
    """
    try:
        return [one for name in names for one in (shipped().values() if name == "all" else [find(name)])]
    except ScriptError as error:
        raise typer.BadParameter(str(error), param_hint="SCENARIO") from None


_app.command("forwarder")(forward)
_app.command("conformance")(conform)
_app.command("load")(load)
_app.command("plane")(plane)


@_app.command("demo")
def _demo() -> None:
    """Start a server and let a population roam through it for DEMO_SECONDS (60)."""
    raise typer.Exit(whole_demo.main())


def _signing(sgw_key: Path | None, miner_key: Path | None, api: str, grpc: str, network: str, folder: Path) -> Signing:
    """Put together with what the gateway signs.

    Raises:
        typer.BadParameter: a key is not named or cannot be read, or no API is named.
    """
    if sgw_key is None or miner_key is None or not api:
        raise typer.BadParameter("name --sgw-key, --miner-key and --api besides", param_hint="--sign")
    try:
        sgw, miner = Key.load(sgw_key), Key.load(miner_key)
    except NoKey as error:
        raise typer.BadParameter(str(error), param_hint="--sgw-key and --miner-key") from None
    return Signing(sgw=sgw, miner=miner, server=api, grpc=grpc, network=network, spool=folder / "spool")


def _show(outcome: Outcome) -> None:
    mark, style = ("✔", "green") if outcome.passed else ("✘", "red")
    record = outcome.record
    told = f"{mark} {outcome.scenario.name:<26}{record.answers:>3} answers  {outcome.seconds:6.2f} s"
    _console.print(f"{told}  {outcome.scenario.shows}", style=style, highlight=False, markup=False, soft_wrap=True)
    for violation in record.violations:
        _console.print(f"    {violation}", highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    """Run the command line."""
    _app()
