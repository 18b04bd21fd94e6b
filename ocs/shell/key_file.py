"""Keys at rest: Ed25519 in PEM as RFC 8410 has it, private ones with mode 0600.  OpenSSL reads and writes the same.

What SGW, miner and owner sign with; the server itself reads only its own private key, and of the others the public
ones, as they are handed over.  One interface, `Signer`, stands before it, so that a token can take the file's place.
"""

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from ocs.errors import BadConfiguration, Conflict, OcsError
from ocs.shell.store.data_folder import FILE_MODE, sync_folder, write_all
from ocs.signed.ed25519 import SEED_OCTETS, SeedSigner

HEAD: Final = "-----BEGIN PRIVATE KEY-----"
FOOT: Final = "-----END PRIVATE KEY-----"
PUBLIC_HEAD: Final = "-----BEGIN PUBLIC KEY-----"
PUBLIC_FOOT: Final = "-----END PUBLIC KEY-----"
PUBLIC_MODE: Final = 0o644
FILE_OCTETS_MAX: Final = 4096

_PKCS8: Final = bytes.fromhex("302e020100300506032b657004220420")
"""Before the 32 octets of the seed (section 7): PrivateKeyInfo, version 0, id-Ed25519, an OCTET STRING within one."""

_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
"""Before the 32 octets of a public key (section 4): SubjectPublicKeyInfo, id-Ed25519, a BIT STRING."""


def make(path: Path) -> SeedSigner:
    """Make a key from the system's randomness, and keep it in a new file.

    Raises:
        Conflict: there is a file; a key is never overwritten.
        BadConfiguration: the file cannot be written.
    """
    seed = secrets.token_bytes(SEED_OCTETS)
    _keep(path, HEAD, _PKCS8 + seed, FOOT, FILE_MODE)
    return SeedSigner(seed)


def make_pair(path: Path, public: Path) -> SeedSigner:
    """Make a key, and write its public half to another file: both files, or neither.

    Raises:
        Conflict, BadConfiguration: as `make`, of either file.
    """
    signer = make(path)
    try:
        write_public(public, signer.public_key)
    except OcsError:
        path.unlink()  # nobody was told of this key, and it would only be in the way of the next try
        raise
    return signer


def write_public(path: Path, public_key: bytes) -> None:
    """Write a public key to a new file, as `openssl pkey -pubout` does.

    Raises:
        Conflict: there is a file.
        BadConfiguration: the file cannot be written.
    """
    _keep(path, PUBLIC_HEAD, _SPKI + public_key, PUBLIC_FOOT, PUBLIC_MODE)


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
    octets, mode = _read(path)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadConfiguration(f"{path} is a private key that others may read; close it with: chmod 600 {path}")
    seed = _inside(octets, HEAD, _PKCS8, FOOT)
    if seed is None:
        raise BadConfiguration(
            f"{path} is no Ed25519 key in PKCS#8 and PEM, without a password; make one with `ocs key new`, or "
            "`openssl genpkey -algorithm ed25519`"
        )
    return SeedSigner(seed)


def public_key(path: Path) -> bytes:
    """Give the public key, 32 octets, of a file that has it alone, or of a private key's.

    Raises:
        BadConfiguration: it is neither, or as `load`.
    """
    octets, _ = _read(path)
    found = _inside(octets, PUBLIC_HEAD, _SPKI, PUBLIC_FOOT)
    if found is not None:
        return found
    if _inside(octets, HEAD, _PKCS8, FOOT) is None:
        raise BadConfiguration(
            f"{path} is no Ed25519 key in PEM, public or without a password; `ocs key new` makes one, and "
            "`openssl pkey -pubout` writes the public one"
        )
    return load(path).public_key


def _keep(path: Path, head: str, der: bytes, foot: str, mode: int) -> None:
    """Write a new file of at most this mode, whole or not at all."""
    text = f"{head}\n{base64.b64encode(der).decode()}\n{foot}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
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


def _read(path: Path) -> tuple[bytes, int]:
    """Read a file of a key's size, or one octet more; and its mode."""
    try:
        with path.open("rb") as file:
            return file.read(FILE_OCTETS_MAX + 1), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read ({error.strerror}); `ocs key new` makes a key") from None


def _inside(octets: bytes, head: str, before: bytes, foot: str) -> bytes | None:
    """Give the 32 octets of a key in PEM, None where this is none."""
    lines = octets.decode("ascii", "replace").strip().splitlines()
    if len(octets) > FILE_OCTETS_MAX or len(lines) < 2 or (lines[0], lines[-1]) != (head, foot):
        return None
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error:
        return None
    is_key = der.startswith(before) and len(der) == len(before) + SEED_OCTETS
    return der[len(before) :] if is_key else None
