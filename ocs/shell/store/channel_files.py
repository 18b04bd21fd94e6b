"""How each channel opened and closed, kept beside the public log for as long as that: what a closure begins with.

    log/channels/
      <number>.open      the ChannelOpen as its owner signed it
      <number>.close     the ChannelClose as its owner signed it, and which leaf is the channel's first

Both follow from the journal: after a crash the same octets are written again.
"""

from pathlib import Path
from typing import Final

import msgspec

from ocs.errors import NotFound
from ocs.shell.store.data_folder import make_folder, replace_durably
from ocs.units import Octets

FOLDER: Final = "channels"


class Closed(msgspec.Struct, frozen=True, array_like=True):
    """A close.

    Attributes:
        first_leaf: where the log has the channel's first commit, -1 where nothing was committed.
        per_octets: what one data credit paid for.
        envelope: the signed ChannelClose.
        cosignatures: of the checkpoint that it cites, as lines; b"" for none.
    """

    first_leaf: int
    per_octets: Octets
    envelope: bytes
    cosignatures: bytes = b""


class ChannelFiles:
    """The files of all channels of one log."""

    def __init__(self, log: Path) -> None:
        self._folder = log / FOLDER

    def keep_open(self, number: int, envelope: bytes) -> None:
        """Keep a ChannelOpen; durable when it returns.

        Raises:
            Unavailable: the disk refused.
        """
        self._keep(f"{number}.open", envelope)

    def keep_close(self, number: int, closed: Closed) -> None:
        """Keep a ChannelClose; durable when it returns.

        Raises:
            Unavailable: the disk refused.
        """
        self._keep(f"{number}.close", msgspec.msgpack.encode(closed))

    def opened(self, number: int) -> bytes:
        """Give the signed ChannelOpen.

        Raises:
            NotFound: there never was such a channel.
        """
        return self._read(f"{number}.open", f"there is no channel {number}")

    def closed(self, number: int) -> Closed:
        """Give the close.

        Raises:
            NotFound: the channel is not settled.
        """
        octets = self._read(f"{number}.close", f"channel {number} is not settled yet; its closure comes with that")
        return msgspec.msgpack.decode(octets, type=Closed)

    def _keep(self, name: str, octets: bytes) -> None:
        path = self._folder / name
        if path.exists() and path.read_bytes() == octets:
            return  # the journal is read again
        make_folder(self._folder)
        replace_durably(path, [octets])

    def _read(self, name: str, missing: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            raise NotFound(missing) from None
