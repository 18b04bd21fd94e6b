"""Rotations: both keys sign, and no half of one fits another."""

from typing import Any

import pytest

from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.usage import rotation
from ocs.usage.rotation import KEY_HANDOVER_TYPE, KEY_ROTATION_TYPE, KeyRotation
from signed_reports import MINER, NETWORK, NOW, SGW, STRANGER


def new_key(**changes: Any) -> KeyRotation:
    kept = {
        "old_key": signer_of(SGW.public_key),
        "new_key": signer_of(STRANGER.public_key),
        "effective_at_ms": NOW,
        "network": NETWORK,
    }
    return KeyRotation(**(kept | changes))


GOOD = rotation.seal(new_key(), old=SGW, new=STRANGER)


def code_of(octets: bytes, network: str = NETWORK) -> Refusal:
    with pytest.raises(Malformed) as refused:
        rotation.open_rotation(octets, network)
    return refused.value.code


def handover(inner: bytes, old: SeedSigner = SGW) -> bytes:
    return envelope.seal(KEY_HANDOVER_TYPE, inner, old)


def test_a_rotation_that_both_keys_signed_is_opened() -> None:
    assert rotation.open_rotation(GOOD, NETWORK) == new_key()
    assert len(GOOD) < 600


def test_row_30_one_key_alone_rotates_nothing() -> None:
    only_new = envelope.seal(KEY_ROTATION_TYPE, new_key().encode(), STRANGER)
    assert code_of(only_new) is Refusal.BAD_ROTATION
    assert code_of(rotation.seal(new_key(), old=STRANGER, new=STRANGER)) is Refusal.BAD_ROTATION
    assert code_of(rotation.seal(new_key(), old=SGW, new=SGW)) is Refusal.BAD_ROTATION
    assert code_of(rotation.seal(new_key(), old=STRANGER, new=SGW)) is Refusal.BAD_ROTATION


def test_a_key_that_neither_is_signs_no_half() -> None:
    assert code_of(rotation.seal(new_key(), old=MINER, new=STRANGER)) is Refusal.BAD_ROTATION
    assert code_of(rotation.seal(new_key(), old=SGW, new=MINER)) is Refusal.BAD_ROTATION


def test_a_bad_signature_of_either_is_refused() -> None:
    outer = bytearray(GOOD)
    outer[-1] ^= 1
    assert code_of(bytes(outer)) is Refusal.BAD_ROTATION
    inner = bytearray(envelope.decode(GOOD).payload)
    inner[-1] ^= 1
    assert code_of(handover(bytes(inner))) is Refusal.BAD_ROTATION


def test_a_key_does_not_follow_itself() -> None:
    same = new_key(new_key=signer_of(SGW.public_key))
    assert code_of(rotation.seal(same, old=SGW, new=SGW)) is Refusal.BAD_ROTATION


def test_it_is_for_one_network() -> None:
    assert code_of(GOOD, "mainnet") is Refusal.WRONG_NETWORK


def test_a_new_key_of_small_order_is_refused() -> None:
    inner = envelope.decode(envelope.decode(GOOD).payload)
    small = b"\x01" + b"\x01" + bytes(31)
    forged = envelope.encode(
        envelope.Envelope(inner.payload_type, new_key(new_key=small).encode(), small, small[1:] + bytes(32))
    )
    assert code_of(handover(forged)) is Refusal.BAD_KEY


def test_hostile_octets_are_malformed() -> None:
    assert code_of(bytes(10_000_000)) is Refusal.MALFORMED
    assert code_of(b"") is Refusal.MALFORMED
    assert code_of(handover(b"no envelope")) is Refusal.MALFORMED
    assert code_of(handover(envelope.seal(KEY_ROTATION_TYPE, b"none", STRANGER))) is Refusal.MALFORMED
    assert code_of(handover(envelope.seal("settlement/usage/v1", b"none", STRANGER))) is Refusal.BAD_ROTATION


def test_any_flipped_bit_is_refused() -> None:
    for bit in range(0, len(GOOD) * 8, 5):
        octets = bytearray(GOOD)
        octets[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(Malformed):
            rotation.open_rotation(bytes(octets), NETWORK)
