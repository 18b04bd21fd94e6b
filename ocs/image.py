"""The state as chunks of octets, for snapshots, and back.  docs/adr/0004-snapshots-and-archive.md.

The first chunk holds all but the sessions; each further one holds some of them, as they lie.  Fields are only appended.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

import msgspec

from ocs.balance.event import ToppedUp
from ocs.balance.operator import Operator
from ocs.channel.account import DataCreditAccount
from ocs.channel.channel import Channel
from ocs.channel.event import CreditsBought, LogWitnessed
from ocs.channel.hold import Hold, SignedSession
from ocs.credit_control.event import Gateway
from ocs.rating.tariff import Tariff
from ocs.reporting import SignedUsage
from ocs.state import PeerAllowed, State
from ocs.tlog.merkle import Frontier
from ocs.units import Credits, GroupIndex, OperatorId, SessionId, UnixMillis
from ocs.usage.keys import KeyView

SESSIONS_PER_CHUNK: Final = 1000
"""About a quarter of a megabyte: what the disk is asked to write in one piece."""


class _Signed(msgspec.Struct, array_like=True):
    """Keys, channels and the log's frontier."""

    keys: list[tuple[bytes, KeyView]]
    account: DataCreditAccount
    newest: int
    channels: list[Channel]
    holds: list[tuple[bytes, Hold]]
    sessions: list[tuple[bytes, SignedSession]]
    purchases: list[CreditsBought]
    log: bytes
    witnessed: LogWitnessed | None = None


class _Frame(msgspec.Struct, array_like=True):
    group: GroupIndex
    at: UnixMillis
    operators: list[Operator]
    tariffs: list[Tariff]
    gateways: list[Gateway]
    peers: list[PeerAllowed]
    top_ups: list[ToppedUp]
    reversed_credits: dict[int, Credits]
    signed: _Signed | None = None


_Sessions = list[tuple[bytes, bytes]]


def chunks(state: State) -> Iterator[bytes]:
    """Give the state as chunks, as it is now: it may change while they are taken."""
    charging = state.charging
    pack = msgspec.msgpack.Encoder().encode
    frame = pack(
        _Frame(
            state.group,
            state.at,
            charging.operators.all(),
            charging.tariffs.all(),
            charging.sessions.gateways,
            list(state.peers.values()),
            list(state.top_ups.values()),
            state.reversed_credits,
            _signed(state.signed),
        )
    )
    sessions = charging.sessions.packed()
    some = iter(lambda: list(islice(sessions, SESSIONS_PER_CHUNK)), [])
    return chain((frame,), map(pack, some))


def restore(parts: Iterable[bytes]) -> State:
    """Build the state from its chunks."""
    parts = iter(parts)
    frame = msgspec.msgpack.decode(next(parts), type=_Frame)
    state = State(group=frame.group, at=frame.at)
    charging = state.charging
    for operator in frame.operators:
        charging.operators.add(operator)
    for tariff in frame.tariffs:
        charging.tariffs.add(tariff)
    for gateway in frame.gateways:
        charging.sessions.place_of(gateway)
    for peer in frame.peers:
        state.peers[peer.origin_host] = peer
    for event in frame.top_ups:
        state.top_ups[event.number] = event
        state.top_up_keys[OperatorId(event.operator), event.key] = event.number
    state.reversed_credits = dict(frame.reversed_credits)
    if frame.signed is not None:
        _restore_signed(state.signed, frame.signed)
    decode = msgspec.msgpack.Decoder(_Sessions).decode
    for part in parts:
        for session_id, packed in decode(part):
            charging.sessions.restore(SessionId(session_id), packed)
    charging.sessions.restored(frame.group)
    return state


def _signed(signed: SignedUsage) -> _Signed:
    channels = signed.channels
    return _Signed(
        list(signed.register.keys.items()),
        channels.account,
        channels.newest,
        list(channels.by_number.values()),
        list(channels.holds.items()),
        list(channels.sessions.items()),
        list(signed.purchases.values()),
        signed.tree.packed(),
        signed.witnessed,
    )


def _restore_signed(signed: SignedUsage, found: _Signed) -> None:
    signed.register.restore(dict(found.keys))
    channels = signed.channels
    channels.account, channels.newest = found.account, found.newest
    channels.by_number = {channel.number: channel for channel in found.channels}
    channels.numbers = {channel.channel_id: channel.number for channel in found.channels}
    channels.holds, channels.sessions = dict(found.holds), dict(found.sessions)
    signed.purchases = {event.key: event for event in found.purchases}
    signed.log = Frontier.unpacked(found.log)
    signed.witnessed = found.witnessed
