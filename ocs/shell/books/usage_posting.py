"""Post events of keys, channels and reports to the books' rows: a count of its own, made from the events alone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, assert_never

from ocs.channel.channel import ChannelState
from ocs.channel.event import (
    ChannelOpened,
    ChannelStepped,
    CreditsBought,
    SessionBegun,
    SessionFrozen,
    UsageCommitted,
)
from ocs.channel.record import CloseReason
from ocs.channel.transition import Step
from ocs.shell.books.claims import Claim, claim_of
from ocs.shell.books.comparing import Comparing
from ocs.units import GroupIndex
from ocs.usage.dispute import DisputeKind
from ocs.usage.event import KeyRevoked, KeyRotated, ReportRefused, SignersAdded

SignedEvent = (
    CreditsBought
    | ChannelOpened
    | ChannelStepped
    | SessionBegun
    | UsageCommitted
    | SessionFrozen
    | SignersAdded
    | KeyRevoked
    | KeyRotated
    | ReportRefused
)

_AFTER: Final = {
    Step.DRAIN: ChannelState.DRAINING.name.lower(),
    Step.CLOSE: ChannelState.CLOSING.name.lower(),
    Step.SETTLE: ChannelState.SETTLED.name.lower(),
}


@dataclass(slots=True)
class SignedEntry:
    """A signed session's row, as it will be written."""

    session_id: bytes
    gy_session_id: bytes
    channel: int
    sgw_key: bytes
    miner_key: bytes
    state: str
    began_at: int
    last_at: int
    seq: int = 0
    up: int = 0
    down: int = 0
    credits: int = 0
    flags: int = 0
    session: int | None = None
    signed: int = 0


@dataclass(slots=True)
class ChannelEntry:
    """What changes of a channel's row."""

    per_octets: int
    used: int = 0
    commits: int = 0


Add = Callable[..., None]
"""Takes a statement and its values."""


