"""Key files: made once, private ones closed to others, and OpenSSL's own."""

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
    load_pem_public_key,
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


def public_pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_public_key_is_written_as_rfc_8410_has_it(tmp_path: Path) -> None:
    """The key and its text are those of section 10.1."""
    path = tmp_path / "ed25519.pub.pem"
    key_file.write_public(path, bytes.fromhex("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"))
    assert path.read_text() == (
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        "-----END PUBLIC KEY-----\n"
    )
    with pytest.raises(Conflict, match="never overwritten"):
        key_file.write_public(path, bytes(32))
    assert key_file.public_key(path).hex().startswith("19bf4409")


def test_a_public_key_is_one_that_others_read(tmp_path: Path) -> None:
    private, public = tmp_path / "sgw.pem", tmp_path / "sgw.pub.pem"
    made = key_file.make_pair(private, public)
    theirs = load_pem_public_key(public.read_bytes())
    assert theirs.public_bytes(Encoding.Raw, PublicFormat.Raw) == made.public_key  # type: ignore[call-arg, union-attr]
    assert key_file.public_key(public) == key_file.public_key(private) == made.public_key
    assert not stat.S_IMODE(public.stat().st_mode) & 0o133, "nobody but its owner writes it"


def test_a_public_key_that_others_wrote_is_read(tmp_path: Path) -> None:
    theirs = Ed25519PrivateKey.generate()
    raw = theirs.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert key_file.public_key(kept(tmp_path / "a.pem", public_pem(theirs), 0o644)) == raw
    assert key_file.public_key(kept(tmp_path / "b.pem", public_pem(theirs).replace(b"\n", b"\r\n"), 0o644)) == raw
    assert key_file.public_key(kept(tmp_path / "c.pem", pem(theirs))) == raw


NO_PUBLIC = {
    **WRONG,
    "another public curve": public_pem(X25519PrivateKey.generate()),
    "cut in public": public_pem(Ed25519PrivateKey.generate())[:-30],
    "no base64 in public": b"-----BEGIN PUBLIC KEY-----\n%%%\n-----END PUBLIC KEY-----\n",
    "more in public": public_pem(Ed25519PrivateKey.generate()) * 200,
}


@pytest.mark.parametrize("name", NO_PUBLIC)
def test_what_is_neither_public_nor_private_is_told(tmp_path: Path, name: str) -> None:
    """Whoever may read it: the mode of a file that has no private key is nobody's fault."""
    with pytest.raises(BadConfiguration, match="is no Ed25519 key in PEM, public or without a password"):
        key_file.public_key(kept(tmp_path / "wrong.pem", NO_PUBLIC[name], 0o644))


def test_a_private_key_that_others_may_read_gives_no_public_one(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="chmod 600"):
        key_file.public_key(kept(tmp_path / "open.pem", pem(Ed25519PrivateKey.generate()), 0o644))


@pytest.mark.parametrize("place", ["sgw.pem", "taken.pem", "none/sgw.pub.pem"])
def test_a_pair_is_two_files_or_none(tmp_path: Path, place: str) -> None:
    (tmp_path / "taken.pem").write_text("taken")
    with pytest.raises((Conflict, BadConfiguration)):
        key_file.make_pair(tmp_path / "sgw.pem", tmp_path / place)
    assert [one.name for one in tmp_path.iterdir()] == ["taken.pem"]
    assert (tmp_path / "taken.pem").read_text() == "taken"


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
