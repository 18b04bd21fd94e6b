"""The load itself: which session sends when, and what its answers were."""

import select
import time
from array import array
from collections import Counter, deque
from typing import Final

from simulator.load.clock import Clock
from simulator.load.connection import Connection
from simulator.load.job import Job
from simulator.load.patching import WORD, make_new, patched
from simulator.load.reading import Reader, result_of
from simulator.load.result import Result
from simulator.load.schedule import Schedule

STALL_SECONDS: Final = 10.0
LATE_SECONDS: Final = 0.001
FAULTS_SHOWN: Final = 5

KINDS: Final = ("initial", "update", "termination")
INITIAL, UPDATE, TERMINATION = range(3)
_NOBODY: Final = -1


class Load:
    """The sessions, each a row of a few arrays: a million of them fit."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.result = Result()
        self._under_way = job.connections * job.outstanding
        self._count = job.sessions or self._under_way
        if self._count % job.connections or self._count < self._under_way:
            raise ValueError(f"{self._count} sessions cannot be spread over {job.connections} x {job.outstanding}")
        self._templates = [tuple(each[kind] for kind in KINDS) for each in job.templates]
        self._kind = array("B", bytes([TERMINATION])) * self._count  # of the request sent last
        self._number = array("I", bytes(4 * self._count))
        self._left = array("B", bytes(self._count))
        self._name = array("Q", bytes(8 * self._count))
        self._since = array("d", bytes(8 * self._count))  # when it left; 0 once it has its answer
        self._next_name = job.first_session
        self._turn = list(range(job.connections))  # the session whose turn is next, for each connection
        self._latencies = array("d")
        self._reports: Counter[int] = Counter()
        self._refused: Counter[int] = Counter()  # reports of a session, by its name, that were not taken
        self._end_to_end = 0
        self._reader = Reader()
        self._is_known = self._reader.is_known
        self._clock = Clock(0, 0)
        self._poll = select.epoll()
        self._connections = [Connection(job.host, job.port, each) for each in job.capabilities[: job.connections]]
        self._by_descriptor = {each.socket.fileno(): place for place, each in enumerate(self._connections)}
        for each in self._connections:
            self._poll.register(each.socket, select.EPOLLIN)

    def run(self) -> Result:
        job, result = self.job, self.result
        if job.sessions:
            began = time.perf_counter()
            self._open_all()
            result.opening_rate = self._count / (time.perf_counter() - began)
        self._clock = Clock(job.warm_seconds, job.seconds, job.stop_p99_ms, tells=job.tells)
        if job.rate:
            self._by_schedule(Schedule(job.rate, job.rate_to, job.ramp_seconds))
        else:
            self._closed_loop()
        self._clock.sum_up(result, self._latencies)
        result.take_latencies(self._latencies)
        self._clock.is_counting = False
        if job.is_drained:
            self._drain()
        for each in self._connections:
            each.socket.close()
        return result

    def _open_all(self) -> None:
        """Open every session, then spread how far each one is, so that all kinds of request come from the start."""
        for session in self._window(list(range(self._count))):
            self._left[session] = session % (self.job.updates + 1)

    def _drain(self) -> None:
        """Take the answers under way, end every session, and count what each of them reported."""
        while any(self._since) and self._answers() is not None:
            pass
        for _ in self._window([session for session in range(self._count) if self._kind[session] != TERMINATION]):
            pass
        self.result.unanswered = self._count - self._since.count(0.0)
        self.result.reports = dict(self._reports)

    def _window(self, sessions: list[int]) -> list[int]:
        """Send the next request of each of these, as many at a time as may be under way; give those answered."""
        to_send = iter(sessions)
        done: list[int] = []

        def some(count: int) -> None:
            batches: list[list[bytes]] = [[] for _ in self._connections]
            for _ in range(count):
                session = next(to_send, _NOBODY)
                if session == _NOBODY:
                    break
                self._left[session] = 0
                batches[session % self.job.connections].append(self._request(session, time.perf_counter()))
            for connection, batch in zip(self._connections, batches, strict=True):
                if batch:
                    connection.send(batch)

        some(self._under_way)
        while len(done) < len(sessions):
            came = self._answers()
            if came is None:
                break
            done += came
            some(len(came))
        return done

    def _answers(self, wait_seconds: float = STALL_SECONDS) -> list[int] | None:
        """Wait for answers and take them; gives their sessions, None after a stall."""
        ready = self._poll.poll(wait_seconds)
        if not ready and wait_seconds == STALL_SECONDS:
            self.result.faults.append(f"no answer for {STALL_SECONDS:g} s")
            return None
        now = time.perf_counter()
        came: list[int] = []
        for descriptor, _ in ready:
            connection = self._connections[self._by_descriptor[descriptor]]
            for answer in connection.receive():
                session = WORD.unpack_from(answer, 12)[0]
                self._answered(session, answer, now)
                came.append(session)
            if connection.unsent:
                connection.send([])
        return came

    def _closed_loop(self) -> None:
        job = self.job
        connections = self._connections
        for place, connection in enumerate(connections):
            now = time.perf_counter()
            connection.send([self._request(self._next_turn(place), now) for _ in range(job.outstanding)])
        stays = not job.sessions  # a session goes on itself, else the next one whose turn it is
        while self._clock.goes_on(self.result, self._latencies):
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
                    session = WORD.unpack_from(answer, 12)[0]
                    self._answered(session, answer, now)
                    requests.append(self._request(session if stays else self._next_turn(place), now))
                connection.send(requests)

    def _by_schedule(self, schedule: Schedule) -> None:
        job = self.job
        idle = [deque(range(place, self._count, job.connections)) for place in range(job.connections)]
        began, sent = time.perf_counter(), 0
        while self._clock.goes_on(self.result, self._latencies):
            now = time.perf_counter()
            due = schedule.due(now - began)
            batches: list[list[bytes]] = [[] for _ in self._connections]
            while sent < due:
                scheduled = began + schedule.time_of(sent)
                place = sent % job.connections
                session = idle[place].popleft() if idle[place] else _NOBODY  # a gateway has one under way for each
                sent += 1
                if self._clock.is_counting and now - scheduled > LATE_SECONDS:
                    self.result.late_sends += 1
                if session == _NOBODY:
                    self.result.crowded += 1
                else:
                    batches[place].append(self._request(session, scheduled))
            for connection, batch in zip(self._connections, batches, strict=True):
                if batch:
                    connection.send(batch)
            for session in self._answers(max(0.0, began + schedule.time_of(sent) - time.perf_counter())) or ():
                idle[session % job.connections].append(session)

    def _next_turn(self, place: int) -> int:
        session = self._turn[place]
        following = session + self.job.connections
        self._turn[place] = following if following < self._count else place
        return session

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
            make_new(message, self._end_to_end)
        return bytes(message)

    def _answered(self, session: int, answer: bytes, now: float) -> None:
        kind, name = self._kind[session], self._name[session]
        since, self._since[session] = self._since[session], 0.0
        if not self._is_known(kind, answer):
            self._look(session, kind, answer)
        if kind == TERMINATION:
            # Every update and the termination report once; its number says how many went before.
            self._reports[self._number[session] - self._refused.pop(name, 0)] += 1
        if self._clock.is_counting:
            self.result.answers += 1
            self._latencies.append(now - since)

    def _look(self, session: int, kind: int, answer: bytes) -> None:
        """Hold an answer whose layout is new against what it must hold, and count it where it is wrong."""
        services = self._templates[self._name[session] % len(self._templates)][kind].services
        if self._reader.is_right(kind, answer, services):
            return
        result = self.result
        result.errors += 1
        if kind == INITIAL:
            self._kind[session] = TERMINATION  # it never began: what comes next is a session of another name
        else:
            self._refused[self._name[session]] += 1
        if len(result.faults) < FAULTS_SHOWN:
            what = f"{KINDS[kind]} {self._number[session]} of session {self._name[session]:x}"
            result.faults.append(f"{what}: {result_of(answer)}, {answer.hex()}")
