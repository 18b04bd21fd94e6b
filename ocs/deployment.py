"""Decide what is asked of keys and channels: by an administrator, or by the clock.  docs/adr/0017-channels.md."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from ocs import command as cmd
from ocs.channel.channel import Channel, ChannelState
from ocs.channel.event import ChannelOpened, ChannelStepped, CreditsBought, LogWitnessed
from ocs.channel.hold import SessionState
from ocs.channel.ledger import Channels
from ocs.channel.record import CHANNEL_OPEN_TYPE, ChannelOpen, CloseReason, channel_id
from ocs.channel.supply import lifetime_least
from ocs.channel.transition import Step, after
from ocs.errors import Conflict, InvalidInput, NotFound, OutOfTurn
from ocs.reporting import SignedUsage, UsagePolicy
from ocs.signed import envelope
from ocs.signed.ed25519 import check_public_key, public_key_of, verify
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.texts import check_origin_host, check_text
from ocs.units import CREDITS_MAX, DAY, TIME_MAX, DataCredits, UnixMillis
from ocs.usage.event import KeyRevoked, KeyRotated, SignersAdded
from ocs.usage.rotation import open_rotation

EXPIRY_MS_MAX: Final = 31 * DAY
OVERLAP_MS: Final = DAY
"""A key that was replaced is good for a day more: sessions that run stay with the keys they began with."""

SETTLED_KEPT: Final = 24
"""Of settled channels: repeats of their reports are answered from memory."""

LOW_PERCENT: Final = 20
"""With less of its amount free no session begins in a channel; what runs there still has room to finish."""


# Keys


def add_signers(state: SignedUsage, command: cmd.AddSigners, now: UnixMillis) -> SignersAdded:
    """Register the keys of a gateway's SGW and its miner.

    Raises:
        Malformed: `bad_key`, or `role_mismatch` where both are one.
        InvalidInput: the Origin-Host is none, or the dates are in the wrong order or cannot be written.
        Conflict: a key is registered already; no key serves twice.
        OutOfTurn: no channel could hold what is granted to this gateway, and it would be refused from now on.
    """
    check_origin_host(command.origin_host)
    channels = state.channels
    if not channels.account.available and not any(
        channel.state == ChannelState.OPEN for channel in channels.by_number.values()
    ):
        raise OutOfTurn("there are no data credits to hold this gateway's grants with; buy some first")
    for key in (command.sgw_key, command.miner_key):
        check_public_key(key)
        if key in state.register.keys:
            raise Conflict(f"key {key.hex()} is registered already; each SGW and each miner has its own")
    if command.sgw_key == command.miner_key:
        raise Malformed("SGW and miner have one key; each has its own", Refusal.ROLE_MISMATCH)
    if not (0 <= command.valid_from <= TIME_MAX and 0 <= command.valid_until <= TIME_MAX):
        raise InvalidInput("the dates of a key are after 1970 and before the year 10000")
    begins = command.valid_from or now
    if command.valid_until and command.valid_until <= begins:
        raise InvalidInput("the keys would end before they begin")
    return SignersAdded(
        now, command.origin_host, command.sgw_key, command.miner_key, UnixMillis(begins), command.valid_until
    )


def revoke_key(state: SignedUsage, command: cmd.RevokeKey, now: UnixMillis) -> KeyRevoked:
    key = state.register.keys.get(command.public_key)
    if key is None:
        raise NotFound(f"there is no key {command.public_key.hex()}; `ocs key list` shows them")
    if key.revoked_at is not None:
        raise OutOfTurn(f"key {command.public_key.hex()} is revoked already")
    check_text("a reason", command.reason)
    return KeyRevoked(now, command.public_key, command.reason)


def rotate_key(state: SignedUsage, policy: UsagePolicy, command: cmd.RotateKey, now: UnixMillis) -> KeyRotated:
    """Let one key follow another, as both of them signed it.

    Raises:
        Malformed: as `open_rotation`; `bad_key` or `key_revoked` where the old key may not sign, `out_of_range` where
            the new one would begin after the old one's date, or never.
        Conflict: the new key is registered already.
    """
    rotation = open_rotation(command.rotation, policy.network)
    old, new = public_key_of(rotation.old_key), public_key_of(rotation.new_key)
    key = state.register.keys.get(old)
    if key is None or (key.valid_until is not None and now >= key.valid_until):
        raise Malformed("the old key is not registered, or not in date", Refusal.BAD_KEY)
    if key.revoked_at is not None:
        raise Malformed("the old key is revoked; register new signers instead", Refusal.KEY_REVOKED)
    if new in state.register.keys:
        raise Conflict(f"key {new.hex()} is registered already; each SGW and each miner has its own")
    effective = UnixMillis(max(now, rotation.effective_at_ms))
    # What follows a key is good for as long as that key would have been, and lengthens nothing.
    ends = key.valid_until if key.valid_until is not None else TIME_MAX
    if effective >= ends:
        raise Malformed("effective_at_ms is after the end of the old key's date", Refusal.OUT_OF_RANGE)
    return KeyRotated(now, old, new, effective, UnixMillis(min(effective + OVERLAP_MS, ends)), command.rotation)


# Data credits and channels


def buy_credits(state: SignedUsage, command: cmd.BuyCredits, now: UnixMillis) -> tuple[CreditsBought, bool]:
    """Credit the deployment's account, once for each key; the second of the pair says whether it was before.

    Raises:
        Conflict: the key was used with another amount or reference, or the balance would be beyond what is counted.
    """
    before = state.purchases.get(command.key)
    if before is not None:
        if (before.amount, before.reference) != (command.amount, command.reference):
            raise Conflict(f"Idempotency-Key {command.key!r} was used with another amount or reference")
        return before, True
    if not 0 < command.amount <= CREDITS_MAX:
        raise InvalidInput(f"an amount is 1 to {CREDITS_MAX} data credits")
    if state.channels.account.funded + command.amount > CREDITS_MAX:
        raise Conflict(f"no more than {CREDITS_MAX} data credits are counted")
    check_text("an Idempotency-Key", command.key)
    check_text("a reference", command.reference)
    return CreditsBought(now, len(state.purchases) + 1, command.amount, command.reference, command.key), False


def open_channel(state: SignedUsage, policy: UsagePolicy, command: cmd.OpenChannel, now: UnixMillis) -> ChannelOpened:
    """Lock credit for a channel that its owner signed.

    Raises:
        Malformed: with the code of the rule that is broken.
    """
    signed = envelope.decode(command.envelope)
    if signed.payload_type != CHANNEL_OPEN_TYPE:
        raise Malformed("it is no ChannelOpen")
    owner = public_key_of(signed.signer)
    if not policy.owner_key or owner != policy.owner_key:
        raise Malformed("it is not signed by the owner of this deployment's channels", Refusal.BAD_KEY)
    if not verify(owner, envelope.signed_bytes(signed.payload_type, signed.payload), signed.signature):
        raise Malformed("the signature is not its signer's", Refusal.BAD_SIGNATURE)
    wanted = ChannelOpen.decode(signed.payload)
    if wanted.owner_key != signed.signer:
        raise Malformed("owner_key is not the key that signed", Refusal.SIGNER_MISMATCH)
    if wanted.network != policy.network:
        raise Malformed("it was signed for another network", Refusal.WRONG_NETWORK)
    name = channel_id(signed.payload)
    if name in state.channels.numbers:
        raise Malformed("this channel is open already", Refusal.REUSED_ID)
    if wanted.owner_nonce != state.channels.newest + 1:
        raise Malformed(f"owner_nonce is to be {state.channels.newest + 1}", Refusal.BAD_NONCE)
    if wanted.operator_id:
        raise Malformed("channels are for all operators of the deployment", Refusal.UNKNOWN_OPERATOR)
    per_octets = policy.tariffs.get(wanted.tariff_id)
    if per_octets is None:
        raise Malformed(f"there is no tariff {wanted.tariff_id}", Refusal.OUT_OF_RANGE)
    expires_at = wanted.expire_height * policy.epoch_ms
    if (
        not now + lifetime_least(policy.epoch_ms) <= expires_at <= now + EXPIRY_MS_MAX
        or wanted.open_height > wanted.expire_height
    ):
        raise Malformed("expire_height is too near, or more than a month away", Refusal.BAD_EXPIRY)
    unsettled = sum(one.state != ChannelState.SETTLED for one in state.channels.by_number.values())
    if unsettled >= policy.channels_max:
        raise Malformed(f"{unsettled} channels are not settled yet", Refusal.TOO_MANY_CHANNELS)
    if not 0 < wanted.amount_dc <= state.channels.account.available:
        raise Malformed(
            f"{state.channels.account.available} data credits are available; buy more first", Refusal.OVER_BALANCE
        )
    return ChannelOpened(
        now,
        wanted.owner_nonce,
        name,
        DataCredits(wanted.amount_dc),
        wanted.tariff_id,
        per_octets,
        UnixMillis(expires_at),
        wanted.grace_blocks * policy.epoch_ms,
        command.envelope,
    )


def close_channel(state: SignedUsage, command: cmd.CloseChannel, now: UnixMillis) -> ChannelStepped:
    """Close a channel because its owner wishes so; late reports are taken until its grace is over."""
    channel = state.channels.named(command.channel_id)
    if channel is None:
        raise NotFound(f"there is no channel {command.channel_id.hex()}; `ocs channel list` shows them")
    after(channel.state, Step.CLOSE)
    return ChannelStepped(now, channel.number, Step.CLOSE, CloseReason.OWNER)


def witness_log(state: SignedUsage, command: cmd.WitnessLog, now: UnixMillis) -> LogWitnessed:
    """Note how much of the log cosigners have seen.

    Raises:
        OutOfTurn: as much, or more, was seen before, or it is more than there is.
    """
    before = state.witnessed.size if state.witnessed is not None else -1
    if not before < command.size <= state.log.size:
        raise OutOfTurn(f"cosigners saw {before} of {state.log.size} leaves, and not {command.size}")
    return LogWitnessed(now, command.size, command.root, command.cosignatures)


class Due(NamedTuple):
    """What the clock, or a channel's own state, asks for."""

    number: int
    step: Step
    reason: int


