"""Removing a large file piece by piece.

The file system gives the blocks of a removed file back in one go, some fifty milliseconds for hundreds of megabytes,
and the journal's syncs wait for it.  A file that is cut shorter bit by bit gives them back bit by bit.
"""

import os
import time
from pathlib import Path
from typing import Final

from ocs.shell.store.data_folder import ASIDE_SUFFIX, sync_folder

PIECE_OCTETS: Final = 8 * 1024 * 1024

REST_SECONDS: Final = 0.02
"""Between two pieces."""


def remove(path: Path) -> None:
    """Remove a file for good; it has lost its name, durably, before it has lost anything else.

    What a crash leaves of it is swept at the next start, as what was half written is.

    Raises:
        OSError: it is not there, or cannot be removed.
    """
    aside = path.with_name(path.name + ASIDE_SUFFIX)
    path.rename(aside)
    sync_folder(path.parent)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CLOEXEC)
    try:
        left = os.fstat(descriptor).st_size
        while left > PIECE_OCTETS:
            left -= PIECE_OCTETS
            os.ftruncate(descriptor, left)
            time.sleep(REST_SECONDS)
    finally:
        os.close(descriptor)
    aside.unlink()
