"""The garbage collector, told what each of our processes is like."""

import gc
from typing import Final

THRESHOLDS: Final = (5_000, 50, 100)
"""Sessions at rest are octets, which the collector never looks at.

What it meets are small tuples that are to stay, dates above all, and it lets go of each the first time; a few thousand
take it 2 ms, and a look at more would be a wait for all.  What it can find are a few cycles of connections and tasks:
it looks at all objects hardly ever.
"""


def rest() -> None:
    """Take all that is there as here to stay, and look seldom: the last reference frees nearly all that comes."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
