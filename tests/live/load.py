"""Gateways and an administrator that keep a server busy, whatever befalls it.

Gateways send one request after the other; where a connection breaks they connect again and resend what was not
answered with the T bit, as RFC 6733 section 5.5.4 wants it.  At the end the balance must hold just what they reported.
"""

import os
import random
import threading
import time

import httpx

from live.ocs_server import TOKEN, OcsServer
from live.wire import CCR, EVENT, INITIAL, TERMINATION, UPDATE, Gateway, Message, avp, ccr, mscc, services

ANSWER_SECONDS = 20.0


class Load(threading.Thread):
    """One gateway that runs session after session, until it is told to end; with `events` each is followed by one.

    Attributes:
        allowed: Result-Codes that its CCRs may get.
    """

    def __init__(self, server: OcsServer, number: int, *, events: bool = False) -> None:
        super().__init__()
        self.server = server
        self.events = events
        self.host = f"sgw{number}.visited.example"
        self.allowed = {2001}
        self.rng = random.Random(number)
        self.stopping = threading.Event()
        self.reported = 0
        self.answered = 0
        self.resent = 0
        self.kept: list[tuple[list[bytes], Message]] = []
        self.fault = ""
        self._gateway: Gateway | None = None

    def run(self) -> None:
        try:
            session = 0
            while not self.stopping.is_set():
                session += 1
                self._session(f"{self.host};{os.getpid()};{session}")
        except Exception as error:  # told to the test, which fails with it
            self.fault = repr(error)
        finally:
            if self._gateway is not None:
                self._gateway.socket.close()

    def _session(self, session_id: str) -> None:
        first = self._ask(session_id, INITIAL, 0, [mscc(1), mscc(2)])
        assert [one.result_code for one in services(first)] == [2001, 2001]
        updates = self.rng.randrange(1, 12)
        for number in range(1, updates + 1):
            group, used = self.rng.choice((1, 2)), self.rng.randrange(1, 5000)
            answer = self._ask(session_id, UPDATE, number, [mscc(group, used=used)], used)
            assert services(answer)[0].result_code == 2001
        used = self.rng.randrange(1, 5000)
        self._ask(session_id, TERMINATION, updates + 1, [mscc(1, used=used, asked=False)], used)
        if self.events:
            used = self.rng.randrange(1, 5000)
            self._ask(f"{session_id};event", EVENT, 0, [mscc(1, asked=used)], used)

    def _ask(self, session_id: str, kind: int, number: int, parts: list[bytes], used: int = 0) -> Message:
        until = time.monotonic() + ANSWER_SECONDS
        flags = 0xC0
        while True:
            try:
                if self._gateway is None:
                    self._gateway = Gateway(self.server.gy_port, host=self.host, timeout=3)
                    self._gateway.open()
                more = [avp(436, 0)] if kind == EVENT else []  # Requested-Action DIRECT_DEBITING
                avps = ccr(self._gateway, session_id, kind, number, *parts, more=more)
                answer = self._gateway.ask(CCR, avps, flags=flags)
                if answer.result_code == 3004:  # the journal's reader is not up yet: come again
                    raise ConnectionError("too busy")
            except OSError:
                assert time.monotonic() < until, f"no answer in {ANSWER_SECONDS} s"
                if self._gateway is not None:
                    self._gateway.socket.close()
                self._gateway = None
                flags = 0xD0
                self.resent += 1
                time.sleep(0.02)
                continue
            assert answer.result_code in self.allowed, (session_id, kind, number, answer)
            self.answered += 1
            self.reported += used
            if self.rng.random() < 0.05:
                self.kept.append((avps, answer))
            return answer


class TopUps(threading.Thread):
    """An administrator who tops `home` up again and again, and repeats what got no answer."""

    def __init__(self, server: OcsServer) -> None:
        super().__init__()
        self.server = server
        self.stopping = threading.Event()
        self.amount = 0
        self.repeated = 0
        self.fault = ""

    def run(self) -> None:
        number = 0
        try:
            while not self.stopping.wait(0.02):
                number += 1
                self._top_up(number)
        except Exception as error:  # told to the test, which fails with it
            self.fault = repr(error)

    def _top_up(self, number: int) -> None:
        until = time.monotonic() + ANSWER_SECONDS
        key = f"load-{number}"
        while True:
            try:
                with httpx.Client(base_url=self.server.api.base_url, timeout=3) as client:
                    answer = client.post(
                        "/api/v1/operators/home/top-ups",
                        json={"amount": str(number), "reference": key},
                        headers={"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key},
                    )
                if answer.status_code == 201:
                    self.amount += number
                    return
                assert answer.status_code == 503, answer.text
            except httpx.TransportError:
                pass
            assert time.monotonic() < until, f"no answer in {ANSWER_SECONDS} s"
            self.repeated += 1
            time.sleep(0.05)
