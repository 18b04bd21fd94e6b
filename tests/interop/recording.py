"""A door between a client and the server: it passes octets on, keeps what it saw, and can be slammed.

What it saw is also written as a capture, in packets made up for it: Wireshark then reads exactly what the server sent,
and no right to listen on an interface is needed.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import dpkt

from live.wire import Message, read

CLIENT, SERVER = b"\x7f\0\0\1", b"\x7f\0\0\2"
DIAMETER_PORT = 3868
SEGMENT_OCTETS_MAX = 16_000  # an IP packet ends at 65,535


class Capture:
    """A pcap file; connections are told apart by their made-up client port."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._writer = dpkt.pcap.Writer(self._file, linktype=dpkt.pcap.DLT_RAW)
        self._lock = threading.Lock()
        self._ports = 40_000

    def connection(self) -> "CapturedConnection":
        with self._lock:
            self._ports += 1
            port = self._ports
        return CapturedConnection(self, port)

    def write(self, packet: dpkt.ip.IP) -> None:
        with self._lock:
            self._writer.writepkt(bytes(packet), ts=time.time())

    def close(self) -> None:
        self._file.close()


@dataclass
class CapturedConnection:
    capture: Capture
    port: int
    _sequences: dict[bool, int] = field(default_factory=lambda: {True: 1, False: 1})

    def __post_init__(self) -> None:
        self._packet(True, dpkt.tcp.TH_SYN, -1)
        self._packet(False, dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK, -1)
        self._packet(True, dpkt.tcp.TH_ACK)

    def write(self, from_server: bool, data: bytes) -> None:
        for place in range(0, len(data), SEGMENT_OCTETS_MAX):
            part = data[place : place + SEGMENT_OCTETS_MAX]
            self._packet(not from_server, dpkt.tcp.TH_ACK | dpkt.tcp.TH_PUSH, data=part)
            self._sequences[not from_server] += len(part)

    def _packet(self, from_client: bool, flags: int, offset: int = 0, data: bytes = b"") -> None:
        ports = (self.port, DIAMETER_PORT) if from_client else (DIAMETER_PORT, self.port)
        segment = dpkt.tcp.TCP(
            sport=ports[0],
            dport=ports[1],
            seq=self._sequences[from_client] + offset,
            ack=self._sequences[not from_client] if flags & dpkt.tcp.TH_ACK else 0,
            flags=flags,
            win=65_535,
            data=data,
        )
        source, target = (CLIENT, SERVER) if from_client else (SERVER, CLIENT)
        self.capture.write(
            dpkt.ip.IP(src=source, dst=target, p=dpkt.ip.IP_PROTO_TCP, ttl=64, data=segment, len=40 + len(data))
        )


class Seen(NamedTuple):
    from_server: bool
    message: Message


@dataclass
class Door:
    """Listens on `port` and passes each connection on to `server_port`.

    Attributes:
        seen: all messages that went through, in their order.
        slam_at: a message that fits is kept back, and both sides lose the connection.
        open: whether connections are taken; a slam closes the door.
    """

    server_port: int
    capture: Capture
    slam_at: Callable[[Seen], bool] | None = None
    seen: list[Seen] = field(default_factory=list)
    open: bool = True

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._passing: list[tuple[socket.socket, threading.Thread]] = []
        self._change = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._sockets):
            _end(one)
        for _, passing in self._passing:  # what they saw last is in the capture before it is closed
            passing.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                if not self.open:
                    _end(client)
                    continue
                self._goodbyes_first()
                server = socket.create_connection(("127.0.0.1", self.server_port))
            except OSError:
                return
            self._sockets += [client, server]
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            captured = self.capture.connection()
            for from_server, source, target in ((False, client, server), (True, server, client)):
                one = threading.Thread(target=self._pass, args=(captured, from_server, source, target), daemon=True)
                one.start()
                self._passing.append((source, one))

    def _goodbyes_first(self) -> None:
        """Pass on the ends of connections that have ended: who hangs up and calls again must not overtake himself."""
        for source, passing in self._passing:
            while passing.is_alive() and _has_ended(source):
                time.sleep(0.001)

    def _pass(
        self, captured: CapturedConnection, from_server: bool, source: socket.socket, target: socket.socket
    ) -> None:
        with contextlib.suppress(OSError):
            for octets in _messages(source):
                captured.write(from_server, octets)
                seen = Seen(from_server, read(octets))
                with self._change:  # before it is passed on: who asks after an answer finds it
                    self.seen.append(seen)
                    self._change.notify_all()
                if self.slam_at is not None and self.slam_at(seen):
                    self.open = False
                    break
                target.sendall(octets)
        _end(source)
        _end(target)

    # What a test asks

    def wait_for(self, what: str, found: Callable[[Seen], bool], seconds: float = 15.0) -> Message:
        """Wait for a message that fits, those already seen included."""
        until = time.monotonic() + seconds
        with self._change:
            while True:
                for one in self.seen:
                    if found(one):
                        return one.message
                assert self._change.wait(max(0.0, until - time.monotonic())), f"no {what} in {seconds} s"

    def sent(self, from_server: bool, command: int, *, requests: bool) -> list[Message]:
        return [
            one.message
            for one in self.seen
            if one.from_server is from_server
            and one.message.command == command
            and bool(one.message.flags & 0x80) is requests
        ]


def _messages(source: socket.socket) -> Iterator[bytes]:
    """Give whole messages; what is left at the end is passed on as well, so that it is seen."""
    held = b""
    while data := source.recv(65_536):
        held += data
        while len(held) >= 4 and len(held) >= (length := int.from_bytes(held[1:4], "big")):
            assert length >= 20, held.hex()
            yield held[:length]
            held = held[length:]
    assert not held, f"the stream ended within a message: {held.hex()}"


def _has_ended(one: socket.socket) -> bool:
    try:
        return one.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
