"""Requests by a schedule that no answer holds up, and how long each answer took.

For overload: a closed loop would slow down with the server and see nothing.
"""

import select
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, Gateway, ccr, message, mscc

SESSION_MARK = b"@" * 12
RESULT_HEAD = struct.pack(">II", 268, 0x4000000C)
_IDS = struct.Struct(">II")
_WORD = struct.Struct(">I")


@dataclass
class Outcome:
    """What came of a run; seconds count from the time at which a request was due.

    Attributes:
        delays: by Result-Code, seconds until each answer.
        unanswered: requests without an answer when the run was given up.
        lag_seconds: how late the generator itself ever was, for which no server can help.
    """

    sent: int = 0
    seconds: float = 0.0
    delays: dict[int, list[float]] = field(default_factory=dict)
    unanswered: int = 0
    lag_seconds: float = 0.0

    @property
    def codes(self) -> Counter[int]:
        return Counter({code: len(delays) for code, delays in self.delays.items()})

    @property
    def slowest(self) -> float:
        return max((max(delays) for delays in self.delays.values()), default=0.0)


class Load:
    """Some gateways that open sessions, each request one of its own with many services."""

    def __init__(self, server: OcsServer, *, gateways: int, services: int) -> None:
        self._gateways = [Gateway(server.gy_port, host=f"load{place}.example").open() for place in range(gateways)]
        self._unsent = [b""] * gateways
        self._received = [bytearray() for _ in range(gateways)]
        self._due: dict[int, float] = {}
        self.answered: Counter[int] = Counter()  # all of them, by Result-Code
        self._numbers = count(1)
        self._parts = []
        for gateway in self._gateways:
            parts = [mscc(number) for number in range(services)]
            whole = message(
                0xC0, CCR, 4, 0, 0, ccr(gateway, f"{gateway.host};{SESSION_MARK.decode()}", INITIAL, 0, *parts)
            )
            self._parts.append(whole.partition(SESSION_MARK))
            gateway.socket.setblocking(False)
        self._poll = select.poll()
        self._by_descriptor = {each.socket.fileno(): place for place, each in enumerate(self._gateways)}
        for descriptor in self._by_descriptor:
            self._poll.register(descriptor, select.POLLIN)

    def close(self) -> None:
        for gateway in self._gateways:
            gateway.socket.close()

    def capacity(self, seconds: float, under_way: int) -> float:
        """Measure requests a second, with so many under way on each connection."""
        answered, began = 0, time.monotonic()
        for place in range(len(self._gateways)):
            self._send(place, [time.monotonic()] * under_way)
        while (now := time.monotonic()) < began + seconds:
            for place, codes in self._answers(1.0):
                answered += len(codes)
                self._send(place, [now] * len(codes))
        rate = answered / (time.monotonic() - began)
        self._drain(Outcome(), 5.0)
        return rate

    def run(self, rate: float, seconds: float, patience_seconds: float) -> Outcome:
        """Send so many requests a second, whatever comes back; then wait for what is still to come."""
        outcome = Outcome()
        began = time.monotonic()
        total = int(rate * seconds)
        while outcome.sent < total:
            now = time.monotonic()
            due = min(total, int((now - began) * rate) + 1)
            times: list[list[float]] = [[] for _ in self._gateways]
            for number in range(outcome.sent, due):
                times[number % len(times)].append(began + number / rate)
            outcome.lag_seconds = max(outcome.lag_seconds, now - (began + outcome.sent / rate))
            outcome.sent = due
            for place, each in enumerate(times):
                self._send(place, each)
            self._note(outcome, max(0.0, began + outcome.sent / rate - time.monotonic()))
        outcome.seconds = time.monotonic() - began
        self._drain(outcome, patience_seconds)
        outcome.unanswered = len(self._due)
        self._due.clear()
        return outcome

    def _drain(self, outcome: Outcome, patience_seconds: float) -> None:
        until = time.monotonic() + patience_seconds
        while self._due and time.monotonic() < until:
            self._note(outcome, 0.05)

    def _note(self, outcome: Outcome, wait_seconds: float) -> None:
        for _, codes in self._answers(wait_seconds):
            for code, delay in codes:
                outcome.delays.setdefault(code, []).append(delay)

    def _send(self, place: int, due: list[float]) -> None:
        before, _, behind = self._parts[place]
        parts = [self._unsent[place]]
        for at in due:
            number = next(self._numbers)
            self._due[number] = at
            ids = _IDS.pack(number, number)
            parts += (before[:12], ids, before[20:], b"%012d" % number, behind)
        data = b"".join(parts)
        try:
            sent = self._gateways[place].socket.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        self._unsent[place] = data[sent:]

    def _answers(self, wait_seconds: float) -> Iterator[tuple[int, list[tuple[int, float]]]]:
        for descriptor, _ in self._poll.poll(1000 * wait_seconds):
            place = self._by_descriptor[descriptor]
            yield place, self._read(place)
        for place, unsent in enumerate(self._unsent):
            if unsent:
                self._send(place, [])

    def _read(self, place: int) -> list[tuple[int, float]]:
        data = self._gateways[place].socket.recv(1 << 18)
        assert data, "the server closed the connection"
        buffer = self._received[place]
        buffer += data
        now, start, found = time.monotonic(), 0, []
        while len(buffer) - start >= 20:
            length = _WORD.unpack_from(buffer, start)[0] & 0xFFFFFF
            if len(buffer) - start < length:
                break
            number = _WORD.unpack_from(buffer, start + 12)[0]
            if not buffer[start + 4] & 0x80:  # a DWR can wait: there is traffic enough
                head = buffer.index(RESULT_HEAD, start, start + length)
                found.append((_WORD.unpack_from(buffer, head + 8)[0], now - self._due.pop(number)))
            start += length
        del buffer[:start]
        self.answered.update(code for code, _ in found)
        return found
