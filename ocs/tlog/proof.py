"""Proof that an entry is in a log, whole in one file: the receipt.  c2sp.org/tlog-proof.

    c2sp.org/tlog-proof@v1
    extra <base64>              optional, and signed by nobody
    index <n>
    <base64 of a hash>          one per line, from the leaf's sibling to the child of the root
    (an empty line)
    the checkpoint, verbatim, with its signatures

The entry itself is not in it.  Whoever has the entry, the log's key and the keys of the cosigners checks it without
asking anybody.  A file ends in `.tlog-proof`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from ocs.tlog import checkpoint, note
from ocs.tlog.checkpoint import Checkpoint, CosignerKey
from ocs.tlog.errors import Malformed, NotTrusted, ProofInvalid
from ocs.tlog.line import decimal, hash_of, line_of, lines_of, octets_of, shown
from ocs.tlog.merkle import leaf_hash, verify_inclusion
from ocs.tlog.note import NOTE_OCTETS_MAX, VerifierKey, Verify

FILE_OCTETS_MAX: Final = NOTE_OCTETS_MAX + 2**17
"""A note of the largest size, 63 hashes and some extra."""

HASHES_MAX: Final = 63
"""The way down a tree of 2^63 leaves."""

_FIRST: Final = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class LogProof:
    """The parts of a proof, none of which is checked yet.

    Attributes:
        index: of the entry, from 0.
        hashes: the inclusion proof (RFC 6962 section 2.1.1), 32 octets each.
        checkpoint: octets of the signed note.
        extra: what the log added, empty for nothing; never to be believed.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    @property
    def octets(self) -> bytes:
        """The file."""
        return write(self.index, self.hashes, self.checkpoint, self.extra)


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many of which cosigners must have seen a checkpoint before it is believed."""

    cosigners: frozenset[CosignerKey] = frozenset()
    required: int = 0

    def __post_init__(self) -> None:
        assert 0 <= self.required <= len(self.cosigners), "a quorum that nothing can reach"


NO_COSIGNERS: Final = Quorum()
"""The log's own word is enough."""


def write(index: int, hashes: Iterable[bytes], checkpoint: bytes, extra: bytes = b"") -> bytes:
    """Write a proof file of its parts: `LogProof.octets`, in less time for many."""
    more = b"extra " + line_of(extra) if extra else b""
    return b"%b\n%bindex %d\n%b\n%b" % (_FIRST.encode(), more, index, lines_of(hashes), checkpoint)


def parse(octets: bytes) -> LogProof:
    """Read a proof file.

    Raises:
        Malformed: it is none; the checkpoint in it is not looked at.
    """
    if len(octets) > FILE_OCTETS_MAX:
        raise Malformed(f"a proof has at most {FILE_OCTETS_MAX} octets, not {len(octets)}")
    head, empty_line, signed = octets.partition(b"\n\n")
    if not empty_line:
        raise Malformed("a proof has an empty line before its checkpoint")
    if not head.isascii():
        raise Malformed("a proof is ASCII up to its checkpoint")
    lines = head.decode("ascii").split("\n")
    if lines.pop(0) != _FIRST:
        raise Malformed(f"a proof begins with the line {_FIRST}")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = octets_of(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise Malformed("a proof without extra data has no line for it")
    if not lines or not lines[0].startswith("index "):
        raise Malformed(f"index <n> belongs where {shown(lines[0] if lines else '')} stands")
    index = decimal(lines.pop(0).removeprefix("index "))
    if len(lines) > HASHES_MAX:
        raise Malformed(f"a proof has at most {HASHES_MAX} hashes, not {len(lines)}")
    return LogProof(index, tuple(hash_of(line) for line in lines), signed, extra)


def verify(
    octets: bytes,
    entry: bytes,
    origin: str,
    log_keys: Collection[VerifierKey],
    quorum: Quorum,
    verify: Verify,
) -> Checkpoint:
    """Check that a proof file proves `entry` to be in the log, and give the checkpoint that says so.

    Args:
        octets: the file.
        entry: what was logged, whole.
        origin: which log it must be.
        log_keys: its keys; one of them must have signed.
        quorum: who must have cosigned.
        verify: checks one Ed25519 signature.

    Raises:
        Malformed: the file, or the checkpoint in it, is none.
        NotTrusted: no key of the log signed it, a known key signed it badly, or too few cosigned it.
        ProofInvalid: it is the proof of another log or another entry.
    """
    proof = parse(octets)
    head = believed(proof.checkpoint, origin, log_keys, quorum, verify)
    verify_inclusion(leaf_hash(entry), proof.index, head.size, proof.hashes, head.root)
    return head


def believed(
    octets: bytes, origin: str, log_keys: Collection[VerifierKey], quorum: Quorum, verify: Verify
) -> Checkpoint:
    """Give the checkpoint in a signed note, if it is that of this log and enough have signed it.

    Args:
        octets: the note.
        origin, log_keys, quorum, verify: as for `verify`.

    Raises:
        Malformed: it is no checkpoint.
        NotTrusted: no key of the log signed it, a known key signed it badly, or too few cosigned it.
        ProofInvalid: it is the checkpoint of another log.
    """
    signed = note.parse(octets)
    head = checkpoint.parse(signed.text)
    if head.origin != origin:
        raise ProofInvalid(f"it is a proof of the log {shown(head.origin)}, not of {shown(origin)}")
    found = note.verified(signed, [*log_keys, *quorum.cosigners], verify)
    if found.isdisjoint(log_keys):
        raise NotTrusted("the log itself has not signed the checkpoint")
    cosigned = len(found & quorum.cosigners)
    if cosigned < quorum.required:
        raise NotTrusted(f"{cosigned} of the cosigners have signed; {quorum.required} must have")
    return head
