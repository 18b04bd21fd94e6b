"""Opening a report: the rules of section 8 in their order, and the attacks of section 9 that they answer.

"Row" is a row of the settlement reference's table of attacks.
"""

import os
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.signed import envelope
from ocs.signed.ed25519 import signer_of
from ocs.signed.envelope import Envelope
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.units import UnixMillis
from ocs.usage.keys import Role
from ocs.usage.opening import REPORT_OCTETS_MAX, Opened, Refused, open_report, open_signed
from ocs.usage.record import COUNTERSIGN_TYPE, USAGE_TYPE, SessionInit, Usage
from signed_reports import (
    KEYS,
    MINER,
    NETWORK,
    NOW,
    OTHER_MINER,
    SGW,
    STRANGER,
    countersign,
    countersigned,
    registered,
    report,
    session_init,
    signed,
    usage,
)

GOOD = report()
SMALL_ORDER_KEY = b"\x01" + bytes(31)  # the identity


def opened(octets: bytes, keys: Any = KEYS, network: str = NETWORK, now: UnixMillis = NOW) -> Opened | Refused:
    return open_report(octets, keys, network, now)


def refused(octets: bytes, **context: Any) -> Refused:
    verdict = opened(octets, **context)
    assert isinstance(verdict, Refused)
    return verdict


def test_a_register_adds_nothing_to_what_is_opened() -> None:
    for octets in (GOOD, countersigned(signed(session_init()))):
        assert open_signed(octets, NETWORK) == opened(octets)


def test_without_a_register_two_keys_there_are() -> None:
    one_key = signer_of(MINER.public_key)
    with pytest.raises(Malformed) as error:
        open_signed(report(by=MINER, sgw_key=one_key), NETWORK)
    assert error.value.code is Refusal.ROLE_MISMATCH


def changed(octets: bytes, **changes: Any) -> bytes:
    """Write an envelope again with fields changed, its signature as it was."""
    old = envelope.decode(octets)
    return envelope.encode(Envelope(**{name: getattr(old, name) for name in old.__struct_fields__} | changes))


def sealed(payload: bytes, kind: str = COUNTERSIGN_TYPE) -> bytes:
    return envelope.seal(kind, payload, MINER)


def test_a_good_report_is_opened() -> None:
    verdict = opened(GOOD)
    assert isinstance(verdict, Opened)
    outer = envelope.decode(GOOD)
    assert verdict.octets is GOOD
    assert verdict.report == usage()
    assert verdict.received_at_ms == countersign(signed(usage())).received_at_ms
    assert verdict.countersign_id == envelope.message_id(outer)
    assert verdict.report_id == envelope.message_id(envelope.decode(signed(usage())))


def test_a_good_session_init_is_opened() -> None:
    verdict = opened(countersigned(signed(session_init())))
    assert isinstance(verdict, Opened)
    assert isinstance(verdict.report, SessionInit)


def test_fields_in_another_order_and_explicit_defaults_are_honest() -> None:
    payload = usage().encode()
    inner = envelope.seal(USAGE_TYPE, payload[2:] + payload[:2] + b"\x70\x00", SGW)
    verdict = opened(countersigned(inner))
    assert isinstance(verdict, Opened)
    assert verdict.report == usage()


@pytest.mark.fault(59)
@given(st.integers(0, len(GOOD) * 8 - 1))
def test_row_1_any_flipped_bit_is_refused(bit: int) -> None:
    octets = bytearray(GOOD)
    octets[bit >> 3] ^= 1 << (bit & 7)
    # A signer that is flipped is another key, which the rule on keys meets before the one on signatures.
    assert refused(bytes(octets)).code in {Refusal.MALFORMED, Refusal.BAD_SIGNATURE, Refusal.BAD_KEY}


@pytest.mark.fault(59)
def test_row_1_every_octet_flipped_is_refused() -> None:
    for place in range(len(GOOD)):
        octets = bytearray(GOOD)
        octets[place] ^= 0xFF
        refused(bytes(octets))


@pytest.mark.parametrize("end", range(0, len(GOOD), 7))
def test_a_report_that_is_cut_is_malformed(end: int) -> None:
    assert refused(GOOD[:end]).code is Refusal.MALFORMED


