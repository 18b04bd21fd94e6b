"""Decide a countersigned report whose signatures are good: channel, session, order, clock and amount, in this order.

    Opened (usage) ──▶ decide ──▶ SessionBegun, UsageCommitted · ReportRefused · SessionFrozen · nothing, for a repeat
    event          ──▶ evolve ──▶ channels, and a leaf of the log

Gy alone grants: what a session may sign for is what its hold says.  docs/adr/0017-channels.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Final, NamedTuple, assert_never

import msgspec

from ocs import command as cmd
from ocs.channel.channel import Channel, ChannelState
from ocs.channel.event import CreditsBought, LogWitnessed, SessionBegun, SessionFrozen, UsageCommitted
from ocs.channel.hold import SessionState, SignedSession
from ocs.channel.leaf import join
from ocs.channel.ledger import Channels
from ocs.channel.record import MINERS_MAX, Commit, commit_id
from ocs.signed import fields
from ocs.signed.ed25519 import public_key_of
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.tlog.merkle import Frontier, LeafCount, leaf_hash
from ocs.units import MINUTE, Octets, UnixMillis
from ocs.usage.dispute import DisputeKind
from ocs.usage.event import ReportRefused
from ocs.usage.opening import Opened, check_keys
from ocs.usage.record import SessionInit, Usage
from ocs.usage.register import KeyRegister

CLOCK_MS_MAX: Final = 5 * MINUTE
"""So far may the clocks of SGW, miner and this server be apart."""

SEQ_JUMP_MAX: Final = 1_000_000
"""Values are cumulative, so a gap costs nothing; but no forwarder loses a million reports."""


class Flag(IntFlag):
    """What is odd about a report that is counted all the same."""

    GAP = 1  # reports before it are missing
    CHAIN = 2  # prev_id is not the report before it
    LATE = 4  # the miner had it more than five minutes ago: stored and forwarded


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePolicy:
    """Settings that reports and channels are held against.

    Attributes:
        network: the name of this deployment; every message bears it.
        owner_key: who may open channels, 32 octets; b"" for nobody.
        tariffs: octets that one data credit pays for, by tariff number.
        tolerance: octets that may be signed above what was granted and reported over Gy.
        octets_per_second_max: more is not carried by any radio here.
        epoch_ms: heights of channels count these since 1970.
        channels_max: that may be unsettled at a time.
        is_witnessed: whether a channel settles only once cosigners have seen all of its commits.
    """

    network: str = "default"
    owner_key: bytes = b""
    tariffs: Mapping[int, Octets] = field(default_factory=lambda: {1: Octets(20_000)})
    tolerance: Octets = Octets(1_000_000)
    octets_per_second_max: Octets = Octets(125_000_000)
    epoch_ms: int = 60 * MINUTE
    channels_max: int = 16
    is_witnessed: bool = False


@dataclass(slots=True)
class SignedUsage:
    """Keys, channels, and the log of all commits.

    Attributes:
        log: a count alone where leaves are made elsewhere, of the same events: the core decides by how many there are,
            and the follower makes them.  Then `Channel.last_commit` does not move either.
        purchases: of data credits, by Idempotency-Key.
        witnessed: the newest checkpoint that cosigners have seen.
        on_leaf: is told each leaf with its place in the log; no part of the state.
    """

    register: KeyRegister = field(default_factory=KeyRegister)
    channels: Channels = field(default_factory=Channels)
    log: Frontier | LeafCount = field(default_factory=Frontier)
    purchases: dict[str, CreditsBought] = field(default_factory=dict)
    witnessed: LogWitnessed | None = None
    on_leaf: Callable[[int, bytes], None] | None = None

    @property
    def tree(self) -> Frontier:
        """Give the log of whoever makes its leaves."""
        assert isinstance(self.log, Frontier)
        return self.log


class Receipted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The report is counted, now or before: what a receipt proves is leaf number `leaf` of the log."""

    leaf: int


