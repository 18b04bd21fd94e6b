"""A real `ocs serve` for the tests of this folder: its own data folder, its own ports, ended whatever happens."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx
import yaml

PLAIN = (
    *("attach", "attach-unknown", "quota-update", "validity-time", "exhaustion"),
    *("ue-termination", "network-termination", "repeated-termination"),
)
"""Scenarios that show in a second or two that a gateway is served at all."""

TOKEN = "token-of-the-tests"
READY_SECONDS = 20.0
STOP_SECONDS = 20.0


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def lives(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and is not reaped yet by whoever inherited it does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


class OcsServer:
    """One server; `start` may follow `stop` or `kill` on the same data."""

    def __init__(
        self, folder: Path, settings: Mapping[str, Any] | None = None, program: tuple[str, ...] = ("-m", "ocs")
    ) -> None:
        self.folder = folder
        self.program = program
        self.data = folder / "data"
        self.gy_port, self.api_port, self.usage_port = free_ports(3)
        self.log = folder / "server.log"
        self.config = folder / "ocs.yaml"
        tree: dict[str, Any] = {
            "data": "data",
            "gy": {"listen": [f"127.0.0.1:{self.gy_port}"], "peers": "any"},
            "api": {"listen": f"127.0.0.1:{self.api_port}"},
            "usage": {"listen": f"127.0.0.1:{self.usage_port}"},
        }
        for section, values in (settings or {}).items():
            if isinstance(values, Mapping):
                tree.setdefault(section, {}).update(values)
            else:
                tree[section] = values
        self.config.write_text(yaml.safe_dump(tree))
        self.process: subprocess.Popen[bytes] | None = None
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.api_port}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.api.close()

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "OCS_API_TOKEN": TOKEN}

    def start(self, *, ready: bool = True) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended:\n{self.tail()}"
            try:
                if self.api.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.03)
        raise AssertionError(f"not ready after {seconds} s:\n{self.tail()}")

    def wait_gy(self, seconds: float = READY_SECONDS) -> None:
        """Wait until the core accepts connections, whatever the follower does."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended:\n{self.tail()}"
            try:
                socket.create_connection(("127.0.0.1", self.gy_port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"no Gy after {seconds} s:\n{self.tail()}")

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """Kill the core; its follower must end by itself."""
        assert self.process is not None
        children = _children(self.process.pid)
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        until = time.monotonic() + STOP_SECONDS
        while any(lives(child) for child in children):
            assert time.monotonic() < until, f"a follower without a core lives on:\n{self.tail()}"
            time.sleep(0.01)

    def wait_caught_up(self) -> None:
        """Wait until what is read is what was answered: after a storm of kills the follower has a lot to read."""
        until = time.monotonic() + READY_SECONDS
        while self.api.get("/api/v1/operators").status_code == 503:
            assert time.monotonic() < until, self.tail()
            time.sleep(0.1)

    def follower(self) -> int:
        """Give the follower's process id."""
        assert self.process is not None
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            if children := _children(self.process.pid):
                return children[0]
            time.sleep(0.02)
        raise AssertionError("there is no follower")

    def verifiers(self) -> list[int]:
        """Give the ids of the processes that verify signatures; none before the first report."""
        return _children(self.follower())

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    # What people do

    def ocs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line against this server."""
        return subprocess.run(
            [sys.executable, "-m", "ocs", *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment,
            check=False,
        )

    def add_operator(
        self, name: str = "home", prefix: str = "00101", price: int = 1, per_octets: int = 1, credit: int = 0
    ) -> None:
        body = {"name": name, "prefixes": [prefix], "tariff": {"price": str(price), "per_octets": str(per_octets)}}
        answer = self.api.post("/api/v1/operators", json=body)
        assert answer.status_code == 201, answer.text
        if credit:
            self.top_up(credit, name)

    def top_up(self, amount: int, name: str = "home", key: str | None = None) -> dict[str, Any]:
        answer = self.api.post(
            f"/api/v1/operators/{name}/top-ups",
            json={"amount": str(amount), "reference": "test"},
            headers={"Idempotency-Key": key or os.urandom(8).hex()},
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def balance(self, name: str = "home") -> dict[str, int]:
        answer = self.api.get(f"/api/v1/operators/{name}")
        assert answer.status_code == 200, answer.text
        return {account: int(value) for account, value in answer.json()["balance"].items()}

    def session(self, session_id: str) -> dict[str, Any]:
        answer = self.api.get(f"/api/v1/sessions/{quote(session_id, safe='')}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def play(
        self, profile: str, *more: str, port: int | None = None, scenarios: Sequence[str] = ("all",)
    ) -> subprocess.CompletedProcess[str]:
        """Have the simulator play scenarios as a gateway of this make, and insist that no rule was broken."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "simulator", "run", *scenarios, "--port", str(port or self.gy_port)),
                *("--api", f"http://127.0.0.1:{self.api_port}", "--profile", profile, *more),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def verify(self) -> dict[str, Any]:
        """Run `ocs journal verify` and insist that it finds nothing."""
        done = self.ocs("journal", "verify", "-o", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))
