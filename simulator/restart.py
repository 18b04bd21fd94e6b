"""Restarting the server in mid-scenario, by a command that whoever runs the scenario names."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from simulator.scenario import HookFailed

COMMAND_SECONDS: Final = 60.0
SHOWN_OCTETS: Final = 500


def by_command(command: str) -> Callable[[], Awaitable[None]]:
    """Make a hook of a shell command; it returns when the server is stopped and on its way up again.

    Raises (the hook):
        HookFailed: the command ended with anything but 0, or did not end in time.
    """

    async def restart() -> None:
        process = await asyncio.create_subprocess_shell(
            command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                told, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise HookFailed(f"{command!r} did not end within {COMMAND_SECONDS:g} s") from None
        if process.returncode:
            shown = told[-SHOWN_OCTETS:].decode(errors="replace").strip()
            raise HookFailed(f"{command!r} ended with {process.returncode}: {shown}")

    return restart
