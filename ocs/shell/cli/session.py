"""`ocs session`: lists, one with its explained history, and the wish that one ends."""

from typing import Annotated

import typer

from ocs.shell.cli.client import Json, connect, path_part
from ocs.shell.cli.operator import grouped
from ocs.shell.cli.options import ConfigOption, ServerOption
from ocs.shell.cli.output import Output, OutputOption, printable, show

app = typer.Typer(no_args_is_help=True, help="Credit-control sessions, explained.")

SessionArgument = Annotated[str, typer.Argument(help="The Session-Id, as `ocs session list` shows it.")]


def _path(session_id: str) -> str:
    return f"/sessions/{path_part(session_id)}"


@app.command("list")
def list_some(
    operator: Annotated[str | None, typer.Option("--operator", help="Only of this operator.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="open, ending or ended.")] = None,
    imsi: Annotated[str | None, typer.Option("--imsi", help="Only of this subscriber.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many at the most.", min=1)] = 100,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List sessions, the newest first."""
    with connect(config, server) as client:
        found = list(client.pages("/sessions", most=limit, operator=operator, state=state, imsi=imsi))
    show(
        output,
        found,
        ["session", "operator", "imsi", "apn", "state", "began", "used octets", "charged", "result"],
        [
            [
                one["session_id"],
                one["operator"] or "-",
                one["imsi"],
                one["apn"],
                one["state"],
                one["began_at"],
                grouped(one["used"]),
                grouped(one["charged"]),
                str(one["result_code"]),
            ]
            for one in found
        ],
    )


@app.command("show")
def show_one(
    session_id: SessionArgument,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show a session and explain each of its answers: why this code, why this quota."""
    with connect(config, server) as client:
        found = client.get(_path(session_id))
    if output is Output.JSON:
        show(output, found, [], [])
        return
    show(output, found, ["session", found["session_id"]], [list(pair) for pair in _facts(found)])
    show(
        output,
        found,
        ["rating group", "service ids", "granted", "reserved", "used octets", "charged", "overrun", "result"],
        [
            [
                "-" if one["rating_group"] is None else str(one["rating_group"]),
                " ".join(map(str, one["service_ids"])) or "-",
                *(grouped(one[field]) for field in ("granted", "reserved", "used", "charged", "overrun")),
                str(one["result_code"]),
            ]
            for one in found["services"]
        ],
    )
    for entry in found["history"]:
        typer.echo(printable("\n".join(_told(entry))))


def _facts(session: Json) -> list[tuple[str, str]]:
    ended = f"{session['ended_at']} ({session['end_cause']})" if session["ended_at"] is not None else "-"
    return [
        ("operator", session["operator"] or "none was found"),
        ("imsi", session["imsi"]),
        ("msisdn", session["msisdn"] or "-"),
        ("apn", session["apn"] or "-"),
        ("gateway", f"{session['origin_host']} by {session['peer']}"),
        ("state", session["state"] + (", asked to end" if _is_asked_to_end(session) else "")),
        ("began", session["began_at"]),
        ("ended", ended),
        ("requests", str(session["requests"])),
        ("used octets", grouped(session["used"])),
        ("charged", grouped(session["charged"])),
        ("overrun", grouped(session["overrun"])),
    ]


def _is_asked_to_end(session: Json) -> bool:
    return session["state"] != "ended" and any(entry["event"] == "termination_asked" for entry in session["history"])


def _told(entry: Json) -> list[str]:
    head = [entry["at"]]
    if entry["request"] is not None:
        head.append(f"{entry['request']} {entry['cc_request_number']}: {entry['result']}")
    else:
        head.append(entry["event"].replace("_", " "))
    return ["  ".join(head), *(f"    {sentence}" for sentence in entry["explanation"])]


@app.command()
def terminate(
    session_id: SessionArgument,
    reason: Annotated[str | None, typer.Option("--reason", help="Kept in the session's history.")] = None,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask for a session's end: by ASR, or by refusing its next request for quota."""
    body = {"reason": reason} if reason is not None else {}
    with connect(config, server) as client:
        made = client.post(f"{_path(session_id)}/terminate", body)
    show(
        output,
        made,
        ["session", "asked at", "what follows", "ends at the latest"],
        [[made["session_id"], made["at"], made["what_follows"], made["ends_at_latest"]]],
    )
