"""Cut a byte stream into messages.  RFC 6733 section 3.

A stream whose length field cannot be trusted cannot be resynchronised: the error says what to answer, if the header
could be read, and the connection ends.
"""

from struct import Struct
from typing import Final, NamedTuple

from ocs.diameter.codes import Flag
from ocs.errors import InvalidMessageLength, UnsupportedVersion

HEADER_OCTETS: Final = 20
LENGTH_OCTETS: Final = 4  # version and length stand first
MESSAGE_OCTETS_MAX: Final = 64 * 1024
"""A CCR of forty services with all of Service-Information stays below half of this; the field would allow 16 MiB."""

_HEADER = Struct(">IIIII")
_WORD = Struct(">I").unpack_from


class Header(NamedTuple):
    length: int
    flags: int
    command: int
    application: int
    hop_by_hop: int
    end_to_end: int

    @property
    def is_request(self) -> bool:
        return bool(self.flags & Flag.REQUEST)


def read_header(buffer: bytes, offset: int = 0) -> Header:
    """Read the 20 octets at `offset` without judging them.  The version is not part of a Header."""
    word0, word1, application, hop_by_hop, end_to_end = _HEADER.unpack_from(buffer, offset)
    return Header(word0 & 0xFFFFFF, word1 >> 24, word1 & 0xFFFFFF, application, hop_by_hop, end_to_end)


def encode(flags: int, command: int, application: int, hop_by_hop: int, end_to_end: int, avps: bytes) -> bytes:
    """Put a header before encoded AVPs."""
    length = HEADER_OCTETS + len(avps)
    return _HEADER.pack(1 << 24 | length, flags << 24 | command, application, hop_by_hop, end_to_end) + avps


class Framer:
    """Collects bytes and gives whole messages; the same messages however the stream was cut.

    After an error the framer is spent: the bytes behind a wrong length mean nothing.
    """

    def __init__(self, octets_max: int = MESSAGE_OCTETS_MAX) -> None:
        self._buffer = bytearray()
        self._wanted = LENGTH_OCTETS  # octets of it that make the next look worth while
        self._octets_max = octets_max

    @property
    def pending(self) -> int:
        """Octets of a message that has begun and not ended."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was received; return the messages that are now whole, in order.

        Raises:
            FramingError: the stream ends here; `messages` holds the whole ones before it.
        """
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return []  # a message that trickles in is looked at when it is whole, not with each octet
            data = bytes(self._buffer)
        messages: list[bytes] = []
        start, have, octets_max = 0, len(data), self._octets_max
        wanted = LENGTH_OCTETS
        while have - start >= LENGTH_OCTETS:
            (word,) = _WORD(data, start)
            length = word & 0xFF_FFFF
            if word >> 24 != 1 or length < HEADER_OCTETS or length & 3 or length > octets_max:
                if length > octets_max or have - start >= HEADER_OCTETS:
                    fault = _fault(word >> 24, length, octets_max)
                    raise FramingError(messages, fault, data[start : start + HEADER_OCTETS])
                wanted = HEADER_OCTETS  # the ids of the answer are still to come
                break
            end = start + length
            if end > have:
                wanted = length
                break
            messages.append(data[start:end])
            start, wanted = end, LENGTH_OCTETS
        self._buffer, self._wanted = bytearray(data[start:]), wanted
        return messages


class FramingError(Exception):
    """The stream cannot be read on.

    Attributes:
        messages: whole messages received before the fault, to be served.
        reason: `UnsupportedVersion` or `InvalidMessageLength`.
        header: the 20 octets of the faulty header, or fewer where they had not come; an answer needs all of them.
    """

    def __init__(self, messages: list[bytes], reason: UnsupportedVersion | InvalidMessageLength, header: bytes) -> None:
        super().__init__(reason.detail)
        self.messages = messages
        self.reason = reason
        self.header = header


def _fault(version: int, length: int, octets_max: int) -> UnsupportedVersion | InvalidMessageLength:
    if version != 1:
        return UnsupportedVersion(f"version {version}; this server speaks version 1")
    if length > octets_max:
        return InvalidMessageLength(f"{length} octets; this server takes {octets_max} at the most")
    return InvalidMessageLength(f"{length} octets is not a multiple of 4 from {HEADER_OCTETS} up")
