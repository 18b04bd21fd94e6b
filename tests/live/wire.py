"""Diameter as a stranger writes and reads it: enough to play a strict gateway, and nothing shared with the server."""

import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Self

CER, RAR, CCR, ASR, DWR, DPR = 257, 258, 272, 274, 280, 282
INITIAL, UPDATE, TERMINATION, EVENT = 1, 2, 3, 4


class Avp(NamedTuple):
    code: int
    vendor: int
    mandatory: bool
    data: bytes

    @property
    def number(self) -> int:
        return int.from_bytes(self.data, "big")

    @property
    def inner(self) -> "Avps":
        return Avps(parse(self.data))


class Avps(list[Avp]):
    """Some AVPs in their order."""

    def all(self, code: int, vendor: int = 0) -> list[Avp]:
        return [one for one in self if (one.code, one.vendor) == (code, vendor)]

    def one(self, code: int, vendor: int = 0) -> Avp:
        (found,) = self.all(code, vendor)
        return found

    def has(self, code: int, vendor: int = 0) -> bool:
        return bool(self.all(code, vendor))


class Message(NamedTuple):
    flags: int
    command: int
    application: int
    hop_by_hop: int
    end_to_end: int
    avps: Avps
    octets: bytes

    @property
    def result_code(self) -> int:
        return self.avps.one(268).number


def avp(code: int, data: bytes | str | int, *, vendor: int = 0, mandatory: bool = True) -> bytes:
    if isinstance(data, int):
        data = struct.pack(">I", data)
    if isinstance(data, str):
        data = data.encode()
    flags = (0x80 if vendor else 0) | (0x40 if mandatory else 0)
    head = struct.pack(">IB", code, flags) + struct.pack(">I", len(data) + (12 if vendor else 8))[1:]
    return head + (struct.pack(">I", vendor) if vendor else b"") + data + bytes(-len(data) % 4)


def group(code: int, *members: bytes, vendor: int = 0, mandatory: bool = True) -> bytes:
    return avp(code, b"".join(members), vendor=vendor, mandatory=mandatory)


def message(
    flags: int, command: int, application: int, hop_by_hop: int, end_to_end: int, avps: Iterable[bytes]
) -> bytes:
    body = b"".join(avps)
    return (
        struct.pack(">I", 1 << 24 | (20 + len(body)))
        + struct.pack(">I", flags << 24 | command)
        + struct.pack(">III", application, hop_by_hop, end_to_end)
        + body
    )


def parse(data: bytes) -> Iterator[Avp]:
    """Read AVPs, and insist on what a sender owes: room, zero padding, no reserved flag."""
    place = 0
    while place < len(data):
        code, word = struct.unpack_from(">II", data, place)
        flags, length = word >> 24, word & 0xFFFFFF
        head = 12 if flags & 0x80 else 8
        assert not flags & 0x3F, f"AVP {code} sets the P bit or a reserved one"
        assert head <= length <= len(data) - place, f"AVP {code} does not fit"
        vendor = struct.unpack_from(">I", data, place + 8)[0] if flags & 0x80 else 0
        end = place + length
        padded = end + -length % 4
        assert padded <= len(data), f"AVP {code} lacks its padding"
        assert not any(data[end:padded]), f"AVP {code} is padded with other than zeros"
        yield Avp(code, vendor, bool(flags & 0x40), data[place + head : end])
        place = padded


def read(octets: bytes) -> Message:
    assert octets[0] == 1
    assert int.from_bytes(octets[1:4], "big") == len(octets)
    flags, command = octets[4], int.from_bytes(octets[5:8], "big")
    assert not flags & 0x0F, "a reserved header bit is set"
    application, hop_by_hop, end_to_end = struct.unpack_from(">III", octets, 8)
    return Message(flags, command, application, hop_by_hop, end_to_end, Avps(parse(octets[20:])), octets)


