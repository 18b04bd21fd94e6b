"""The server as a process: how it stops, what it logs, and why it does not start."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from live.ocs_server import OcsServer
from live.wire import CCR, DPR, INITIAL, TERMINATION, UPDATE, Gateway, ccr, mscc, services
from real_time import needs_real_time, write_class

pytestmark = pytest.mark.live

SUBSCRIBER = "001017654321098"


@pytest.mark.fault(54)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_goodbye_answers_what_is_in_flight_and_ends_with_0(server: OcsServer, number: signal.Signals) -> None:
    server.add_operator(credit=10**9)
    assert server.process is not None
    with Gateway(server.gy_port).open() as gateway:
        gateway.ask(CCR, ccr(gateway, "bye;1", INITIAL, 0, mscc(1)))
        asked = [gateway.send(CCR, ccr(gateway, "bye;1", UPDATE, n, mscc(1, used=n))) for n in range(1, 30)]
        assert gateway.answer(asked[0]).result_code == 2001
        if number == signal.SIGINT:
            os.killpg(server.process.pid, number)  # as a terminal sends it: to the whole foreground job
        else:
            server.process.send_signal(number)
        codes = [2001] + [gateway.answer(one).result_code for one in asked[1:]]
        assert set(codes) <= {2001, 3004}, "each is served, or told to go elsewhere"
        goodbye = gateway.request()
        assert (goodbye.command, goodbye.avps.one(273).number) == (DPR, 0)
        gateway.reply(goodbye, 2001)
        assert gateway.closed()
    began = time.monotonic()
    assert server.process.wait(15) == 0, server.tail()
    assert time.monotonic() - began < 8
    assert "Traceback" not in server.tail()
    with pytest.raises(ConnectionError):
        Gateway(server.gy_port)
    server.start()
    assert server.balance()["consumed"] == sum(n for n, code in enumerate(codes, 1) if code == 2001)
    server.stop()
    assert server.verify()["books_index"] == server.verify()["last"], "the books were finished"


@pytest.mark.fault(54)
def test_a_peer_that_ignores_the_goodbye_holds_nobody_up_for_long(server: OcsServer) -> None:
    with Gateway(server.gy_port).open():
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15


@pytest.mark.parametrize("full", [False, True])
def test_its_log_is_json_and_hides_subscribers(tmp_path: Path, full: bool) -> None:
    session = f"sgw;1;2;IMSI{SUBSCRIBER}"
    with OcsServer(tmp_path, {"logging": {"full_imsi": full}}) as server:
        server.add_operator(credit=10)
        with Gateway(server.gy_port).open() as gateway:
            gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1), imsi=SUBSCRIBER))
            gateway.ask(CCR, ccr(gateway, session, UPDATE, 1, mscc(1, used=99), imsi=SUBSCRIBER))
            gateway.ask(CCR, ccr(gateway, session, UPDATE, 1, mscc(1, used=98), imsi=SUBSCRIBER))
            gateway.ask(CCR, ccr(gateway, session, 5, 2, imsi=SUBSCRIBER))
        server.stop()
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    events = {line["event"] for line in lines}
    assert {"serving", "peer open", "use to look at", "request in conflict", "request refused", "stopped"} <= events
    for line in lines:
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"])
        assert line["level"] in ("info", "warning", "error")
    told = json.dumps(lines)
    assert (SUBSCRIBER in told) == full
    assert ("001017******98" in told) == (not full), "the session can still be found"


def test_metrics_name_no_subscriber(server: OcsServer) -> None:
    server.add_operator(credit=10**9)
    with Gateway(server.gy_port).open() as gateway:
        gateway.ask(CCR, ccr(gateway, f"m;IMSI{SUBSCRIBER}", INITIAL, 0, mscc(1), imsi=SUBSCRIBER))
        gateway.ask(CCR, ccr(gateway, f"m;IMSI{SUBSCRIBER}", INITIAL, 0, mscc(1), imsi=SUBSCRIBER), flags=0xD0)
        gateway.ask(CCR, ccr(gateway, f"m;IMSI{SUBSCRIBER}", TERMINATION, 1, mscc(1, used=7, asked=False)))
    text = server.api.get("/metrics").text
    assert SUBSCRIBER not in text
    assert 'ocs_ccr_answers_total{peer="sgw.visited.example",result_code="2001",type="initial"} 2.0' in text
    assert "ocs_repeats_total 1.0" in text
    assert "ocs_used_bytes_total 7.0" in text
    assert "ocs_ccr_latency_seconds_count 3.0" in text
    assert 'ocs_operator_consumed_credits{operator="home"} 7.0' in text


def failing(server: OcsServer) -> tuple[int, str]:
    server.start(ready=False)
    assert server.process is not None
    return server.process.wait(20), server.tail()


@pytest.mark.fault(54)
def test_why_it_does_not_start(tmp_path: Path) -> None:
    server = OcsServer(tmp_path)
    server.data.mkdir(mode=0o755)
    assert failing(server) == (
        3,
        f"ocs: data folder {server.data} is open to other users; close it with: chmod 700 {server.data}",
    )
    server.data.chmod(0o700)
    with socket.create_server(("127.0.0.1", server.gy_port)):
        code, told = failing(server)
    assert code == 3
    assert f"gy.listen: 127.0.0.1:{server.gy_port} cannot be opened" in told
    server.config.write_text(f"data: {server.data}\nprocessors: {{core: [8191]}}\n")
    code, told = failing(server)
    assert code == 3
    assert "processors.core names CPU 8191, and this process may use" in told
    server.config.write_text("gy: {lisen: 1}")
    code, told = failing(server)
    assert code == 3
    assert told.endswith("there is no key gy.lisen; did you mean listen?")
    server.api.close()


def test_it_does_not_run_without_its_assertions(tmp_path: Path) -> None:
    command = [sys.executable, "-O", "-m", "ocs", "serve"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 3
    assert "without" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.fault(51)
def test_a_damaged_journal_is_not_served(server: OcsServer) -> None:
    server.add_operator(credit=10**9)
    assert server.stop() == 0
    journal = server.data / "journal.sqlite"
    octets = bytearray(journal.read_bytes())
    place = octets.rindex(b"home")
    octets[place] ^= 1
    journal.write_bytes(octets)
    code, told = failing(server)
    assert code == 4
    assert "was changed at rest" in told
    assert server.ocs("journal", "verify").returncode == 1


@pytest.mark.fault(51)
def test_a_damaged_snapshot_is_told_and_an_older_one_used(tmp_path: Path) -> None:
    with OcsServer(tmp_path, {"journal": {"snapshot_every_seconds": 1}}) as server:
        server.add_operator(credit=10**9)
        with Gateway(server.gy_port).open() as gateway:
            number = 0
            gateway.ask(CCR, ccr(gateway, "s;1", INITIAL, 0, mscc(1)))
            until = time.monotonic() + 20
            while len(list(server.data.glob("snapshots/*.snapshot"))) < 2:
                assert time.monotonic() < until
                number += 1
                gateway.ask(CCR, ccr(gateway, "s;1", UPDATE, number, mscc(1, used=1)))
                time.sleep(0.1)
        server.kill()
        newest = max(server.data.glob("snapshots/*.snapshot"))
        octets = bytearray(newest.read_bytes())
        octets[-1] ^= 1
        newest.write_bytes(octets)
        server.start()
        assert "snapshot damaged; an older one is used" in server.log.read_text()
        assert server.balance()["consumed"] == number
        assert server.stop() == 0


def test_books_that_are_lost_are_made_again(server: OcsServer) -> None:
    server.add_operator(credit=10**9)
    with Gateway(server.gy_port).open() as gateway:
        first = gateway.ask(CCR, ccr(gateway, "b;1", INITIAL, 0, mscc(1)))
        assert services(first)[0].granted
        gateway.ask(CCR, ccr(gateway, "b;1", TERMINATION, 1, mscc(1, used=5, asked=False)))
    before = server.session("b;1")
    server.stop()
    (server.data / "books.sqlite").unlink()
    server.start()
    assert server.session("b;1") == before
    server.stop()
    server.verify()


@pytest.mark.fault(50)
def test_a_full_disk_refuses_new_grants_and_serves_the_end(tmp_path: Path) -> None:
    """Below the watermark a CCR-I is answered 3004 with the E bit, and a CCR-T is charged."""
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=10**9)
        with Gateway(server.gy_port).open() as gateway:
            gateway.ask(CCR, ccr(gateway, "f;1", INITIAL, 0, mscc(1)))
        server.stop()
        server.config.write_text(server.config.read_text() + f"journal: {{free_octets_min: {2**60}}}\n")
        server.start()
        time.sleep(1.5)
        with Gateway(server.gy_port).open() as gateway:
            refused = gateway.ask(CCR, ccr(gateway, "f;2", INITIAL, 0, mscc(1)))
            assert (refused.result_code, refused.flags) == (3004, 0x60)
            last = gateway.ask(CCR, ccr(gateway, "f;1", TERMINATION, 1, mscc(1, used=9, asked=False)))
            assert last.result_code == 2001
        assert server.balance()["consumed"] == 9
        assert 'ocs_shed_total{reason="disk"} 1.0' in server.api.get("/metrics").text
        assert not (server.data / "reserve").exists(), "the reserve is given to the journal"


def test_its_processes_stay_on_the_cpus_that_are_named(tmp_path: Path) -> None:
    ours = sorted(os.sched_getaffinity(0))
    with OcsServer(tmp_path, {"processors": {"core": ours[:1], "follower": ours[-1:]}}) as server:
        assert server.process is not None
        for pid, cpus in ((server.process.pid, ours[:1]), (server.follower(), ours[-1:])):
            threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
            assert len(threads) > 1
            assert [os.sched_getaffinity(thread) for thread in threads] == [set(cpus)] * len(threads)
        core_nice, nice = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (server.process.pid, server.follower()))
        assert nice > core_nice
        one, other = (os.getsid(pid) for pid in (server.process.pid, server.follower()))
        assert one == other, "the system may weigh sessions against each other, whatever the niceness within them"


@needs_real_time
def test_its_core_goes_first_and_nobody_else(tmp_path: Path) -> None:
    with OcsServer(tmp_path, {"processors": {"real_time": True}}) as server:
        assert server.process is not None
        policies = {
            task.name: os.sched_getscheduler(int(task.name)) & ~os.SCHED_RESET_ON_FORK
            for task in Path(f"/proc/{server.process.pid}/task").iterdir()
        }
        assert list(policies.values()).count(os.SCHED_RR) == 2, "the loop and the journal thread"
        assert policies.pop(str(server.process.pid)) == os.SCHED_RR
        (journal,) = (int(name) for name, policy in policies.items() if policy == os.SCHED_RR)
        assert write_class(journal) == "best-effort: prio 4", "its writes hold no others back"
        for task in Path(f"/proc/{server.follower()}/task").iterdir():
            assert os.sched_getscheduler(int(task.name)) == os.SCHED_OTHER
        assert server.stop() == 0, server.tail()
