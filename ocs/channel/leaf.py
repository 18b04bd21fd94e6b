"""A leaf of the log: a Commit's payload, and at once after it the countersigned envelope that it counts.

Nothing stands between the two, and nothing need: `Commit.encode` writes its fields in their order, the last one,
prev_commit, is never left out, and no field of a Commit may come twice.  So the payload ends where prev_commit ends,
and is read from its head up to there.  Only this one spelling of a Commit is taken: a leaf has one meaning, and a
Commit with its envelope has one leaf.
"""

import re
from typing import Final, NamedTuple

from ocs.channel.record import Commit
from ocs.signed.malformed import Malformed

LEAF_OCTETS_MAX: Final = 65_535
"""A tile has two octets for a leaf's length (c2sp.org/tlog-tiles)."""

_HEAD: Final = b"\x08\x01\x12\x20"  # version 1; field 2, delimited, 32 octets
_PREV_COMMIT: Final = b"\x62\x20"  # field 12, delimited, 32 octets
_PREV_COMMIT_OCTETS: Final = len(_PREV_COMMIT) + 32
_VARINT: Final = 0

_AS_WRITTEN: Final = re.compile(
    rb"""\x08\x01 \x12\x20.{32} (?:\x18N)? \x22\x20.{32} \x2A\x21.{33} \x32\x10.{16}
    (?:\x38N)? (?:\x40N)? (?:\x48N)? (?:\x50N)? (?:\x58N)? \x62\x20.{32}""".replace(b"N", rb"[\x80-\xFF]*[\x01-\x7F]"),
    re.DOTALL | re.VERBOSE,
)
"""A Commit as `encode` writes it, N being a number above 0: its end is found at once, in a fifth of a walk's time."""


class Leaf(NamedTuple):
    """The parts of a leaf.

    Attributes:
        commit: what its head says.
        payload: that head, as it stands there.
        countersigned: the envelope behind it, not read.
    """

    commit: Commit
    payload: bytes
    countersigned: bytes


def join(commit: bytes, countersigned: bytes) -> bytes:
    """Make a leaf of a Commit's payload and the octets of the envelope that it counts."""
    leaf = commit + countersigned
    assert len(leaf) <= LEAF_OCTETS_MAX
    return leaf


def take(leaf: bytes) -> Leaf:
    """Read a leaf's Commit, and leave the envelope behind it as it is.

    Raises:
        Malformed: it does not begin with a Commit as `encode` writes it.
    """
    end = _end_of_commit(leaf)
    payload = leaf[:end]
    return Leaf(Commit.decode(payload), payload, leaf[end:])


def split(leaf: bytes) -> tuple[bytes, bytes]:
    """Give a leaf's two parts: the payload of its Commit, and the countersigned envelope, which is not read.

    Raises:
        Malformed: it does not begin with a Commit as `encode` writes it.
    """
    _, payload, countersigned = take(leaf)
    return payload, countersigned


def head_of(channel_id: bytes) -> bytes:
    """Give the octets with which each leaf of a channel begins, and no other leaf does."""
    return _HEAD + channel_id


def commit_of(leaf: bytes) -> bytes:
    """Give the payload of the Commit at the head of a leaf that this log itself has made."""
    return leaf[: _end_of_commit(leaf)]


def _end_of_commit(leaf: bytes) -> int:
    """Give where the Commit at the head of a leaf ends.

    Raises:
        Malformed: as for `_walked`.
    """
    found = _AS_WRITTEN.match(leaf)
    return found.end() if found else _walked(leaf)


def _walked(leaf: bytes) -> int:
    """Walk the fields at the head of a leaf up to prev_commit, and give where that ends.

    `Commit.decode` takes a number in one spelling only, so what is left to choose is the order of the fields, and
    whether a number that is 0 is written.

    Raises:
        Malformed: there is no prev_commit, or what stands before it is not spelled as `Commit.encode` does.
    """
    at = last = 0
    size = len(leaf)
    while at + _PREV_COMMIT_OCTETS <= size:
        if leaf[at : at + 2] == _PREV_COMMIT:
            return at + _PREV_COMMIT_OCTETS
        tag = leaf[at]
        at += 1
        if tag <= last or leaf[at] == 0:
            raise Malformed("leaf: its Commit is not spelled as a Commit is written")
        last = tag
        if tag & 7 == _VARINT:
            while at < size and leaf[at] > 0x7F:
                at += 1
            at += 1
        else:
            at += 1 + leaf[at]  # of its delimited fields none has 128 octets
    raise Malformed("leaf: it does not begin with a Commit")
