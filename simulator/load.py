"""A load of CCRs cheap enough not to measure itself: ready messages, numbers patched in, every answer checked.

It knows neither scapy nor any other codec: `simulator.templates` made the octets beforehand.  Closed loop: each of a
number of sessions at a time sends its next request when the answer to the one before has come, I, some U, T, and then
the next session takes its place.  Run as a process of its own, it reads a `Job` as JSON and writes a `Result`.
"""

import json
import select
import socket
import sys
import time
from array import array
from dataclasses import asdict, dataclass, field
from struct import Struct
from typing import Any, Final

HEADER_OCTETS: Final = 20
READ_OCTETS: Final = 1 << 18
STALL_SECONDS: Final = 10.0
SUCCESS: Final = 2001
_IDS: Final = Struct(">II")
_WORD: Final = Struct(">I")
_RESULT: Final = Struct(">III")
_GRANT: Final = Struct(">IIQ")
_RESULT_HEAD: Final = (268, 0x4000_000C)
_GRANT_HEAD: Final = (421, 0x4000_0010)
_GROUPED: Final = frozenset({456, 431})


@dataclass(frozen=True, slots=True)
class Template:
    """One request, and where its numbers stand.

    Attributes:
        session: offset of 16 octets, subscriber of 9 digits, number of an Unsigned32.
        services: how many grants its answer must hold.
    """

    octets: bytes
    session: int
    subscriber: int
    number: int
    services: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send, and for how long.

    Attributes:
        capabilities: the CER of each connection.
        updates: CCR-U of each session.
        warm_seconds: sent before anything is counted.
    """

    port: int
    capabilities: list[bytes]
    templates: dict[str, Template]
    connections: int = 1
    outstanding: int = 64
    updates: int = 8
    seconds: float = 5.0
    warm_seconds: float = 1.0
    first_session: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=lambda octets: octets.hex())

    @classmethod
    def from_json(cls, text: str) -> "Job":
        told: dict[str, Any] = json.loads(text)
        told["capabilities"] = [bytes.fromhex(one) for one in told["capabilities"]]
        told["templates"] = {
            kind: Template(**{**one, "octets": bytes.fromhex(one["octets"])}) for kind, one in told["templates"].items()
        }
        return cls(**told)


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of it; latencies in milliseconds.

    Attributes:
        busy: the part of one CPU this generator took; near 1 it measured itself.
        faults: the first few answers that were wrong, or what else went wrong.
    """

    answers: int = 0
    errors: int = 0
    rate: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    busy: float = 0.0
    faults: list[str] = field(default_factory=list)


class _Slot:
    """One session at a time, of one connection."""

    __slots__ = ("kind", "left", "number", "sent_at", "session")

    def __init__(self) -> None:
        self.session = 0
        self.kind = "termination"
        self.number = 0
        self.left = 0
        self.sent_at = 0.0


