"""A commit group at rest: one blob, chained by its digest to the group before it.

    magic 0xC6 · format · index (8) · at (8) · digest of the group before (16) · payload · digest of all of this (16)

Numbers are big-endian.  The digest is BLAKE2b with 16 octets: it is no signature, it finds what a disk, a copy or a
hand has changed, and as each group names the one before, it also finds a group that is missing, doubled or exchanged.
The first group names the identity of its data folder, so groups of two folders never pass for one history.

The payload is opaque here.  A new format is a new number with a row in `_FORMATS`; old rows stay, for a journal and
its archive outlive releases.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from ocs.errors import JournalFault
from ocs.units import GroupIndex, UnixMillis

DIGEST_OCTETS: Final = 16
PAYLOAD_OCTETS_MAX: Final = 64 * 1024 * 1024
"""Far above any group that the core fills while one sync is in flight; a larger one is a bug, not traffic."""

_MAGIC: Final = 0xC6
_FORMAT: Final = 1
_HEAD: Final = struct.Struct(f">BBQQ{DIGEST_OCTETS}s")


@dataclass(frozen=True, slots=True)
class Group:
    """What one append wrote: the events of many requests, durable together.

    Attributes:
        index: its place, dense from 1.
        at: when it was closed; never before the group that precedes it.
        payload: the events, opaque here.
        digest: over the whole group and, through `previous`, over all before it.
        previous: digest of the group before; of the first one, the identity of the data.
    """

    index: GroupIndex
    at: UnixMillis
    payload: bytes
    digest: bytes
    previous: bytes


def encode(index: GroupIndex, at: UnixMillis, previous: bytes, payload: bytes) -> bytes:
    """Write a group as it rests, in the newest format; its digest is the last 16 octets."""
    assert len(previous) == DIGEST_OCTETS
    body = _HEAD.pack(_MAGIC, _FORMAT, index, at, previous) + payload
    return body + blake2b(body, digest_size=DIGEST_OCTETS).digest()


def decode(blob: bytes) -> Group:
    """Read and check one group.

    Raises:
        JournalFault: it is cut, damaged, no group, or of a format this release does not know.
    """
    if len(blob) < 2 or blob[0] != _MAGIC:
        raise JournalFault(f"not a commit group: it starts with {blob[:2].hex() or 'nothing'}")
    read = _FORMATS.get(blob[1])
    if read is None:
        raise JournalFault(
            f"commit group of format {blob[1]}: this release reads {sorted(_FORMATS)}; "
            "a newer release wrote it, or it is damaged"
        )
    return read(blob)


def _decode_1(blob: bytes) -> Group:
    if len(blob) < _HEAD.size + DIGEST_OCTETS:
        raise JournalFault(f"commit group cut short: {len(blob)} octets")
    _, _, index, at, previous = _HEAD.unpack_from(blob)
    digest = blob[-DIGEST_OCTETS:]
    if blake2b(memoryview(blob)[:-DIGEST_OCTETS], digest_size=DIGEST_OCTETS).digest() != digest:
        raise JournalFault(f"commit group that names itself {index} does not match its digest: it was changed at rest")
    return Group(GroupIndex(index), UnixMillis(at), blob[_HEAD.size : -DIGEST_OCTETS], digest, previous)


_FORMATS: Final[dict[int, Callable[[bytes], Group]]] = {1: _decode_1}


def follows(group: Group, index: GroupIndex, digest: bytes) -> Group:
    """Return `group` if it is the successor of the group with this index and digest.

    Raises:
        JournalFault: a group is missing between them, or the two are not of one history.
    """
    if group.index != index + 1:
        raise JournalFault(f"group {group.index} stands where group {index + 1} belongs")
    if group.previous != digest:
        raise JournalFault(
            f"group {group.index} does not continue group {index}: it names {group.previous.hex()} as the one before, "
            f"and that is {digest.hex()}"
        )
    return group
