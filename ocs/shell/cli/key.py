"""`ocs key`: keys that sign usage.  docs/signing.md."""

from pathlib import Path
from typing import Annotated

import typer

from ocs.shell import key_file
from ocs.shell.cli.output import Output, OutputOption, show
from ocs.signed.ed25519 import SeedSigner, signer_of

app = typer.Typer(no_args_is_help=True, help="Keys that sign usage.")

FileArgument = Annotated[Path, typer.Argument(help="The private key's file, PKCS#8 in PEM.")]


@app.command()
def new(file: FileArgument, output: OutputOption = Output.TABLE) -> None:
    """Make a private key in a new file of mode 0600, and show its public one; nothing is ever overwritten."""
    _show(file, key_file.make(file), output)


@app.command("show")
def show_one(file: FileArgument, output: OutputOption = Output.TABLE) -> None:
    """Show the public key of a private one, and check its file: the format, and that nobody else may read it."""
    _show(file, key_file.load(file), output)


def _show(file: Path, signer: SeedSigner, output: Output) -> None:
    told = {
        "file": str(file),
        "public_key": signer.public_key.hex(),
        "signer": signer_of(signer.public_key).hex(),
    }
    show(output, told, ["key", ""], [[name.replace("_", " "), text] for name, text in told.items()])
