"""The demo's signed half: a gateway signs what it reports, channels fill and close, and a stranger checks them.

The stranger is `ocs-verify`: a process of its own, in an empty folder and environment, with one file and the log's key.
"""

import asyncio
import contextlib
import secrets
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.text import Text

from simulator.accounts import Accounts, ApiError
from simulator.server_process import ServerProcess
from simulator.settlement.keys import Key
from simulator.settlement.signing import Signing
from simulator.signed_usage import SignedUsage, signed_usage

FIRST_CREDITS: Final = 300
"""Two channels open on these that a few subscribers use up; the next two are large, and end with their epoch."""

MORE_CREDITS: Final = 10_000_000
CHANNEL_SECONDS: Final = 10.0
SHOWN: Final = 4
CELLS: Final = 20
WANTED: Final = ("exhausted", "epoch_end")
LOOKED_AT_SECONDS: Final = 0.25


class SignedHalf:
    """Keys, credits and channels of one signing gateway.

    Attributes:
        channels: as they were read last, the newest first.
    """

    def __init__(self, server: ServerProcess, accounts: Accounts, host: str) -> None:
        self._server, self._accounts, self._host = server, accounts, host
        self._sgw, self._miner = Key(secrets.token_bytes(32)), Key(secrets.token_bytes(32))
        self._log_key = ""
        self.channels: list[dict[str, Any]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[SignedUsage]:
        """Buy credits, register the keys, and sign from here to the end of the block.

        Raises:
            ApiError: the server did not do its part.
        """
        await self._accounts.buy_credits(FIRST_CREDITS, "demo")
        await self._wait_for_channels(2)
        await self._accounts.add_keys(self._host, self._sgw.signer.hex(), self._miner.signer.hex())
        await self._accounts.buy_credits(MORE_CREDITS, "demo")
        await self._wait_for_channels(4)
        self._log_key = await self._accounts.log_key()
        with TemporaryDirectory(prefix="ocs-demo-spool-") as folder:
            signing = Signing(
                sgw=self._sgw,
                miner=self._miner,
                server=self._server.url,
                spool=Path(folder) / "spool.sqlite",
                log_key=self._log_key,
            )
            async with signed_usage(signing) as signed:
                yield signed

    async def _wait_for_channels(self, count: int) -> None:
        until = time.monotonic() + CHANNEL_SECONDS
        while len(await self._accounts.channels()) < count:
            if time.monotonic() > until:
                raise ApiError(f"{count} channels did not open within {CHANNEL_SECONDS:g} s")
            await asyncio.sleep(LOOKED_AT_SECONDS)

    async def read(self) -> None:
        self.channels = await self._accounts.channels()

    def line(self) -> str:
        """Show the channels in a few words, for a log."""
        shown = [f"#{one['number']} {one['state']} {_percent(one)} %" for one in reversed(self.channels[:SHOWN])]
        return f"channels {'  '.join(shown)}" if shown else ""

    def rows(self) -> list[list[str | Text]]:
        """Give a row for each of the newest channels: number, state, amount, and what is used and held of it."""
        return [
            [
                f"#{one['number']}",
                one["state"] + (f" ({one['reason']})" if one["reason"] else ""),
                f"{int(one['amount']):,}",
                f"{int(one['used']):,}",
                str(one["commits"]),
                _bar(one),
            ]
            for one in self.channels[:SHOWN]
        ]

    async def prove(self) -> tuple[list[str], list[str]]:
        """Have a stranger check a channel that was used up and one whose epoch ended: his words, and what is wrong."""
        chosen = await self._settled()
        told, wrong = [], [f"no channel settled as {reason}" for reason in WANTED if reason not in chosen]
        for reason, channel in chosen.items():
            octets = await self._accounts.closure(channel["number"])
            code, said = await self._verify(octets)
            told += [f"channel #{channel['number']} ({reason}), {len(octets):,} octets of closure:", *said]
            if code:
                wrong.append(f"channel #{channel['number']} does not verify: {' '.join(said)}")
        unexplained = await self._accounts.unexplained_octets()
        told.append(f"reconciliation: {unexplained} unexplained octets")
        if unexplained:
            wrong.append(f"{unexplained} octets differ between Gy and what was signed, and nothing explains them")
        return told, wrong

    async def _settled(self) -> dict[str, dict[str, Any]]:
        """Wait until a channel of each sort has settled; the busiest of each."""
        until = time.monotonic() + 3 * self._server.epoch_seconds
        while True:
            await self.read()
            chosen: dict[str, dict[str, Any]] = {}
            for one in sorted(self.channels, key=lambda one: int(one["commits"])):
                if one["state"] == "settled" and one["commits"]:
                    chosen[one["reason"]] = one
            if set(WANTED) <= set(chosen) or time.monotonic() > until:
                return {reason: chosen[reason] for reason in WANTED if reason in chosen}
            await asyncio.sleep(LOOKED_AT_SECONDS)

    async def _verify(self, closure: bytes) -> tuple[int, list[str]]:
        program = Path(sys.executable).with_name("ocs-verify")
        with TemporaryDirectory(prefix="ocs-demo-stranger-") as folder:
            file = Path(folder) / "channel.closure"
            file.write_bytes(closure)
            process = await asyncio.create_subprocess_exec(
                *(program, file.name, "--log-key", self._log_key),
                cwd=folder,
                env={"LANG": "C.UTF-8"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await process.communicate()
        return await process.wait(), ["  " + line for line in said.decode("utf-8", "replace").splitlines()]


def _percent(channel: dict[str, Any]) -> int:
    return 100 * int(channel["used"]) // max(1, int(channel["amount"]))


def _bar(channel: dict[str, Any]) -> Text:
    used = CELLS * int(channel["used"]) // max(1, int(channel["amount"]))
    colour = "green" if channel["state"] == "open" else "yellow" if channel["state"] != "settled" else "cyan"
    return Text("█" * used + "░" * (CELLS - used), style=colour)
