"""The processes that verify reports, on the event loop that the follower runs on."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import uvloop

from ocs.errors import Unavailable
from ocs.shell.follower.verifiers import Verifiers
from ocs.signed.refusal import Refusal
from ocs.units import UnixMillis
from ocs.usage.opening import Refused
from ocs.usage.register import KeyRegister

NOW = UnixMillis(1_790_000_000_000)


def children() -> list[int]:
    """Give the processes that this one has started and that have not ended."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


async def verdict(verifiers: Verifiers) -> str:
    """Have what is no report opened; what came of it."""
    try:
        (found,) = await verifiers.open([b"no report"], NOW)
    except Unavailable:
        return "again"
    assert isinstance(found, Refused)
    return found.code.value


def test_whoever_asks_while_a_process_ends_is_told_to_come_again() -> None:
    async def run() -> list[str]:
        verifiers = Verifiers("a.network.example", KeyRegister)
        others = set(children())
        try:
            told = [await verdict(verifiers)]
            for _ in range(5):
                for pid in set(children()) - others:
                    os.kill(pid, signal.SIGKILL)
                # None waits for the one before it: some ask as the pipe is gone and nobody knows that the process is.
                asking = []
                for _ in range(100):
                    asking.append(asyncio.ensure_future(verdict(verifiers)))
                    await asyncio.sleep(0.0002)
                told += await asyncio.gather(*asking)
            told.append(await verdict(verifiers))
        finally:
            await asyncio.wait_for(verifiers.close(), 10)
        return told

    told = uvloop.run(run())
    assert told[0] == told[-1] == Refusal.MALFORMED.value
    assert set(told) == {Refusal.MALFORMED.value, "again"}


FORKED_ENDS = """
import asyncio, ctypes
import uvloop
from ocs.shell.follower.verifiers import Verifiers
from ocs.usage.register import KeyRegister

libc = ctypes.CDLL(None)
assert libc.__register_atfork(None, None, ctypes.cast(libc.abort, ctypes.c_void_p), None) == 0

async def run():
    verifiers = Verifiers("a.network.example", KeyRegister)
    try:
        (found,) = await verifiers.open([b"no report"], 1)
        return found.code.value
    finally:
        await verifiers.close()

print(uvloop.run(run()))
"""


def test_they_start_whatever_others_have_a_forked_child_do() -> None:
    """gRPC has its handlers run in a child, and there they are no good while its threads work."""
    told = subprocess.run([sys.executable, "-c", FORKED_ENDS], capture_output=True, text=True, timeout=60, check=False)
    assert told.stdout.strip() == Refusal.MALFORMED.value, told.stderr
