"""Options that every command with a server behind it takes."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The server's configuration file; it says where the API and the token are."),
]
ServerOption = Annotated[
    str | None, typer.Option("--server", help="URL of the server, for example http://127.0.0.1:8080; or OCS_SERVER.")
]
ReasonArgument = Annotated[str, typer.Option("--reason", help="1 to 255 characters, kept for ever.")]
