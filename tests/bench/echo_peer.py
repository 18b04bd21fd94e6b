"""A server that answers each CCR at once with a ready CCA: what the transport alone costs.  For `make bench`.

It is an asyncio protocol as the product's own, reads as much at once, and writes once for each read.
"""

import asyncio
import contextlib
import signal
import socket
import sys
from ipaddress import ip_address

from ocs.diameter import avp, base
from ocs.diameter.base import LocalNode
from ocs.diameter.codes import Avp, Command
from ocs.diameter.framing import Framer, encode, read_header

READ_OCTETS = 96 * 1024
BUFFER = memoryview(bytearray(READ_OCTETS))
LOCAL = LocalNode(
    origin_host="ocs.example.net",
    origin_realm="example.net",
    addresses=(ip_address("127.0.0.1"),),
    origin_state_id=1,
)
SUCCESS = avp.unsigned32(Avp.RESULT_CODE, 2001)
GRANTED = avp.grouped(Avp.GRANTED_SERVICE_UNIT, avp.unsigned64(Avp.CC_TOTAL_OCTETS, 10_000_000))
TERMINATION = avp.unsigned32(Avp.CC_REQUEST_TYPE, 3)


def answer(*services: bytes) -> bytes:
    """Make a CCA of about the product's size."""
    avps = [
        avp.utf8(Avp.SESSION_ID, "sgw.visited.example;0000000000000000"),
        SUCCESS,
        avp.utf8(Avp.ORIGIN_HOST, LOCAL.origin_host),
        avp.utf8(Avp.ORIGIN_REALM, LOCAL.origin_realm),
        avp.unsigned32(Avp.AUTH_APPLICATION_ID, 4),
        avp.unsigned32(Avp.CC_REQUEST_TYPE, 2),
        avp.unsigned32(Avp.CC_REQUEST_NUMBER, 1),
        avp.grouped(Avp.MULTIPLE_SERVICES_CREDIT_CONTROL, avp.unsigned32(Avp.RATING_GROUP, 1), SUCCESS, *services),
    ]
    return encode(0x40, Command.CREDIT_CONTROL, 4, 0, 0, b"".join(avps))


GRANT, END = answer(GRANTED), answer()


class Echo(asyncio.BufferedProtocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self._framer = Framer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, sizehint: int) -> memoryview:
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        answers = []
        for message in self._framer.feed(bytes(BUFFER[:nbytes])):
            if message[5:8] == b"\0\1\x10":
                ready = END if TERMINATION in message else GRANT
                answers.append(ready[:12] + message[12:20] + ready[20:])
            elif message[4] & 0x80:
                header = read_header(message)
                made = base.capabilities_answer if header.command == 257 else base.watchdog_answer
                answers.append(made(header, LOCAL))
        self.transport.write(b"".join(answers))


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(Echo, "127.0.0.1", port, backlog=200)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1])))