@dataclass
class Gateway:
    """One connection to a server, and the requests that went over it."""

    port: int
    host: str = "sgw.visited.example"
    realm: str = "visited.example"
    address: str = "127.0.0.1"
    product: str = "strict"
    timeout: float = 5.0
    tls: ssl.SSLContext | None = None
    _identifier: int = field(default=0x100, init=False)
    _aside: list[Message] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.socket = socket.create_connection((self.address, self.port), self.timeout)
        if self.tls is not None:
            self.socket = self.tls.wrap_socket(self.socket, server_hostname="ocs.example.net")
        self.socket.settimeout(self.timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def open(self) -> Self:
        """Exchange capabilities and insist on 2001."""
        try:
            answer = self.introduce()
            assert answer.result_code == 2001, answer
        except BaseException:
            self.socket.close()
            raise
        return self

    def introduce(self, *more: bytes, leave_out: tuple[int, ...] = ()) -> Message:
        avps = {
            264: avp(264, self.host),
            296: avp(296, self.realm),
            257: avp(257, b"\0\1" + socket.inet_aton("127.0.0.1")),
            266: avp(266, 10415),
            269: avp(269, self.product, mandatory=False),
            258: avp(258, 4),
        }
        return self.ask(CER, [*(data for code, data in avps.items() if code not in leave_out), *more], application=0)

    def leave(self) -> None:
        answer = self.ask(DPR, [avp(264, self.host), avp(296, self.realm), avp(273, 0)], application=0)
        assert answer.result_code == 2001
        self.socket.close()

    def ask(self, command: int, avps: Iterable[bytes], *, application: int = 4, flags: int | None = None) -> Message:
        """Send a request and wait for its answer, whose header must match."""
        hop_by_hop = self.send(command, avps, application=application, flags=flags)
        answer = self.answer(hop_by_hop)
        assert (answer.command, answer.application) == (command, application)
        return answer

    def send(self, command: int, avps: Iterable[bytes], *, application: int = 4, flags: int | None = None) -> int:
        self._identifier += 1
        sent = flags if flags is not None else (0xC0 if application else 0x80)
        self.put(message(sent, command, application, self._identifier, self._identifier, avps))
        return self._identifier

    def put(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def answer(self, hop_by_hop: int) -> Message:
        """Wait for the answer with this Hop-by-Hop id; a DWR in between is answered, other requests are kept."""
        for place, kept in enumerate(self._aside):
            if kept.hop_by_hop == hop_by_hop and not kept.flags & 0x80:
                return self._aside.pop(place)
        while True:
            one = self.next()
            if not one.flags & 0x80 and one.hop_by_hop == hop_by_hop:
                return one
            self._aside.append(one)

    def request(self) -> Message:
        """Wait for a request of the server."""
        for place, kept in enumerate(self._aside):
            if kept.flags & 0x80:
                return self._aside.pop(place)
        while not (one := self.next()).flags & 0x80:
            self._aside.append(one)
        return one

    def next(self) -> Message:
        while True:
            one = read(self.receive())
            if one.command == DWR and one.flags & 0x80:
                self.reply(one, 2001)
                continue
            return one

    def reply(self, request: Message, result_code: int) -> None:
        avps = [avp(264, self.host), avp(296, self.realm), avp(268, result_code)]
        if request.avps.has(263):
            avps.insert(0, avp(263, request.avps.one(263).data))
        self.put(
            message(
                request.flags & 0x40, request.command, request.application, request.hop_by_hop, request.end_to_end, avps
            )
        )

    def receive(self) -> bytes:
        head = self._exactly(20)
        return head + self._exactly(int.from_bytes(head[1:4], "big") - 20)

    def closed(self) -> bool:
        """Tell whether the server closes the connection now; what it sends before is thrown away."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError(f"the server closed the connection after {len(data)} of {count} octets")
            data += part
        return data


# Requests


def ccr(
    gateway: Gateway,
    session_id: str,
    kind: int,
    number: int,
    *services: bytes,
    imsi: str | None = "001010000000001",
    more: Iterable[bytes] = (),
) -> list[bytes]:
    """Give the AVPs of a CCR as a plain gateway writes them."""
    avps = [
        avp(263, session_id),
        avp(264, gateway.host),
        avp(296, gateway.realm),
        avp(283, "example.net"),
        avp(258, 4),
        avp(461, "8.32251@3gpp.org"),
        avp(416, kind),
        avp(415, number),
    ]
    if imsi is not None:
        avps.append(group(443, avp(450, 1), avp(444, imsi)))
    if kind == INITIAL:
        avps.append(avp(455, 1))
    if kind == TERMINATION:
        avps.append(avp(295, 1))
    return [*avps, *services, *more]


def mscc(
    rating_group: int | None, *, used: int | None = None, asked: bool | int = True, reason: int | None = None
) -> bytes:
    members = []
    if asked is True:
        members.append(group(437))
    elif asked is not False:
        members.append(group(437, avp(421, struct.pack(">Q", asked))))
    if used is not None:
        inner = [avp(421, struct.pack(">Q", used))]
        if reason is not None:
            inner.append(avp(872, reason, vendor=10415))
        members.append(group(446, *inner))
    if rating_group is not None:
        members.append(avp(432, rating_group))
    return group(456, *members)


class Service(NamedTuple):
    """One MSCC of an answer."""

    rating_group: int | None
    result_code: int | None
    granted: int | None
    final: bool
    validity: int | None


def services(answer: Message) -> list[Service]:
    found = []
    for one in answer.avps.all(456):
        inner = one.inner
        granted = inner.one(431).inner.all(421) if inner.has(431) else []
        found.append(
            Service(
                inner.one(432).number if inner.has(432) else None,
                inner.one(268).number if inner.has(268) else None,
                granted[0].number if granted else None,
                inner.has(430),
                inner.one(448).number if inner.has(448) else None,
            )
        )
    return found
