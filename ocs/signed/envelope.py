"""The envelope: a typed payload, who signed it, and the signature.  DSSE v1 (secure-systems-lab/dsse, protocol.md).

    1 payload_type string · 2 payload bytes · 3 signer bytes, 33 · 4 signature bytes, 64

What is signed is type and payload with their lengths before them, so neither runs into the other, and the payload is
taken as it came: nothing is ever written again to be verified.  A message's id leaves the signature out, so it names
what was said and by nobody in particular.
"""

from hashlib import sha256
from typing import Final

import msgspec

from ocs.signed import wire
from ocs.signed.ed25519 import SIGNATURE_OCTETS, SIGNER_OCTETS, Signer, signer_of

ENVELOPE_OCTETS_MAX: Final = 256 * 1024
"""A Close with its most miners has about 110 kB, the largest of all messages; a door may take far less."""

PAYLOAD_TYPE_OCTETS_MAX: Final = 64

_SCHEMA: Final = wire.Schema(
    "Envelope",
    wire.string(1, "payload_type", least=1, most=PAYLOAD_TYPE_OCTETS_MAX),
    wire.octets(2, "payload", least=1, most=ENVELOPE_OCTETS_MAX),
    wire.octets(3, "signer", least=SIGNER_OCTETS, most=SIGNER_OCTETS),
    wire.octets(4, "signature", least=SIGNATURE_OCTETS, most=SIGNATURE_OCTETS),
    octets_max=ENVELOPE_OCTETS_MAX,
)


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A signed message, its signature not yet looked at.

    Attributes:
        payload_type: what the payload is, as `settlement/usage/v1`.
        payload: as it was signed.
        signer: a tag and the public key, 33 octets; `ed25519.public_key_of` checks both.
        signature: 64 octets.
    """

    payload_type: str
    payload: bytes
    signer: bytes
    signature: bytes


def decode(octets: bytes) -> Envelope:
    """Read an envelope.

    Raises:
        Malformed: it breaks the grammar, is too large, or a field has not its length.
    """
    return Envelope(*wire.read(_SCHEMA, octets))


def encode(envelope: Envelope) -> bytes:
    return wire.write(_SCHEMA, (envelope.payload_type, envelope.payload, envelope.signer, envelope.signature))


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """Give what the signature covers: DSSE v1's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def digest(signed: bytes) -> bytes:
    """Give the id of the message whose signed bytes these are; 32 octets."""
    return sha256(signed).digest()


def message_id(envelope: Envelope) -> bytes:
    """Give the SHA-256 of what is signed, the signature not among it; 32 octets."""
    return digest(signed_bytes(envelope.payload_type, envelope.payload))


def seal(payload_type: str, payload: bytes, signer: Signer) -> bytes:
    """Sign a payload, and write its envelope."""
    signature = signer.sign(signed_bytes(payload_type, payload))
    return encode(Envelope(payload_type, payload, signer_of(signer.public_key), signature))
