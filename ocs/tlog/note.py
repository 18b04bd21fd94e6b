"""A text with signatures under it that anybody can check with a verifier key.  c2sp.org/signed-note.

    text, one or more lines, each ended
    (an empty line)
    — <name> <base64 of key id (4) and signature>

A key is known by its name and id together.  Signatures of keys that are not known are passed over; one of a known key
that does not hold refuses the whole note, and so does the lack of any that holds.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Final, Self

from ocs.tlog.errors import Malformed, NotTrusted
from ocs.tlog.line import base64, octets_of, shown

Sign = Callable[[bytes], bytes]
"""Signs a message with Ed25519 (RFC 8032): 64 octets."""

Verify = Callable[[bytes, bytes, bytes], bool]
"""Tells whether, for a public key (32), a message and a signature (64), the signature holds.  It never raises."""

NOTE_OCTETS_MAX: Final = 2**19
"""Room for the most signatures there may be, should each be a post-quantum one of almost 5 kB."""

SIGNATURES_MAX: Final = 64
"""The format asks for 16 at least; a checkpoint has one of its log and one of each witness."""

KEY_ID_OCTETS: Final = 4
PUBLIC_KEY_OCTETS: Final = 32
SIGNATURE_OCTETS: Final = 64

_DASH: Final = "— "  # U+2014
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Signature:
    """One line below a note.

    Attributes:
        name: of the key.
        key_id: 4 octets.
        octets: the rest; what it means depends on the type of the key.
    """

    name: str
    key_id: bytes
    octets: bytes

    @property
    def line(self) -> str:
        return f"{_DASH}{self.name} {base64(self.key_id + self.octets)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, none of which is checked yet; `text` ends in a newline."""

    text: str
    signatures: tuple[Signature, ...]

    @property
    def octets(self) -> bytes:
        return f"{self.text}\n{''.join(one.line for one in self.signatures)}".encode()


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name, type 0x01: Ed25519 over the text itself.

    Raises:
        Malformed: the name is empty or has a space, a control character or a plus; or the key has no 32 octets.
    """

    TYPE: ClassVar[int] = 0x01

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public_key) != PUBLIC_KEY_OCTETS:
            raise Malformed(f"an Ed25519 public key has {PUBLIC_KEY_OCTETS} octets, not {len(self.public_key)}")

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + self._typed()).digest()[:KEY_ID_OCTETS]

    @property
    def text(self) -> str:
        """The key as it is handed to others: `<name>+<key id in hex>+<base64 of type and key>`."""
        return f"{self.name}+{self.key_id.hex()}+{base64(self._typed())}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key of this type.

        Raises:
            Malformed: it is none, of another type, or its id is not that of its name and key.
        """
        name, plus, rest = text.partition("+")
        _, more, typed = rest.partition("+")  # base64 may have a plus of its own
        if not (plus and more):
            raise Malformed(f"a verifier key is <name>+<key id>+<base64>, not {shown(text)}")
        octets = octets_of(typed)
        if octets[:1] != bytes([cls.TYPE]):
            raise Malformed(f"a verifier key of type {cls.TYPE} belongs where {shown(text)} stands")
        key = cls(name, octets[1:])
        if key.text != text:
            raise Malformed(f"the id of the verifier key {shown(text)} should be {key.key_id.hex()}")
        return key

    def holds(self, text: str, octets: bytes, verify: Verify) -> bool:
        """Tell whether this key made `octets` over `text`."""
        return len(octets) == SIGNATURE_OCTETS and verify(self.public_key, text.encode(), octets)

    def _typed(self) -> bytes:
        return bytes([self.TYPE]) + self.public_key


def sign(text: str, key: VerifierKey, signer: Sign) -> Signature:
    """Sign a text with the private half of `key`, which `signer` holds.

    Raises:
        Malformed: the text is none that a note may have.
    """
    assert type(key) is VerifierKey, "a key of another type signs another message"
    _check_text(text)
    return Signature(key.name, key.key_id, signer(text.encode()))


def parse(octets: bytes) -> Note:
    """Read a note; nothing in it may be believed before `verified` has said so.

    Raises:
        Malformed: it is no note, has more than 64 signatures or more than 512 kB.
    """
    if len(octets) > NOTE_OCTETS_MAX:
        raise Malformed(f"a note has at most {NOTE_OCTETS_MAX} octets, not {len(octets)}")
    try:
        whole = octets.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"a note is UTF-8; octet {error.start} is not") from None
    text, empty_line, lines = whole.rpartition("\n\n")
    if not empty_line:
        raise Malformed("a note has an empty line between its text and its signatures")
    _check_text(text + "\n")
    return Note(text + "\n", parse_signatures(lines))


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Read signature lines, as they stand under a note and as a witness answers with them.

    Raises:
        Malformed: they are none, or more than 64.
    """
    if not lines.endswith("\n"):
        raise Malformed("signature lines end in a newline, and there is at least one")
    rows = lines[:-1].split("\n")
    if len(rows) > SIGNATURES_MAX:
        raise Malformed(f"a note has at most {SIGNATURES_MAX} signatures, not {len(rows)}")
    return tuple(_parse_signature(row) for row in rows)


def _parse_signature(row: str) -> Signature:
    name, space, value = row.removeprefix(_DASH).partition(" ")
    if not row.startswith(_DASH) or not space:
        raise Malformed(f"a signature line is — <name> <base64>, not {shown(row)}")
    _check_name(name)
    octets = octets_of(value)
    if len(octets) <= KEY_ID_OCTETS:
        raise Malformed(f"a signature follows its key id in {shown(row)}")
    return Signature(name, octets[:KEY_ID_OCTETS], octets[KEY_ID_OCTETS:])


def verified(note: Note, keys: Collection[VerifierKey], verify: Verify) -> frozenset[VerifierKey]:
    """Give those of `keys` whose signatures stand under the note and hold; at least one does.

    Raises:
        NotTrusted: none does, or one of a known key does not hold.
    """
    known = _by_name_and_id(keys)
    found = set()
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.holds(note.text, signature.octets, verify):
            raise NotTrusted(f"the signature of {key.name} ({key.key_id.hex()}) does not hold")
        found.add(key)
    if not found:
        raise NotTrusted("no signature of a key that is trusted here")
    return frozenset(found)


def _by_name_and_id(keys: Iterable[VerifierKey]) -> dict[tuple[str, bytes], VerifierKey]:
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.key_id), key) != key:
            raise NotTrusted(f"two keys named {key.name} share the id {key.key_id.hex()}: trust one of them")
    return known


def _check_name(name: str) -> None:
    if not name or "+" in name or any(_is_space_or_control(char) for char in name):
        raise Malformed(f"a key's name has no space, control character or plus, and is not empty: {shown(name)}")
    _check_unicode(name)


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise Malformed("the text of a note ends in a newline")
    if _CONTROL.search(text):
        raise Malformed("a note has no control character but the newline")
    _check_unicode(text)


def _is_space_or_control(char: str) -> bool:
    return char.isspace() or char < " "


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Malformed("half of a surrogate pair is no text") from None
