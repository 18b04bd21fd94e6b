"""Frames between processes of this server: a length (4, big-endian), and a message in MessagePack."""

import asyncio
from struct import Struct
from typing import BinaryIO, Final

import msgspec

FRAME_OCTETS_MAX: Final = 16 * 1024 * 1024
"""A view of ten thousand peers fits; a longer frame is a stranger's."""

_LENGTH: Final = Struct(">I")
_encode: Final = msgspec.msgpack.Encoder().encode


def frame(message: object) -> bytes:
    data = _encode(message)
    return _LENGTH.pack(len(data)) + data


def send(writer: asyncio.StreamWriter, message: object) -> None:
    """Send a frame, unless the other side has gone: whoever reads from it learns that there."""
    if not writer.is_closing():
        writer.write(frame(message))


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Read one frame; None where the other side has gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > FRAME_OCTETS_MAX:
            return None
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def read_frame_from(file: BinaryIO) -> bytes | None:
    """Read one frame from a file that blocks; None at its end."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = file.read(length)
    return data if len(data) == length else None
