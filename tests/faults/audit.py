"""What each fault is held against: an honest gateway beside it, and an audit of money, work and memory behind it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, ccr, mscc, services

HONEST: Final = "honest.visited.example"
REPORT_OCTETS: Final = 10
PAUSE_SECONDS: Final = 0.02
TOO_BUSY: Final = 3004
TRIES: Final = 20
ANSWER_SECONDS_MAX: Final = 1.0
"""No answer is later, whatever others do; finer targets are for the bench, whose machine is its own."""

SETTLE_SECONDS: Final = 10.0

GROWTH_KB_MAX: Final = 24 * 1024
"""Over all faults of a file: what ended sessions, forms and the allocator keep is about 10 MB."""


def until(holds: Callable[[], bool], what: str, seconds: float = SETTLE_SECONDS) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


class Honest:
    """A gateway that does nothing wrong: one session, one report after the other."""

    def __init__(self, port: int) -> None:
        self.gateway = Gateway(port, host=HONEST).open()
        self.session_id = f"{HONEST};1"
        self.number = self.reported = self.granted = 0
        self.worst_seconds = 0.0
        answer = self.gateway.ask(CCR, ccr(self.gateway, self.session_id, INITIAL, 0, mscc(1)))
        assert answer.result_code == 2001
        self.granted = services(answer)[0].granted or 0

    def report(self) -> None:
        self.number += 1
        request = ccr(self.gateway, self.session_id, UPDATE, self.number, mscc(1, used=REPORT_OCTETS))
        for _ in range(TRIES):
            began = time.monotonic()
            answer = self.gateway.ask(CCR, request)
            self.worst_seconds = max(self.worst_seconds, time.monotonic() - began)
            if answer.result_code != TOO_BUSY:
                break
            time.sleep(PAUSE_SECONDS)  # as 3004 asks for, where the disk of the tests' machine is slow
        assert answer.result_code == 2001
        self.granted = services(answer)[0].granted or 0
        self.reported += REPORT_OCTETS

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report all the while, in a thread of its own; what goes wrong there is raised at the end."""
        enough = threading.Event()
        wrong: list[BaseException] = []
        self.worst_seconds = 0.0

        def work() -> None:
            try:
                while True:
                    self.report()
                    if enough.wait(PAUSE_SECONDS):
                        return
            except BaseException as error:
                wrong.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()
        if wrong:
            raise wrong[0]

    def leave(self) -> None:
        self.number += 1
        end = ccr(self.gateway, self.session_id, TERMINATION, self.number)
        assert self.gateway.ask(CCR, end).result_code == 2001
        self.gateway.leave()


class Audit:
    """One test's view of the server, and the books it is held to.

    Attributes:
        used: octets that the test reported and was answered 2001 for; at a price of one credit each.
    """

    def __init__(self, server: OcsServer, honest: Honest) -> None:
        self.server = server
        self.used = 0
        self._honest = honest
        self._reported = honest.reported
        self._samples = self._scrape()
        self._balance = server.balance()
        self._open, self._held = self.open_sessions(), self._balance["reserved"] - honest.granted
        self._descriptors, self._threads, self._memory_kb = self.descriptors(), self.threads(), self.memory_kb()
        self._log_octets = server.log.stat().st_size

    @property
    def port(self) -> int:
        return self.server.gy_port

    # What the core holds

    @property
    def _process(self) -> Path:
        assert self.server.process is not None
        return Path(f"/proc/{self.server.process.pid}")

    def descriptors(self) -> int:
        return len(list((self._process / "fd").iterdir()))

    def threads(self) -> int:
        return self._status("Threads")

    def memory_kb(self) -> int:
        return self._status("VmRSS")

    def cpu_seconds(self) -> float:
        fields = (self._process / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def _status(self, key: str) -> int:
        for line in (self._process / "status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
        raise KeyError(key)

    # What it says

    def rose(self, name: str, **labels: str) -> int:
        """Tell by how much a counter has risen since the test began, over all labels that are not named."""

        def total(samples: dict[str, float]) -> float:
            wanted = [f'{label}="{value}"' for label, value in labels.items()]
            return sum(
                value
                for sample, value in samples.items()
                if sample.partition("{")[0] == f"{name}_total" and all(one in sample for one in wanted)
            )

        return int(total(self._scrape()) - total(self._samples))

    def log(self) -> str:
        """Give what was logged since the test began."""
        with self.server.log.open("rb") as file:
            file.seek(self._log_octets)
            return file.read().decode()

    def open_sessions(self) -> set[str]:
        answer = self.server.api.get("/api/v1/sessions", params={"state": "open", "operator": "home"})
        assert answer.status_code == 200, answer.text
        return {item["session_id"] for item in answer.json()["items"]}

    def _scrape(self) -> dict[str, float]:
        lines = self.server.api.get("/metrics").text.splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    # What must be true behind every fault

    def check_growth(self) -> None:
        """Insist that the core has grown little since the audit began."""
        assert self.memory_kb() < self._memory_kb + GROWTH_KB_MAX

    def check(self) -> None:
        honest = self._honest
        assert honest.reported > self._reported, "others were served meanwhile"
        assert honest.worst_seconds < ANSWER_SECONDS_MAX, "and in time"
        honest.report()
        before, after = self._balance, self.server.balance()
        assert after["credited"] == before["credited"] == after["available"] + after["reserved"] + after["consumed"]
        assert after["available"] >= 0
        assert after["overrun"] == 0
        assert after["consumed"] - before["consumed"] == self.used + honest.reported - self._reported, "once each"
        assert self.open_sessions() == self._open, "what the test began is over"
        assert after["reserved"] - honest.granted == self._held, "and holds nothing back"
        until(lambda: self.descriptors() <= self._descriptors, "the descriptors are those from before")
        assert self.threads() <= self._threads
        log = self.log()
        for sign in ("Traceback", '"level": "critical"', '"level": "error"'):
            assert sign not in log, log


@contextmanager
def served(folder: Path, settings: dict[str, Any] | None = None) -> Iterator[tuple[OcsServer, Honest]]:
    """Run a server with an honest gateway; at the end it stops cleanly and its journal is in order."""
    tree: dict[str, Any] = {"gy": {"connections_per_address_max": 2000}}
    for section, values in (settings or {}).items():
        tree.setdefault(section, {}).update(values)
    with OcsServer(folder, tree) as server:
        server.add_operator(credit=10**12)
        honest = Honest(server.gy_port)
        whole = Audit(server, honest)
        yield server, honest
        whole.check_growth()
        honest.leave()
        balance = server.balance()
        assert balance["reserved"] == 0
        assert balance["credited"] == balance["available"] + balance["consumed"]
        assert server.stop() == 0, server.tail()
        server.verify()


@contextmanager
def audited(server: OcsServer, honest: Honest) -> Iterator[Audit]:
    """Audit what is done within, while the honest gateway goes on."""
    audit = Audit(server, honest)
    with honest.reporting():
        yield audit
    audit.check()
