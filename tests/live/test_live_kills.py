"""Kill -9 of core, follower and both under load: no answered request is lost, and none is charged twice.

Gateways send one request after the other; where a connection breaks they connect again and resend what was not
answered with the T bit, as RFC 6733 section 5.5.4 wants it.  At the end the balance must hold just what they reported.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, Message, ccr, mscc, services

pytestmark = pytest.mark.live

KILLS = int(os.environ.get("KILLS", "20"))
GATEWAYS = 3
ANSWER_SECONDS = 20.0


class Load(threading.Thread):
    """One gateway that runs session after session, until it is told to end."""

    def __init__(self, server: OcsServer, number: int) -> None:
        super().__init__()
        self.server = server
        self.host = f"sgw{number}.visited.example"
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

    def _ask(self, session_id: str, kind: int, number: int, parts: list[bytes], used: int = 0) -> Message:
        until = time.monotonic() + ANSWER_SECONDS
        flags = 0xC0
        while True:
            try:
                if self._gateway is None:
                    self._gateway = Gateway(self.server.gy_port, host=self.host, timeout=3).open()
                avps = ccr(self._gateway, session_id, kind, number, *parts)
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
            assert answer.result_code == 2001, (session_id, kind, number, answer)
            self.answered += 1
            self.reported += used
            if self.rng.random() < 0.05:
                self.kept.append((avps, answer))
            return answer


def kill_core(server: OcsServer) -> None:
    server.kill()
    server.start(ready=False)
    server.wait_gy()


def kill_follower(server: OcsServer) -> None:
    os.kill(server.follower(), signal.SIGKILL)


def kill_both(server: OcsServer) -> None:
    follower = server.follower()
    assert server.process is not None
    server.process.kill()
    os.kill(follower, signal.SIGKILL)
    server.process.wait(20)
    server.start(ready=False)
    server.wait_gy()


@pytest.mark.parametrize("kill", [kill_core, kill_follower, kill_both])
def test_nothing_is_lost_and_nothing_charged_twice(tmp_path: Path, kill: Callable[[OcsServer], None]) -> None:
    # Snapshots and archive come often, so that kills hit them too.
    settings = {"journal": {"snapshot_every_records": 1000, "snapshot_every_seconds": 1}}
    with OcsServer(tmp_path, settings) as server:
        server.add_operator(credit=10**15)
        loads = [Load(server, number) for number in range(GATEWAYS)]
        for load in loads:
            load.start()
        rng = random.Random(kill.__name__)
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.1, 0.6))
            kill(server)
        for load in loads:
            load.stopping.set()
        for load in loads:
            load.join(60)
        assert [load.fault for load in loads] == [""] * GATEWAYS
        assert sum(load.answered for load in loads) > 20 * KILLS, "there was load"
        if kill is not kill_follower:
            assert sum(load.resent for load in loads) >= KILLS, "the kills were felt"
        server.wait_ready()
        server.wait_caught_up()
        balance = server.balance()
        assert balance["consumed"] == sum(load.reported for load in loads)
        assert (balance["reserved"], balance["overrun"]) == (0, 0)
        # What was answered before a kill is answered so after it, too.
        with Gateway(server.gy_port).open() as gateway:
            for load in loads:
                for avps, answer in load.kept[-30:]:
                    assert gateway.ask(CCR, avps, flags=0xD0).avps == answer.avps
        assert server.balance() == balance
        assert server.stop() == 0, server.tail()
        found = server.verify()
        assert found