def order_added(signature: bytes) -> bytes:
    order = 2**252 + 27742317777372353535851937790883648493
    return signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")


SIGNATURE = envelope.decode(GOOD).signature


@pytest.mark.fault(59)
@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (SIGNATURE[:63], Refusal.MALFORMED),
        (SIGNATURE + b"\0", Refusal.MALFORMED),
        (order_added(SIGNATURE), Refusal.BAD_SIGNATURE),
        (b"\xee" + b"\xff" * 30 + b"\x7f" + SIGNATURE[32:], Refusal.BAD_SIGNATURE),  # R = 1, not canonical
        (b"\x01" + bytes(63), Refusal.BAD_SIGNATURE),
    ],
)
def test_row_2_odd_signatures(signature: bytes, code: Refusal) -> None:
    assert refused(changed(GOOD, signature=signature)).code is code


@pytest.mark.fault(59)
def test_row_3_a_small_order_key_signs_nothing_even_if_it_were_registered() -> None:
    octets = changed(GOOD, signer=b"\x01" + SMALL_ORDER_KEY, signature=SMALL_ORDER_KEY + bytes(32))
    assert refused(octets).code is Refusal.BAD_KEY
    keys = KEYS | {SMALL_ORDER_KEY: KEYS[MINER.public_key]}
    assert refused(octets, keys=keys).code is Refusal.BAD_SIGNATURE


@pytest.mark.fault(59)
@pytest.mark.parametrize("tag", [0x11, 0x00])
def test_row_4_keys_with_another_tag(tag: int) -> None:
    assert refused(changed(GOOD, signer=bytes([tag]) + MINER.public_key)).code is Refusal.BAD_KEY
    inner = changed(signed(usage()), signer=bytes([tag]) + SGW.public_key)
    assert refused(countersigned(inner)).code is Refusal.BAD_KEY


@pytest.mark.fault(60)
def test_row_5_one_key_in_both_roles() -> None:
    key = signer_of(SGW.public_key)
    octets = report(over=SGW, sgw_key=key, miner_key=key)
    assert refused(octets).code is Refusal.ROLE_MISMATCH


@pytest.mark.fault(60)
def test_row_5_roles_swapped() -> None:
    octets = report(by=MINER, over=SGW, sgw_key=signer_of(MINER.public_key), miner_key=signer_of(SGW.public_key))
    assert refused(octets).code is Refusal.ROLE_MISMATCH


def test_row_5_another_miner() -> None:
    octets = report(over=OTHER_MINER, miner_key=signer_of(OTHER_MINER.public_key))
    assert refused(octets).code is Refusal.UNPAIRED


def test_row_5_a_pair_that_only_one_half_knows() -> None:
    keys = KEYS | registered(MINER, Role.MINER, STRANGER)
    assert refused(GOOD, keys=keys).code is Refusal.UNPAIRED


@pytest.mark.parametrize(
    "inner",
    [
        b"",
        usage().encode(),
        b"a body of the miner's own",
        envelope.seal("settlement/commit/v1", b"something else", SGW),
        GOOD[:100],
    ],
)
def test_row_6_an_inner_message_that_no_sgw_signed(inner: bytes) -> None:
    assert refused(countersigned(inner, inner_id=bytes(32))).code is Refusal.INNER_MISMATCH


@pytest.mark.fault(59)
def test_row_6_the_inner_signature_swapped() -> None:
    other = envelope.decode(signed(usage(seq=2))).signature
    for signature in (other, bytes(64), order_added(other)):
        assert refused(countersigned(changed(signed(usage()), signature=signature))).code is Refusal.INNER_MISMATCH


def test_row_6_inner_id_of_another_message() -> None:
    other = envelope.message_id(envelope.decode(signed(usage(seq=2))))
    assert refused(countersigned(signed(usage()), inner_id=other)).code is Refusal.INNER_MISMATCH


def test_row_7_keys_in_the_payload_that_did_not_sign() -> None:
    stranger = signer_of(STRANGER.public_key)
    assert refused(report(miner_key=stranger)).code is Refusal.SIGNER_MISMATCH
    assert refused(report(sgw_key=stranger)).code is Refusal.SIGNER_MISMATCH


