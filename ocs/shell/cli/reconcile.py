"""`ocs reconcile`: what Gy charged beside what was signed; docs/reconciliation.md says what to do about it."""

from pathlib import Path
from typing import Annotated

import typer

from ocs.shell.cli.client import Json, connect, path_part
from ocs.shell.cli.operator import grouped
from ocs.shell.cli.options import ConfigOption, ServerOption
from ocs.shell.cli.output import Output, OutputOption, show

app = typer.Typer(no_args_is_help=True, help="What Gy charged beside what was signed.")

OperatorOption = Annotated[str | None, typer.Option("--operator", help="Only of this operator.")]
FromOption = Annotated[str | None, typer.Option("--from", help="The first day, as 2027-01-15, in UTC.")]
ToOption = Annotated[str | None, typer.Option("--to", help="The last day.")]
LimitOption = Annotated[int, typer.Option("--limit", help="How many at the most.", min=1)]

_OCTETS = ("used", "signed", "committed", "difference", "unexplained")


@app.command()
def sessions(
    operator: OperatorOption = None,
    day: Annotated[str | None, typer.Option("--day", help="Only those that began on it, as 2027-01-15.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="open, matched, within_tolerance or difference.")] = None,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List sessions of gateways that sign, the newest first."""
    with connect(config, server) as client:
        found = list(client.pages("/reconciliation/sessions", most=limit, operator=operator, day=day, state=state))
    show(
        output,
        found,
        ["session", "operator", "began", "state", "cause", *_OCTETS],
        [
            [one["session_id"], one["operator"], one["began_at"], one["state"], one["cause"] or "-", *_octets(one)]
            for one in found
        ],
    )


@app.command("show")
def show_one(
    session_id: Annotated[str, typer.Argument(help="The Session-Id, as `ocs session list` shows it.")],
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show both sides of a session: the parts of its difference, what was signed, and what was refused."""
    with connect(config, server) as client:
        found = client.get(f"/reconciliation/sessions/{path_part(session_id)}")
    if output is Output.JSON:
        show(output, found, [], [])
        return
    show(output, found, ["session", found["session_id"]], [list(pair) for pair in _facts(found)])
    for title, columns, rows in _tables(found):
        if rows:
            typer.echo(f"\n{title}")
            show(output, found, columns, rows)


@app.command()
def days(
    operator: OperatorOption = None,
    since: FromOption = None,
    until: ToOption = None,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Sum up sessions for each operator and day on which they began, the newest day first."""
    found = _days(config, server, operator, since, until, limit)
    _show_days(output, found)


@app.command()
def incidents(
    operator: OperatorOption = None,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List who did not match, the newest first, with the figures of that moment."""
    with connect(config, server) as client:
        found = list(client.pages("/reconciliation/incidents", most=limit, operator=operator))
    show(
        output,
        found,
        ["number", "at", "operator", "session", "kind", "detail", *_OCTETS],
        [
            [
                str(one["number"]),
                *(one[name] for name in ("at", "operator", "session_id", "kind")),
                one["detail"] or "-",
                *_octets(one),
            ]
            for one in found
        ],
    )


@app.command()
def check(
    operator: OperatorOption = None,
    since: FromOption = None,
    until: ToOption = None,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the days on which a session differs; exit code 1 where there is one, 0 where all match."""
    found = [day for day in _days(config, server, operator, since, until, None) if day["sessions"]["difference"]]
    _show_days(output, found)
    if found:
        raise typer.Exit(1)


def _days(
    config: Path | None,
    server: str | None,
    operator: str | None,
    since: str | None,
    until: str | None,
    most: int | None,
) -> list[Json]:
    span = {"from": since, "to": until}
    with connect(config, server) as client:
        return list(client.pages("/reconciliation/days", most=most, operator=operator, **span))


def _show_days(output: Output, found: list[Json]) -> None:
    states = ("compared", "open", "within_tolerance", "difference")
    sums = ("used", "charged", "signed", "committed", "difference", "unexplained")
    rows = [
        [
            one["day"],
            one["operator"],
            *(str(one["sessions"][state]) for state in states),
            *(grouped(one[name]) for name in sums),
        ]
        for one in found
    ]
    if len(found) > 1:
        rows.append(
            [
                "in all",
                "",
                *(str(sum(one["sessions"][state] for one in found)) for state in states),
                *(grouped(str(sum(int(one[name]) for one in found))) for name in sums),
            ]
        )
    names = ["compared", "open", "tolerated", "differing"]
    show(output, found, ["day", "operator", *names, *(name.replace("used", "used octets") for name in sums)], rows)


def _octets(one: Json) -> list[str]:
    return [grouped(one[name]) for name in _OCTETS]


def _facts(one: Json) -> list[tuple[str, str]]:
    return [
        ("operator", one["operator"] or "none was found"),
        ("gateway", one["origin_host"]),
        ("began", one["began_at"]),
        ("ended", f"{one['ended_at']} ({one['end_cause']})" if one["ended_at"] is not None else "-"),
        ("state", one["state"]),
        ("granted octets", grouped(one["granted"])),
        ("used octets", grouped(one["used"])),
        ("charged", grouped(one["charged"])),
        ("signed octets", grouped(one["signed"])),
        ("committed octets", grouped(one["committed"])),
        ("difference", grouped(one["difference"])),
        ("tolerance", grouped(one["tolerance"])),
        *((part["cause"], f"{grouped(part['octets'])}: {part['explanation']}") for part in one["parts"]),
    ]


def _tables(one: Json) -> list[tuple[str, list[str], list[list[str]]]]:
    """Give what was signed, refused and told, each as a table."""
    return [
        (
            "signed sessions",
            ["session_id", "channel", "state", "began", "last commit", "seq", "up", "down", "signed"],
            [
                [
                    *(signed["session_id"], str(signed["channel"]), signed["state"]),
                    *(signed["began_at"], signed["last_at"], str(signed["seq"])),
                    *(grouped(signed[name]) for name in ("up", "down", "signed")),
                ]
                for signed in one["signed_sessions"]
            ],
        ),
        (
            "refused reports",
            ["at", "session_id", "seq", "octets", "code", "why"],
            [
                [
                    *(report["at"], report["session_id"], str(report["seq"])),
                    *(grouped(report["octets"]), report["code"], report["detail"]),
                ]
                for report in one["refused_reports"]
            ],
        ),
        (
            "incidents",
            ["number", "at", "kind", "difference", "detail"],
            [
                [
                    *(str(incident["number"]), incident["at"], incident["kind"]),
                    *(grouped(incident["difference"]), incident["detail"] or "-"),
                ]
                for incident in one["incidents"]
            ],
        ),
        (
            "earlier sessions with this Session-Id",
            ["began", "state", "cause", *_OCTETS],
            [
                [earlier["began_at"], earlier["state"], earlier["cause"] or "-", *_octets(earlier)]
                for earlier in one["earlier"]
            ],
        ),
    ]
