"""Somebody sets the machine's clock while a real server runs, and before it starts: row 55."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from faults.injecting import END_SECONDS, FaultyServer, money_is_whole, stops_clean, wait_for
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, ccr, mscc
from ocs.shell.store.journal import JournalReader
from ocs.units import GroupIndex

pytestmark = pytest.mark.live

CREDIT = 10**12
HOUR, DAY = 3600, 86400


def to_the_last_seconds_of_a_year() -> int:
    now = time.time()
    end = datetime(datetime.now(UTC).year + 1, 1, 1, tzinfo=UTC).timestamp()
    return int(end - now) - 2


def is_open(server: FaultyServer, session: str) -> bool:
    return bool(server.session(session)["state"] == "open")


@pytest.mark.fault(55)
def test_a_clock_that_is_set(tmp_path: Path) -> None:
    with FaultyServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        number = 0
        with Gateway(server.gy_port).open() as gateway:
            assert gateway.ask(CCR, ccr(gateway, "c;1", INITIAL, 0, mscc(1))).result_code == 2001
            # While it runs.
            for turn, clock in enumerate((HOUR, -DAY, DAY), 1):
                server.turn_clock(clock)
                wait_for(lambda turn=turn: len(jumps_told(server)) == turn)
                told = jumps_told(server)[-1]
                assert abs(told["drift_seconds"] - clock) < 5
                assert told["level"] == "warning"
                number += 1
                assert gateway.ask(CCR, ccr(gateway, "c;1", UPDATE, number, mscc(1, used=5))).result_code == 2001
                assert is_open(server, "c;1")
            assert abs(drift_metric(server) - DAY) < 5
        # A start takes the clock as it stands, a day ahead; and then no time before that of the journal.
        for clock, drift in ((DAY, 0), (-HOUR, -DAY - HOUR)):
            server.turn_clock(clock)
            told_before = len(jumps_told(server))
            assert server.stop() == 0
            server.again()
            if drift:
                wait_for(lambda before=told_before: len(jumps_told(server)) > before)
                assert abs(jumps_told(server)[-1]["drift_seconds"] - drift) < 120
            with Gateway(server.gy_port).open() as gateway:
                assert is_open(server, "c;1"), "an outage, and this looks like one, ends nobody's session"
                repeated = ccr(gateway, "c;1", UPDATE, number, mscc(1, used=5))
                assert gateway.ask(CCR, repeated, flags=0xD0).result_code == 2001
                number += 1
                assert gateway.ask(CCR, ccr(gateway, "c;1", UPDATE, number, mscc(1, used=5))).result_code == 2001
                assert is_open(server, "c;1")
        with Gateway(server.gy_port).open() as gateway:
            last = gateway.ask(CCR, ccr(gateway, "c;1", TERMINATION, number + 1, mscc(1, used=3, asked=False)))
            assert last.result_code == 2001
        money_is_whole(server, credited=CREDIT, consumed=5 * number + 3)
        time_never_goes_back(server)
        stops_clean(server)


@pytest.mark.fault(55)
def test_over_the_end_of_a_year(tmp_path: Path) -> None:
    server = FaultyServer(tmp_path)
    server.turn_clock(to_the_last_seconds_of_a_year())
    with server:
        server.add_operator(credit=CREDIT)
        year = datetime.now(UTC).year + 1
        with Gateway(server.gy_port).open() as gateway:
            assert gateway.ask(CCR, ccr(gateway, "y;1", INITIAL, 0, mscc(1))).result_code == 2001
            number = 0
            until = time.monotonic() + END_SECONDS
            while not server.session("y;1")["last_at"].startswith(f"{year}-01-01T00:00:"):
                assert time.monotonic() < until
                number += 1
                answer = gateway.ask(CCR, ccr(gateway, "y;1", UPDATE, number, mscc(1, used=1)))
                assert answer.result_code == 2001
                time.sleep(0.1)
            last = gateway.ask(CCR, ccr(gateway, "y;1", TERMINATION, number + 1, mscc(1, used=1, asked=False)))
            assert last.result_code == 2001
        assert jumps_told(server) == [], "nobody has set it"
        money_is_whole(server, credited=CREDIT, consumed=number + 1)
        time_never_goes_back(server)
        stops_clean(server)


def drift_metric(server: FaultyServer) -> float:
    lines = server.api.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("ocs_clock_drift_seconds "))


def jumps_told(server: FaultyServer) -> list[dict[str, Any]]:
    lines = [line for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in map(json.loads, lines) if line["event"] == "clock_jump"]


def time_never_goes_back(server: FaultyServer) -> None:
    reader = JournalReader.open(server.data / "journal.sqlite")
    times = [group.at for group in reader.read(GroupIndex(0), 10_000, 10**8)]
    reader.close()
    assert len(times) > 3
    assert times == sorted(times)
