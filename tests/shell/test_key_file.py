"""Private keys: made once, closed to others, and OpenSSL's own."""

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from ocs.errors import BadConfiguration, Conflict
from ocs.shell import key_file
from ocs.shell.cli.app import main
from ocs.signed.ed25519 import verify


def pem(key: Ed25519PrivateKey | X25519PrivateKey, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def kept(path: Path, octets: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(octets)
    path.chmod(mode)
    return path


def test_a_new_key_is_one_that_others_read_and_nobody_else_may(tmp_path: Path) -> None:
    path = tmp_path / "sgw.pem"
    made = key_file.make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    theirs = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(theirs, Ed25519PrivateKey)
    assert theirs.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) == made.public_key
    assert theirs.sign(b"usage") == made.sign(b"usage") == key_file.load(path).sign(b"usage")
    assert verify(made.public_key, b"usage", made.sign(b"usage"))
    with pytest.raises(Conflict, match="never overwritten"):
        key_file.make(path)
    assert key_file.make(tmp_path / "other.pem").public_key != made.public_key


def test_a_key_that_others_made_is_read(tmp_path: Path) -> None:
    theirs = Ed25519PrivateKey.generate()
    ours = key_file.load(kept(tmp_path / "miner.pem", pem(theirs)))
    assert ours.sign(b"usage") == theirs.sign(b"usage")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = kept(tmp_path / "open.pem", pem(Ed25519PrivateKey.generate()), mode)
    with pytest.raises(BadConfiguration, match=f"chmod 600 {path}"):
        key_file.load(path)


WRONG = {
    "nothing": b"",
    "text": b"my key\n",
    "another curve": pem(X25519PrivateKey.generate()),
    "a password": pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"secret")),
    "cut": pem(Ed25519PrivateKey.generate())[:-30],
    "no base64": b"-----BEGIN PRIVATE KEY-----\n%%%\n-----END PRIVATE KEY-----\n",
    "more": pem(Ed25519PrivateKey.generate()) * 200,
    "octets": bytes(range(256)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_key_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfiguration, match="is no Ed25519 key"):
        key_file.load(kept(tmp_path / "wrong.pem", WRONG[name]))


def test_places_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="cannot be read"):
        key_file.load(tmp_path / "none.pem")
    with pytest.raises(BadConfiguration, match="cannot be made"):
        key_file.make(tmp_path / "none" / "key.pem")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sgw.pem"
    assert main(["key", "new", str(path), "-o", "json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["signer"] == "01" + made["public_key"]
    assert main(["key", "show", str(path)]) == 0
    assert made["public_key"] in capsys.readouterr().out
    assert main(["key", "new", str(path)]) == 5
    assert main(["key", "show", str(tmp_path / "none")]) == 3
    path.chmod(path.stat().st_mode | stat.S_IRGRP)
    assert main(["key", "show", str(path)]) == 3
    assert "chmod 600" in capsys.readouterr().err