class Superseded(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """A later report of the session is counted, with this one in it: its leaf is number `leaf`."""

    leaf: int


class Sought(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """Only the log can tell whether this very report was counted; come back with what it holds for this seq."""

    session_id: bytes
    seq: int


class Verdict(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """The report breaks a rule."""

    code: Refusal
    detail: str


Told = Receipted | Superseded | Sought | Verdict
ReportEvent = SessionBegun | UsageCommitted | SessionFrozen | ReportRefused


class Earlier(NamedTuple):
    """What the log holds of a session at the seq that a report bears, or at its newest; `envelope` b"" for nothing."""

    report_id: bytes
    envelope: bytes
    leaf: int


class _Contradicted(Exception):
    def __init__(self, kind: DisputeKind, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


class _Broken(Exception):
    def __init__(self, code: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.verdict = Verdict(code, detail)


def receive(
    state: SignedUsage, policy: UsagePolicy, command: cmd.Report, now: UnixMillis
) -> tuple[ReportEvent | None, Told]:
    """Decide a report whose signatures were verified, with the keys as they are now."""
    opened = command.opened
    try:
        check_keys(opened, state.register.keys, now)
    except Malformed as error:
        event = ReportRefused(now, error.code.value, error.detail, opened.report.miner_key, opened.octets)
        return event, Verdict(error.code, error.detail)
    earlier = Earlier(command.earlier_id, command.earlier, command.leaf) if command.looked else None
    return decide(state, policy, opened, earlier, now)


def decide(
    state: SignedUsage, policy: UsagePolicy, opened: Opened, earlier: Earlier | None, now: UnixMillis
) -> tuple[ReportEvent | None, Told]:
    """Decide a report; nothing changes.

    Args:
        opened: both its signatures are good, and its keys are in date at `now`.
        earlier: what the log holds for its session and seq; None where nobody has looked.
    """
    report = opened.report
    try:
        if isinstance(report, SessionInit):
            return _decide_init(state, policy, opened, report, earlier, now)
        return _decide_usage(state, policy, opened, report, earlier, now)
    except _Broken as broken:
        verdict = broken.verdict
        return ReportRefused(now, verdict.code.value, verdict.detail, report.miner_key, opened.octets), verdict
    except _Contradicted as found:
        verdict = Verdict(Refusal.EQUIVOCATION, found.detail)
        assert earlier is not None
        return SessionFrozen(now, report.session_id, found.kind, earlier.envelope, opened.octets), verdict


def _channel(channels: Channels, report: SessionInit | Usage, now: UnixMillis) -> Channel:
    channel = channels.named(report.channel_id)
    if channel is None:
        raise _Broken(Refusal.WRONG_CHANNEL, "there is no such channel here, or it was settled long ago")
    if channel.state == ChannelState.SETTLED or (channel.state == ChannelState.CLOSING and now >= channel.settles_at):
        raise _Broken(Refusal.CHANNEL_CLOSED, "the channel is closed, and its grace is over")
    return channel


def _is_open(channels: Channels, report: SessionInit | Usage) -> bool:
    channel = channels.named(report.channel_id)
    return channel is not None and channel.state == ChannelState.OPEN


def _decide_init(
    state: SignedUsage,
    policy: UsagePolicy,
    opened: Opened,
    init: SessionInit,
    earlier: Earlier | None,
    now: UnixMillis,
) -> tuple[ReportEvent | None, Told]:
    channels = state.channels
    session = channels.sessions.get(init.session_id)
    if session is not None:
        return _repeated(session, opened.report_id, 0, init.session_id, earlier)
    if earlier is not None and earlier.report_id == opened.report_id:
        return None, Receipted(earlier.leaf)  # of a channel that is forgotten
    if earlier is None and not _is_open(channels, init):
        return None, Sought(init.session_id, 0)  # a repeat has its receipt, however late it comes
    channel = _channel(channels, init, now)
    gy_session_id = init.gy_session_id.encode()
    hold = channels.holds.get(gy_session_id)
    # What was granted while a channel was open is signed for there, also when the first report comes late.
    if channel.state != ChannelState.OPEN and (hold is None or hold.bound != channel.number):
        raise _Broken(Refusal.CHANNEL_CLOSED, "no session begins in this channel any more; ask for the active one")
    if hold is None:
        raise _Broken(Refusal.GRANT_CONFLICT, "nothing is granted to this Gy session, or its gateway does not sign")
    if hold.gateway.lower() != state.register.keys[public_key_of(init.sgw_key)].origin_host:
        raise _Broken(Refusal.GRANT_CONFLICT, "the Gy session is another gateway's")
    if hold.running:
        raise _Broken(Refusal.GRANT_CONFLICT, "a signed session of this Gy session runs; end it with a final report")
    if init.granted_bytes > hold.granted:
        raise _Broken(Refusal.GRANT_CONFLICT, f"granted_bytes is above the {hold.granted} octets granted over Gy")
    if hold.bound != channel.number:
        raise _Broken(Refusal.WRONG_CHANNEL, "this Gy session is held in another channel; ask for the active one")
    if init.tariff_id != channel.tariff:
        raise _Broken(Refusal.WRONG_CHANNEL, f"the channel's tariff is {channel.tariff}")
    _check_clock(opened, init.started_at_ms, now)
    if init.miner_key not in channel.summaries and len(channel.summaries) >= MINERS_MAX:
        raise _Broken(Refusal.EXHAUSTED, f"the channel has {MINERS_MAX} miners, and takes no more")
    event = SessionBegun(
        now,
        channel.number,
        init.session_id,
        gy_session_id,
        init.sgw_key,
        init.miner_key,
        Octets(init.granted_bytes),
        UnixMillis(init.started_at_ms),
        opened.report_id,
        opened.countersign_id,
        opened.octets,
    )
    return event, Receipted(state.log.size)


def _decide_usage(
    state: SignedUsage, policy: UsagePolicy, opened: Opened, usage: Usage, earlier: Earlier | None, now: UnixMillis
) -> tuple[ReportEvent | None, Told]:
    channels = state.channels
    session = channels.sessions.get(usage.session_id)
    if session is not None and session.last_id == opened.report_id:
        return None, Receipted(session.index)
    if earlier is not None and earlier.report_id == opened.report_id:
        return None, Receipted(earlier.leaf)
    if earlier is None and (session is None or usage.seq <= session.seq):
        return None, Sought(usage.session_id, usage.seq)  # a repeat has its receipt, whatever became of its channel
    channel = _channel(channels, usage, now)
    if session is None:
        raise _Broken(Refusal.NO_SESSION, "no SessionInit of this session is counted")
    if session.channel != channel.number:
        raise _Broken(Refusal.WRONG_CHANNEL, "the session began in another channel")
    if (session.sgw_key, session.miner_key) != (usage.sgw_key, usage.miner_key):
        raise _Broken(Refusal.SIGNER_MISMATCH, "a session stays with the keys that it began with")
    if usage.seq <= session.seq:
        return _older(session, usage, opened, earlier)
    if session.state != SessionState.RUNNING:
        frozen = session.state == SessionState.FROZEN
        raise _Broken(Refusal.SESSION_ENDED, "the session is frozen" if frozen else "the session has ended")
    if usage.seq - session.seq > SEQ_JUMP_MAX:
        raise _Broken(Refusal.BAD_SEQ, f"seq is more than {SEQ_JUMP_MAX} above the last one, {session.seq}")
    if usage.cum_up_bytes < session.up or usage.cum_down_bytes < session.down:
        if earlier is None:
            return None, Sought(usage.session_id, session.seq)
        if earlier.envelope:
            raise _Contradicted(DisputeKind.LOWER_COUNTER, "a counter is below that of a report with a lower seq")
        raise _Broken(Refusal.REGRESSION, "a counter is below that of a report with a lower seq")
    _check_clock(opened, usage.measured_at_ms, now)
    if usage.measured_at_ms < session.measured_at:
        raise _Broken(Refusal.CLOCK, "it was measured before the report that precedes it")
    hold = channels.holds[session.gy_session_id]
    octets = usage.cum_bytes - session.octets
    if hold.committed + octets > hold.granted + policy.tolerance:
        raise _Broken(
            Refusal.OVER_GRANT,
            f"{hold.committed + octets} octets would be signed for, {hold.granted} were granted or reported over Gy, "
            f"and {policy.tolerance} are tolerated",
        )
    elapsed_ms = max(0, usage.measured_at_ms - session.started_at) + CLOCK_MS_MAX
    if usage.cum_bytes * 1000 > policy.octets_per_second_max * elapsed_ms:
        raise _Broken(Refusal.RATE_CAP, f"more than {policy.octets_per_second_max} octets a second since its start")
    if not channels.can_post(session, channels.price_of(session, usage.cum_bytes)):
        raise _Broken(Refusal.EXHAUSTED, f"the channel has {channel.free} credits left, and this costs more")
    event = UsageCommitted(
        now,
        usage.session_id,
        usage.seq,
        Octets(usage.cum_up_bytes),
        Octets(usage.cum_down_bytes),
        UnixMillis(usage.measured_at_ms),
        usage.final,
        int(_flags(session, usage, opened, now)),
        opened.report_id,
        opened.countersign_id,
        opened.octets,
    )
    return event, Receipted(state.log.size)


def _repeated(
    session: SignedSession, report_id: bytes, seq: int, session_id: bytes, earlier: Earlier | None
) -> tuple[ReportEvent | None, Told]:
    """Tell a SessionInit that came before from another one with the same session_id."""
    if session.last_id == report_id:
        return None, Receipted(session.index)
    if earlier is None:
        return None, Sought(session_id, seq)
    if earlier.report_id == report_id:
        return None, Receipted(earlier.leaf)
    if not earlier.envelope:
        raise _Broken(Refusal.GRANT_CONFLICT, "this session_id is another session's; make a random one")
    raise _Contradicted(DisputeKind.SAME_SEQ, "another SessionInit has this session_id")


def _older(
    session: SignedSession, usage: Usage, opened: Opened, earlier: Earlier | None
) -> tuple[ReportEvent | None, Told]:
    """Decide a report that is no newer than what is counted: a repeat, in order, or a contradiction."""
    assert earlier is not None
    if earlier.envelope:
        # Counted under this seq, with other content: for the same content was told above.
        if session.state == SessionState.FROZEN:
            raise _Broken(Refusal.SESSION_ENDED, "the session is frozen")
        raise _Contradicted(DisputeKind.SAME_SEQ, "another report has this seq")
    if usage.cum_up_bytes <= session.up and usage.cum_down_bytes <= session.down and not usage.final:
        return None, Superseded(session.index)
    raise _Broken(Refusal.REGRESSION, "an older report says more than the newer one that is counted")


def _check_clock(opened: Opened, measured_at_ms: int, now: UnixMillis) -> None:
    received = opened.received_at_ms
    if abs(measured_at_ms - received) > CLOCK_MS_MAX:
        raise _Broken(Refusal.CLOCK, "the SGW's time and the miner's are more than five minutes apart")
    if received > now + CLOCK_MS_MAX:
        raise _Broken(Refusal.CLOCK, "the miner's time is more than five minutes ahead")


def _flags(session: SignedSession, usage: Usage, opened: Opened, now: UnixMillis) -> Flag:
    flags = Flag(0)
    if usage.seq > session.seq + 1:
        flags |= Flag.GAP
    elif usage.prev_id != session.last_id:
        flags |= Flag.CHAIN
    if opened.received_at_ms < now - CLOCK_MS_MAX:
        flags |= Flag.LATE
    return flags


def evolve(state: SignedUsage, event: ReportEvent) -> None:
    """Apply what was decided of a report, in place."""
    channels = state.channels
    match event:
        case SessionBegun():
            session = SignedSession(
                event.gy_session_id,
                event.channel,
                event.sgw_key,
                event.miner_key,
                event.granted,
                event.started_at,
                event.started_at,
                event.report_id,
                state.log.size,
            )
            channels.begin(event.session_id, session)
            _commit(state, session, event, 0, 0, 0)
        case UsageCommitted():
            session = channels.sessions[event.session_id]
            delta, cost = channels.post(
                event.session_id, event.seq, event.up, event.down, event.measured_at, event.report_id, state.log.size
            )
            _commit(state, session, event, event.seq, delta, cost)
            if event.final:
                channels.end(event.session_id)
        case SessionFrozen():
            channels.end(event.session_id, SessionState.FROZEN)
        case ReportRefused():
            pass  # for the books alone
        case _:
            assert_never(event)


def _commit(
    state: SignedUsage,
    session: SignedSession,
    event: SessionBegun | UsageCommitted,
    seq: int,
    delta_octets: int,
    delta_credits: int,
) -> None:
    """Append a leaf to the log, and chain it to the channel's last one."""
    channel, log = state.channels.by_number[session.channel], state.log
    if channel.first_leaf < 0:
        channel.first_leaf = log.size
    channel.last_leaf = log.size
    if isinstance(log, LeafCount):
        log.size += 1
        return
    payload = Commit(
        version=fields.VERSION,
        channel_id=channel.channel_id,
        index=channel.commits - 1,
        countersign_id=event.countersign_id,
        miner_key=session.miner_key,
        session_id=event.session_id,
        seq=seq,
        delta_bytes=delta_octets,
        delta_dc=delta_credits,
        channel_total_dc=channel.used,
        committed_at_ms=event.at,
        prev_commit=channel.last_commit,
    ).encode()
    channel.last_commit = commit_id(payload)
    leaf = join(payload, event.envelope)
    if state.on_leaf is not None:
        state.on_leaf(log.size, leaf)
    log.append(leaf_hash(leaf))
