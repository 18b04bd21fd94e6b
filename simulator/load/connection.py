"""A connection of the load: opened with a CER, then never waited for."""

import socket
from typing import Final

from simulator.load.reading import HEADER_OCTETS, SUCCESS, result_of, watchdog_answer

READ_OCTETS: Final = 1 << 18
CONNECT_SECONDS: Final = 5.0


class Connection:
    """One TCP connection on which capabilities were exchanged.

    Raises:
        ConnectionError: the server refused them.
        OSError: nobody listens there.
    """

    def __init__(self, host: str, port: int, capabilities: bytes) -> None:
        self.socket = socket.create_connection((host, port), CONNECT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(capabilities)
        answer = self._message()
        if not (answer[4] & 0x20 == 0 and result_of(answer) == SUCCESS):
            raise ConnectionError(f"the server refused the capabilities: {result_of(answer)}")
        self.socket.setblocking(False)
        self.received = bytearray()
        self.unsent = b""
        self._capabilities = capabilities

    def _message(self) -> bytes:
        data = b""
        while len(data) < HEADER_OCTETS or len(data) < int.from_bytes(data[1:4], "big"):
            part = self.socket.recv(4096)
            if not part:
                raise ConnectionError("the server closed the connection instead of answering the CER")
            data += part
        return data

    def send(self, messages: list[bytes]) -> None:
        data = self.unsent + b"".join(messages)
        try:
            sent = self.socket.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        self.unsent = data[sent:]

    def receive(self) -> list[bytes]:
        """Give the answers that came; watchdog requests are answered here."""
        data = self.socket.recv(READ_OCTETS)
        if not data:
            raise ConnectionError("the server closed the connection")
        buffer = self.received
        buffer += data
        place, end = 0, len(buffer)
        answers = []
        while end - place >= HEADER_OCTETS:
            length = int.from_bytes(buffer[place + 1 : place + 4], "big")
            if end - place < length:
                break
            answer = bytes(buffer[place : place + length])
            place += length
            if answer[4] & 0x80:
                self.send([watchdog_answer(answer, self._capabilities)])
            else:
                answers.append(answer)
        del buffer[:place]
        return answers
