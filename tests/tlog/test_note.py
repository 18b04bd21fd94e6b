"""Notes: published ones verify, unknown signatures are passed over, and nothing else gets through."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_samples import cosigner_key, flipped, log_key, signer, verify
from nacl.signing import SigningKey

from ocs.tlog import note
from ocs.tlog.errors import Malformed, NotTrusted
from ocs.tlog.line import octets_of
from ocs.tlog.note import Note, Signature, VerifierKey

# golang.org/x/mod/sumdb/note, the example of its documentation; Ed25519 gives one signature for one text.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_PRIVATE = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER_TEXT = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.
"""
PETER_NOTE = f"""\
{PETER_TEXT}
— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
""".encode()

# The example of c2sp.org/signed-note.
EXAMPLE = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = """\
This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
""".encode()

TEXT = "one line\n\nand another, über alles\n"
KEY = log_key()


def signed(*seeds: int, text: str = TEXT) -> Note:
    return Note(text, tuple(note.sign(text, log_key(seed), signer(seed)) for seed in seeds))


@pytest.mark.parametrize(("key", "octets"), [(PETER, PETER_NOTE), (EXAMPLE, EXAMPLE_NOTE)])
def test_published_notes_verify(key: str, octets: bytes) -> None:
    parsed = note.parse(octets)
    assert parsed.octets == octets
    known = VerifierKey.parse(key)
    assert known.text == key
    assert note.verified(parsed, [known], verify) == {known}


def test_we_sign_as_the_published_signer_does() -> None:
    private = SigningKey(octets_of(PETER_PRIVATE)[1:])
    signature = note.sign(PETER_TEXT, VerifierKey.parse(PETER), lambda message: private.sign(message).signature)
    assert Note(PETER_TEXT, (signature,)).octets == PETER_NOTE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER.replace("PeterNeumann", "PeterNeuman"),
        PETER.replace("PeterNeumann", "Peter Neumann"),
        PETER.replace("PeterNeumann", ""),
        PETER[:-1],
        PETER + "=",
        PETER + "AAAA",
        PETER + "\n",
        "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",  # a cosigner's
    ],
)
def test_a_verifier_key_that_is_none(text: str) -> None:
    with pytest.raises(Malformed):
        VerifierKey.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\u2003", "a\tb", "a\nb", "a\x1fb", "\ud800"])
def test_a_name_has_no_spaces_and_no_plus(name: str) -> None:
    with pytest.raises(Malformed):
        VerifierKey(name, bytes(32))


def test_an_ed25519_key_has_32_octets() -> None:
    with pytest.raises(Malformed, match="32 octets"):
        VerifierKey("name", bytes(31))


def test_unknown_keys_are_passed_over() -> None:
    three = signed(1, 2, 3)
    assert note.verified(three, [log_key(2), log_key(9)], verify) == {log_key(2)}
    # The same name with another id, and the same id under another name, are other keys.
    renamed = replace(three.signatures[0], name="somebody.else", octets=bytes(64))
    renumbered = replace(three.signatures[0], key_id=bytes(4), octets=bytes(64))
    among = Note(TEXT, (renamed, renumbered, *three.signatures))
    assert note.verified(among, [KEY], verify) == {KEY}


@pytest.mark.parametrize("octets", [bytes(64), b"\x01", bytes(63), bytes(65)])
def test_a_bad_signature_of_a_known_key_refuses_the_note(octets: bytes) -> None:
    two = signed(1, 2)
    bad = replace(two.signatures[0], octets=octets)
    for signatures in [(bad, two.signatures[1]), (*two.signatures, bad)]:
        with pytest.raises(NotTrusted, match="does not hold"):
            note.verified(Note(TEXT, signatures), [log_key(1), log_key(2)], verify)
    assert note.verified(Note(TEXT, (bad, two.signatures[1])), [log_key(2)], verify) == {log_key(2)}


