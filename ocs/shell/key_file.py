"""Private keys at rest: Ed25519 as PKCS#8 in PEM (RFC 8410 section 7), mode 0600.  OpenSSL reads and writes the same.

What SGW, miner and owner sign with; the server itself reads only its own.  One interface, `Signer`, stands before it,
so that a token can take the file's place.
"""

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from ocs.errors import BadConfiguration, Conflict
from ocs.shell.store.data_folder import FILE_MODE, sync_folder, write_all
from ocs.signed.ed25519 import SEED_OCTETS, SeedSigner

HEAD: Final = "-----BEGIN PRIVATE KEY-----"
FOOT: Final = "-----END PRIVATE KEY-----"
PUBLIC_HEAD: Final = "-----BEGIN PUBLIC KEY-----"
PUBLIC_FOOT: Final = "-----END PUBLIC KEY-----"
FILE_OCTETS_MAX: Final = 4096

_PKCS8: Final = bytes.fromhex("302e020100300506032b657004220420")
"""Before the 32 octets of the seed: PrivateKeyInfo, version 0, id-Ed25519, an OCTET STRING within one."""

_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
"""Before the 32 octets of a public key: SubjectPublicKeyInfo, id-Ed25519, a BIT STRING."""


def make(path: Path) -> SeedSigner:
    """Make a key from the system's randomness, and keep it in a new file.

    Raises:
        Conflict: there is a file; a key is never overwritten.
        BadConfiguration: the file cannot be written.
    """
    seed = secrets.token_bytes(SEED_OCTETS)
    text = f"{HEAD}\n{base64.b64encode(_PKCS8 + seed).decode()}\n{FOOT}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError:
        raise Conflict(f"{path} is there already, and a key is never overwritten; name another file") from None
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be made ({error.strerror}); name a file this user may write") from None
    try:
        write_all(descriptor, text.encode())
        os.fsync(descriptor)
    except OSError as error:
        path.unlink()
        raise BadConfiguration(f"{path} cannot be written ({error.strerror})") from None
    finally:
        os.close(descriptor)
    # Whoever is told of this key finds it again after a power cut.
    sync_folder(path.absolute().parent)
    return SeedSigner(seed)


def load_or_make(path: Path) -> SeedSigner:
    """Read a private key of this server's own, and make it at the first start.

    Raises:
        BadConfiguration: as `load` and `make`.
    """
    return load(path) if path.exists() else make(path)


def load(path: Path) -> SeedSigner:
    """Read a private key.

    Raises:
        BadConfiguration: it is not there, others may read it, or it is no unencrypted Ed25519 key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(FILE_OCTETS_MAX + 1)
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read ({error.strerror}); `ocs key new` makes a key") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadConfiguration(f"{path} is a private key that others may read; close it with: chmod 600 {path}")
    lines = octets.decode("ascii", "replace").strip().splitlines()
    if len(octets) > FILE_OCTETS_MAX or len(lines) < 2 or (lines[0], lines[-1]) != (HEAD, FOOT):
        raise _no_key(path)
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error:
        raise _no_key(path) from None
    if not der.startswith(_PKCS8) or len(der) != len(_PKCS8) + SEED_OCTETS:
        raise _no_key(path)
    return SeedSigner(der[len(_PKCS8) :])


def write_public(path: Path, public_key: bytes) -> None:
    """Write a public key as SubjectPublicKeyInfo in PEM (RFC 8410 section 4), as `openssl pkey -pubout` does.

    Raises:
        Conflict: there is a file.
        BadConfiguration: the file cannot be written.
    """
    text = f"{PUBLIC_HEAD}\n{base64.b64encode(_SPKI + public_key).decode()}\n{PUBLIC_FOOT}\n"
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        raise Conflict(f"{path} is there already; name another file") from None
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be written ({error.strerror})") from None


def public_key(path: Path) -> bytes:
    """Give the public key in a file, whether it is a public one or a private one, 32 octets.

    Raises:
        BadConfiguration: as `load`, or it is neither.
    """
    try:
        octets = path.read_bytes()[: FILE_OCTETS_MAX + 1]
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read ({error.strerror})") from None
    lines = octets.decode("ascii", "replace").strip().splitlines()
    if len(lines) < 3 or (lines[0], lines[-1]) != (PUBLIC_HEAD, PUBLIC_FOOT):
        return load(path).public_key
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error:
        raise _no_key(path) from None
    if not der.startswith(_SPKI) or len(der) != len(_SPKI) + SEED_OCTETS:
        raise _no_key(path)
    return der[len(_SPKI) :]


def _no_key(path: Path) -> BadConfiguration:
    return BadConfiguration(
        f"{path} is no Ed25519 key in PKCS#8 and PEM, without a password; make one with `ocs key new`, or "
        "`openssl genpkey -algorithm ed25519`"
    )
