"""Where reports go: the options that each command has for them, and the writing."""

from pathlib import Path
from typing import Annotated, Protocol

import typer

HtmlFile = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page for people.")]
JunitFile = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML for build servers.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")]


class Report(Protocol):
    """What can be written in all three forms."""

    def to_html(self) -> str: ...
    def to_junit(self) -> str: ...
    def to_json(self) -> str: ...


def write(report: Report, html: Path | None, junit: Path | None, json: Path | None) -> None:
    """Write the files that were asked for.

    Raises:
        typer.BadParameter: a file cannot be written.
    """
    for path, render in ((html, report.to_html), (junit, report.to_junit), (json, report.to_json)):
        if path is not None:
            try:
                path.write_text(render(), encoding="utf-8")
            except OSError as error:
                raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from None
