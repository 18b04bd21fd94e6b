"""What a log signs of itself, and what a cosigner adds.  c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature.

    <origin>
    <size>
    <base64 of the root>

A checkpoint is a note of these three lines.  The format allows more, and advises against it: what they say nobody can
audit.  Here there are three.

A cosignature (v1) says that its maker saw no larger tree of this log at that time and that the log only grew.  It is
of type 0x04: the time (8, big-endian, seconds) and an Ed25519 signature (64) over a head of two lines and the text.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Final

from ocs.tlog import note
from ocs.tlog.errors import Malformed
from ocs.tlog.line import base64, decimal, hash_of, shown
from ocs.tlog.merkle import HASH_OCTETS, SIZE_MAX
from ocs.tlog.note import SIGNATURE_OCTETS, Note, Sign, Signature, VerifierKey, Verify
from ocs.units import SECOND, UnixMillis

SECONDS_MAX: Final = 2**63 - 1

_TIME_OCTETS: Final = 8


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log.

    Attributes:
        origin: names the log.
        size: its leaves.
        root: of the tree of that size, 32 octets.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text of the note that is signed."""
        return f"{self.origin}\n{self.size}\n{base64(self.root)}\n"


def parse(text: str) -> Checkpoint:
    """Read the text of a note as a checkpoint.

    Raises:
        Malformed: it has not exactly three lines, or one of them is not what stands there.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise Malformed(f"a checkpoint is three lines, not {shown(text)}")
    if not lines[0]:
        raise Malformed("the origin of a checkpoint is not empty")
    return Checkpoint(lines[0], decimal(lines[1]), hash_of(lines[2]))


def sign(checkpoint: Checkpoint, key: VerifierKey, signer: Sign) -> Note:
    """Make the note of a checkpoint, with the log's signature.  A log never signs two that contradict each other.

    Args:
        checkpoint: newer than all that were signed before, and grown from them.
        key: the log's; its name should be the origin.
        signer: holds the private half of `key`.

    Raises:
        Malformed: the origin is none that a line may hold.
    """
    assert 0 <= checkpoint.size <= SIZE_MAX
    assert len(checkpoint.root) == HASH_OCTETS
    parse(checkpoint.text)
    return Note(checkpoint.text, (note.sign(checkpoint.text, key, signer),))


def opened(signed: Note, keys: Collection[VerifierKey], verify: Verify) -> Checkpoint:
    """Give the checkpoint in a note that a log signed with one of `keys`.

    Raises:
        Malformed: the text is no checkpoint.
        NotTrusted: no key signed it, or one badly.
    """
    note.verified(signed, keys, verify)
    return parse(signed.text)


class CosignerKey(VerifierKey):
    """A cosigner's public key under its name, type 0x04: Ed25519 over a time and a checkpoint.

    The message does not name the cosigner, so one key serves one cosigner.
    """

    __slots__ = ()

    TYPE: ClassVar[int] = 0x04

    def holds(self, text: str, octets: bytes, verify: Verify) -> bool:
        """Tell whether this key made `octets`, a time and a signature, over the checkpoint `text`."""
        if len(octets) != _TIME_OCTETS + SIGNATURE_OCTETS:
            return False
        seconds = int.from_bytes(octets[:_TIME_OCTETS], "big")
        return seconds <= SECONDS_MAX and verify(self.public_key, _message(seconds, text), octets[_TIME_OCTETS:])


def cosign(text: str, key: CosignerKey, now: UnixMillis, signer: Sign) -> Signature:
    """Cosign the text of a checkpoint, after having checked that the log only grew.

    Raises:
        Malformed: the text is no checkpoint.
    """
    parse(text)
    seconds = now // SECOND
    return Signature(key.name, key.key_id, seconds.to_bytes(_TIME_OCTETS, "big") + signer(_message(seconds, text)))


def cosigned_at(cosignature: Signature) -> UnixMillis:
    """Give when a cosignature says it was made; true once its key has been found to hold."""
    return UnixMillis(int.from_bytes(cosignature.octets[:_TIME_OCTETS], "big") * SECOND)


def _message(seconds: int, text: str) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
