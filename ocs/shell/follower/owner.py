"""The owner of this deployment's channels: opens one in time, so that a spare one is always ready."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from ocs.channel import supply
from ocs.channel.event import ChannelOpened
from ocs.channel.record import CHANNEL_OPEN_TYPE, MINERS_MAX, ChannelOpen
from ocs.channel.supply import Wanted
from ocs.command import OpenChannel
from ocs.errors import OcsError, OutOfTurn, Unavailable
from ocs.node import Done
from ocs.shell.config import Usage
from ocs.signed import envelope, fields
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.state import State
from ocs.units import SECOND, DataCredits, UnixMillis

LOOKED_AT_SECONDS: Final = 0.5
TOLD_SECONDS: Final = 600.0
"""Between two lines of the log about one channel that cannot be opened."""

log = structlog.get_logger()


class Owner:
    """Signs the Opens of channels, with a key that nobody else has."""

    def __init__(
        self,
        settings: Usage,
        signer: SeedSigner,
        state: Callable[[], State],
        command: Callable[[OpenChannel], Awaitable[Done]],
    ) -> None:
        """Begin.

        Args:
            state: as it is known here; a moment behind the core's.
            command: has a command carried out.
        """
        self._settings = settings
        self._signer = signer
        self._state = state
        self._command = command
        self._told_at = -TOLD_SECONDS

    async def run(self) -> None:
        """Look at the channels now and then, for as long as the process lives."""
        while True:
            await asyncio.sleep(LOOKED_AT_SECONDS)
            state = self._state()
            amount = DataCredits(self._settings.channel_credits)
            wanted = supply.wanted(state.signed.channels, self._now(state), self._epoch_ms, amount)
            if wanted is None:
                continue
            try:
                await self._open(wanted)
            except Unavailable:
                continue  # the core is busy or has gone; whoever watches it says so
            except OcsError as error:
                self._tell(error)

    async def open(self, amount: DataCredits | None) -> ChannelOpened:
        """Open a channel because somebody asks for it.

        Args:
            amount: what it locks; None for what the configuration says, or all there is.

        Raises:
            OutOfTurn: no data credits are left.
            OcsError: the Open is refused.
        """
        state = self._state()
        most = amount if amount is not None else DataCredits(self._settings.channel_credits)
        wanted = supply.asked(state.signed.channels, self._now(state), self._epoch_ms, most)
        if wanted is None:
            raise OutOfTurn("no data credits are left; buy some first: ocs channel top-up")
        if amount is not None:
            wanted = wanted._replace(amount=amount)  # less than was asked for would be a surprise
        return await self._open(wanted)

    async def _open(self, wanted: Wanted) -> ChannelOpened:
        settings = self._settings
        payload = ChannelOpen(
            version=fields.VERSION,
            network=settings.network,
            owner_key=signer_of(self._signer.public_key),
            owner_nonce=wanted.nonce,
            amount_dc=wanted.amount,
            open_height=wanted.open_height,
            expire_height=wanted.expire_height,
            grace_blocks=settings.grace_epochs,
            tariff_id=settings.tariff,
            max_miners=MINERS_MAX,
            operator_id="",
        ).encode()
        done = await self._command(OpenChannel(envelope.seal(CHANNEL_OPEN_TYPE, payload, self._signer)))
        assert isinstance(done.event, ChannelOpened)
        log.info("channel opened", number=done.event.number, credits=done.event.amount)
        return done.event

    def _tell(self, error: OcsError) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._told_at + TOLD_SECONDS:
            self._told_at = now
            log.warning("no channel can be opened", reason=str(error))

    @property
    def _epoch_ms(self) -> int:
        return self._settings.epoch_seconds * SECOND

    @staticmethod
    def _now(state: State) -> UnixMillis:
        return UnixMillis(max(state.at, time.time_ns() // 1_000_000))
