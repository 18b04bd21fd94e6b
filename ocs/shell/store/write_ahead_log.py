"""Tell a write-ahead log that was damaged at rest from one that a crash cut off.  sqlite.org/fileformat2.html, 4.

SQLite believes a log up to the first frame whose checksum fails, and takes what is behind it for a transaction that was
never finished.  So one flipped bit would quietly take back every group behind it, answered as they are.  A crash looks
different: each group is synced before the next one is written, so only the last transaction can be torn.  (On Unix
SQLite writes no frame twice to fill a sector: it takes a disk not to touch what lies beside a write.)
"""

import struct
from pathlib import Path
from typing import Final

SUFFIX: Final = "-wal"

_HEADER: Final = struct.Struct(">IIIIIIII")
_MAGIC: Final = 0x377F0682
"""Its last bit says which byte order the checksums use."""

_FRAME: Final = struct.Struct(">II8sII")
_SALT: Final = slice(16, 24)
_MASK: Final = 0xFFFFFFFF


def log_of(path: Path) -> Path:
    """Name the write-ahead log of a database."""
    return path.with_name(path.name + SUFFIX)


def lost_commits(octets: bytes, page_octets: int, believed: int) -> bool:
    """Tell whether a log holds finished transactions that SQLite does not believe.

    A change to the very last transaction alone cannot be told from a crash.

    Args:
        octets: of the log.
        page_octets: the database's page size.
        believed: how many frames SQLite takes for good.
    """
    if len(octets) < _HEADER.size or not any(octets[: _HEADER.size]):
        return False  # its making was cut off; no frame is written before it is synced
    if not _is_header(octets):
        return True
    salt = octets[_SALT]
    finished = False
    step = _FRAME.size + page_octets
    for place in range(_HEADER.size + believed * step, len(octets) - step + 1, step):
        _, pages_after_commit, its_salt, _, _ = _FRAME.unpack_from(octets, place)
        if its_salt != salt:
            continue  # left by the log before this one
        if finished:
            return True  # begun after a commit, which therefore was synced
        finished = pages_after_commit > 0
    return False


def _is_header(octets: bytes) -> bool:
    magic, *_, first, second = _HEADER.unpack_from(octets)
    if magic & ~1 != _MAGIC:
        return False
    words = struct.unpack_from(">6I" if magic & 1 else "<6I", octets)
    one = two = 0
    for place in range(0, len(words), 2):
        one = (one + words[place] + two) & _MASK
        two = (two + words[place + 1] + one) & _MASK
    return (one, two) == (first, second)
