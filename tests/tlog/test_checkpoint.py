"""Checkpoints are three lines with one spelling; a cosignature binds a time to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_samples import ORIGIN, cosigner_key, flipped, log_key, signed, signer, verify

from ocs.tlog import checkpoint, note
from ocs.tlog.checkpoint import Checkpoint, CosignerKey, cosign, cosigned_at
from ocs.tlog.errors import Malformed, NotTrusted
from ocs.tlog.merkle import EMPTY_ROOT
from ocs.tlog.note import Note, VerifierKey
from ocs.units import UnixMillis

# A checkpoint of a public log of Certificate Transparency with the cosignatures of public witnesses.  Its first
# signature is of type 0x05, the second is the log's Ed25519; keys of both as their operators publish them.
PUBLIC = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
""".encode()  # noqa: E501
PUBLIC_LOG = VerifierKey.parse(
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
)
PUBLIC_WITNESSES = {
    CosignerKey.parse("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"),
    CosignerKey.parse("witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv"),
}

HEAD = Checkpoint(ORIGIN, 20852163, bytes(range(32)))
NOW = UnixMillis(1_679_315_147_999)
WITNESS = cosigner_key(7)


def test_a_public_checkpoint_and_its_cosignatures_verify() -> None:
    parsed = note.parse(PUBLIC)
    assert parsed.octets == PUBLIC
    assert note.verified(parsed, [PUBLIC_LOG, *PUBLIC_WITNESSES], verify) == {PUBLIC_LOG, *PUBLIC_WITNESSES}
    head = checkpoint.opened(parsed, [PUBLIC_LOG], verify)
    assert (head.origin, head.size, head.text) == (PUBLIC_LOG.name, 1432088532, parsed.text)
    assert {cosigned_at(one) for one in parsed.signatures[2:]} == {0x6A122120 * 1000}


def test_the_text_is_three_lines() -> None:
    assert Checkpoint("example.com/behind-the-sofa", 0, EMPTY_ROOT).text == (
        "example.com/behind-the-sofa\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    )


def test_what_a_log_signs_is_opened_with_its_key() -> None:
    assert checkpoint.opened(note.parse(signed(HEAD).octets), [log_key()], verify) == HEAD
    with pytest.raises(NotTrusted):
        checkpoint.opened(signed(HEAD), [log_key(2)], verify)
    with pytest.raises(Malformed):
        signed(Checkpoint("two\nlines", 0, EMPTY_ROOT))


ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "o\n1\n",
        f"o\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"o\n1\n{ROOT}\nextension\n",
        f"o\n1\n{ROOT}\n\n",
        f"o\n\n{ROOT}\n",
        f"o\n01\n{ROOT}\n",
        f"o\n+1\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n1 \n{ROOT}\n",
        f"o\n1_0\n{ROOT}\n",
        f"o\n1.0\n{ROOT}\n",
        f"o\n١\n{ROOT}\n",
        f"o\n²\n{ROOT}\n",
        f"o\n9223372036854775808\n{ROOT}\n",
        f"o\n{'9' * 5000}\n{ROOT}\n",
        f"o\n1\n{ROOT[:-1]}\n",
        f"o\n1\n{ROOT[:-2]}V=\n",
        f"o\n1\n {ROOT}\n",
        f"o\n1\n{ROOT[4:]}\n",
        f"o\n1\nAAAA{ROOT}\n",
        "o\n1\n\n",
        "o\n1\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(Malformed):
        checkpoint.parse(text)
    with pytest.raises(Malformed):
        cosign(text, WITNESS, NOW, signer(7))


ORIGINS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)


@given(st.builds(Checkpoint, ORIGINS, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32)))
def test_a_checkpoint_reads_back(head: Checkpoint) -> None:
    assert checkpoint.parse(head.text) == head


@given(st.text())
def test_other_text_is_refused_or_reads_back(text: str) -> None:
    try:
        head = checkpoint.parse(text)
    except Malformed:
        return
    assert head.text == text


def test_a_cosignature_is_over_its_time_and_the_checkpoint() -> None:
    messages: list[bytes] = []
    cosign(HEAD.text, WITNESS, NOW, lambda message: messages.append(message) or bytes(64))
    assert messages == [
        b"cosignature/v1\ntime 1679315147\nlog.example.net/usage\n20852163\n"
        b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    ]


def test_a_cosignature_holds_beside_the_logs_own() -> None:
    cosignature = cosign(HEAD.text, WITNESS, NOW, signer(7))
    both = Note(HEAD.text, (*signed(HEAD).signatures, cosignature))
    assert note.verified(note.parse(both.octets), [log_key(), WITNESS], verify) == {log_key(), WITNESS}
    assert cosigned_at(cosignature) == 1_679_315_147_000
    assert CosignerKey.parse(WITNESS.text) == WITNESS
    # The same octets as a key of the log's type are another key.
    plain = VerifierKey(WITNESS.name, WITNESS.public_key)
    assert plain != WITNESS
    assert plain.key_id != WITNESS.key_id
    with pytest.raises(Malformed, match="type 4"):
        CosignerKey.parse(plain.text)


@given(st.integers(0, 8 * 72 - 1))
def test_any_flipped_bit_of_a_cosignature_is_found(bit: int) -> None:
    octets = cosign(HEAD.text, WITNESS, NOW, signer(7)).octets
    assert len(octets) == 72
    assert WITNESS.holds(HEAD.text, octets, verify)
    assert not WITNESS.holds(HEAD.text, flipped(octets, bit), verify)


def test_a_cosignature_has_72_octets_and_a_time_that_others_can_hold() -> None:
    def believing(public_key: bytes, message: bytes, signature: bytes) -> bool:
        return True

    assert WITNESS.holds(HEAD.text, bytes(72), believing)
    for octets in (b"", bytes(64), bytes(71), bytes(73), b"\x80" + bytes(71)):
        assert not WITNESS.holds(HEAD.text, octets, believing)