def test_row_11_seqs_that_no_report_has() -> None:
    assert refused(report(seq=0)).code is Refusal.BAD_SEQ
    assert refused(report(seq=2**64 - 1)).code is Refusal.BAD_SEQ
    assert isinstance(opened(report(seq=10**9)), Opened)  # a jump is for whoever knows the last one


@pytest.mark.fault(62)
def test_row_12_counters_that_overflow() -> None:
    assert refused(report(cum_up_bytes=2**63, cum_down_bytes=1)).code is Refusal.OUT_OF_RANGE
    assert isinstance(opened(report(cum_up_bytes=2**63 - 1, cum_down_bytes=1)), Opened)


def test_row_13_another_network_or_channel() -> None:
    assert refused(GOOD, network="mainnet").code is Refusal.WRONG_NETWORK
    assert refused(report(network="mainnet")).code is Refusal.WRONG_NETWORK
    assert refused(countersigned(signed(usage()), channel_id=bytes(32))).code is Refusal.INNER_MISMATCH


REVOKED = KEYS | registered(MINER, Role.MINER, SGW, revoked_at=NOW)


@pytest.mark.fault(60)
def test_row_29_a_revoked_key_signs_nothing_whatever_the_date() -> None:
    octets = report(measured_at_ms=1)
    assert refused(octets, keys=REVOKED).code is Refusal.KEY_REVOKED
    assert isinstance(opened(octets, keys=REVOKED, now=UnixMillis(NOW - 1)), Opened)
    keys = KEYS | registered(SGW, Role.SGW, MINER, revoked_at=NOW)
    assert refused(octets, keys=keys).code is Refusal.KEY_REVOKED


@pytest.mark.fault(60)
@pytest.mark.parametrize(
    ("dates", "code"),
    [
        ({"valid_from": NOW + 1}, Refusal.BAD_KEY),
        ({"valid_from": NOW}, None),
        ({"valid_until": NOW}, Refusal.BAD_KEY),
        ({"valid_until": NOW + 1}, None),
        ({"revoked_at": NOW + 1}, None),
        ({"revoked_at": NOW, "valid_until": NOW}, Refusal.KEY_REVOKED),
    ],
)
def test_a_key_signs_while_it_is_in_date(dates: dict[str, UnixMillis], code: Refusal | None) -> None:
    for one, role, other in ((SGW, Role.SGW, MINER), (MINER, Role.MINER, SGW)):
        verdict = opened(GOOD, keys=KEYS | registered(one, role, other, **dates))
        assert (verdict.code if isinstance(verdict, Refused) else None) is code


def test_row_31_ten_megabytes_and_deep_nesting_are_refused_at_once() -> None:
    nested = b""
    while len(nested) < REPORT_OCTETS_MAX - 4:
        nested = b"\x12" + bytes([len(nested) & 0x7F]) + nested
    began = time.process_time()
    for octets in (
        bytes(10_000_000),
        b"\x12" * 10_000_000,
        b"\x0b" * 1_000_000,
        GOOD + bytes(REPORT_OCTETS_MAX),
        nested,
    ):
        assert refused(octets).code is Refusal.MALFORMED
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("more", ["2a00", "7a00", "800100", "0b0c"])
def test_row_31_unknown_fields(more: str) -> None:
    extra = bytes.fromhex(more)
    assert refused(GOOD + extra).code is Refusal.MALFORMED
    outer = envelope.decode(GOOD)
    assert refused(sealed(outer.payload + bytes.fromhex("7a00"))).code is Refusal.MALFORMED
    inner = envelope.seal(USAGE_TYPE, usage().encode() + bytes.fromhex("7a00"), SGW)
    assert refused(countersigned(inner)).code is Refusal.MALFORMED


def test_row_31_text_that_is_not_utf_8() -> None:
    payload = usage().encode().replace(b"testnet", b"test\xff\xfet")
    assert refused(countersigned(envelope.seal(USAGE_TYPE, payload, SGW))).code is Refusal.MALFORMED


def test_other_types_are_not_taken_at_this_door() -> None:
    assert refused(signed(usage())).code is Refusal.MALFORMED
    assert refused(sealed(envelope.decode(GOOD).payload, "settlement/countersign/v2")).code is Refusal.MALFORMED


