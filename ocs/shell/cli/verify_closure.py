"""`ocs-verify` and `ocs channel verify`: check a closure with nothing but its file.  docs/closures.md.

It needs no server, no data folder and no configuration, so nothing that belongs to them is imported here.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from ocs.auditing import CHANNEL_LEAF_OCTETS_MAX, Audit, Receipt, Trust
from ocs.channel.record import Summary
from ocs.errors import InvalidInput
from ocs.shell.cli import door
from ocs.shell.cli.output import Output, OutputOption, show
from ocs.shell.closure_audit import audit_file
from ocs.signed.ed25519 import check_public_key, public_key_of, signer_of
from ocs.tlog.checkpoint import CosignerKey
from ocs.tlog.note import VerifierKey
from ocs.tlog.proof import FILE_OCTETS_MAX, Quorum
from ocs.usage.keys import Role

KEYS_OCTETS_MAX: Final = 64 * 1024 * 1024
"""Of one file of registered keys: a key has some 400 octets there."""

_FROM_FILE: Final = "as the file says: compare"

app = typer.Typer(
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.command()
def verify(
    closure: Annotated[Path, typer.Argument(help="The file, as `ocs channel closure` or the API gives it.")],
    log_key: Annotated[
        str | None, typer.Option("--log-key", help="The log's verifier key; else the file's is taken, and shown.")
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option("--owner", help="The owner's public key or signer, in hex; else the file's is taken, and shown."),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="Registered keys: a file of `ocs key list -o json`, or a folder of such (*.json)."),
    ] = None,
    cosigner: Annotated[
        list[str] | None, typer.Option("--cosigner", help="A cosigner's verifier key; may be given again.")
    ] = None,
    quorum: Annotated[
        int | None,
        typer.Option("--quorum", min=0, help="How many cosigners must have signed; else all that are given."),
    ] = None,
    per_octets: Annotated[
        int | None,
        typer.Option("--per-octets", min=1, help="Octets that a data credit pays for; else the file's are taken."),
    ] = None,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", help="A miner's receipt (.tlog-proof) that the closure must hold.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="The countersigned report of the receipt, or its whole leaf.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Compute a settled channel again from its closure; exit code 1 and the first fault where it is wrong.

    Nothing but the file is needed: no server, no data folder, no configuration.
    """
    trust = Trust(
        owner=_owner(owner),
        log_key=VerifierKey.parse(log_key) if log_key is not None else None,
        quorum=_quorum(cosigner or [], quorum),
        pairs=_pairs(keys) if keys is not None else None,
        per_octets=per_octets or 0,
    )
    found = audit_file(closure, trust, _receipt(receipt, report))
    show(output, _told(found, trust), ["closure", str(closure)], _rows(found, trust))
    if output is Output.TABLE:
        if found.close is not None and found.is_verified:
            typer.echo()
            show(output, None, ["miner", "commits", "octets", "credits", "sessions"], _miners(found.close.summaries))
        if found.fault is not None:
            typer.echo(f"FAULT {found.fault.code} at {found.fault.place}: {found.fault.detail}")
    if not found.is_verified:
        raise typer.Exit(1)


def main(arguments: list[str] | None = None) -> int:
    """Run `ocs-verify`; the exit code."""
    return door.run(app, "ocs-verify", arguments)


def _owner(text: str | None) -> bytes:
    if text is None:
        return b""
    key = _key(text, "--owner")
    check_public_key(key)
    return key


def _key(text: str, where: str) -> bytes:
    """Read a public key, or a signer, in hex."""
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        octets = b""
    if len(octets) == 32:
        return octets
    try:
        return public_key_of(octets)
    except InvalidInput:
        raise InvalidInput(f"{where}: a public key is 64 digits in hex, a signer 01 and these") from None


def _quorum(texts: Sequence[str], required: int | None) -> Quorum:
    cosigners = frozenset(CosignerKey.parse(text) for text in texts)
    if required is not None and required > len(cosigners):
        raise InvalidInput(f"--quorum {required}: only {len(cosigners)} cosigners are named; give each with --cosigner")
    return Quorum(cosigners, len(cosigners) if required is None else required)


class _Key(msgspec.Struct):
    """What an audit needs of a registered key; the rest of its row is passed over."""

    public_key: str
    role: Role
    pairs: list[str]


