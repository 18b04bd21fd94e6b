"""A load of CCRs cheap enough not to measure itself: ready messages, numbers patched in, every answer checked.

It knows neither scapy nor any other codec: `simulator.templates` made the octets beforehand.  A population of sessions
is served in turn: I, some U, T, and then the next session takes the place of the one that ended.

    closed loop: a number of requests is under way on each connection; an answer brings the next request
    open loop:   requests leave by a schedule, whatever the answers do, and latency counts from the scheduled time

Run as a process of its own, it reads a `Job` as JSON and writes a `Result`.
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
_NOVELTY: Final = Struct(">III")
LATE_SECONDS: Final = 0.001
SPREAD: Final = 7_919_011
"""A prime: subscribers of sessions that follow each other have IMSIs far apart, and so other operators."""

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
        templates: sets of one request of each kind; sessions take them in turn.
        outstanding: requests under way on each connection, closed loop.
        rate: requests a second over all connections, open loop; 0 for the closed one.
        updates: CCR-U of each session.
        sessions: how many are open at a time, 0 for one for each request under way.
        warm_seconds: sent before anything is counted; all sessions are opened before that.
        is_hostile: give every request a layout that was never there before.
    """

    port: int
    capabilities: list[bytes]
    templates: list[dict[str, Template]]
    connections: int = 1
    outstanding: int = 64
    rate: float = 0.0
    updates: int = 8
    sessions: int = 0
    seconds: float = 5.0
    warm_seconds: float = 1.0
    first_session: int = 0
    is_hostile: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=lambda octets: octets.hex())

    @classmethod
    def from_json(cls, text: str) -> "Job":
        told: dict[str, Any] = json.loads(text)
        told["capabilities"] = [bytes.fromhex(one) for one in told["capabilities"]]
        told["templates"] = [
            {kind: Template(**{**one, "octets": bytes.fromhex(one["octets"])}) for kind, one in each.items()}
            for each in told["templates"]
        ]
        return cls(**told)


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of it; latencies in milliseconds.

    Attributes:
        answers: counted ones; `errors` are among them.
        longest: the slowest answer.
        busy: the part of one CPU this generator took; near 1 it measured itself.
        cpu_us: its CPU for each request, microseconds.
        late_sends: open loop: requests that left more than a millisecond after their time, for the generator was late.
        opening_rate: sessions opened a second, before the count began; 0 where none had to be.
        per_second: answers in each second.
        faults: the first few answers that were wrong, or what else went wrong.
    """

    answers: int = 0
    errors: int = 0
    rate: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    longest: float = 0.0
    busy: float = 0.0
    cpu_us: float = 0.0
    late_sends: int = 0
    opening_rate: float = 0.0
    per_second: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def patched(template: Template, name: int, number: int, hop_by_hop: int, end_to_end: int) -> bytearray:
    """Make a request of its own from a template; `name` tells its session from all others."""
    message = bytearray(template.octets)
    _IDS.pack_into(message, 12, hop_by_hop, end_to_end)
    message[template.session : template.session + 16] = b"%016x" % name
    message[template.subscriber : template.subscriber + 9] = b"%09d" % (name * SPREAD % 1_000_000_000)
    _WORD.pack_into(message, template.number, number)
    return message


class _Connection:
    def __init__(self, port: int, capabilities: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(capabilities)
        answer = self._message()
        if not (answer[4] & 0x20 == 0 and _result_of(answer) == SUCCESS):
            raise ConnectionError(f"the server refused the capabilities: {_result_of(answer)}")
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
                self.send([_watchdog_answer(answer, self._capabilities)])
            else:
                answers.append(answer)
        del buffer[:place]
        return answers


KINDS: Final = ("initial", "update", "termination")
INITIAL, UPDATE, TERMINATION = range(3)


class _Load:
    """The sessions, each a row of a few arrays: a million of them fit."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.result = Result()
        self._under_way = job.connections * job.outstanding
        self._count = job.sessions or self._under_way
        if self._count % job.connections or self._count < self._under_way:
            raise ValueError(f"{self._count} sessions cannot be spread over {job.connections} x {job.outstanding}")
        self._templates = [tuple(each[kind] for kind in KINDS) for each in job.templates]
        self._kind = array("B", bytes(self._count))  # of the request sent last
        self._number = array("I", bytes(4 * self._count))
        self._left = array("B", bytes(self._count))
        self._name = array("Q", bytes(8 * self._count))
        self._since = array("d", bytes(8 * self._count))
        self._next_name = job.first_session
        self._turn = list(range(job.connections))  # the session whose turn is next, for each connection
        self._latencies = array("d")
        self._end_to_end = 0
        self._learnt: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {}
        self._counting = False
        self._poll = select.epoll()
        self._connections = [_Connection(job.port, each) for each in job.capabilities[: job.connections]]
        self._by_descriptor = {each.socket.fileno(): place for place, each in enumerate(self._connections)}
        for each in self._connections:
            self._poll.register(each.socket, select.EPOLLIN)

    def run(self) -> Result:
        job, result = self.job, self.result
        for session in range(self._count):
            self._kind[session] = TERMINATION
        if job.sessions:
            began = time.perf_counter()
            self._open_all()
            result.opening_rate = self._count / (time.perf_counter() - began)
        wall = self._by_schedule() if job.rate else self._closed_loop()
        for each in self._connections:
            each.socket.close()
        self._sum_up(wall)
        return result

    def _open_all(self) -> None:
        """Open every session, then spread how far each one is, so that all kinds of request come from the start."""
        to_open = iter(range(self._count))
        answered = 0
        by_connection = self.job.connections

        def some(count: int) -> None:
            batches: list[list[bytes]] = [[] for _ in self._connections]
            for _ in range(count):
                session = next(to_open, None)
                if session is None:
                    break
                batches[session % by_connection].append(self._request(session, time.perf_counter()))
            for connection, batch in zip(self._connections, batches, strict=True):
                if batch:
                    connection.send(batch)

        some(self._under_way)
        while answered < self._count:
            came = self._answers()
            if came is None:
                return
            for session, answer in came:
                self._answered(session, answer, 0.0)
                self._left[session] = session % (self.job.updates + 1)
            answered += len(came)
            some(len(came))

    def _answers(self, wait_seconds: float = STALL_SECONDS) -> list[tuple[int, bytes]] | None:
        """Wait for answers; each with its session.  None after a stall."""
        ready = self._poll.poll(wait_seconds)
        if not ready and wait_seconds == STALL_SECONDS:
            self.result.faults.append(f"no answer for {STALL_SECONDS:g} s")
            return None
        came: list[tuple[int, bytes]] = []
        for descriptor, _ in ready:
            connection = self._connections[self._by_descriptor[descriptor]]
            came.extend((_WORD.unpack_from(answer, 12)[0], answer) for answer in connection.receive())
            if connection.unsent:
                connection.send([])
        return came

    def _closed_loop(self) -> float:
        job = self.job
        connections = self._connections
        for place, connection in enumerate(connections):
            now = time.perf_counter()
            connection.send([self._request(self._next_turn(place), now) for _ in range(job.outstanding)])
        stays = not job.sessions  # a session goes on itself, else the next one whose turn it is
        clock = _Clock(job.warm_seconds, job.seconds)
        while clock.goes_on(self):
            ready = self._poll.poll(STALL_SECONDS)
            if not ready:
                self.result.faults.append(f"no answer for {STALL_SECONDS:g} s")
                break
            for descriptor, _ in ready:
                place = self._by_descriptor[descriptor]
                connection = connections[place]
                requests = []
                now = time.perf_counter()
                for answer in connection.receive():
                    session = _WORD.unpack_from(answer, 12)[0]
                    self._answered(session, answer, now)
                    requests.append(self._request(session if stays else self._next_turn(place), now))
                connection.send(requests)
        return clock.wall(self.result)

    def _by_schedule(self) -> float:
        job = self.job
        clock = _Clock(job.warm_seconds, job.seconds)
        began, sent = time.perf_counter(), 0
        while clock.goes_on(self):
            now = time.perf_counter()
            due = int((now - began) * job.rate) + 1
            batches: list[list[bytes]] = [[] for _ in self._connections]
            while sent < due:
                scheduled = began + sent / job.rate
                if self._counting and now - scheduled > LATE_SECONDS:
                    self.result.late_sends += 1
                place = sent % job.connections
                batches[place].append(self._request(self._next_turn(place), scheduled))
                sent += 1
            for connection, batch in zip(self._connections, batches, strict=True):
                if batch:
                    connection.send(batch)
            came = self._answers(max(0.0, began + sent / job.rate - time.perf_counter()))
            now = time.perf_counter()
            for session, answer in came or ():
                self._answered(session, answer, now)
        return clock.wall(self.result)

    def _next_turn(self, place: int) -> int:
        session = self._turn[place]
        following = session + self.job.connections
        self._turn[place] = following if following < self._count else place
        return session

    def start_counting(self) -> None:
        self._counting = True

    def _request(self, session: int, since: float) -> bytes:
        """Give a session's next request, or the first one of the session that takes its place."""
        kind = self._kind[session]
        if kind == TERMINATION:
            self._next_name += 1
            self._name[session] = self._next_name
            kind, number = INITIAL, 0
            self._left[session] = self.job.updates
        else:
            number = self._number[session] + 1
            left = self._left[session]
            if left:
                kind = UPDATE
                self._left[session] = left - 1
            else:
                kind = TERMINATION
        self._kind[session], self._number[session], self._since[session] = kind, number, since
        name = self._name[session]
        template = self._templates[name % len(self._templates)][kind]
        self._end_to_end = (self._end_to_end + 1) & 0xFFFF_FFFF
        message = patched(template, name, number, session, self._end_to_end)
        if self.job.is_hostile:
            # An unknown vendor's AVP without data, whose code was never seen: it is ignored, and the layout is new.
            message += _NOVELTY.pack(self._end_to_end, 0x8000_000C, 9)
            _WORD.pack_into(message, 0, 1 << 24 | len(message))
        return bytes(message)

    def _answered(self, session: int, answer: bytes, now: float) -> None:
        if not self._is_right(session, answer):
            self.result.errors += 1
            if len(self.result.faults) < 5:
                what = f"{KINDS[self._kind[session]]} {self._number[session]} of session {self._name[session]:x}"
                self.result.faults.append(f"{what}: {answer.hex()}")
        if self._counting:
            self.result.answers += 1
            self._latencies.append(now - self._since[session])

    def _is_right(self, session: int, answer: bytes) -> bool:
        """Hold an answer against what its kind must say: 2001, and a grant for each service that asked."""
        if answer[4] & 0xB0 or answer[5:8] != b"\x00\x01\x10":
            return False
        kind = self._kind[session]
        learnt = self._learnt.get((kind, len(answer)))
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
        services = self._templates[self._name[session] % len(self._templates)][kind].services
        right = len(results) == 1 and _RESULT.unpack_from(answer, results[0]) == (*_RESULT_HEAD, SUCCESS)
        right = right and len(found) == services and all(_GRANT.unpack_from(answer, place)[2] for place in found)
        if right:
            self._learnt[kind, len(answer)] = results[0], tuple(found)
        return right

    def _sum_up(self, wall: float) -> None:
        result, latencies = self.result, sorted(self._latencies)
        result.rate = result.answers / wall
        result.cpu_us = 1e6 * result.busy * wall / max(1, result.answers)
        if latencies:
            result.p50, result.p99, result.p999 = (
                1000 * latencies[min(len(latencies) - 1, int(len(latencies) * part))] for part in (0.5, 0.99, 0.999)
            )
            result.longest = 1000 * latencies[-1]


class _Clock:
    """Warm-up, then the time that counts, second by second."""

    def __init__(self, warm_seconds: float, seconds: float) -> None:
        now = time.perf_counter()
        self._counting_from, self._until = now + warm_seconds, now + warm_seconds + seconds
        self._cpu = 0.0
        self._counting = False
        self._second_ends = 0.0
        self._answers_before = 0

    def goes_on(self, load: _Load) -> bool:
        now = time.perf_counter()
        if not self._counting:
            if now >= self._counting_from:
                self._counting, self._counting_from, self._cpu = True, now, time.process_time()
                self._second_ends = now + 1
                load.start_counting()
        elif now >= self._second_ends:
            load.result.per_second.append(load.result.answers - self._answers_before)
            self._answers_before = load.result.answers
            self._second_ends += 1
        return now < self._until

    def wall(self, result: Result) -> float:
        wall = time.perf_counter() - self._counting_from
        result.busy = (time.process_time() - self._cpu) / wall
        return wall


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
