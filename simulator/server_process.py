"""Runs `ocs serve` as a process of its own, with a fresh data folder, on free loopback ports."""

import asyncio
import os
import secrets
import signal
import socket
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from simulator.accounts import Accounts

READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
LOG_LINES: Final = 20

CONFIGURATION: Final = """\
origin_host: ocs.demo.example
origin_realm: demo.example
data: {folder}/data
gy:
  listen: ["127.0.0.1:{gy_port}"]
  peers: any
api:
  listen: "127.0.0.1:{api_port}"
usage:
  listen: "127.0.0.1:{usage_port}"
  epoch_seconds: {epoch_seconds}
  per_octets: {per_octets}
  channel_credits: {channel_credits}
"""

PER_OCTETS: Final = 200_000
"""What a data credit pays for in the demo: a grant is some tens of credits."""

CHANNEL_CREDITS: Final = 20_000
"""What a channel of the demo locks: enough for an epoch, and little enough that it is seen to fill."""

EPOCH_SECONDS: Final = 3600


class ServerFailed(Exception):
    """The server did not become ready, ended by itself, or ended with an error."""


class ServerProcess:
    """`async with` starts the server and waits until it is ready; leaving it makes sure that nothing stays behind.

    Attributes:
        gy_port, api_port, usage_port: where it listens on 127.0.0.1.
        token: the administrator's token, new for each start.
        log: the end of the server's log, once it has ended.
    """

    def __init__(self, epoch_seconds: int = EPOCH_SECONDS) -> None:
        """Choose ports and a folder; nothing runs yet.

        Args:
            epoch_seconds: channels end with such a span of the clock.
        """
        self.epoch_seconds = epoch_seconds
        self.gy_port, self.api_port, self.usage_port = _free_ports(3)
        self.token = secrets.token_urlsafe(24)
        self._folder = tempfile.TemporaryDirectory(prefix="ocs-demo-")
        self._log = Path(self._folder.name) / "server.log"
        self.log: list[str] = []
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    async def __aenter__(self) -> Self:
        configuration = Path(self._folder.name) / "ocs.yaml"
        configuration.write_text(
            CONFIGURATION.format(
                folder=self._folder.name,
                gy_port=self.gy_port,
                api_port=self.api_port,
                usage_port=self.usage_port,
                epoch_seconds=self.epoch_seconds,
                per_octets=PER_OCTETS,
                channel_credits=CHANNEL_CREDITS,
            )
        )
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ocs", "serve", "--config", str(configuration)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "OCS_API_TOKEN": self.token},
                # Ctrl-C reaches the whole terminal; the server is to outlive it until the sessions are closed.
                start_new_session=True,
            )
        try:
            await self._ready()
        except BaseException:
            await self._remove()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._remove()

    async def ended(self) -> None:
        """Return when the server has ended by itself."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """Ask the server to end (SIGTERM) and expect exit code 0.

        Raises:
            ServerFailed: another exit code, or no end in time.
        """
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            raise ServerFailed(f"the server did not end within {STOP_SECONDS:g} s of SIGTERM") from None
        if code != 0:
            raise ServerFailed(f"the server ended with exit code {code}")

    async def _ready(self) -> None:
        async with Accounts(self.url, self.token) as accounts:
            for _ in range(int(READY_SECONDS / 0.1)):
                if self._process is None or self._process.returncode is not None:
                    raise ServerFailed("the server ended before it was ready")
                if await accounts.ready():
                    return
                await asyncio.sleep(0.1)
        raise ServerFailed(f"the server was not ready after {READY_SECONDS:g} s")

    async def _remove(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._log.exists():
            self.log = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        self._folder.cleanup()


def _free_ports(count: int) -> list[int]:
    """Ask the kernel for free ports; all are held until the last is known, so none is given twice."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
