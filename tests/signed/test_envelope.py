"""Envelopes: what is signed, and what is no envelope."""

from hashlib import sha256

import pytest

from ocs.signed import envelope
from ocs.signed.ed25519 import public_key_of, verify
from ocs.signed.envelope import Envelope
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from signed_reports import SGW, signed, usage

WHOLE = Envelope("t", b"p", b"\x01" + bytes(32), bytes(64))


def test_what_is_signed_is_the_encoding_of_dsse() -> None:
    covered = envelope.signed_bytes("http://example.com/HelloWorld", b"hello world")
    assert covered == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_lengths_are_those_of_octets() -> None:
    assert envelope.signed_bytes("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_a_sealed_message_verifies() -> None:
    sealed = envelope.decode(envelope.seal("settlement/usage/v1", b"payload", SGW))
    assert sealed.payload == b"payload"
    covered = envelope.signed_bytes(sealed.payload_type, sealed.payload)
    assert verify(public_key_of(sealed.signer), covered, sealed.signature)
    assert envelope.message_id(sealed) == sha256(covered).digest()


def test_the_id_is_of_what_is_said_and_not_of_who_signs() -> None:
    one = envelope.decode(signed(usage()))
    other = Envelope(one.payload_type, one.payload, b"\x01" + bytes(32), bytes(64))
    assert envelope.message_id(one) == envelope.message_id(other)


def test_fields_in_another_order_are_the_same_message() -> None:
    octets = envelope.encode(WHOLE)
    assert envelope.decode(octets[3:] + octets[:3]) == WHOLE


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"payload_type": ""}, "payload_type: it has 0 octets"),
        ({"payload_type": "t" * 65}, "payload_type: it has 65 octets"),
        ({"payload": b""}, "payload: it has 0 octets"),
        ({"signer": b"\x01" * 32}, "signer: it has 32 octets"),
        ({"signer": b"\x01" * 34}, "signer: it has 34 octets"),
        ({"signature": bytes(63)}, "signature: it has 63 octets"),  # row 2
        ({"signature": bytes(65)}, "signature: it has 65 octets"),
        ({"payload": bytes(envelope.ENVELOPE_OCTETS_MAX)}, "octets, and 262144 at the most"),
    ],
)
def test_fields_of_a_wrong_length_are_malformed(change: dict[str, str | bytes], says: str) -> None:
    fields = {name: getattr(WHOLE, name) for name in WHOLE.__struct_fields__} | change
    with pytest.raises(Malformed) as refused:
        envelope.decode(envelope.encode(Envelope(**fields)))
    assert says in refused.value.detail
    assert refused.value.code is Refusal.MALFORMED


@pytest.mark.parametrize("extra", ["2a00", "0a0174", "12017a", "1a00", "22", "08 01"], ids=lambda extra: extra)
def test_unknown_and_repeated_fields_are_malformed(extra: str) -> None:
    with pytest.raises(Malformed):
        envelope.decode(envelope.encode(WHOLE) + bytes.fromhex(extra))
