"""Ed25519 signatures, and the keys that may make them.  RFC 8032; libsodium through PyNaCl.

libsodium is strict where OpenSSL is not: it refuses S at or above the group order, and an R or a public key of small
order or in a second spelling.  Under such a key one signature fits any message, so its owner could deny what he signed.

A signer is 33 octets: a tag, and the public key.  The tag is Helium's: the low four bits 1 for Ed25519, the high four 0
for the main network; nothing else signs here.
"""

from typing import Final, Protocol

from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError

from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal

PUBLIC_KEY_OCTETS: Final = 32
SIGNATURE_OCTETS: Final = 64
SEED_OCTETS: Final = 32
SIGNER_OCTETS: Final = 1 + PUBLIC_KEY_OCTETS

TAG: Final = b"\x01"


class Signer(Protocol):
    """Whoever holds a private key: a seed here, a secure element elsewhere."""

    @property
    def public_key(self) -> bytes:
        """32 octets."""

    def sign(self, message: bytes) -> bytes:
        """Give the signature of `message`, 64 octets."""


class SeedSigner:
    """A private key in memory."""

    __slots__ = ("_private_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        assert len(seed) == SEED_OCTETS
        self.public_key, self._private_key = crypto_sign_seed_keypair(seed)

    def sign(self, message: bytes) -> bytes:
        return crypto_sign(message, self._private_key)[:SIGNATURE_OCTETS]


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is that of `message` under `public_key`.

    False also for a signature that has not 64 octets, and for a key that `check_public_key` refuses for its order or
    its spelling.  The interpreter's lock is free while this computes, so threads verify side by side.
    """
    if len(signature) != SIGNATURE_OCTETS or len(public_key) != PUBLIC_KEY_OCTETS:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def check_public_key(public_key: bytes) -> None:
    """Refuse what is no honest public key; for registration, as it costs as much as a signature.

    Raises:
        Malformed: `bad_key`: it has not 32 octets, is not on the curve, is not spelled as RFC 8032 section 5.1.2 does,
            or has a part of small order.
    """
    if len(public_key) != PUBLIC_KEY_OCTETS:
        raise Malformed(f"a public key has {PUBLIC_KEY_OCTETS} octets; got {len(public_key)}", Refusal.BAD_KEY)
    if not crypto_core_ed25519_is_valid_point(public_key):
        raise Malformed(
            "it is no Ed25519 public key: not on the curve, of small order, or not in its one spelling", Refusal.BAD_KEY
        )


def public_key_of(signer: bytes) -> bytes:
    """Take the public key out of a signer's 33 octets; whether it is a good key, its registration has checked.

    Raises:
        Malformed: `bad_key`: the tag is not that of an Ed25519 key of the main network, or octets lack.
    """
    if len(signer) != SIGNER_OCTETS or signer[:1] != TAG:
        raise Malformed(
            f"a signer is the octet 01 and an Ed25519 public key, {SIGNER_OCTETS} octets; "
            f"got {len(signer)}, the first {signer[:1].hex() or 'none'}",
            Refusal.BAD_KEY,
        )
    return signer[1:]


def signer_of(public_key: bytes) -> bytes:
    """Give a public key its tag."""
    assert len(public_key) == PUBLIC_KEY_OCTETS
    return TAG + public_key
