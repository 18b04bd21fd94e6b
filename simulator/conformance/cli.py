"""`ocs-sim conformance`: what a Gy server keeps of the standards, rule by rule."""

from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from simulator.conformance.examiner import NotOpen, Target
from simulator.conformance.probes import PROBES
from simulator.conformance.report import Report, State
from simulator.conformance.rules import RULES, UNSEEN, Severity
from simulator.conformance.run import examine
from simulator.messages import Identity
from simulator.verdict.files import HtmlFile, JsonFile, JunitFile, write

EXIT_BROKEN: Final = 1
EXIT_UNREACHABLE: Final = 4
IMSI_DIGITS: Final = 15
PROBES_NAMED: Final = 3
_GRAVITY: Final = {
    Severity.MUST: (Severity.MUST,),
    Severity.SHOULD: (Severity.MUST, Severity.SHOULD),
    Severity.MAY: tuple(Severity),
}

_console = Console()


def conform(
    server: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where the server listens for Diameter.")],
    realm: Annotated[str, typer.Option(help="Destination-Realm; the CEA's Origin-Realm when not given.")] = "",
    origin_host: Annotated[str, typer.Option(help="The gateway's own name, known there.")] = Identity().host,
    origin_realm: Annotated[str, typer.Option(help="The gateway's own realm.")] = Identity().realm,
    imsi_prefix: Annotated[str, typer.Option(help="What the IMSI of a subscriber with credit begins with.")] = "00101",
    tx: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 2.0,
    fail_on: Annotated[Severity, typer.Option(help="The least severity that ends with 1 when broken.")] = Severity.MUST,
    html: HtmlFile = None,
    junit: JunitFile = None,
    json: JsonFile = None,
) -> None:
    """Hold any Gy server against RFC 6733, RFC 8506 and TS 32.299."""
    host, port = address(server)
    if not (imsi_prefix.isdecimal() and imsi_prefix.isascii() and 5 <= len(imsi_prefix) <= IMSI_DIGITS):
        raise typer.BadParameter(f"{imsi_prefix!r} is not 5 to 15 digits", param_hint="--imsi-prefix")
    target = Target(
        host=host,
        port=port,
        identity=Identity(host=origin_host, realm=origin_realm),
        imsi=imsi_prefix + "0" * (IMSI_DIGITS - len(imsi_prefix) - 1) + "1" * (len(imsi_prefix) < IMSI_DIGITS),
        realm=realm,
        seconds=tx,
    )
    try:
        if _console.is_terminal:
            with _console.status("") as status:
                names = list(PROBES)
                report = examine(target, lambda name: status.update(f"{names.index(name) + 1}/{len(names)}  {name}"))
        else:
            report = examine(target)
    except NotOpen as error:
        _console.print(f"✘ {server} as {origin_host}: {escape(str(error))}", style="red", highlight=False)
        raise typer.Exit(EXIT_UNREACHABLE) from error
    _show(report)
    write(report, html, junit, json)
    if report.broken(*_GRAVITY[fail_on]):
        raise typer.Exit(EXIT_BROKEN)


def address(server: str) -> tuple[str, int]:
    """Split HOST:PORT, or [IPv6]:PORT.

    Raises:
        typer.BadParameter: it is neither.
    """
    host, _, port = server.rpartition(":")
    if not (host and port.isdecimal() and 1 <= int(port) <= 65535):
        raise typer.BadParameter(f"{server!r} is not HOST:PORT", param_hint="HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _show(report: Report) -> None:
    for rule in report.broken():
        head = f"✘ {rule.severity:<7}{rule.name:<24}{rule.asks}  ({rule.source})"
        _console.print(head, style="red" if rule.severity is Severity.MUST else "yellow", highlight=False, markup=False,
                       soft_wrap=True)  # fmt: skip
        probes: dict[str, list[str]] = {}
        for one in report.faults(rule):
            probes.setdefault(one.detail, []).append(one.probe)
        for detail, where in probes.items():
            seen = list(dict.fromkeys(where))
            more = f" and {len(seen) - PROBES_NAMED} more" if len(seen) > PROBES_NAMED else ""
            told = f"    {detail}  ({', '.join(seen[:PROBES_NAMED])}{more})"
            _console.print(told, highlight=False, markup=False, soft_wrap=True)
    for probe, why in report.not_played:
        _console.print(f"- {probe} was not played: {why}", highlight=False, markup=False, soft_wrap=True)
    unseen = [rule.name for rule in RULES.values() if report.state(rule) is State.NOT_SEEN]
    if unseen:
        _console.print(f"not seen: {', '.join(unseen)}", highlight=False, soft_wrap=True)
    _console.print(f"cannot be checked from outside: {'; '.join(one[0] for one in UNSEEN)}", highlight=False,
                   soft_wrap=True)  # fmt: skip
    kept = sum(report.state(rule) is State.KEPT for rule in RULES.values())
    _console.print(f"{kept} of {len(RULES)} rules kept, {len(report.broken())} broken, {len(unseen)} not seen",
                   highlight=False)  # fmt: skip