@dataclass(slots=True)
class UsagePosting:
    """The rows that one batch of groups touches.

    Args:
        channels: all of them, by number.
        sessions: those that the batch names and the books know.
        leaves: how many the log has.
        comparing: what both ledgers say of the sessions of the batch.
        claims: what its refused reports say, as far as they were read before.
    """

    channels: dict[int, ChannelEntry]
    sessions: dict[bytes, SignedEntry]
    leaves: int
    comparing: Comparing = field(default_factory=Comparing)
    claims: dict[ReportRefused, Claim | None] = field(default_factory=dict)
    touched_sessions: set[bytes] = field(default_factory=set)
    touched_channels: set[int] = field(default_factory=set)
    commits: list[tuple[object, ...]] = field(default_factory=list)

    def post(self, index: GroupIndex, event: SignedEvent, session: int | None, add: Add) -> None:
        """Post an event.

        Args:
            session: number of the Gy session that it names, if it names one that the books know.
        """
        match event:
            case SessionBegun():
                self._begun(index, event, session)
            case UsageCommitted():
                self._committed(index, event)
            case SessionFrozen():
                frozen = self._touch(event.session_id)
                frozen.state = "frozen"
                kind = DisputeKind(event.kind).name.lower()
                self.comparing.froze(index, event.at, frozen.session, kind)
                add(
                    "INSERT INTO disputes VALUES (NULL, ?, ?, ?, ?, ?)",
                    *(event.at, event.session_id, kind, event.first, event.second),
                )
            case ReportRefused():
                self._refused(event, add)
            case CreditsBought():
                add(
                    "INSERT INTO purchases VALUES (?, ?, ?, ?, ?)",
                    *(event.number, event.at, event.amount, event.reference, event.key),
                )
            case ChannelOpened():
                self.channels[event.number] = ChannelEntry(event.per_octets)
                self.comparing.channels.opened(event.number)
                add(
                    "INSERT INTO channels VALUES (?, ?, ?, ?, ?, ?, ?, 'open', NULL, ?, 0, 0, ?)",
                    *(event.number, event.channel_id, event.amount, event.tariff, event.per_octets),
                    *(event.at, event.expires_at, event.at, event.envelope),
                )
            case ChannelStepped():
                self._stepped(index, event, add)
            case SignersAdded() | KeyRevoked() | KeyRotated():
                self._keys(event)
                _keys(event, add)
            case _:
                assert_never(event)

    def _begun(self, index: GroupIndex, event: SessionBegun, session: int | None) -> None:
        self.sessions[event.session_id] = SignedEntry(
            event.session_id,
            event.gy_session_id,
            event.channel,
            event.sgw_key,
            event.miner_key,
            "running",
            event.at,
            event.at,
            session=session,
        )
        self.comparing.begun(session, event.channel)
        self._count(index, event, self._touch(event.session_id), 0, 0, 0)

    def _committed(self, index: GroupIndex, event: UsageCommitted) -> None:
        session = self._touch(event.session_id)
        octets, before = event.up + event.down, session.up + session.down
        price = -(-octets // self.channels[session.channel].per_octets)
        self._count(index, event, session, octets - before, price - session.credits, event.flags)
        session.seq, session.up, session.down, session.credits = event.seq, event.up, event.down, price
        session.last_at = event.at
        session.flags |= event.flags
        self._said(session, octets, None)
        self.comparing.committed(session.session, octets - before)
        if event.final:
            session.state = "ended"
            self.comparing.finished(index, event.at, session.session)

    def _count(
        self,
        index: GroupIndex,
        event: SessionBegun | UsageCommitted,
        session: SignedEntry,
        octets: int,
        cost: int,
        flags: int,
    ) -> None:
        channel = self.channels[session.channel]
        channel.used += cost
        channel.commits += 1
        self.touched_channels.add(session.channel)
        seq = event.seq if isinstance(event, UsageCommitted) else 0
        self.commits.append(
            (self.leaves, event.at, index, session.channel, event.session_id, seq, event.report_id, octets, cost, flags)
        )
        self.leaves += 1

    def _said(self, session: SignedEntry, octets: int, refusal: str | None) -> None:
        """Note what the SGW signed for, where that is more than it ever did."""
        if octets > session.signed:
            self.comparing.said(session.session, octets - session.signed, refusal)
            session.signed = octets

    def _refused(self, event: ReportRefused, add: Add) -> None:
        claim = self.claims[event] if event in self.claims else claim_of(event)
        said: tuple[object, ...] = (None, None, None, None)
        if claim is not None:
            said = claim.gy_session_id or None, claim.session_id, claim.seq, claim.octets
            session = self.sessions.get(claim.session_id)
            if session is not None and (session.sgw_key, session.miner_key) == (claim.sgw_key, claim.miner_key):
                self._touch(claim.session_id)
                self._said(session, claim.octets, event.code)
        add(
            "INSERT INTO refused_reports VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(event.at, event.code, event.detail, event.miner_key, event.report, *said),
        )

    def _stepped(self, index: GroupIndex, event: ChannelStepped, add: Add) -> None:
        reason = CloseReason(event.reason).name.lower() if event.reason else None
        add(
            "UPDATE channels SET state = ?, reason = coalesce(?, reason), changed_at = ? WHERE number = ?",
            *(_AFTER[Step(event.step)], reason, event.at, event.number),
        )
        if event.step == Step.SETTLE:
            for session in self.sessions.values():
                if session.channel == event.number and session.state == "running":
                    session.state = "ended"
            add(
                "UPDATE signed_sessions SET state = 'ended' WHERE channel = ? AND state = 'running'",
                event.number,
            )
            self.comparing.settled(index, event.at, event.number)

    def _keys(self, event: SignersAdded | KeyRevoked | KeyRotated) -> None:
        gateways = self.comparing.gateways
        match event:
            case SignersAdded():
                gateways.add(event.sgw_key, event.origin_host)
            case KeyRevoked():
                gateways.revoke(event.public_key)
            case KeyRotated():
                gateways.rotate(event.old_key, event.new_key)

    def _touch(self, session_id: bytes) -> SignedEntry:
        self.touched_sessions.add(session_id)
        return self.sessions[session_id]


def _keys(event: SignersAdded | KeyRevoked | KeyRotated, add: Add) -> None:
    match event:
        case SignersAdded():
            for role, key in (("sgw", event.sgw_key), ("miner", event.miner_key)):
                add(
                    "INSERT INTO signers VALUES (?, ?, ?, ?, ?, ?, NULL, '')",
                    *(key, role, event.origin_host.lower(), event.at, event.valid_from, event.valid_until or None),
                )
        case KeyRevoked():
            add(
                "UPDATE signers SET revoked_at = ?, reason = ? WHERE public_key = ?",
                *(event.at, event.reason, event.public_key),
            )
        case KeyRotated():
            add(
                "INSERT INTO signers SELECT ?, role, origin_host, ?, ?, valid_until, NULL, '' FROM signers "
                "WHERE public_key = ?",
                *(event.new_key, event.at, event.effective_at, event.old_key),
            )
            add("UPDATE signers SET valid_until = ? WHERE public_key = ?", event.old_until, event.old_key)
