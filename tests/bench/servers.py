"""The servers that `make bench` puts side by side, each a process of its own on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop.stacks import build
from ledger_node import Node
from live.ocs_server import OcsServer, free_ports
from ocs import command as cmd
from ocs.shell.store import records
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.journal import Journal
from ocs.units import GroupIndex, UnixMillis

HERE = Path(__file__).parent
GY = {"gy": {"connections_per_address_max": 200}}
PLMN = "001010"
CREDIT = 10**16
FREE_DIAMETER = """\
Identity = "ocs.example.net";
Realm = "example.net";
Port = {port};
SecPort = 0;
NoRelay;
No_SCTP;
No_IPv6;
LoadExtension = "dict_nasreq.fdx";
LoadExtension = "dict_dcca.fdx";
LoadExtension = "dict_dcca_3gpp.fdx";
LoadExtension = "acl_wl.fdx" : "gateways.acl";
LoadExtension = "./gy_server.fdx";
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is up.

    Attributes:
        pid: of the process that answers.
        ours: the server itself where it is the product.
    """

    port: int
    pid: int
    ours: OcsServer | None = None


Start = Callable[[Path, int], AbstractContextManager[Running]]


def prepare(folder: Path, operators: int) -> None:
    """Write a journal with operators in it: the last digits of each one's prefix say which it is."""
    digits = len(str(operators - 1)) if operators > 1 else 0
    data = DataFolder.open(folder / "data")
    journal = Journal.open(data.journal)
    node = Node(now=UnixMillis(time.time_ns() // 1_000_000))
    node.step(cmd.Start("bench", node.now))
    for number in range(operators):
        ending = str(number).zfill(digits) if digits else ""
        node.operator(f"home{number}", PLMN[: 6 if digits else 5] + ending, 1, 1000)
        node.top_up(CREDIT // operators, f"home{number}", f"key-{number}")
    journal.append(GroupIndex(1), node.events[-1].at, records.encode(node.events))
    journal.close()


@contextmanager
def ours(folder: Path, operators: int = 1) -> Iterator[Running]:
    """The product, durable, with everything on."""
    prepare(folder, operators)
    with OcsServer(folder, GY) as server:
        assert server.process is not None
        yield Running(server.gy_port, server.process.pid, server)
        assert server.stop() == 0, server.tail()


@contextmanager
def store_off(folder: Path, operators: int = 1) -> Iterator[Running]:
    """The product with a journal that keeps nothing."""
    prepare(folder, operators)
    server = OcsServer(folder, GY, (str(HERE / "store_off.py"),))
    try:
        server.start(ready=False)  # it is never ready: the follower has nothing to reach
        server.wait_gy()
        assert server.process is not None
        yield Running(server.gy_port, server.process.pid)
    finally:
        server.__exit__()


@contextmanager
def echo(folder: Path, operators: int = 1) -> Iterator[Running]:
    """Ready answers over the same transport."""
    with _peer("echo_peer.py") as running:
        yield running


@contextmanager
def python_diameter(folder: Path, operators: int = 1) -> Iterator[Running]:
    """An independent stack that answers the same CCRs and keeps nothing."""
    with _peer("python_diameter_peer.py") as running:
        yield running


@contextmanager
def free_diameter(folder: Path, operators: int = 1) -> Iterator[Running]:
    """An independent stack in C that answers the same CCRs and keeps nothing."""
    (port,) = free_ports(1)
    (folder / "ocs.conf").write_text(FREE_DIAMETER.format(port=port))
    (folder / "gateways.acl").write_text("ALLOW_IPSEC *.visited.example\n")
    build(folder, "gy_server.c", "gy_server.fdx")
    closed = build(folder, "loopback.c", "loopback.so")
    command = ["freeDiameterd", "--config", "ocs.conf", "--quiet"]
    with _process(command, port, cwd=folder, env={**os.environ, "LD_PRELOAD": str(closed)}) as running:
        yield running


@contextmanager
def _peer(program: str) -> Iterator[Running]:
    (port,) = free_ports(1)
    with _process([sys.executable, str(HERE / program), str(port)], port) as running:
        yield running


@contextmanager
def _process(command: list[str], port: int, **how: Any) -> Iterator[Running]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how
    )
    try:
        _wait_for(port)
        yield Running(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            time.sleep(0.5)  # python-diameter listens a little before it serves
            return


SERVERS: dict[str, Start] = {
    "ours": ours,
    "store off": store_off,
    "echo": echo,
    "python-diameter": python_diameter,
    "freediameter": free_diameter,
}
