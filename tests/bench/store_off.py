"""`ocs serve` whose journal keeps nothing: what the server would do if storing cost no time.  For `make bench` alone.

Everything else runs as ever, the journal thread and its hand-over included; the follower has nothing to read.
"""

import sys

from ocs.shell.cli.app import main
from ocs.shell.core.core_link import CoreLink
from ocs.shell.store.journal import Journal
from ocs.units import GroupIndex, UnixMillis


def forget(
    self: Journal, index: GroupIndex, at: UnixMillis, payload: bytes, *, remove_through: int = 0, at_most: int = 0
) -> None:
    self.last, self.last_at = index, at


if __name__ == "__main__":
    Journal.append = forget  # type: ignore[assignment]  # a journal that forgets
    CoreLink.synced = lambda self: None  # type: ignore[method-assign]  # nothing is there to follow
    sys.exit(main())
