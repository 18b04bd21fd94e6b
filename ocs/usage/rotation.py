"""A key follows another: signed by the new one, which shows that it is held, and by the old one, which hands over.

The new key signs the rotation; the old key signs that envelope, signature and all.  So a rotation is one message, and
neither half of two can be joined to another.  A new key is for new sessions: one that runs stays with its keys.
"""

from typing import Final, Self

import msgspec

from ocs.signed import envelope, fields, wire
from ocs.signed.ed25519 import Signer, check_public_key, public_key_of, verify
from ocs.signed.envelope import Envelope
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal

KEY_ROTATION_TYPE: Final = "settlement/key-rotation/v1"
"""Of the inner envelope: its payload is a KeyRotation, its signer the new key."""

KEY_HANDOVER_TYPE: Final = "settlement/key-handover/v1"
"""Of the outer envelope: its payload is the inner envelope, its signer the old key."""

ROTATION_OCTETS_MAX: Final = 1024
"""Of the outer envelope; the longest honest one has under 600."""

_KEY_ROTATION: Final = wire.Schema(
    "KeyRotation",
    fields.signer(1, "old_key"),
    fields.signer(2, "new_key"),
    wire.uint64(3, "effective_at_ms"),
    fields.network(4),
    octets_max=ROTATION_OCTETS_MAX,
)


class KeyRotation(msgspec.Struct, frozen=True, gc=False):
    """From `effective_at_ms` on, Unix milliseconds, `new_key` signs in place of `old_key`; 33 octets each."""

    old_key: bytes
    new_key: bytes
    effective_at_ms: int
    network: str

    def encode(self) -> bytes:
        return wire.write(_KEY_ROTATION, msgspec.structs.astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a KeyRotation.

        Raises:
            Malformed: `malformed` or `out_of_range`.
        """
        return cls(*wire.read(_KEY_ROTATION, payload))


def seal(rotation: KeyRotation, *, old: Signer, new: Signer) -> bytes:
    """Sign a rotation with both keys, and write it."""
    inner = envelope.seal(KEY_ROTATION_TYPE, rotation.encode(), new)
    return envelope.seal(KEY_HANDOVER_TYPE, inner, old)


def open_rotation(octets: bytes, network: str) -> KeyRotation:
    """Read a rotation, and check both signatures and all that they bind.

    Whether the old key is registered, and the new one is not, is asked of the registry.

    Raises:
        Malformed: `malformed`, `out_of_range`, `bad_key`, `wrong_network`; `bad_rotation` where one of the two keys did
            not sign, or both are one.
    """
    if len(octets) > ROTATION_OCTETS_MAX:
        raise Malformed(f"a rotation has {ROTATION_OCTETS_MAX} octets at the most; got {len(octets)}")
    outer = envelope.decode(octets)
    if outer.payload_type != KEY_HANDOVER_TYPE:
        raise _not_signed("old")
    _check_signature(outer, "old")
    inner = envelope.decode(outer.payload)
    if inner.payload_type != KEY_ROTATION_TYPE:
        raise _not_signed("new")
    _check_signature(inner, "new")
    rotation = KeyRotation.decode(inner.payload)
    if (outer.signer, inner.signer) != (rotation.old_key, rotation.new_key):
        raise Malformed("the keys that signed are not those that the rotation names", Refusal.BAD_ROTATION)
    if rotation.old_key == rotation.new_key:
        raise Malformed("old and new key are one", Refusal.BAD_ROTATION)
    if rotation.network != network:
        raise Malformed("the rotation was signed for another network", Refusal.WRONG_NETWORK)
    return rotation


def _check_signature(signed: Envelope, which: str) -> None:
    public_key = public_key_of(signed.signer)
    check_public_key(public_key)
    if not verify(public_key, envelope.signed_bytes(signed.payload_type, signed.payload), signed.signature):
        raise _not_signed(which)


def _not_signed(which: str) -> Malformed:
    return Malformed(f"the rotation is not signed by the {which} key", Refusal.BAD_ROTATION)
