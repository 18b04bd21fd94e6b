"""The fields that several messages share: version, network, ids, digests and keys."""

from typing import Final

from ocs.signed import wire
from ocs.signed.ed25519 import SIGNER_OCTETS
from ocs.signed.malformed import Malformed

VERSION: Final = 1
DIGEST_OCTETS: Final = 32
SESSION_ID_OCTETS: Final = 16
NETWORK_OCTETS_MAX: Final = 64

COUNTER_MAX: Final = 2**63
"""Octets of a session, up and down together: more than any link carries, and 64 bits hold it."""


def version() -> wire.Field:
    """Describe field 1 of every message that has a version: it is 1."""
    return wire.uint32(1, "version", least=VERSION, most=VERSION)


def digest(number: int, name: str) -> wire.Field:
    """Describe a SHA-256: the id of a message or channel, a root, a tag."""
    return wire.octets(number, name, least=DIGEST_OCTETS, most=DIGEST_OCTETS)


def signer(number: int, name: str) -> wire.Field:
    """Describe a tagged public key; whether it is a good one is asked where it signs."""
    return wire.octets(number, name, least=SIGNER_OCTETS, most=SIGNER_OCTETS)


def session_id(number: int) -> wire.Field:
    """Describe the id of one incarnation of a session, made at random."""
    return wire.octets(number, "session_id", least=SESSION_ID_OCTETS, most=SESSION_ID_OCTETS)


def network(number: int) -> wire.Field:
    """Describe the deployment that a message is for: printable ASCII without spaces."""
    return wire.string(number, "network", least=1, most=NETWORK_OCTETS_MAX, convert=_network)


def _network(octets: bytes) -> str:
    text = octets.decode()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise Malformed("network: its name is printable ASCII without spaces")
    return text