class _Connection:
    def __init__(self, job: Job, load: "_Load", capabilities: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", job.port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(capabilities)
        answer = self._message()
        if not (answer[4] & 0x20 == 0 and _result_of(answer) == SUCCESS):
            raise ConnectionError(f"the server refused the capabilities: {_result_of(answer)}")
        self.socket.setblocking(False)
        self.slots = [_Slot() for _ in range(job.outstanding)]
        self.received = bytearray()
        self.unsent = b""
        self._load = load
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
        """Take what came; give the next request of each session that was answered."""
        data = self.socket.recv(READ_OCTETS)
        if not data:
            raise ConnectionError("the server closed the connection")
        buffer = self.received
        buffer += data
        place, end = 0, len(buffer)
        requests = []
        while end - place >= HEADER_OCTETS:
            length = int.from_bytes(buffer[place + 1 : place + 4], "big")
            if end - place < length:
                break
            answer = bytes(buffer[place : place + length])
            place += length
            if answer[4] & 0x80:
                requests.append(_watchdog_answer(answer, self._capabilities))
                continue
            hop_by_hop = _WORD.unpack_from(answer, 12)[0]
            slot = self.slots[hop_by_hop]
            self._load.answered(slot, answer)
            requests.append(self._load.next(slot, hop_by_hop))
        del buffer[:place]
        return requests


class _Load:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.result = Result()
        self._latencies = array("d")
        self._end_to_end = 0
        self._session = job.first_session
        self._learnt: dict[tuple[str, int], tuple[int, tuple[int, ...]]] = {}
        self._counting = False

    def run(self) -> Result:
        job = self.job
        connections = [_Connection(job, self, job.capabilities[number]) for number in range(job.connections)]
        poll = select.epoll()
        by_descriptor = {}
        for connection in connections:
            by_descriptor[connection.socket.fileno()] = connection
            poll.register(connection.socket, select.EPOLLIN)
            connection.send([self.next(slot, number) for number, slot in enumerate(connection.slots)])
        began = time.perf_counter()
        counting_from, until = began + job.warm_seconds, began + job.warm_seconds + job.seconds
        cpu = 0.0
        while (now := time.perf_counter()) < until:
            if not self._counting and now >= counting_from:
                self._counting, counting_from, cpu = True, now, time.process_time()
            ready = poll.poll(STALL_SECONDS)
            if not ready:
                self.result.faults.append(f"no answer for {STALL_SECONDS:g} s")
                break
            for descriptor, _ in ready:
                connection = by_descriptor[descriptor]
                connection.send(connection.receive())
        wall = time.perf_counter() - counting_from
        self.result.busy = (time.process_time() - cpu) / wall
        for connection in connections:
            connection.socket.close()
        self._sum_up(wall)
        return self.result

    def next(self, slot: _Slot, hop_by_hop: int) -> bytes:
        """Give a session's next request, or the first one of the next session."""
        if slot.kind == "termination":
            self._session += 1
            slot.session, slot.kind, slot.number, slot.left = self._session, "initial", 0, self.job.updates
        else:
            slot.number += 1
            slot.kind = "update" if slot.left else "termination"
            slot.left -= 1
        template = self.job.templates[slot.kind]
        message = bytearray(template.octets)
        self._end_to_end = (self._end_to_end + 1) & 0xFFFF_FFFF
        _IDS.pack_into(message, 12, hop_by_hop, self._end_to_end)
        message[template.session : template.session + 16] = b"%016x" % slot.session
        message[template.subscriber : template.subscriber + 9] = b"%09d" % (slot.session % 1_000_000_000)
        _WORD.pack_into(message, template.number, slot.number)
        slot.sent_at = time.perf_counter()
        return bytes(message)

    def answered(self, slot: _Slot, answer: bytes) -> None:
        if not self._is_right(slot, answer):
            self.result.errors += 1
            if len(self.result.faults) < 5:
                self.result.faults.append(f"{slot.kind} {slot.number} of session {slot.session:x}: {answer.hex()}")
        if self._counting:
            self.result.answers += 1
            self._latencies.append(time.perf_counter() - slot.sent_at)

    def _is_right(self, slot: _Slot, answer: bytes) -> bool:
        """Hold an answer against what its kind must say: 2001, and a grant for each service that asked."""
        if answer[4] & 0xB0 or answer[5:8] != b"\x00\x01\x10":
            return False
        learnt = self._learnt.get((slot.kind, len(answer)))
        if learnt is not None:
            place, grants = learnt
            if _RESULT.unpack_from(answer, place) == (*_RESULT_HEAD, SUCCESS):
                for grant in grants:
                    code, word, octets = _GRANT.unpack_from(answer, grant)
                    if (code, word) != _GRANT_HEAD or not octets:
                        break
                else:
                    return True
        # Another layout than last time, or something wrong: look at it AVP by AVP.
        results: list[int] = []
        found: list[int] = []
        _walk(answer, HEADER_OCTETS, len(answer), results, found, top=True)
        services = self.job.templates[slot.kind].services
        right = len(results) == 1 and _RESULT.unpack_from(answer, results[0]) == (*_RESULT_HEAD, SUCCESS)
        right = right and len(found) == services and all(_GRANT.unpack_from(answer, place)[2] for place in found)
        if right:
            self._learnt[slot.kind, len(answer)] = results[0], tuple(found)
        return right

    def _sum_up(self, wall: float) -> None:
        result, latencies = self.result, sorted(self._latencies)
        result.rate = result.answers / wall
        if latencies:
            result.p50, result.p99, result.p999 = (
                1000 * latencies[min(len(latencies) - 1, int(len(latencies) * part))] for part in (0.5, 0.99, 0.999)
            )


def _walk(octets: bytes, place: int, end: int, results: list[int], grants: list[int], *, top: bool) -> None:
    """Find the command's Result-Code and every CC-Total-Octets of a grant."""
    while end - place >= 8:
        code, word = _IDS.unpack_from(octets, place)
        length = max(8, word & 0xFF_FFFF)
        if code == _RESULT_HEAD[0] and top:
            results.append(place)
        elif code == _GRANT_HEAD[0] and not top and word == _GRANT_HEAD[1]:
            grants.append(place)
        elif code in _GROUPED and not word >> 31:
            _walk(octets, place + 8, place + length, results, grants, top=False)
        place += (length + 3) & ~3


def _result_of(answer: bytes) -> int:
    results: list[int] = []
    _walk(answer, HEADER_OCTETS, len(answer), results, [], top=True)
    return int(_RESULT.unpack_from(answer, results[0])[2]) if results else 0


def _watchdog_answer(request: bytes, capabilities: bytes) -> bytes:
    """Answer a DWR with the names of our own CER, which stand first in it."""
    place = HEADER_OCTETS
    for _ in range(2):
        place += (_WORD.unpack_from(capabilities, place + 4)[0] & 0xFF_FFFF) + 3 & ~3
    body = _RESULT.pack(*_RESULT_HEAD, SUCCESS) + capabilities[HEADER_OCTETS:place]
    length = HEADER_OCTETS + len(body)
    return _WORD.pack(1 << 24 | length) + b"\x00" + request[5:HEADER_OCTETS] + body


def main() -> None:
    """Read a job on standard input, run it, and write its result on standard output."""
    result = _Load(Job.from_json(sys.stdin.read())).run()
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
