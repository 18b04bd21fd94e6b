"""Ed25519 keys of an SGW and a miner, and their files: PKCS#8 in PEM, as OpenSSL writes it, for their owner alone.

A key in these messages is a *signer*: the octet 01, then the public key (RFC 8032).  docs/signing.md, "Keys".
"""

import base64
import binascii
import os
from pathlib import Path
from typing import Final, Self

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

SEED_OCTETS: Final = 32
SIGNER_OCTETS: Final = 33
SIGNATURE_OCTETS: Final = 64

_TAG: Final = b"\x01"
_HEAD: Final = "-----BEGIN PRIVATE KEY-----"
_FOOT: Final = "-----END PRIVATE KEY-----"
_FILE_OCTETS_MAX: Final = 4096

_PKCS8: Final = bytes.fromhex("302e020100300506032b657004220420")
"""Of RFC 8410 section 7, all but the seed: version 0, id-Ed25519, an octet string inside another."""


class NoKey(Exception):
    """A file holds no private key that may be used."""


class Key:
    """A private key in memory."""

    __slots__ = ("_key", "signer")

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self.signer = _TAG + self._key.verify_key.encode()

    def sign(self, message: bytes) -> bytes:
        """Give the signature of `message`, 64 octets."""
        return self._key.sign(message).signature

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a private key from its file.

        Raises:
            NoKey: the file is not there, others may read it, or it holds no Ed25519 key without a password.
        """
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                octets = file.read(_FILE_OCTETS_MAX)
        except OSError as error:
            raise NoKey(f"{path} cannot be read ({error.strerror}); `ocs key new` makes a key") from None
        if mode & 0o077:
            raise NoKey(f"others may read {path}, and a private key is its owner's alone: chmod 600 {path}")
        lines = octets.decode("ascii", "replace").split()
        head, foot = _HEAD.split(), _FOOT.split()
        armoured = lines[: len(head)] == head and lines[-len(foot) :] == foot
        try:
            der = base64.b64decode("".join(lines[len(head) : -len(foot)]) if armoured else "", validate=True)
        except binascii.Error:
            der = b""
        if not der.startswith(_PKCS8) or len(der) != len(_PKCS8) + SEED_OCTETS:
            raise NoKey(f"{path} is no Ed25519 key in PKCS#8 and PEM; `openssl genpkey -algorithm ed25519` makes one")
        return cls(der[len(_PKCS8) :])


def holds(signer: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is that of `message` by the key of `signer`, which is of the one kind there is."""
    if len(signer) != SIGNER_OCTETS or signer[:1] != _TAG or len(signature) != SIGNATURE_OCTETS:
        return False
    try:
        VerifyKey(signer[1:]).verify(message, signature)
    except BadSignatureError:
        return False
    return True
