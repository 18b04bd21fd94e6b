"""A pass shows the miner that made it, for some minutes, and nothing else passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.units import MINUTE, UnixMillis
from ocs.usage.door_pass import DOOR_TYPE, PASS_OCTETS_MAX, DoorPass, open_pass
from ocs.usage.keys import Role
from signed_reports import KEYS, MINER, NETWORK, NOW, OTHER_MINER, SGW, STRANGER, registered


def shown(by: SeedSigner = MINER, kind: str = DOOR_TYPE, **changes: object) -> bytes:
    fields = {"version": 1, "network": NETWORK, "miner_key": signer_of(by.public_key), "at_ms": NOW}
    return envelope.seal(kind, DoorPass(**fields | changes).encode(), by)  # type: ignore[arg-type]


def test_a_miner_is_let_in() -> None:
    assert open_pass(shown(), KEYS, NETWORK, NOW) == MINER.public_key
    assert open_pass(shown(), KEYS, NETWORK, UnixMillis(NOW + 5 * MINUTE)) == MINER.public_key


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"", Refusal.MALFORMED),
        (bytes(PASS_OCTETS_MAX + 1), Refusal.MALFORMED),
        (shown(kind="settlement/usage/v1"), Refusal.MALFORMED),
        (shown(version=2), Refusal.OUT_OF_RANGE),
        (shown(STRANGER), Refusal.BAD_KEY),
        (shown(miner_key=signer_of(OTHER_MINER.public_key)), Refusal.SIGNER_MISMATCH),
        (shown(SGW), Refusal.ROLE_MISMATCH),
        (shown(network="another"), Refusal.WRONG_NETWORK),
        (shown(at_ms=NOW - 5 * MINUTE - 1), Refusal.CLOCK),
        (shown(at_ms=NOW + 5 * MINUTE + 1), Refusal.CLOCK),
    ],
)
def test_nobody_else_is(octets: bytes, code: Refusal) -> None:
    with pytest.raises(Malformed) as refused:
        open_pass(octets, KEYS, NETWORK, NOW)
    assert refused.value.code is code


@pytest.mark.fault(60)
def test_a_revoked_miner_is_not_let_in() -> None:
    keys = KEYS | registered(MINER, Role.MINER, SGW, revoked_at=NOW)
    with pytest.raises(Malformed) as refused:
        open_pass(shown(), keys, NETWORK, NOW)
    assert refused.value.code is Refusal.KEY_REVOKED


@given(st.integers(0, 8 * len(shown()) - 1))
def test_no_bit_of_it_can_be_changed(bit: int) -> None:
    octets = bytearray(shown())
    octets[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        open_pass(bytes(octets), KEYS, NETWORK, NOW)