def due(state: SignedUsage, policy: UsagePolicy, now: UnixMillis) -> Iterator[Due]:
    """Give the steps that are due now, one for a channel at the most."""
    channels = state.channels
    busy: set[int] = set()
    if any(channel.state == ChannelState.DRAINING for channel in channels.by_number.values()):
        busy = {one.channel for one in channels.sessions.values() if one.state == SessionState.RUNNING}
    for channel in channels.by_number.values():
        waits = policy.is_witnessed and awaits_witness(state, channel)
        step = _due(channel, now, is_busy=channel.number in busy, waits=waits)
        if step is not None:
            yield Due(channel.number, *step)


def awaits_witness(state: SignedUsage, channel: Channel) -> bool:
    """Tell whether cosigners have yet to see commits of a channel; for one from before that was kept nobody waits."""
    seen = state.witnessed.size if state.witnessed is not None else -1
    return channel.first_leaf <= channel.last_leaf and not channel.lies_within(seen)


def _due(channel: Channel, now: UnixMillis, *, is_busy: bool, waits: bool) -> tuple[Step, int] | None:
    match channel.state:
        case ChannelState.CLOSING if now >= channel.settles_at and not waits:
            return Step.SETTLE, channel.reason
        case ChannelState.OPEN | ChannelState.DRAINING if now >= channel.expires_at:
            return Step.CLOSE, CloseReason.EPOCH_END
        case ChannelState.OPEN | ChannelState.DRAINING if channel.used == channel.amount:
            return Step.CLOSE, CloseReason.EXHAUSTED
        case ChannelState.DRAINING if not channel.reserved and not is_busy:
            return Step.CLOSE, CloseReason.EXHAUSTED
        case ChannelState.OPEN if channel.free * 100 < channel.amount * LOW_PERCENT:
            return Step.DRAIN, 0
        case _:
            return None


def tend(state: SignedUsage, policy: UsagePolicy, now: UnixMillis) -> ChannelStepped | None:
    """Take the first step that is due; None where none is."""
    for number, step, reason in due(state, policy, now):
        return ChannelStepped(now, number, step, reason)
    return None


def evolve(state: SignedUsage, event: ChannelOpened | ChannelStepped) -> None:
    """Apply what was decided of a channel, in place."""
    channels = state.channels
    match event:
        case ChannelOpened():
            channels.open(
                Channel(
                    event.number,
                    event.channel_id,
                    event.amount,
                    event.tariff,
                    event.per_octets,
                    event.at,
                    event.expires_at,
                    event.grace_ms,
                )
            )
        case ChannelStepped(number=number, step=Step.DRAIN):
            channels.drain(number)
        case ChannelStepped(number=number, step=Step.CLOSE):
            channels.close(number, event.reason, event.at)
        case ChannelStepped(number=number):
            channels.settle(number)
            _forget_old(channels)


def _forget_old(channels: Channels) -> None:
    """Drop the oldest settled channels; books and log answer for them."""
    settled = [one.number for one in channels.by_number.values() if one.state == ChannelState.SETTLED]
    for number in settled[:-SETTLED_KEPT]:
        channels.forget(number)
