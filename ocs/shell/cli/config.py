"""`ocs config`: what can be set, and whether a file is right."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ocs.errors import InvalidInput
from ocs.shell import dictionaries
from ocs.shell.cli.options import ConfigOption
from ocs.shell.cli.output import Output, OutputOption, show
from ocs.shell.config_file import hint, load, settings

app = typer.Typer(no_args_is_help=True, help="The configuration: what can be set, and whether a file is right.")


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="The file, as with --config.", show_default=False)] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Read the configuration as `ocs serve` would, and show what counts."""
    if file is not None and config is not None:
        raise InvalidInput("the file is named twice; leave out --config")
    found = load(file or config, os.environ)
    dictionaries.load([Path(name) for name in found.gy.dictionaries])
    told = {
        "gy": ", ".join(found.gy.listen),
        "gy over TLS": ", ".join(found.gy.tls.listen) if found.gy.tls is not None else "off",
        "peers": "any" if found.gy.peers == "any" else f"{len(found.gy.peers)} named; others wait for `ocs peer allow`",
        "api": found.api.listen,
        "data": found.data,
    }
    show(output, found.model_dump(mode="json"), ["ok", ""], [[name, text] for name, text in told.items()])


@app.command()
def explain(
    key: Annotated[str, typer.Argument(help="A key or section, for example gy.listen or quota.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show every key there is, with its default and its meaning."""
    found = [one for one in settings() if not key or one.key == key or one.key.startswith((f"{key}.", f"{key}[]."))]
    if not found:
        raise InvalidInput(f"there is no key {key!r}{hint(key, [one.key for one in settings()])}")
    show(
        output,
        [{**one._asdict(), "variable": one.variable} for one in found],
        ["key", "type", "default", "meaning"],
        [[one.key, one.kind, one.default, one.meaning] for one in found],
    )
