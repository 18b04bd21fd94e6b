"""The witness: it sees that a log only grows, and says so with a cosignature.  c2sp.org/tlog-witness.

A log that shows two trees to two parties would have to show both to the witness, and the second would be refused.

    POST <prefix>/add-checkpoint

    old <size>                  of the last checkpoint that this witness cosigned, as the log remembers it
    <base64 of a hash>          one per line, at most 63: that the log only grew since
    (an empty line)
    the checkpoint, verbatim, with its signatures

The order of the checks in `Witness.add_checkpoint` is the order of the statuses of `Status`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from ocs.tlog import checkpoint, note
from ocs.tlog.checkpoint import CosignerKey
from ocs.tlog.errors import Malformed, NotTrusted, ProofInvalid
from ocs.tlog.line import decimal, hash_of, lines_of, shown
from ocs.tlog.merkle import EMPTY_ROOT, verify_consistency
from ocs.tlog.note import NOTE_OCTETS_MAX, Note, Sign, VerifierKey, Verify
from ocs.units import UnixMillis

HASHES_MAX: Final = 63
BODY_OCTETS_MAX: Final = NOTE_OCTETS_MAX + 2**12
"""A note of the largest size and 63 hashes."""

TEXT: Final = "text/plain; charset=utf-8"
SIZE: Final = "text/x.tlog.size"


class Status(IntEnum):
    """What a witness answers, as HTTP has it."""

    MALFORMED = 400  # no such body, or an old size above that of the checkpoint
    UNKNOWN_LOG = 404
    NOT_TRUSTED = 403  # no key that is trusted for the log signed it, or one signed it badly
    STALE = 409  # the old size is not that of the last checkpoint cosigned; the body says which is
    INCONSISTENT = 422  # the proof does not hold, or it is another tree of the same size
    COSIGNED = 200  # the body is the cosignature


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request, none of which is checked yet; `checkpoint` is the octets of the signed note."""

    old_size: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes

    @property
    def octets(self) -> bytes:
        """The body."""
        return b"old %d\n%b\n%b" % (self.old_size, lines_of(self.hashes), self.checkpoint)


def parse(body: bytes) -> AddCheckpoint:
    """Read the body of an add-checkpoint request.

    Raises:
        Malformed: it is none; the checkpoint in it is not looked at.
    """
    if len(body) > BODY_OCTETS_MAX:
        raise Malformed(f"a request has at most {BODY_OCTETS_MAX} octets, not {len(body)}")
    head, empty_line, signed = body.partition(b"\n\n")
    if not empty_line:
        raise Malformed("a request has an empty line before its checkpoint")
    if not head.isascii():
        raise Malformed("a request is ASCII up to its checkpoint")
    old, *lines = head.decode("ascii").split("\n")
    if not old.startswith("old "):
        raise Malformed(f"old <size> belongs where {shown(old)} stands")
    if len(lines) > HASHES_MAX:
        raise Malformed(f"a request has at most {HASHES_MAX} hashes, not {len(lines)}")
    return AddCheckpoint(decimal(old.removeprefix("old ")), tuple(hash_of(line) for line in lines), signed)


def parse_size(body: bytes) -> int:
    """Read the body of a 409: the size from which the log has to prove its growth.

    Raises:
        Malformed: it is not a size and a newline.
    """
    line = body.decode("ascii", "replace")
    if not line.endswith("\n"):
        raise Malformed(f"a size and a newline belong where {shown(line)} stands")
    return decimal(line[:-1])


class Seen(NamedTuple):
    """The tree of the last checkpoint that was cosigned for a log."""

    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Change:
    """What is stored before a cosignature leaves: for the log `origin`, `after` in place of `before`.

    Both in one step, and only if `before` still stands there; else the request is decided again.  That holds also where
    the two are equal: a cosignature says that no larger tree was seen.
    """

    origin: str
    before: Seen
    after: Seen


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; `change` is there if, and only if, the body is a cosignature."""

    status: Status
    body: bytes
    content_type: str = TEXT
    change: Change | None = None


class Witness:
    """Decides about checkpoints; what it has seen is kept by whoever asks."""

    __slots__ = ("_key", "_logs", "_signer", "_verify")

    def __init__(
        self,
        key: CosignerKey,
        signer: Sign,
        logs: Mapping[str, Collection[VerifierKey]],
        verify: Verify,
    ) -> None:
        """Make a witness.

        Args:
            key: its own.
            signer: holds the private half of `key`.
            logs: by origin, the keys that are trusted for it.
            verify: checks one Ed25519 signature.
        """
        self._key = key
        self._signer = signer
        self._logs = logs
        self._verify = verify

    def add_checkpoint(self, body: bytes, seen: Callable[[str], Seen], now: UnixMillis) -> Answer:
        """Decide about one request; nothing of it makes this raise.

        Args:
            body: of the request.
            seen: gives the tree last cosigned for an origin, `Seen()` for none yet.
            now: stands in the cosignature.
        """
        try:
            request = parse(body)
            signed = note.parse(request.checkpoint)
            head = checkpoint.parse(signed.text)
        except Malformed as error:
            return _refused(Status.MALFORMED, error)
        keys = self._logs.get(head.origin)
        if keys is None:
            return _refused(Status.UNKNOWN_LOG, f"the log {shown(head.origin)} is not known here")
        try:
            note.verified(signed, keys, self._verify)
        except NotTrusted as error:
            return _refused(Status.NOT_TRUSTED, error)
        if request.old_size > head.size:
            return _refused(Status.MALFORMED, f"the old size is {request.old_size}, that of the checkpoint {head.size}")
        before = seen(head.origin)
        if request.old_size != before.size:
            return Answer(Status.STALE, f"{before.size}\n".encode(), SIZE)
        try:
            verify_consistency(before.size, head.size, request.hashes, before.root, head.root)
        except ProofInvalid as error:
            return _refused(Status.INCONSISTENT, error)
        return self._cosigned(signed, Change(head.origin, before, Seen(head.size, head.root)), now)

    def _cosigned(self, signed: Note, change: Change, now: UnixMillis) -> Answer:
        cosignature = checkpoint.cosign(signed.text, self._key, now, self._signer)
        return Answer(Status.COSIGNED, cosignature.line.encode(), change=change)


def _refused(status: Status, reason: object) -> Answer:
    return Answer(status, f"{reason}\n".encode())
