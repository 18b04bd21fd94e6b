"""Three times what the server can take, by a schedule that no answer holds up: row 45."""

import threading
import time
from pathlib import Path

import pytest

from faults.aftermath import conserved, counted, finished, size, told, wait_for
from faults.load import Load
from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, TERMINATION, Gateway, ccr, mscc

pytestmark = pytest.mark.live

GATEWAYS, SERVICES, UNDER_WAY = 4, 10, 128
TIMES, SECONDS, TRIES = 3, 3.0, 3
LATE_SECONDS = 1.0
RECOVERY_SECONDS = 5.0
GRANT = 10_000_000


class Quiet(threading.Thread):
    """A gateway that asks for little, one thing after another."""

    def __init__(self, server: OcsServer) -> None:
        super().__init__()
        self.over = threading.Event()
        self.delays: list[float] = []
        self.sessions = self.refused = 0
        self._gateway = Gateway(server.gy_port, host="quiet.visited.example").open()

    def run(self) -> None:
        number = 0
        while not self.over.wait(0.02):
            self.session(number)
            number += 1
        self._gateway.socket.close()

    def session(self, number: int) -> None:
        for kind in (INITIAL, TERMINATION):
            began = time.monotonic()
            parts = mscc(1, used=None if kind == INITIAL else 10, asked=kind == INITIAL)
            session = f"{self._gateway.host};45;{number}"
            answer = self._gateway.ask(CCR, ccr(self._gateway, session, kind, kind, parts))
            self.delays.append(time.monotonic() - began)
            if answer.result_code == 3004 and kind == INITIAL:
                self.refused += 1
                return
            assert answer.result_code == 2001
        self.sessions += 1


@pytest.mark.fault(45)
def test_what_is_too_much_is_refused_early_and_nothing_is_late(tmp_path: Path) -> None:
    with finished(OcsServer(tmp_path)) as server:
        server.add_operator(credit=10**15)
        load, quiet = Load(server, gateways=GATEWAYS, services=SERVICES), Quiet(server)
        before = size(server)
        quiet.start()
        capacity = load.capacity(1.0, UNDER_WAY)
        for _ in range(TRIES):
            outcome = load.run(TIMES * capacity, SECONDS, patience_seconds=RECOVERY_SECONDS)
            if outcome.codes[3004]:
                break
            # Somebody else had the machine while its capacity was measured: now it has shown a larger one.
            capacity = outcome.sent / outcome.seconds
        late = LATE_SECONDS + outcome.lag_seconds  # what the generator sent late cannot be answered in time

        # Each is answered, and none late; most of what is too much is refused, and much is served all the same.
        assert outcome.unanswered == 0
        assert set(outcome.codes) == {2001, 3004}
        assert outcome.slowest < late
        assert outcome.codes[3004] > outcome.sent / 10
        assert outcome.codes[2001] > outcome.sent / 30
        assert counted(server, "ocs_late_answers_total") == 0

        # Well again, at once.
        again = load.run(capacity / 10, 1.0, patience_seconds=RECOVERY_SECONDS)
        assert again.unanswered == 0
        assert again.codes[2001] > 0.9 * again.sent
        assert again.slowest < RECOVERY_SECONDS

        # Another peer, which asks for little, is served as ever.
        quiet.over.set()
        quiet.join(10)
        assert quiet.refused <= quiet.sessions / 10
        assert max(quiet.delays) < late

        # The refused left nothing; the served hold what they were granted.
        assert counted(server, "ocs_shed_total") == load.answered[3004] + quiet.refused
        assert told(server, "overload")
        load.close()
        server.wait_caught_up()
        balance = conserved(server)
        assert balance["reserved"] == load.answered[2001] * SERVICES * GRANT
        assert balance["consumed"] == quiet.sessions * 10
        wait_for("no connection is left", lambda: counted(server, "ocs_connections") == 0)
        assert size(server).descriptors <= before.descriptors
