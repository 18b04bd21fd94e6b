"""The garbage collector, told what each of our processes is like."""

import gc
from typing import Final

THRESHOLDS: Final = (50_000, 20, 100)
"""Sessions at rest are octets, which the collector never looks at; what it can find are a few cycles of connections and
tasks.  It looks for them rarely: under the highest load a few times a second, and at all objects hardly ever."""


def rest() -> None:
    """Take all that is there as here to stay, and look seldom: the last reference frees nearly all that comes."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
