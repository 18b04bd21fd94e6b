"""Shows the public log to its cosigners, and has the core note what they have seen.  docs/adr/0022-witnesses.md.

    checkpoint ──▶ each witness ──▶ cosignatures that hold ──▶ `LogWitnessed` in the journal
                                                             ──▶ channels that waited for it settle

A witness that is away costs nothing but its cosignature; it is shown the log again the next time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import httpx
import structlog

from ocs.channel.channel import ChannelState
from ocs.command import WitnessLog
from ocs.deployment import awaits_witness
from ocs.errors import OcsError, Unavailable
from ocs.node import Done
from ocs.shell.config import Usage, WitnessSettings
from ocs.shell.follower.public_log import PublicLog
from ocs.signed.ed25519 import verify
from ocs.state import State
from ocs.tlog import checkpoint, note, witness
from ocs.tlog.checkpoint import CosignerKey
from ocs.tlog.note import Note
from ocs.tlog.witness import AddCheckpoint, Status

LOOKED_AT_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 10.0
URGENT_SECONDS: Final = 5.0
"""Between two checkpoints where a channel waits to settle."""

TOLD_SECONDS: Final = 600.0
"""Between two lines of the log about one witness that does not cosign."""

log = structlog.get_logger()


class Witnessing:
    """Asks all witnesses of the configuration at the same time, now and then."""

    def __init__(
        self,
        settings: Usage,
        public: PublicLog,
        state: Callable[[], State],
        command: Callable[[WitnessLog], Awaitable[Done]],
    ) -> None:
        """Begin.

        Args:
            state: as it is known here.
            command: has a command carried out by the core.
        """
        self._settings = settings
        self._public = public
        self._state = state
        self._command = command
        self._witnesses = [_Witness(one, public) for one in settings.witnesses]
        self._shown_at = -float("inf")

    async def run(self) -> None:
        """Show the log whenever that is due, for as long as the process lives."""
        if not self._witnesses:
            await asyncio.Event().wait()
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, follow_redirects=False) as client:
            while True:
                if self._is_due():
                    self._shown_at = time.monotonic()
                    await self._show(client)
                await asyncio.sleep(LOOKED_AT_SECONDS)

    def _is_due(self) -> bool:
        signed = self._state().signed
        if signed.witnessed is not None and signed.witnessed.size == self._public.size:
            return False
        waited = time.monotonic() - self._shown_at
        if waited >= self._settings.witness_seconds:
            return True
        if waited < URGENT_SECONDS:
            return False
        now = time.time_ns() // 1_000_000
        return bool(self._settings.witnesses_required) and any(
            one.state == ChannelState.CLOSING and now >= one.settles_at and awaits_witness(signed, one)
            for one in signed.channels.by_number.values()
        )

    async def _show(self, client: httpx.AsyncClient) -> None:
        seen = self._state().signed.witnessed
        size = self._public.size
        signed = self._public.checkpoint_at(size)
        before = seen.size if seen is not None else 0
        answers = await asyncio.gather(*(one.show(client, signed, before) for one in self._witnesses))
        lines = [line for line in answers if line]
        if len(lines) < max(1, self._settings.witnesses_required):
            return
        head = checkpoint.parse(signed.text)
        try:
            await self._command(WitnessLog(head.size, head.root, b"".join(lines)))
        except Unavailable:
            pass  # the core is busy or has gone; whoever watches it says so
        except OcsError as error:
            log.warning("what cosigners have seen is not taken", reason=str(error))


class _Witness:
    """One cosigner, as it answers."""

    def __init__(self, settings: WitnessSettings, public: PublicLog) -> None:
        self._url = settings.url.rstrip("/") + "/add-checkpoint"
        self._key = CosignerKey.parse(settings.key)
        self._public = public
        self._seen: int | None = None  # leaves, as far as is known
        self._told_at = -TOLD_SECONDS

    async def show(self, client: httpx.AsyncClient, signed: Note, before: int) -> bytes:
        """Give its cosignature's line; b"" where there is none, and somebody is told why.

        Args:
            before: leaves that cosigners are known to have seen; a guess at what this one has.
        """
        head = checkpoint.parse(signed.text)
        old = before if self._seen is None else self._seen
        try:
            response = await self._ask(client, signed, min(old, head.size))
            if response.status_code == Status.STALE:
                self._seen = witness.parse_size(response.content)
                if self._seen > head.size:
                    raise Unavailable(f"it has seen {self._seen} leaves, and this log has {head.size}: another one?")
                response = await self._ask(client, signed, self._seen)
            if response.status_code != Status.COSIGNED:
                raise Unavailable(f"{response.status_code} {response.text[:200].strip()!r}")
            line = self._own(signed, response.text)
        except (httpx.HTTPError, OcsError) as error:
            self._tell(str(error) or type(error).__name__)
            return b""
        self._seen = head.size
        return line

    async def _ask(self, client: httpx.AsyncClient, signed: Note, old: int) -> httpx.Response:
        size = checkpoint.parse(signed.text).size
        hashes = self._public.files.consistency(old, size)
        return await client.post(self._url, content=AddCheckpoint(old, hashes, signed.octets).octets)

    def _own(self, signed: Note, answer: str) -> bytes:
        """Give the line that this witness's key made; others that it may add are left."""
        for one in note.parse_signatures(answer):
            if (one.name, one.key_id) == (self._key.name, self._key.key_id):
                note.verified(Note(signed.text, (one,)), [self._key], verify)
                return one.line.encode()
        raise Unavailable(f"its answer has no cosignature of {self._key.name}")

    def _tell(self, reason: str) -> None:
        now = time.monotonic()
        if now >= self._told_at + TOLD_SECONDS:
            self._told_at = now
            log.warning("a witness does not cosign", witness=self._key.name, reason=reason)