def _pairs(path: Path) -> frozenset[tuple[bytes, bytes]]:
    """Give the signers that are registered as pairs: SGW and miner name each other."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise InvalidInput(f"--keys: there is no *.json in {path}; write one with `ocs key list -o json`")
    said: dict[Role, set[tuple[bytes, bytes]]] = {Role.SGW: set(), Role.MINER: set()}
    for file in files:
        try:
            rows = msgspec.json.decode(_octets(file, KEYS_OCTETS_MAX), type=list[_Key])
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"{file} is no list of keys as `ocs key list -o json` writes it: {error}") from None
        for row in rows:
            key = signer_of(_key(row.public_key, str(file)))
            said[row.role].update((key, signer_of(_key(pair, str(file)))) for pair in row.pairs)
    return frozenset(said[Role.SGW] & {(sgw, miner) for miner, sgw in said[Role.MINER]})


def _receipt(receipt: Path | None, report: Path | None) -> Receipt | None:
    if receipt is None and report is None:
        return None
    if receipt is None or report is None:
        raise InvalidInput("--receipt and --report belong together: the receipt proves the report")
    return Receipt(_octets(receipt, FILE_OCTETS_MAX), _octets(report, CHANNEL_LEAF_OCTETS_MAX))


def _octets(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(most + 1)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    if len(octets) > most:
        raise InvalidInput(f"{path} has more than {most:,} octets, and so is not what belongs here")
    return octets


def _unchecked(found: Audit, trust: Trust) -> list[str]:
    """Say what nobody but the file vouches for."""
    taken = [
        (not trust.owner, "the owner's key is the file's own: compare it with the one you know, or give --owner"),
        (trust.log_key is None, "the log's key is the file's own: compare it with the one you know, or give --log-key"),
        (not trust.per_octets, "the price is the file's own: compare it with the contract, or give --per-octets"),
        (trust.pairs is None, "the keys of SGWs and miners were not held against a register: give --keys"),
        (not trust.quorum.required, "no cosigner was asked for, so the log may have shown others another tree"),
    ]
    return [text for is_taken, text in taken if is_taken]


def _told(found: Audit, trust: Trust) -> dict[str, Any]:
    opened, close, fault = found.opened, found.close, found.fault
    return {
        "verified": found.is_verified,
        "fault": {"code": fault.code, "place": fault.place, "detail": fault.detail} if fault is not None else None,
        "channel_id": found.channel_id.hex() or None,
        "network": opened.network if opened else None,
        "owner": public_key_of(opened.owner_key).hex() if opened else None,
        "tariff_id": opened.tariff_id if opened else None,
        "per_octets": str(found.per_octets) if found.per_octets else None,
        "amount_dc": str(opened.amount_dc) if opened else None,
        "used_dc": str(close.used_dc) if close else None,
        "refund_dc": str(close.refund_dc) if close else None,
        "reason": close.reason.name.lower() if close else None,
        "log_key": found.log_key.text if found.log_key else None,
        "log_size": found.head.size if found.head else None,
        "entries": found.entries,
        "commits": found.recount.commits if found.recount else 0,
        "receipt_held": found.receipt_held,
        "miners": [_miner(one) for one in close.summaries] if close else [],
        "not_checked": _unchecked(found, trust),
    }


def _miner(summary: Summary) -> dict[str, Any]:
    return {
        "miner": public_key_of(summary.client_pubkeybin).hex(),
        "commits": summary.num_packets,
        "octets": str(summary.num_bytes),
        "credits": str(summary.num_dcs),
        "sessions": summary.num_sessions,
    }


def _miners(summaries: Sequence[Summary]) -> list[list[str]]:
    return [
        [
            public_key_of(one.client_pubkeybin).hex(),
            *(f"{figure:,}" for figure in (one.num_packets, one.num_bytes, one.num_dcs, one.num_sessions)),
        ]
        for one in summaries
    ]


def _rows(found: Audit, trust: Trust) -> list[list[str]]:
    """Give what an audit found, as far as it came."""

    def known(is_given: object) -> str:
        return "as given" if is_given else _FROM_FILE

    rows: list[list[str]] = []
    if (opened := found.opened) is not None:
        rows += [
            ["channel", found.channel_id.hex()],
            ["network", opened.network],
            ["owner", f"{public_key_of(opened.owner_key).hex()} ({known(trust.owner)})"],
        ]
    if opened is not None and found.per_octets:
        price = f"1 data credit for each {found.per_octets:,} octets begun"
        rows.append(["price", f"{price}, tariff {opened.tariff_id} ({known(trust.per_octets)})"])
    if opened is not None and (close := found.close) is not None:
        rows += [
            ["amount", f"{opened.amount_dc:,}"],
            ["used", f"{close.used_dc:,}"],
            ["refund", f"{close.refund_dc:,}"],
            ["reason", close.reason.name.lower().replace("_", " ")],
        ]
    if found.log_key is not None:
        rows.append(["log key", f"{found.log_key.text} ({known(trust.log_key)})"])
    if found.head is not None:
        required, named = trust.quorum.required, len(trust.quorum.cosigners)
        rows += [
            ["log size", f"{found.head.size:,}"],
            ["cosigners", f"at least {required} of {named}" if required else "none asked for"],
        ]
    if found.recount is not None:
        rows += [
            ["entries", f"{found.entries:,} hashed, {found.recount.commits:,} of them commits of this channel"],
            ["keys", "registered in pairs" if trust.pairs is not None else "not held against a register (--keys)"],
        ]
    if found.receipt_held is not None:
        rows.append(["receipt", "held" if found.receipt_held else "not held"])
    return [*rows, ["verdict", "verified" if found.is_verified else "a fault was found"]]


if __name__ == "__main__":
    sys.exit(main())
