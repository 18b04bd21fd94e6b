"""A real server that the machine gives no descriptor, thread or memory any more: row 56."""

import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count, islice
from pathlib import Path

import pytest

from faults.injecting import FaultyServer, money_is_whole, soon, stops_clean, wait_for
from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, ccr, mscc

pytestmark = [pytest.mark.live, pytest.mark.fault(56)]

CREDIT = 10**15

OWN = "sgw.visited.example"

FILES_MORE = 3


def pid_of(server: OcsServer) -> int:
    assert server.process is not None
    return server.process.pid


def charged(gateway: Gateway, session: str) -> None:
    """Run a whole session that uses one octet."""
    for kind, number, parts in ((INITIAL, 0, [mscc(1)]), (TERMINATION, 1, [mscc(1, used=1, asked=False)])):
        assert gateway.ask(CCR, ccr(gateway, session, kind, number, *parts)).result_code == 2001


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        with Gateway(server.gy_port, host=OWN).open() as gateway, ExitStack() as waiting:
            with no_more_files(server, pid_of(server)):
                for number in range(30):
                    is_turned_away(server.gy_port, waiting)
                    charged(gateway, f"{OWN};no;{number}")
                # Its reader dies, and cannot be started again; Gy goes on.
                os.kill(server.follower(), signal.SIGKILL)
                wait_for(lambda: "the follower cannot be started" in server.log.read_text())
                charged(gateway, f"{OWN};no;reader")
            recovers(server, gateway)
        money_is_whole(server, credited=CREDIT, consumed=33)
        stops_clean(server)


def test_no_descriptor_is_left_for_the_api(tmp_path: Path) -> None:
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        with Gateway(server.gy_port, host=OWN).open() as gateway:
            with ExitStack() as waiting, no_more_files(server, server.follower()):
                for _ in range(10):
                    is_turned_away(server.api_port, waiting)
                    server.balance()  # over a connection that was open before
            recovers(server, gateway)
        money_is_whole(server, credited=CREDIT, consumed=2)
        stops_clean(server)


def test_no_thread_is_left(tmp_path: Path) -> None:
    """The core needs one for each follower that it starts."""
    with FaultyServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        with Gateway(server.gy_port, host=OWN).open() as gateway:
            (tmp_path / "threads").touch()
            os.kill(server.follower(), signal.SIGKILL)
            wait_for(lambda: "the follower cannot be started" in server.log.read_text())
            charged(gateway, f"{OWN};no;thread")
            (tmp_path / "threads").unlink()
            recovers(server, gateway)
        money_is_whole(server, credited=CREDIT, consumed=3)
        stops_clean(server)


def test_no_memory_is_left(tmp_path: Path) -> None:
    """What cannot be kept in memory is not answered: the process ends, and the journal has all that was answered."""
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        pid = pid_of(server)
        with Gateway(server.gy_port, host=OWN).open() as gateway:
            has = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
            resource.prlimit(pid, resource.RLIMIT_AS, (has, resource.RLIM_INFINITY))
            granted = granted_until_the_end(gateway)
        assert server.process is not None
        assert server.process.wait(20) != 0
        assert granted
        with soon():
            server.start()
        with Gateway(server.gy_port, host=OWN).open() as gateway:
            for number in (granted[0], granted[len(granted) // 2], granted[-1]):
                used = gateway.ask(CCR, ccr(gateway, f"{OWN};{number}", UPDATE, 1, mscc(1, used=4)))
                assert used.result_code == 2001
        money_is_whole(server, credited=CREDIT, consumed=12, reserved=None)
        assert server.balance()["reserved"] >= 10 * (len(granted) - 3)
        stops_clean(server)


@contextmanager
def no_more_files(server: OcsServer, pid: int) -> Iterator[None]:
    """Let one of its processes open hardly more files for a while; insist that it says so and takes it calmly."""
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    has = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    free = (number for number in count() if number not in has)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (next(islice(free, FILES_MORE, None)), usual[1]))
    lines, began = len(server.log.read_text().splitlines()), cpu_seconds(pid)
    yield
    assert "connections turned away" in server.log.read_text()
    assert len(server.log.read_text().splitlines()) - lines < 20, "no flood in the log"
    assert cpu_seconds(pid) - began < 2, "no busy loop"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)


def is_turned_away(port: int, waiting: ExitStack) -> None:
    """Insist that whoever connects is told at once; the few descriptors that are free are taken first, and kept."""
    for _ in range(20):
        connection = waiting.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        connection.settimeout(1)
        with suppress(TimeoutError):
            assert connection.recv(1) == b""
            return
    raise AssertionError("nobody is turned away")


def granted_until_the_end(gateway: Gateway) -> list[int]:
    """Open sessions until the server ends; the numbers of those that were granted."""
    granted: list[int] = []
    first = 0
    try:
        while first < 200_000:
            asked = {
                number: gateway.send(CCR, ccr(gateway, f"{OWN};{number}", INITIAL, 0, mscc(1, asked=10)))
                for number in range(first, first + 100)
            }
            for number, one in asked.items():
                code = gateway.answer(one).result_code
                assert code in (2001, 5012), "a request that meets it before anything has changed is refused"
                if code == 2001:
                    granted.append(number)
            first += 100
    except ConnectionError:
        return granted
    raise AssertionError("it never ended")


def recovers(server: OcsServer, gateway: Gateway) -> None:
    """Insist that newcomers and readers are served again soon, without a start."""
    with soon():
        server.wait_ready()
    charged(gateway, f"{OWN};after;1")
    with Gateway(server.gy_port, host="new.visited.example").open() as new:
        charged(new, "new.visited.example;after;2")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
