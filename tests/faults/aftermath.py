"""What must hold once a fault is over, whatever it was: the money whole, the log speaking, nothing grown."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from live.ocs_server import OcsServer

PAGE_OCTETS = os.sysconf("SC_PAGE_SIZE")
POLL_SECONDS = 0.02


def wait_for(what: str, is_so: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(POLL_SECONDS)


def conserved(server: OcsServer, name: str = "home") -> dict[str, int]:
    """Give an operator's balance, which must be whole."""
    balance = server.balance(name)
    assert balance["credited"] == balance["available"] + balance["reserved"] + balance["consumed"], balance
    assert min(balance.values()) >= 0, balance
    return balance


def counted(server: OcsServer, name: str, **labels: str) -> int:
    """Add up the samples of a metric that bear these labels."""
    found = 0
    for line in server.api.get("/metrics").text.splitlines():
        sample, _, value = line.rpartition(" ")
        named, _, rest = sample.partition("{")
        if named == name and all(f'{label}="{wanted}"' in rest for label, wanted in labels.items()):
            found += int(float(value))
    return found


def told(server: OcsServer, event: str, **values: object) -> list[dict[str, Any]]:
    """Give the lines of the log about an event that have these values."""
    written = server.log.read_text().splitlines(keepends=True)
    # The last one may be only half there yet.
    lines = [json.loads(line) for line in written if line.startswith("{") and line.endswith("\n")]
    return [
        line
        for line in lines
        if line.get("event") == event and all(line.get(key) == value for key, value in values.items())
    ]


class Size(NamedTuple):
    """What a process holds."""

    resident_octets: int
    descriptors: int


def size(server: OcsServer) -> Size:
    """Look at the core."""
    assert server.process is not None
    folder = Path(f"/proc/{server.process.pid}")
    resident_octets = int((folder / "statm").read_text().split()[1]) * PAGE_OCTETS
    return Size(resident_octets, sum(1 for _ in (folder / "fd").iterdir()))


def incidents(server: OcsServer) -> list[tuple[str, str, int, int]]:
    """Give kind, Session-Id, Result-Code and octets of what the books of a stopped server have on their list."""
    books = apsw.Connection(str(server.data / "books.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = books.execute(
            "SELECT kind, CAST(session_id AS TEXT), result_code, octets FROM incidents ORDER BY number"
        )
        return [(str(kind), str(session), int(code), int(octets)) for kind, session, code, octets in rows]
    finally:
        books.close()


@contextmanager
def finished(server: OcsServer) -> Iterator[OcsServer]:
    """Run a server to its good end: the balance whole, exit code 0, a journal that verifies."""
    with server:
        yield server
        conserved(server)
        assert server.stop() == 0, server.tail()
        server.verify()
