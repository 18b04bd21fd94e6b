"""A relay in front of a real server that spoils its answers in one way, or only listens."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Spoil = Callable[[bytes], bytes]
Hear = Callable[[bytes], None]
HEADER_OCTETS = 20


@contextmanager
def spoiled(port: int, spoil: Spoil, hear: Hear | None = None) -> Iterator[int]:
    """Listen on a free loopback port, which it yields; requests pass as they are, each whole answer through `spoil`.

    Args:
        hear: given each request before it goes on.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    sockets: list[socket.socket] = [listener]
    threads: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                sockets.extend((near, far))
                for work, ends in ((_pass_on, (near, far, hear)), (_spoil_answers, (far, near, spoil))):
                    threads.append(threading.Thread(target=work, args=ends))
                    threads[-1].start()

    threads.append(threading.Thread(target=accept))
    threads[0].start()
    try:
        yield listener.getsockname()[1]
    finally:
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in threads:
            thread.join(5)


def _pass_on(source: socket.socket, target: socket.socket, hear: Hear | None) -> None:
    received = b""
    with suppress(OSError):
        while data := source.recv(65536):
            if hear is not None:
                whole, received = _cut(received + data)
                for request in whole:
                    hear(request)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _spoil_answers(source: socket.socket, target: socket.socket, spoil: Spoil) -> None:
    received = b""
    with suppress(OSError):
        while data := source.recv(65536):
            whole, received = _cut(received + data)
            for answer in whole:
                target.sendall(spoil(answer))
        target.shutdown(socket.SHUT_WR)


def _cut(octets: bytes) -> tuple[list[bytes], bytes]:
    """Give the whole messages, and what is left."""
    whole = []
    while len(octets) >= HEADER_OCTETS and len(octets) >= (length := int.from_bytes(octets[1:4], "big")):
        assert length >= HEADER_OCTETS, "who listens sends well-formed messages"
        whole.append(octets[:length])
        octets = octets[length:]
    return whole, octets
