"""Options that every command with a server behind it takes."""

from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The server's configuration file; it says where the API and the token are."),
]
ServerOption = Annotated[
    str | None, typer.Option("--server", help="URL of the server, for example http://127.0.0.1:8080; or OCS_SERVER.")
]
ReasonArgument = Annotated[str, typer.Option("--reason", help="1 to 255 characters, kept for ever.")]
KeyOption = Annotated[
    str | None, typer.Option("--key", help="Idempotency-Key; with the same one a repeat credits nothing.")
]


def key_or_new(key: str | None) -> str:
    """Give the Idempotency-Key of a top-up."""
    if key is None:
        key = str(uuid4())
        # Told before anything is sent: whoever never sees the answer can repeat it safely.
        typer.echo(f"Idempotency-Key {key}; to repeat this same top-up add --key {key}", err=True)
    return key
