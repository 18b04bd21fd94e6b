"""A miner's pass through the doors that take usage: it shows who sends, by the key that countersigns.

An envelope of type settlement/door/v1 that is signed anew now and then, and sent with each request.  Whoever copies one
may for some minutes send what that miner signed, which is counted once anyway; TLS keeps it from being copied.
"""

from typing import Final, Self

import msgspec

from ocs.signed import envelope, fields, wire
from ocs.signed.ed25519 import public_key_of, verify
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.units import MINUTE, UnixMillis
from ocs.usage.keys import Role
from ocs.usage.opening import Keys, registered

DOOR_TYPE: Final = "settlement/door/v1"
PASS_MS_MAX: Final = 5 * MINUTE
"""Its age, and how far the miner's clock may be ahead."""

PASS_OCTETS_MAX: Final = 512
"""Of the envelope; one has some 250."""

_PASS: Final = wire.Schema(
    "DoorPass",
    fields.version(),
    fields.network(2),
    fields.signer(3, "miner_key"),
    wire.uint64(4, "at_ms"),
    octets_max=256,
)


class DoorPass(msgspec.Struct, frozen=True, gc=False):
    """Who sends: `miner_key` has 33 octets; `at_ms` is when it was signed."""

    version: int
    network: str
    miner_key: bytes
    at_ms: int

    def encode(self) -> bytes:
        return wire.write(_PASS, msgspec.structs.astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a pass.

        Raises:
            Malformed: `malformed` or `out_of_range`.
        """
        return cls(*wire.read(_PASS, payload))


def open_pass(octets: bytes, keys: Keys, network: str, now: UnixMillis) -> bytes:
    """Give the public key of the miner whose pass this is, 32 octets.

    Raises:
        Malformed: with the first rule that is broken, in the order of a report's.
    """
    if len(octets) > PASS_OCTETS_MAX:
        raise Malformed(f"a pass has {PASS_OCTETS_MAX} octets at the most; this one has {len(octets)}")
    signed = envelope.decode(octets)
    if signed.payload_type != DOOR_TYPE:
        raise Malformed(f"payload_type is not {DOOR_TYPE}")
    public_key, key = registered(signed, keys, now)
    if not verify(public_key, envelope.signed_bytes(signed.payload_type, signed.payload), signed.signature):
        raise Malformed("the signature is not its signer's", Refusal.BAD_SIGNATURE)
    shown = DoorPass.decode(signed.payload)
    if public_key_of(shown.miner_key) != public_key:
        raise Malformed("miner_key is not the key that signed", Refusal.SIGNER_MISMATCH)
    if key.role is not Role.MINER:
        raise Malformed("an SGW's key signed; a miner sends", Refusal.ROLE_MISMATCH)
    if shown.network != network:
        raise Malformed("the pass is for another network", Refusal.WRONG_NETWORK)
    if abs(now - shown.at_ms) > PASS_MS_MAX:
        raise Malformed("the pass was signed more than five minutes from now; sign a new one", Refusal.CLOCK)
    return public_key
