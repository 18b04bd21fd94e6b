"""Keeps how channels open and close while the journal is folded, and signs each close: the owner's last word on it."""

import asyncio

from ocs.channel.channel import Channel
from ocs.channel.closure import propose
from ocs.channel.event import ChannelOpened, ChannelStepped
from ocs.channel.record import CHANNEL_CLOSE_TYPE
from ocs.channel.transition import Step
from ocs.shell.store.channel_files import ChannelFiles, Closed
from ocs.signed import envelope
from ocs.signed.ed25519 import Signer
from ocs.state import Event, State


class ChannelKeeper:
    """Sees each event of channels once it is applied."""

    def __init__(self, files: ChannelFiles, signer: Signer) -> None:
        """Begin; `signer` has the owner's key."""
        self._files = files
        self._signer = signer

    async def see(self, event: Event, state: State) -> None:
        """Keep what follows from an event that is applied.

        Raises:
            Unavailable: the disk refused.
        """
        match event:
            case ChannelOpened():
                await asyncio.to_thread(self._files.keep_open, event.number, event.envelope)
            case ChannelStepped(number=number, step=Step.SETTLE):
                closed = self._closed(state.signed.channels.by_number[number], state)
                await asyncio.to_thread(self._files.keep_close, number, closed)

    def _closed(self, channel: Channel, state: State) -> Closed:
        signed = state.signed
        seen = signed.witnessed
        if seen is not None and channel.lies_within(seen.size):
            close, cosignatures = propose(channel, seen.size, seen.root), seen.cosignatures
        else:
            close, cosignatures = propose(channel, signed.log.size, signed.tree.root()), b""
        sealed = envelope.seal(CHANNEL_CLOSE_TYPE, close.encode(), self._signer)
        return Closed(channel.first_leaf, channel.per_octets, sealed, cosignatures)
