"""A closure: the file in which a settled channel is handed to anybody.  docs/closures.md; docs/adr/0018-closures.md.

    settlement-closure/v1 LF
    Open · Close · price · log key · checkpoint · frontier      one record each, in this order
    entry ...                                                   each leaf from there up to the log_size of the Close
    end                                                         how many entries, and SHA-256 of all octets before it

A record is its kind (1), its length (4, big-endian) and its body.  The file is written and read as a stream: of a
million entries one is in memory.  Nothing here asks whether what it says is true; `ocs.auditing` does.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final

from ocs.channel.leaf import LEAF_OCTETS_MAX
from ocs.signed.envelope import ENVELOPE_OCTETS_MAX
from ocs.signed.malformed import Malformed
from ocs.tlog import errors
from ocs.tlog.merkle import HASH_OCTETS, Frontier
from ocs.tlog.note import NOTE_OCTETS_MAX

FIRST_LINE: Final = b"settlement-closure/v1\n"

OPEN_OCTETS_MAX: Final = 1536
"""A ChannelOpen has 1,024 at the most, and its envelope some 180 more."""

LOG_KEY_OCTETS_MAX: Final = 1024
"""A log's name is a host and a network, 320 characters at the most; id and key have 60."""

FRONTIER_OCTETS_MAX: Final = 8 + 63 * HASH_OCTETS
"""Of the largest log there may be: one hash for each bit of its size."""

NUMBER_OCTETS: Final = 8
_END_OCTETS: Final = NUMBER_OCTETS + HASH_OCTETS
_HEAD_OCTETS: Final = 5

Source = Callable[[int], bytes]
"""Gives the next octets, as many as are asked for, and fewer only where the file ends; as `read` of a file does."""


class Kind(IntEnum):
    """The kinds of records, in the order in which they come."""

    OPEN = 1  # the owner's signed ChannelOpen
    CLOSE = 2  # the owner's signed ChannelClose
    PRICE = 3  # octets that one data credit pays for, big-endian
    LOG_KEY = 4  # c2sp.org/signed-note's text of a verifier key
    CHECKPOINT = 5  # of log_size, a signed note with the cosignatures there are
    FRONTIER = 6  # of the log before the first entry, as `Frontier.packed` has it
    ENTRY = 7
    END = 8


