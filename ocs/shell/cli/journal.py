"""`ocs journal`: whether what is kept is whole, and says what the balances say."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ocs.errors import BadConfiguration
from ocs.shell.cli.options import ConfigOption
from ocs.shell.cli.output import Output, OutputOption, show
from ocs.shell.config_file import load
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.verify import Report
from ocs.shell.store.verify import verify as verify_folder

app = typer.Typer(no_args_is_help=True, help="The journal: whether what is kept is whole.")


@app.command()
def verify(
    config: ConfigOption = None,
    data: Annotated[Path | None, typer.Option("--data", help="Data folder, instead of the configuration's.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Replay everything kept, and compare it with snapshots, balances and books; exit code 1 for a fault.

    It only reads, and may run beside a server.
    """
    path = data if data is not None else Path(load(config, os.environ).data)
    if not path.is_dir():
        raise BadConfiguration(f"there is no data folder {path}; name one with --data, or the configuration's `data`")
    folder = DataFolder(path)
    if not any(one.exists() for one in (folder.journal, folder.snapshots, folder.archive)):
        raise BadConfiguration(f"no server has run on {path}; name the data folder with --data")
    report = verify_folder(folder)
    show(output, msgspec.to_builtins(report) | {"ok": not report.faults}, ["checked", ""], _rows(path, report))
    if report.faults:
        if output is Output.TABLE:
            for fault in report.faults:
                typer.echo(f"FAULT {fault}")
        raise typer.Exit(1)


def _rows(path: Path, report: Report) -> list[list[str]]:
    since = f"snapshot of group {report.replayed_after}" if report.replayed_after else "the beginning"
    books = f"equal at group {report.books_index}" if report.books_index else "none compared"
    if report.books_behind:
        books = f"not compared: they end with group {report.books_behind}, and nothing that old can be replayed"
    return [
        ["data", str(path)],
        ["groups", f"{report.groups}, from {report.first} to {report.last}"],
        ["archive", f"{report.segments} segments"],
        ["replayed", f"{report.events} events since {since}"],
        ["snapshots", f"{report.snapshots} equal to the replayed state"],
        ["balances", f"{report.operators} operators, {report.sessions} sessions"],
        ["log", f"{report.leaves} leaves"],
        ["books", books if not report.faults else f"compared at group {report.books_index}"],
        ["verdict", "clean" if not report.faults else f"{len(report.faults)} faults"],
    ]
