"""Keeps a list of the registered keys, which are public, beside the journal that is the truth of them.

It is what an auditor is handed, and what `ocs-verify --keys` reads.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from ocs.errors import OcsError
from ocs.shell.api.keys import row_of
from ocs.shell.store.data_folder import replace_durably
from ocs.usage.register import KeyRegister

LOOKED_AT_SECONDS: Final = 0.5

log = structlog.get_logger()


class KeyListing:
    """The file, as `ocs key list -o json` would write it."""

    def __init__(self, path: Path, register: Callable[[], KeyRegister]) -> None:
        """Begin; `register` gives the keys as they are known here."""
        self._path = path
        self._register = register
        self._written = -1

    async def run(self) -> None:
        """Write the file whenever the keys have changed, for as long as the process lives."""
        while True:
            register = self._register()
            if register.changes != self._written:
                self._written = register.changes
                await asyncio.to_thread(self._write, octets_of(register))
            await asyncio.sleep(LOOKED_AT_SECONDS)

    def _write(self, octets: bytes) -> None:
        try:
            if not self._path.exists() or self._path.read_bytes() != octets:
                replace_durably(self._path, [octets])
        except (OcsError, OSError) as error:
            log.warning("the list of keys cannot be written", file=str(self._path), reason=str(error))


def octets_of(register: KeyRegister) -> bytes:
    """Give the list, in the order in which the keys were registered."""
    rows = [row_of(*one).model_dump(mode="json") for one in register.keys.items()]
    return json.dumps(rows, indent=2).encode() + b"\n"
