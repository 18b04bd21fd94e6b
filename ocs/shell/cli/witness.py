"""`ocs witness`: cosign a public log, as a home operator best does.  docs/closures.md."""

from pathlib import Path
from typing import Annotated

import typer

from ocs.errors import InvalidInput
from ocs.shell import key_file
from ocs.shell.cli.output import Output, OutputOption, show
from ocs.shell.config_values import parse_listen
from ocs.tlog.checkpoint import CosignerKey
from ocs.tlog.note import VerifierKey

app = typer.Typer(no_args_is_help=True, help="Cosign a public log: see that it only grows, and say so.")

KeyArgument = Annotated[Path, typer.Argument(help="The witness's private key, as `ocs key new` makes it.")]
NameOption = Annotated[str, typer.Option("--name", help="What the witness is called, such as witness.example.net.")]


@app.command()
def key(file: KeyArgument, name: NameOption, output: OutputOption = Output.TABLE) -> None:
    """Show the verifier key of a witness: what the log's owner names in usage.witnesses, and auditors trust."""
    text = CosignerKey(name, key_file.load(file).public_key).text
    show(output, {"key": text}, ["key", text], [])


@app.command()
def serve(
    file: KeyArgument,
    name: NameOption,
    log: Annotated[
        list[str], typer.Option("--log", help="A log's verifier key (GET /api/v1/log/key); again for more.")
    ],
    data: Annotated[Path, typer.Option("--data", help="File of what was seen; kept for ever.")] = Path(
        "witness.sqlite"
    ),
    listen: Annotated[str, typer.Option("--listen", help="host:port or [IPv6]:port.")] = "127.0.0.1:8090",
    certificate: Annotated[Path | None, typer.Option("--certificate", help="PEM, for TLS.")] = None,
    certificate_key: Annotated[Path | None, typer.Option("--certificate-key", help="Its private key, PEM.")] = None,
) -> None:
    """Take checkpoints (POST /add-checkpoint, c2sp.org/tlog-witness) until SIGTERM or Ctrl-C.

    A file of what was seen that is lost, or set back, would let a log show two trees: keep it as you keep the key.
    """
    if (certificate is None) != (certificate_key is None):
        raise InvalidInput("--certificate and --certificate-key are named together")
    from ocs.shell import witness_server

    signer = key_file.load(file)
    tls = (certificate, certificate_key) if certificate is not None and certificate_key is not None else None
    logs = [VerifierKey.parse(one) for one in log]
    witness_server.serve(CosignerKey(name, signer.public_key), signer, logs, data, parse_listen(listen), tls)
