"""The peers: other people's Diameter stacks, each made a Gy client by the least that does it, and freeDiameter's relay.

Nothing here skips: a stack that is not installed fails the test that asks for it, and names its package.
"""

import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tutorial_files import TUTORIALS, blocks

HERE = Path(__file__).parent
OPEN_SECONDS = 40.0
ANSWER_SECONDS = 45.0
LEAVE_SECONDS = 30.0
OCS_PORT = "Port = 3868;"
DRA_PORT = "Port = 3870;"


def program(name: str, package: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not here; install the Debian package {package}, or let `make interop` do it"
    return found


class Process:
    """A program that says what it has to say in lines that begin with GY."""

    def __init__(
        self, folder: Path, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.command = [str(word) for word in command]
        self.environment = {**os.environ, "ERL_CRASH_DUMP": "/dev/null", **(environment or {})}
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self.environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("w") as log, self.process.stdout as lines:
            for line in lines:
                log.write(line)
                log.flush()
                if line.startswith("GY "):
                    self._lines.put(json.loads(line[3:]))
        self._lines.put(None)

    def hear(self, seconds: float) -> dict[str, Any]:
        try:
            said = self._lines.get(timeout=seconds)
        except queue.Empty:
            said = None
        assert said is not None, f"{self.command[0]} said nothing:\n{self.tail()}"
        return said

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def logged(self, text: str, seconds: float = OPEN_SECONDS) -> None:
        until = time.monotonic() + seconds
        while text not in self.log.read_text(errors="replace") if self.log.exists() else True:
            assert self.process.poll() is None, self.tail()
            assert time.monotonic() < until, f"not logged in {seconds} s: {text}\n{self.tail()}"
            time.sleep(0.05)


class Client(Process):
    """A gateway, pgw.visited.example, that is told what to ask."""

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            assert self.hear(OPEN_SECONDS) == {"open": True}
        except BaseException:
            self.__exit__()
            raise
        return self

    def ask(self, kind: int, number: int, used: int | None = None) -> dict[str, Any]:
        """Send a CCR and give the values of its answer, which has to keep the rules of the stack's dictionary.

        An answer that has the E bit also has `is_error`.
        """
        self._tell(f"{kind} {number} {'-' if used is None else used}")
        answer = self.hear(ANSWER_SECONDS)
        assert answer.pop("keeps_rules", True), self.tail()
        if not answer.get("is_error", True):
            del answer["is_error"]
        return answer

    def leave(self) -> None:
        self._tell("quit")
        assert self.process.wait(LEAVE_SECONDS) == 0, self.tail()

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


# freeDiameter: its configuration is a tutorial's, word for word but for what a test must change


def build(folder: Path, source: str, target: str) -> Path:
    """Make a shared object of a file in freediameter/: an extension, or what is loaded before the daemon."""
    command = [program("gcc", "gcc"), "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    built = subprocess.run(
        [*command, "-o", folder / target, HERE / "freediameter" / source], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, f"is libfreediameter-dev installed?\n{built.stderr}"
    return folder / target


def _write_configuration(
    folder: Path, name: str, changes: Mapping[str, str], tutorial: str = "freediameter.md"
) -> Path:
    text = blocks(TUTORIALS / tutorial)[name]
    for old, new in changes.items():
        text, times = re.subn(old, new, text, flags=re.MULTILINE)
        assert times, f"{name} of {tutorial} has no {old!r}"
    path = folder / name
    path.write_text(text)
    return path


class Relay(Process):
    """freeDiameter as an agent between gateways and the server."""

    def __init__(self, folder: Path, ocs_port: int, port: int) -> None:
        daemon = program("freeDiameterd", "freediameterd")
        configuration = _write_configuration(
            folder, "dra.conf", {OCS_PORT: f"Port = {ocs_port};", DRA_PORT: f"Port = {port};"}
        )
        _write_configuration(folder, "gateways.acl", {})
        closed = build(folder, "loopback.c", "loopback.so")
        super().__init__(folder, "relay", [daemon, "-c", configuration], {"LD_PRELOAD": str(closed)})
        self.port = port

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.logged("-> 'STATE_OPEN'\t'ocs.example.net'")
            self._listens()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _listens(self) -> None:
        """Wait for the port, which opens after the connections: who calls too early calls again half a minute later."""
        until = time.monotonic() + OPEN_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < until, self.tail()
                time.sleep(0.05)
            else:
                return


def free_diameter(folder: Path, ocs_port: int, dra_port: int | None, watchdog_seconds: int) -> Client:
    daemon = program("freeDiameterd", "freediameterd")
    build(folder, "gy_client.c", "gy_client.fdx")
    changes = {OCS_PORT: f"Port = {ocs_port};", "TwTimer = 6;": f"TwTimer = {watchdog_seconds};"}
    if dra_port is None:
        changes[r"^ConnectPeer = \"dra.*\n"] = ""
    else:
        changes[DRA_PORT] = f"Port = {dra_port};"
    configuration = _write_configuration(folder, "pgw.conf", changes)
    _write_configuration(folder, "routes.conf", {})
    return Client(folder, "freediameter", [daemon, "-c", configuration])


def free_diameter_over_tls(folder: Path, ocs_port: int) -> Client:
    """Connect over TLS; the certificates are in the folder already."""
    daemon = program("freeDiameterd", "freediameterd")
    build(folder, "gy_client.c", "gy_client.fdx")
    configuration = _write_configuration(folder, "pgw-tls.conf", {"Port = 5868;": f"Port = {ocs_port};"})
    return Client(folder, "freediameter-tls", [daemon, "-c", configuration])


def open5gs_connection(folder: Path, ocs_port: int) -> Client:
    """Give the SMF's configuration to freeDiameter, with our extension in the SMF's place; it listens nowhere."""
    daemon = program("freeDiameterd", "freediameterd")
    build(folder, "gy_client.c", "gy_client.fdx")
    changes = {
        r"127\.0\.0\.30\"; Port = 3868;": f'127.0.0.1"; Port = {ocs_port};',
        "/usr/lib/x86_64-linux-gnu/freeDiameter/": "",  # where Open5GS has them
        "^TLS_.*\n": "",
        '^ConnectPeer = "pcrf.*\n': "",
        "^NoRelay;": "NoRelay;\nPort = 0;\nSecPort = 0;",
        r"\Z": 'LoadExtension = "./gy_client.fdx";\n',
    }
    return Client(folder, "open5gs", [daemon, "-c", _write_configuration(folder, "smf.conf", changes, "open5gs.md")])


def erlang(folder: Path, ocs_port: int, dra_port: int | None, watchdog_seconds: int) -> Client:
    runtime = program("erl", "erlang-diameter")
    for command in (
        [program("diameterc", "erlang-diameter"), "-o", folder, HERE / "erlang" / "gy.dia"],
        [program("erlc", "erlang-diameter"), "-o", folder, folder / "gy.erl", HERE / "erlang" / "gy_client.erl"],
    ):
        built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert built.returncode == 0, f"is erlang-dev installed?\n{built.stdout}{built.stderr}"
    ports = [ocs_port] if dra_port is None else [ocs_port, dra_port]
    arguments = ["-noshell", "-pa", folder, "-run", "gy_client", "main", watchdog_seconds * 1000, *ports]
    return Client(folder, "erlang", [runtime, *map(str, arguments)])


def python_diameter(folder: Path, ocs_port: int, dra_port: int | None, watchdog_seconds: int) -> Client:
    ports = [ocs_port] if dra_port is None else [ocs_port, dra_port]
    script = HERE / "python_diameter" / "gy_client.py"
    return Client(folder, "python_diameter", [sys.executable, script, str(watchdog_seconds), *map(str, ports)])


STACKS = {"freediameter": free_diameter, "erlang": erlang, "python-diameter": python_diameter}
