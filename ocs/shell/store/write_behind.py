"""Writing that goes on behind whoever writes, so that the sync at the end finds little to do.

A file of many megabytes that is synced once keeps the disk busy for long, and the journal's syncs wait for all of it.
Syncing it piece by piece is little better: each sync also flushes the disk's cache and commits the file system's own
journal, and the others wait for that.  Linux can be asked to begin to write, and for no more: sync_file_range(2).
"""

import ctypes
import os
from typing import Final

PIECE_OCTETS: Final = 1024 * 1024

_WAIT_BEFORE: Final = 1
_WRITE: Final = 2

_libc: Final = ctypes.CDLL(None, use_errno=True)
_sync_file_range: Final = getattr(_libc, "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def write_behind(descriptor: int) -> None:
    """Have the disk write the newest piece, once it has written the one before; nothing is durable by that.

    Raises:
        OSError: the disk refused a piece.
    """
    if _sync_file_range is None:
        os.fdatasync(descriptor)
    elif _sync_file_range(descriptor, 0, 0, _WAIT_BEFORE | _WRITE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