STEPS: list[tuple[bytes, dict[str, Any], Refusal]] = [
    # Each breaks one rule and all that come after it, and is told of the first.
    (bytes(REPORT_OCTETS_MAX + 1), {}, Refusal.MALFORMED),
    (changed(report(seq=0), payload_type=USAGE_TYPE, signer=bytes(33)), {}, Refusal.MALFORMED),
    (changed(report(seq=0), signer=bytes(33), signature=bytes(64)), {}, Refusal.BAD_KEY),
    (changed(report(seq=0), signature=bytes(64)), {"keys": REVOKED}, Refusal.KEY_REVOKED),
    (changed(sealed(b"no Countersign"), signature=bytes(64)), {}, Refusal.BAD_SIGNATURE),
    (sealed(b"no Countersign"), {}, Refusal.MALFORMED),
    (countersigned(b"no envelope", inner_id=bytes(32), channel_id=bytes(32)), {}, Refusal.INNER_MISMATCH),
    (countersigned(signed(usage(seq=0), STRANGER), inner_id=bytes(32)), {}, Refusal.BAD_KEY),
    (countersigned(changed(signed(usage(cause=0)), signature=bytes(64))), {}, Refusal.INNER_MISMATCH),
    (countersigned(signed(usage(cause=0)), inner_id=bytes(32), channel_id=bytes(32)), {}, Refusal.OUT_OF_RANGE),
    (countersigned(signed(usage(miner_key=bytes(33))), inner_id=bytes(32)), {}, Refusal.INNER_MISMATCH),
    (countersigned(signed(usage(miner_key=bytes(33))), channel_id=bytes(32)), {}, Refusal.SIGNER_MISMATCH),
    (
        countersigned(signed(usage(miner_key=signer_of(SGW.public_key))), by=SGW, channel_id=bytes(32)),
        {},
        Refusal.INNER_MISMATCH,
    ),
    (report(over=SGW, miner_key=signer_of(SGW.public_key)), {"network": "mainnet"}, Refusal.ROLE_MISMATCH),
    (
        report(over=OTHER_MINER, miner_key=signer_of(OTHER_MINER.public_key), seq=0),
        {"network": "mainnet"},
        Refusal.UNPAIRED,
    ),
    (report(seq=0), {"network": "mainnet"}, Refusal.WRONG_NETWORK),
    (report(seq=0), {}, Refusal.BAD_SEQ),
]


@pytest.mark.parametrize(("octets", "context", "code"), STEPS, ids=range(len(STEPS)))
def test_the_first_rule_that_is_broken_is_told(octets: bytes, context: dict[str, Any], code: Refusal) -> None:
    assert refused(octets, **context).code is code


def test_a_refusal_says_whose_it_is_once_that_is_known() -> None:
    assert refused(changed(GOOD, signature=bytes(64))).miner_key == b""
    assert refused(report(seq=0)).miner_key == MINER.public_key


@pytest.mark.fault(59)
def test_a_refusal_repeats_nothing_of_the_senders() -> None:
    for octets in (
        sealed(b"x", "secret/type"),
        report(network="secret"),
        countersigned(signed(usage(network="se cret"))),
    ):
        assert "cret" not in refused(octets).detail


def test_octets_bent_at_random_are_opened_or_refused() -> None:
    rng = Random(20)
    for _ in range(int(os.environ.get("FUZZ_MESSAGES", "2000"))):
        # Bent inside and signed again, so that each layer meets what is nearly right.
        payload = bytearray(rng.choice((usage(), session_init())).encode())
        kind = rng.choice((USAGE_TYPE, "settlement/session-init/v1"))
        for _ in range(rng.randrange(3)):
            payload[rng.randrange(len(payload))] = rng.randrange(256)
        inner = bytearray(envelope.seal(kind, bytes(payload), SGW))
        if rng.random() < 0.2:
            inner[rng.randrange(len(inner))] = rng.randrange(256)
        outer = countersign(bytes(inner), inner_id=rng.choice((bytes(32), envelope.digest(b""))))
        verdict = opened(sealed(outer.encode()))
        assert isinstance(verdict, Opened | Refused)
        assert not isinstance(verdict, Opened) or isinstance(verdict.report, SessionInit | Usage)