def test_no_known_signature_refuses_the_note() -> None:
    for keys in ([], [log_key(9)], [log_key(1, "other.name")], [cosigner_key(1, KEY.name)]):
        with pytest.raises(NotTrusted, match="no signature"):
            note.verified(signed(1), keys, verify)


def test_two_keys_with_one_id_are_not_told_apart() -> None:
    class Twin(VerifierKey):
        key_id = KEY.key_id  # four octets are easily met

    with pytest.raises(NotTrusted, match="share the id"):
        note.verified(signed(1), [KEY, Twin(KEY.name, bytes(32))], verify)


def test_there_may_be_many_signatures_and_not_any_number() -> None:
    assert len(note.parse(signed(*range(1, 65)).octets).signatures) == 64
    with pytest.raises(Malformed, match="64 signatures"):
        note.parse(signed(*range(1, 66)).octets)
    with pytest.raises(Malformed, match="octets"):
        note.parse(signed(1, text="a" * note.NOTE_OCTETS_MAX + "\n").octets)


def line(name: str, value: str) -> bytes:
    return f"text\n\n— {name} {value}\n".encode()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\n",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        b"text\n\n\n",
        EXAMPLE_NOTE[:-1],
        EXAMPLE_NOTE + b"\n",
        EXAMPLE_NOTE + b"and more\n",
        EXAMPLE_NOTE.replace(b"\n\n", b"\n"),
        EXAMPLE_NOTE.replace(b"\n", b"\r\n"),
        EXAMPLE_NOTE.replace("—".encode(), b"-"),
        EXAMPLE_NOTE.replace("— ".encode(), "—".encode()),
        EXAMPLE_NOTE.replace(b"This", b"\xff"),
        EXAMPLE_NOTE.replace(b"This", b"\xed\xa0\x80"),
        EXAMPLE_NOTE.replace(b"This", b"\xc1\xbf"),
        EXAMPLE_NOTE.replace(b"This", b"\x00"),
        EXAMPLE_NOTE.replace(b"This", b"\t"),
        line("", "AAAAAAAA"),
        line("a+b", "AAAAAAAA"),
        line("a\u2003b", "AAAAAAAA"),
        line("a b", "AAAAAAAA"),
        line("a", ""),
        line("a", "AAAA"),
        line("a", "AAAAAA=="),
        line("a", "AAAAAAA"),
        line("a", "AAAAAAB="),  # bits behind the last octet
        line("a", "AAAA-AA_"),
        line("a", "AAAA AAAA"),
        line("a", " AAAAAAAA"),
        line("a", "AAAAAAAA="),
    ],
)
def test_what_is_no_note(octets: bytes) -> None:
    with pytest.raises(Malformed):
        note.parse(octets)


def test_a_text_that_no_note_may_have_is_not_signed() -> None:
    for text in ("", "no newline", "a\0b\n", "\ud800\n"):
        with pytest.raises(Malformed):
            note.sign(text, KEY, signer(1))
    with pytest.raises(AssertionError):
        note.sign(TEXT, cosigner_key(1), signer(1))


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], include_characters="\n")).map(
    lambda t: t + "\n"
)
SIGNATURES = st.builds(Signature, NAMES, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=99))


@given(st.builds(Note, TEXTS, st.lists(SIGNATURES, min_size=1, max_size=5).map(tuple)))
def test_a_note_reads_back(written: Note) -> None:
    assert note.parse(written.octets) == written


@given(st.integers(0, 8 * len(signed(1).octets) - 1))
def test_any_flipped_bit_refuses_the_note(bit: int) -> None:
    with pytest.raises((Malformed, NotTrusted)):
        note.verified(note.parse(flipped(signed(1).octets, bit)), [KEY], verify)


@given(st.one_of(st.binary(), st.text().map(lambda t: f"text\n\n— {t}\n".encode("utf-8", "surrogatepass"))))
def test_other_octets_are_refused_or_read_back(octets: bytes) -> None:
    try:
        parsed = note.parse(octets)
    except Malformed:
        return
    assert parsed.octets == octets
