"""The load's own arithmetic: when requests leave, what an answer must hold, and how seconds are summed up."""

import struct
import subprocess
import sys
import time
from array import array

import pytest

from simulator.load import Job, Result, Template, patched
from simulator.load.clock import STOP_AFTER, Clock
from simulator.load.generator import INITIAL, TERMINATION
from simulator.load.process import Watch
from simulator.load.reading import Reader, result_of, watchdog_answer
from simulator.load.result import second
from simulator.load.schedule import Schedule

SCHEDULES = [Schedule(100), Schedule(50, 400, 3), Schedule(400, 50, 3), Schedule(80, 80, 2)]


def test_it_needs_neither_scapy_nor_the_server() -> None:
    code = "import sys, simulator.load.__main__; print([m for m in sys.modules if m.split('.')[0] in ('scapy', 'ocs')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_request_is_due_when_its_time_has_come(schedule: Schedule) -> None:
    times = [schedule.time_of(number) for number in range(1000)]
    assert times[0] == 0
    assert times == sorted(times)
    for number, at in enumerate(times):
        assert schedule.due(at + 1e-9) == number + 1
        assert schedule.due(max(0, at - 1e-6)) == max(1, number)


def test_a_ramp_goes_in_a_straight_line() -> None:
    schedule = Schedule(100, 500, 4)
    assert [schedule.rate_at(seconds) for seconds in (0, 1, 4, 9)] == [100, 200, 500, 500]
    assert schedule.due(4) - 1 == 1200
    assert schedule.due(5) - 1 == 1700
    with pytest.raises(ValueError, match="sends nothing"):
        Schedule(0)


def cca(code: int = 2001, granted: tuple[int, ...] = (1000,), flags: int = 0x40) -> bytes:
    body = struct.pack(">III", 268, 0x4000_000C, code)
    for octets in granted:
        unit = struct.pack(">IIQ", 421, 0x4000_0010, octets)
        grant = struct.pack(">II", 431, 0x4000_0000 | 8 + len(unit)) + unit
        body += struct.pack(">II", 456, 0x4000_0000 | 8 + len(grant)) + grant
    return struct.pack(">IIIII", 1 << 24 | 20 + len(body), flags << 24 | 272, 4, 7, 7) + body


@pytest.mark.parametrize("is_learnt", [False, True])
@pytest.mark.parametrize(
    ("answer", "services", "is_right"),
    [
        (cca(), 1, True),
        (cca(granted=(1, 2)), 2, True),
        (cca(granted=()), 0, True),
        (cca(granted=()), 1, False),
        (cca(granted=(1, 2)), 1, False),
        (cca(granted=(0,)), 1, False),
        (cca(code=4012), 1, False),
        (cca(flags=0x60), 1, False),
        (cca(flags=0xC0), 1, False),
        (cca(flags=0x50), 1, False),
    ],
)
def test_an_answer_is_right_or_not(answer: bytes, services: int, is_right: bool, is_learnt: bool) -> None:
    reader = Reader()
    if is_learnt:
        good = cca(granted=(5,) * services)
        assert reader.is_right(INITIAL, good, services)
        assert reader.is_known(INITIAL, good)
        assert reader.is_known(INITIAL, answer) == is_right
    assert not reader.is_known(TERMINATION, answer)
    assert reader.is_right(INITIAL, answer, services) == is_right
    assert reader.is_right(TERMINATION, answer, services) == is_right


def test_a_result_code_is_read_at_command_level_only() -> None:
    assert result_of(cca(5030)) == 5030
    inner = struct.pack(">III", 268, 0x4000_000C, 4012)
    body = struct.pack(">II", 456, 0x4000_0000 | 8 + len(inner)) + inner
    assert result_of(bytes(20) + body) == 0


def test_a_watchdog_is_answered_by_name() -> None:
    host, realm = (struct.pack(">II", code, 0x4000_000C) + b"abcd" for code in (264, 296))
    dwa = watchdog_answer(
        bytes([1, 0, 0, 20, 0x80, 0, 1, 24]) + b"\0" * 4 + b"hop." + b"end.", bytes(20) + host + realm
    )
    assert dwa[:20] == bytes([1, 0, 0, 56, 0, 0, 1, 24]) + b"\0" * 4 + b"hop." + b"end."
    assert result_of(dwa) == 2001
    assert dwa.endswith(host + realm)


def test_a_request_is_patched_where_its_marks_were() -> None:
    template = Template(bytes(100), session=20, subscriber=40, number=60, services=1)
    message = patched(template, 0xAB, 3, 5, 6)
    assert message[12:20] == struct.pack(">II", 5, 6)
    assert message[20:36] == b"00000000000000ab"
    assert message[40:49].isdigit()
    assert message[60:64] == struct.pack(">I", 3)
    assert not any(message[64:])


def test_a_job_survives_its_way_as_json() -> None:
    job = Job(port=1, capabilities=[b"\x01\xff"], templates=[{"initial": Template(b"\0", 0, 0, 0, 1)}], rate_to=5)
    assert Job.from_json(job.to_json()) == job


def test_a_second_is_summed_up() -> None:
    one = second(4, [0.001] * 98 + [0.5, 0.002], errors=2)
    assert (one.at, one.answers, one.errors, one.p50, one.longest) == (4, 100, 2, 1, 500)
    assert one.p99 == 500
    assert second(0, [], 0).answers == 0


def test_a_stress_ends_after_slow_seconds_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    clock, result, latencies = Clock(0, 100, stop_p99_ms=10), Result(), array("d")
    went_on = []
    for slow in (False, True, True, False, True, True, True):
        went_on.append(clock.goes_on(result, latencies))
        latencies.extend([0.05 if slow else 0.001] * 20)
        now += 1.0
    went_on.append(clock.goes_on(result, latencies))
    assert went_on == [True] * 7 + [False]
    clock.sum_up(result, latencies)
    assert result.per_second == [20] * 7
    assert [one.p99 > 10 for one in result.seconds] == [False, True, True, False, True, True, True]
    assert str(STOP_AFTER) in result.faults[0]


def test_a_process_is_watched() -> None:
    with pytest.raises(ProcessLookupError):
        Watch(2**22 + 1)
