"""`ocs-sim load`: a population of subscribers at a rate, on any Gy server; limits decide the exit code.

Exit codes: 0 all limits hold, 1 one does not, 2 wrong usage, 4 the server cannot be reached.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from simulator.accounts import Accounts, ApiError, ApiUnreachable
from simulator.conformance.cli import address
from simulator.load import Job, Result, Second
from simulator.load_run import Books, LoadFailed, Opened, close_books, open_books, run
from simulator.messages import Identity
from simulator.profile import PROFILES
from simulator.templates import capabilities, templates
from simulator.verdict.files import HtmlFile, JsonFile, JunitFile, write
from simulator.verdict.flat import MINUTE_SECONDS, flat
from simulator.verdict.load import Limit, LoadReport

EXIT_LIMIT: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 4
STRESS_P99_MS: Final = 100.0
UPDATES_MAX: Final = 200
LINE_EVERY: Final = 10
"""Seconds between plain lines where there is no terminal."""

SPARKS: Final = " ▁▂▃▄▅▆▇█"
SPARKS_SHOWN: Final = 60


class Shape(StrEnum):
    STEADY = "steady"
    RAMP = "ramp"
    SOAK = "soak"
    STRESS = "stress"
    FULL = "full"


SECONDS: Final = {Shape.STEADY: 30.0, Shape.RAMP: 10.0, Shape.SOAK: 3600.0, Shape.STRESS: 0.0, Shape.FULL: 30.0}
"""How long each lasts by itself; a ramp besides the time it rises."""

_console = Console()


def load(
    server: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where the server listens for Diameter.")],
    shape: Annotated[
        Shape,
        typer.Option(
            help="steady: one rate; ramp: --from to --to in --over seconds; soak: steady for an hour; stress: a ramp "
            "that ends when answers get slow; full: as fast as answers come."
        ),
    ] = Shape.STEADY,
    rate: Annotated[float, typer.Option(min=0.1, help="CCRs a second.")] = 200.0,
    arrivals: Annotated[float, typer.Option(min=0, help="Sessions that begin a second, instead of --rate.")] = 0.0,
    rate_from: Annotated[float, typer.Option("--from", min=0.1, help="CCRs a second at the foot of a ramp.")] = 50.0,
    rate_to: Annotated[float, typer.Option("--to", min=0.1, help="CCRs a second at its top.")] = 2000.0,
    over: Annotated[float, typer.Option(min=1, help="Seconds from foot to top.")] = 60.0,
    seconds: Annotated[float, typer.Option(min=0, help="How long; 0 for what the shape has by itself.")] = 0.0,
    population: Annotated[int, typer.Option(min=1, help="Sessions open at a time.")] = 1024,
    updates: Annotated[int, typer.Option(min=0, max=UPDATES_MAX, help="CCR-U of each session.")] = 8,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="Gateways, a connection each.")] = 1,
    outstanding: Annotated[int, typer.Option(min=1, help="Requests under way on each, where shape is full.")] = 64,
    groups: Annotated[int, typer.Option(min=1, max=64, help="Rating-Groups in each request.")] = 1,
    profile: Annotated[str, typer.Option(help=f"Make of gateway: {', '.join(PROFILES)}.")] = "standard",
    realm: Annotated[str, typer.Option(help="Destination-Realm.")] = "example.net",
    origin_host: Annotated[str, typer.Option(help="The first gateway's name; others get a number.")] = Identity().host,
    origin_realm: Annotated[str, typer.Option(help="The gateways' own realm.")] = Identity().realm,
    imsi_prefix: Annotated[str, typer.Option(help="Five or six digits that IMSIs begin with.")] = "00101",
    server_pid: Annotated[int, typer.Option(min=0, help="Report CPU and memory of this process, too.")] = 0,
    api: Annotated[str, typer.Option(help="URL of the HTTP API: every octet must have been charged.")] = "",
    operator: Annotated[str, typer.Option(help="Who pays, with --api; one of the prefix is made when not given.")] = "",
    p99_max: Annotated[float, typer.Option(min=0, help="Milliseconds that p99 may take; 0 for any.")] = 0.0,
    errors_max: Annotated[int, typer.Option(min=0, help="Wrong answers that are put up with.")] = 0,
    flat_max: Annotated[
        float,
        typer.Option(min=0, help="Percent by which the last minute may leave the second one; 0 for any."),
    ] = 0.0,
    warm: Annotated[float, typer.Option(min=0, help="Seconds that go before and are not counted.")] = 1.0,
    html: HtmlFile = None,
    junit: JunitFile = None,
    json: JsonFile = None,
) -> None:
    """Send CCRs at a rate, check every answer, and tell how long they took."""
    host, port = address(server)
    if profile not in PROFILES:
        raise typer.BadParameter(f"{profile!r} is none of {', '.join(PROFILES)}", param_hint="--profile")
    if not (imsi_prefix.isdecimal() and imsi_prefix.isascii() and len(imsi_prefix) in (5, 6)):
        raise typer.BadParameter(f"{imsi_prefix!r} is not five or six digits", param_hint="--imsi-prefix")
    rises = shape in (Shape.RAMP, Shape.STRESS)
    steady = arrivals * (updates + 2) if arrivals else rate
    lasts = seconds or SECONDS[shape]
    if flat_max and (rises or lasts < 3 * MINUTE_SECONDS):
        raise typer.BadParameter("it compares minutes: name --seconds of 180 or more", param_hint="--flat-max")
    under_way = outstanding if shape is Shape.FULL else max(1, min(outstanding, population // connections))
    identity = Identity(host=origin_host, realm=origin_realm, destination_realm=realm)
    job = Job(
        host=host,
        port=port,
        capabilities=[capabilities(one, PROFILES[profile]) for one in _gateways(identity, connections)],
        templates=[templates(identity, PROFILES[profile], imsi_prefix=imsi_prefix, groups=groups)],
        connections=connections,
        outstanding=under_way,
        rate=0.0 if shape is Shape.FULL else rate_from if rises else steady,
        rate_to=rate_to if rises else 0.0,
        ramp_seconds=over if rises else 0.0,
        updates=updates,
        sessions=max(-(-population // connections), under_way) * connections,
        seconds=over + lasts if rises else lasts,
        warm_seconds=0.0 if rises else warm,
        first_session=int(datetime.now(UTC).timestamp() * 1000) << 16,
        stop_p99_ms=(p99_max or STRESS_P99_MS) if shape is Shape.STRESS else 0.0,
        is_drained=True,
        tells=True,
    )
    at = datetime.now(UTC).isoformat(timespec="seconds")
    told = f"{shape}: {_words(job)}"
    try:
        opened = asyncio.run(_open(api, imsi_prefix, operator)) if api else None
        with _watching(told) as view:
            result, samples = run(job, server_pid or None, view.tell)
        books = asyncio.run(_close(api, opened, result, groups)) if opened else None
    except (LoadFailed, ApiUnreachable) as error:
        _console.print(f"✘ {server}: {escape(str(error))}", style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_UNREACHABLE) from error
    except (ApiError, ProcessLookupError) as error:
        _console.print(f"✘ {escape(str(error))}", style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_USAGE) from error
    limits = list(_limits(result, books, 0.0 if shape is Shape.STRESS else p99_max, errors_max))
    if flat_max:
        limits += flat(result, samples, flat_max)
    report = LoadReport(server=server, at=at, shape=told, result=result, samples=samples, books=books, limits=limits)
    _show(report)
    if shape is Shape.STRESS:
        _console.print(_reached(result, job.stop_p99_ms), highlight=False)
    write(report, html, junit, json)
    if not report.holds:
        raise typer.Exit(EXIT_LIMIT)


async def _open(api: str, prefix: str, operator: str) -> Opened:
    async with Accounts(api) as accounts:
        return await open_books(accounts, prefix, operator)


async def _close(api: str, opened: Opened, result: Result, groups: int) -> Books:
    async with Accounts(api) as accounts:
        return await close_books(accounts, opened, result, groups)


def _gateways(identity: Identity, count: int) -> Iterator[Identity]:
    name, dot, rest = identity.host.partition(".")
    for number in range(count):
        host = f"{name}{number or ''}{dot}{rest}"
        yield Identity(host=host, realm=identity.realm, destination_realm=identity.destination_realm)


def _words(job: Job) -> str:
    pace = f"{job.outstanding} under way on each connection"
    if job.rate:
        pace = f"{job.rate:g}/s" + (f" to {job.rate_to:g}/s in {job.ramp_seconds:g} s" if job.rate_to else "")
    return f"{pace}, {job.sessions:,} sessions of {job.updates} updates, {job.connections} connections"


def _limits(result: Result, books: Books | None, p99_max: float, errors_max: int) -> Iterator[Limit]:
    found = f"{result.errors} wrong answers, {result.unanswered} without one"
    holds = result.errors + result.unanswered <= errors_max
    yield Limit(asks=f"at most {errors_max} wrong or missing answers", found=found, holds=holds)
    if p99_max:
        found = f"p99 is {result.p99:.1f} ms"
        yield Limit(asks=f"p99 at most {p99_max:g} ms", found=found, holds=result.p99 <= p99_max)
    yield Limit(asks="answers came", found=f"{result.answers} answers", holds=result.answers > 0)
    if books is not None:
        found = f"{books.due:,} credits are due, {books.charged:,} were charged, {books.after.reserved:,} stay reserved"
        yield Limit(asks="every octet is charged once", found=found, holds=books.hold)


def _reached(result: Result, p99_ms: float) -> str:
    """Say how far a stress came: the best second that was still quick enough."""
    good = [one.answers for one in result.seconds if one.p99 <= p99_ms and not one.errors]
    return f"the fastest second with p99 within {p99_ms:g} ms: {max(good, default=0):,} answers"


class _View:
    """The seconds so far; drawn on a terminal, else a line now and then."""

    def __init__(self, told: str) -> None:
        self._told = told
        self._seconds: list[Second] = []

    def tell(self, one: Second) -> None:
        self._seconds.append(one)
        if not _console.is_terminal and len(self._seconds) % LINE_EVERY == 0:
            _console.print(self._line(one), highlight=False, soft_wrap=True)

    def __rich__(self) -> Text:
        lines = [self._told]
        if self._seconds:
            shown = self._seconds[-SPARKS_SHOWN:]
            lines += [
                self._line(self._seconds[-1]),
                f"rate {_sparks([one.answers for one in shown])}",
                f"p99  {_sparks([one.p99 for one in shown])}",
            ]
        return Text("\n".join(lines))

    @staticmethod
    def _line(one: Second) -> str:
        wrong = f"  {one.errors} wrong" if one.errors else ""
        return f"{one.at:6.0f} s  {one.answers:>7,}/s  p50 {one.p50:.1f} ms  p99 {one.p99:.1f} ms{wrong}"


@contextmanager
def _watching(told: str) -> Iterator[_View]:
    view = _View(told)
    if not _console.is_terminal:
        _console.print(told, highlight=False, soft_wrap=True)
        yield view
        return
    with Live(view, console=_console, transient=True):
        yield view


def _sparks(values: list[float]) -> str:
    highest = max(values) or 1.0
    return "".join(SPARKS[round(value / highest * (len(SPARKS) - 1))] for value in values)


def _show(report: LoadReport) -> None:
    for name, value in report.figures():
        _console.print(f"{name:<38}{value:>16,}", highlight=False)
    if report.is_bottleneck:
        _console.print("the generator was busy almost all the time: this is a lower bound", style="yellow")
    for fault in report.result.faults:
        _console.print(fault, highlight=False, markup=False, soft_wrap=True)
    for one in report.limits:
        mark, style = ("✔", "green") if one.holds else ("✘", "red")
        _console.print(f"{mark} {one.asks}: {one.found}", style=style, highlight=False, soft_wrap=True)