_BOUNDS: Final[dict[int, tuple[int, int]]] = {
    Kind.OPEN: (1, OPEN_OCTETS_MAX),
    Kind.CLOSE: (1, ENVELOPE_OCTETS_MAX),
    Kind.PRICE: (NUMBER_OCTETS, NUMBER_OCTETS),
    Kind.LOG_KEY: (1, LOG_KEY_OCTETS_MAX),
    Kind.CHECKPOINT: (1, NOTE_OCTETS_MAX),
    Kind.FRONTIER: (NUMBER_OCTETS, FRONTIER_OCTETS_MAX),
    Kind.ENTRY: (1, LEAF_OCTETS_MAX),
    Kind.END: (_END_OCTETS, _END_OCTETS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosureFile:
    """What a closure consists of, none of it checked.

    Attributes:
        opened, closed: signed envelopes of ChannelOpen and ChannelClose.
        per_octets: one data credit pays for a started block of so many.
        log_key: text of the log's verifier key.
        checkpoint: octets of a signed note.
        before: the log without the entries.
        entries: leaves of the log, of all channels; they are read once.
    """

    opened: bytes
    closed: bytes
    per_octets: int
    log_key: str
    checkpoint: bytes
    before: Frontier
    entries: Iterable[bytes]


def write(closure: ClosureFile) -> Iterator[bytes]:
    """Give the octets of the file, piece by piece."""
    digest = sha256()
    count = 0
    for piece in (FIRST_LINE, *_parts(closure)):
        digest.update(piece)
        yield piece
    for entry in closure.entries:
        piece = _record(Kind.ENTRY, entry)
        digest.update(piece)
        count += 1
        yield piece
    yield _record(Kind.END, count.to_bytes(NUMBER_OCTETS, "big") + digest.digest())


def _parts(closure: ClosureFile) -> Iterator[bytes]:
    yield _record(Kind.OPEN, closure.opened)
    yield _record(Kind.CLOSE, closure.closed)
    yield _record(Kind.PRICE, closure.per_octets.to_bytes(NUMBER_OCTETS, "big"))
    yield _record(Kind.LOG_KEY, closure.log_key.encode())
    yield _record(Kind.CHECKPOINT, closure.checkpoint)
    yield _record(Kind.FRONTIER, closure.before.packed())


def _record(kind: Kind, body: bytes) -> bytes:
    least, most = _BOUNDS[kind]
    assert least <= len(body) <= most, "no reader would take it"
    return kind.to_bytes(1, "big") + len(body).to_bytes(4, "big") + body


def read(source: Source) -> ClosureFile:
    """Read the head of a closure; its entries are read while they are asked for, and raise as this does.

    Raises:
        Malformed: a part is missing, not in its place or of a size that it cannot have, or, after the last entry, the
            file is not what was written.  The text names record and octet.
    """
    reader = _Reader(source)
    opened = reader.one(Kind.OPEN)
    closed = reader.one(Kind.CLOSE)
    per_octets = int.from_bytes(reader.one(Kind.PRICE), "big")
    if per_octets == 0:
        raise reader.fault("a data credit pays for one octet at the least")
    try:
        log_key = reader.one(Kind.LOG_KEY).decode()
    except UnicodeDecodeError:
        raise reader.fault("the log's key is no UTF-8") from None
    checkpoint = reader.one(Kind.CHECKPOINT)
    try:
        before = Frontier.unpacked(reader.one(Kind.FRONTIER))
    except errors.Malformed as error:
        raise reader.fault(str(error)) from None
    return ClosureFile(
        opened=opened,
        closed=closed,
        per_octets=per_octets,
        log_key=log_key,
        checkpoint=checkpoint,
        before=before,
        entries=reader.entries(),
    )


class _Reader:
    """Takes records from a source, and counts them and their octets for whoever has to find a fault."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._number = 0  # of the record that is being read, from 1; the first line is 0
        self._at = 0  # where it begins
        self._next = 0  # what is read so far
        self._digest = sha256(FIRST_LINE)
        if self._take(len(FIRST_LINE)) != FIRST_LINE:
            raise self.fault(f"a closure begins with the line {FIRST_LINE[:-1].decode()}")

    def fault(self, detail: str) -> Malformed:
        return Malformed(f"record {self._number}, at octet {self._at}: {detail}")

    def one(self, kind: Kind) -> bytes:
        """Read the record of a kind that there is once."""
        return self._record(kind, kind)[1]

    def entries(self) -> Iterator[bytes]:
        """Read entries up to the end record, and that record."""
        count = 0
        while True:
            kind, body = self._record(Kind.ENTRY, Kind.END)
            if kind == Kind.END:
                break
            count += 1
            yield body
        if int.from_bytes(body[:NUMBER_OCTETS], "big") != count:
            raise self.fault(f"it counts other than the {count} entries before it")
        if body[NUMBER_OCTETS:] != self._digest.digest():
            raise self.fault("the octets before it are not those that were written: the file is damaged")
        if self._source(1):
            raise Malformed(f"at octet {self._next}: something follows the end")

    def _record(self, first: Kind, last: Kind) -> tuple[int, bytes]:
        """Read a record whose kind is one of these two, or between them."""
        self._number += 1
        self._at = self._next
        head = self._take(_HEAD_OCTETS)
        kind, length = head[0], int.from_bytes(head[1:], "big")
        if not first <= kind <= last:
            wanted = first.name if first == last else f"{first.name} or {last.name}"
            raise self.fault(f"its kind is {kind}, and {wanted} belongs here")
        least, most = _BOUNDS[kind]
        if not least <= length <= most:
            raise self.fault(f"{Kind(kind).name} has {least} to {most} octets, not {length}")
        body = self._take(length)
        if kind != Kind.END:  # which names the digest of all before it
            self._digest.update(head)
            self._digest.update(body)
        return kind, body

    def _take(self, count: int) -> bytes:
        octets = self._source(count)
        self._next += len(octets)
        if len(octets) < count:
            raise self.fault(f"the file ends at octet {self._next}, where {count - len(octets)} more belong")
        return octets
