"""`ocs key`: keys that sign usage.  docs/signing.md."""

import base64
import os
import re
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from ocs.errors import InvalidInput
from ocs.shell import key_file
from ocs.shell.cli.client import Json, connect
from ocs.shell.cli.options import ConfigOption, ReasonArgument, ServerOption
from ocs.shell.cli.output import Output, OutputOption, show
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.texts import SHOWN_MAX, moment
from ocs.usage.rotation import KeyRotation, seal

app = typer.Typer(no_args_is_help=True, help="Keys that sign usage.")

FileArgument = Annotated[Path, typer.Argument(help="The private key's file, PKCS#8 in PEM.")]
KEY_HELP: Final = "public key or signer in hex, or a file of `ocs key new`, private or public"

_HEX: Final = re.compile("[0-9a-fA-F]{64}(?:[0-9a-fA-F]{2})?")


@app.command()
def new(
    file: FileArgument,
    public: Annotated[
        Path | None, typer.Option("--public", help="Also write the public key to a file, to be handed over.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a private key in a new file of mode 0600, and show its public one; nothing is ever overwritten."""
    _show(file, key_file.make(file) if public is None else key_file.make_pair(file, public), output)


@app.command("show")
def show_one(file: FileArgument, output: OutputOption = Output.TABLE) -> None:
    """Show the public key of a private one, and check its file: the format, and that nobody else may read it."""
    _show(file, key_file.load(file), output)


@app.command()
def add(
    origin_host: Annotated[str, typer.Option("--origin-host", help="The gateway's Origin-Host, as over Gy.")],
    sgw: Annotated[str, typer.Option("--sgw", help=f"The SGW's key: {KEY_HELP}.")],
    miner: Annotated[str, typer.Option("--miner", help=f"Its miner's key: {KEY_HELP}.")],
    valid_from: Annotated[str | None, typer.Option("--from", help="RFC 3339, 2027-01-15T08:00:00Z; or now.")] = None,
    valid_until: Annotated[str | None, typer.Option("--until", help="RFC 3339; or without end.")] = None,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Register the keys of a gateway's SGW and its miner; from then on its grants need room in a channel."""
    body: Json = {
        "origin_host": origin_host,
        "sgw_key": _key(sgw),
        "miner_key": _key(miner),
        "valid_from": valid_from,
        "valid_until": valid_until,
    }
    with connect(config, server) as client:
        added = client.post("/keys", body)
    _show_keys(output, added)
    if output is Output.TABLE:
        typer.echo(
            f"\nfrom now on what {origin_host} is granted needs room in a channel, and is refused where none has it; "
            "`ocs channel list` shows them"
        )


@app.command("list")
def list_all(config: ConfigOption = None, server: ServerOption = None, output: OutputOption = Output.TABLE) -> None:
    """List all keys there ever were."""
    with connect(config, server) as client:
        found = list(client.pages("/keys"))
    _show_keys(output, found)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help=f"The key: {KEY_HELP}.")],
    reason: ReasonArgument,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a key sign nothing any more, whatever date its messages bear."""
    with connect(config, server) as client:
        revoked = client.post(f"/keys/{_key(key)}/revocation", {"reason": reason})
    _show_keys(output, [revoked])


@app.command()
def rotate(
    old: Annotated[Path, typer.Argument(help="The old private key's file.")],
    new: Annotated[Path, typer.Argument(help="The new private key's file.")],
    network: Annotated[str, typer.Option("--network", help="The deployment's `usage.network`.")] = "default",
    effective: Annotated[str | None, typer.Option("--effective", help="RFC 3339; or now.")] = None,
    config: ConfigOption = None,
    server: ServerOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a new key follow an old one: both sign here, and no private key leaves this machine."""
    before, after = key_file.load(old), key_file.load(new)
    at = moment(effective) if effective is not None else time.time_ns() // 1_000_000
    rotation = KeyRotation(signer_of(before.public_key), signer_of(after.public_key), at, network)
    sealed = base64.b64encode(seal(rotation, old=before, new=after)).decode()
    with connect(config, server) as client:
        told = client.post("/keys/rotations", {"rotation": sealed})
    show(output, told, ["rotation", ""], [[name.replace("_", " "), text] for name, text in told.items()])


def _key(text: str) -> str:
    """Give a public key or signer in hex: as it stands, or out of a file.

    Raises:
        InvalidInput: it is neither.
        BadConfiguration: the file has no key.
    """
    if _HEX.fullmatch(text):
        return text
    path = Path(text)
    if not os.path.exists(path):  # noqa: PTH110  # which a name that is too long fails, and Path.exists() raises
        raise InvalidInput(f"{text[:SHOWN_MAX]!r} is no key: write 64 digits in hex, 66 of a signer, or name its file")
    return key_file.public_key(path).hex()


def _show_keys(output: Output, keys: list[Json] | Json) -> None:
    rows = keys if isinstance(keys, list) else [keys]
    show(
        output,
        keys,
        ["public key", "role", "gateway", "valid from", "valid until", "revoked"],
        [
            [
                one["public_key"],
                one["role"],
                one["origin_host"],
                one["valid_from"],
                one["valid_until"] or "-",
                one["revoked_at"] or "-",
            ]
            for one in rows
        ],
    )


def _show(file: Path, signer: SeedSigner, output: Output) -> None:
    told = {
        "file": str(file),
        "public_key": signer.public_key.hex(),
        "signer": signer_of(signer.public_key).hex(),
    }
    show(output, told, ["key", ""], [[name.replace("_", " "), text] for name, text in told.items()])
