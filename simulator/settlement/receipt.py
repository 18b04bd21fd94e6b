"""A receipt, checked by its owner alone: the report is in the log, and the log has signed so.  c2sp.org/tlog-proof.

    c2sp.org/tlog-proof@v1
    extra <base64>           the Commit that counts the report
    index <n>
    <base64 of a hash>       one a line, from the leaf's sibling upwards
    (an empty line)
    <origin>                 the checkpoint, a signed note
    <size>
    <base64 of the root>
    (an empty line)
    — <name> <base64 of key id and signature>

The leaf is the Commit and then, with nothing between, the countersigned envelope.  The proof holds the Commit and the
miner the envelope; if both together are what the log holds, the hashes say so (RFC 6962 section 2.1.1).
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from simulator.settlement import wire
from simulator.settlement.keys import SIGNER_OCTETS, holds
from simulator.settlement.messages import ID_OCTETS, SESSION_ID_OCTETS, Envelope

PROOF_OCTETS_MAX: Final = 2**20
HASHES_MAX: Final = 63

_FIRST: Final = "c2sp.org/tlog-proof@v1"
_ED25519: Final = b"\x01"
_KEY_ID_OCTETS: Final = 4
_SIGNATURE: Final = "— "
_DIGITS_MAX: Final = 19


class Unproven(Exception):
    """A receipt does not prove what it should."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """The log's public key; its name is the log's."""

    name: str
    public_key: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key, `<name>+<key id in hex>+<base64 of type and key>`.  c2sp.org/signed-note.

        Raises:
            Unproven: it is none, or none of Ed25519.
        """
        name, _, rest = text.partition("+")
        typed = _octets(rest.partition("+")[2])
        key = cls(name, typed[1:])
        if not name or len(typed) != SIGNER_OCTETS or typed[:1] != _ED25519 or key.text != text:
            raise Unproven(f"{text!r} is no verifier key of an Ed25519 log; GET /api/v1/log/key gives it")
        return key

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[:_KEY_ID_OCTETS]

    @property
    def text(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public_key).decode()}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the log signs of itself: so many leaves, under this root."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """What the server says of a report it has counted, as far as a miner looks at it.

    Attributes:
        countersign_id: message id of the miner's envelope.
        delta_bytes, delta_dc: what this report added to its session, in octets and data credits.
    """

    channel_id: bytes
    countersign_id: bytes
    miner_key: bytes
    session_id: bytes
    seq: int
    delta_bytes: int
    delta_dc: int

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a Commit.

        Raises:
            Unproven: it is none.
        """
        try:
            fields = wire.read(payload, known=range(1, 13))
            return cls(
                fields.octets(2, ID_OCTETS),
                fields.octets(4, ID_OCTETS),
                fields.octets(5, SIGNER_OCTETS),
                fields.octets(6, SESSION_ID_OCTETS),
                fields.number(7),
                fields.number(8),
                fields.number(9),
            )
        except wire.Unreadable as error:
            raise Unproven(f"the proof's extra line is no Commit: {error}") from None


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof file, taken apart; nothing in it is believed yet."""

    commit: bytes
    index: int
    hashes: tuple[bytes, ...]
    note: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a proof file.

        Raises:
            Unproven: it is none.
        """
        head, empty, note = text.partition("\n\n")
        lines = head.split("\n")
        if len(text) > PROOF_OCTETS_MAX or not empty or lines[0] != _FIRST or len(lines) < 3:
            raise Unproven(f"no {_FIRST} file with an extra line")
        extra, index, hashes = lines[1], lines[2], lines[3:]
        if not extra.startswith("extra ") or not index.startswith("index ") or len(hashes) > HASHES_MAX:
            raise Unproven("a receipt has a line `extra`, a line `index`, and at most 63 hashes")
        return cls(_octets(extra[6:]), _count(index[6:]), tuple(_hash(line) for line in hashes), note)

    @property
    def countersign_id(self) -> bytes:
        """The message id of the miner's envelope that the Commit counts.

        Raises:
            Unproven: the Commit cannot be read.
        """
        return Commit.decode(self.commit).countersign_id

    def verify(self, countersigned: bytes, log: LogKey) -> Commit:
        """Check that the log holds this very envelope, and give the Commit that counts it.

        Raises:
            Unproven: the checkpoint is not the log's, the leaf not under its root, or the Commit is of another report.
        """
        head = opened(self.note, log)
        leaf = hashlib.sha256(b"\x00" + self.commit + countersigned).digest()
        if root_of(leaf, self.index, head.size, self.hashes) != head.root:
            raise Unproven(f"the log of {head.size} leaves does not hold this report at {self.index}")
        commit = Commit.decode(self.commit)
        envelope = Envelope.decode(countersigned)
        if (commit.countersign_id, commit.miner_key) != (envelope.message_id, envelope.signer):
            raise Unproven(f"the Commit at {self.index} counts another report than the one beside it")
        return commit


def opened(note: str, log: LogKey) -> Checkpoint:
    """Give the checkpoint in a note that this log has signed; other signatures, as of witnesses, are passed over.

    Raises:
        Unproven: it is another log's, its signature does not hold, or it is no checkpoint.
    """
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    mine = f"{_SIGNATURE}{log.name} "
    signed = [_octets(line[len(mine) :]) for line in signatures.split("\n") if line.startswith(mine)]
    found = [octets[_KEY_ID_OCTETS:] for octets in signed if octets[:_KEY_ID_OCTETS] == log.key_id]
    if not found or not all(holds(_ED25519 + log.public_key, text.encode(), one) for one in found):
        raise Unproven(f"the checkpoint has no good signature of {log.name}")
    lines = text.split("\n")
    if len(lines) != 4 or lines[0] != log.name:
        raise Unproven(f"what {log.name} signed is no checkpoint of its own")
    return Checkpoint(lines[0], _count(lines[1]), _hash(lines[2]))


def root_of(leaf: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes:
    """Compute the root of a tree from one leaf's hash and those beside its way up.  RFC 9162 section 2.1.3.2.

    Raises:
        Unproven: there is no such leaf, or too few or too many hashes.
    """
    if not 0 <= index < size:
        raise Unproven(f"a log of {size} leaves has none with index {index}")
    node, at, last = leaf, index, size - 1
    for beside in hashes:
        if last == 0:
            raise Unproven("the proof has hashes to spare")
        if at & 1 or at == last:
            node = hashlib.sha256(b"\x01" + beside + node).digest()
            # A last node without a sibling rises until it has one.
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + beside).digest()
        at, last = at >> 1, last >> 1
    if last:
        raise Unproven("the proof lacks hashes")
    return node


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unproven(f"{text[:80]!r} is no base64") from None


def _hash(text: str) -> bytes:
    octets = _octets(text)
    if len(octets) != ID_OCTETS:
        raise Unproven(f"a hash has {ID_OCTETS} octets, not {len(octets)}")
    return octets


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise Unproven(f"{text[:80]!r} is no decimal number")
    return int(text)
