"""A channel's close: what the ledger proposes, and what anybody computes again from the log.

    ChannelOpen + the channel's leaves, in order ──▶ Recount ──▶ held against the ChannelClose, rule by rule

Every leaf carries the envelopes it counts, so a recount trusts nobody but the keys that signed: it verifies both
signatures, the chain of commits, the arithmetic of every session, and the sums.  docs/adr/0017-channels.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ocs.channel import record
from ocs.channel.channel import Channel, Summary
from ocs.channel.leaf import Leaf, take
from ocs.channel.record import (
    NO_COMMIT,
    ChannelClose,
    ChannelOpen,
    CloseReason,
    Commit,
    commit_id,
)
from ocs.signed import envelope, fields
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal

CLOSE_NONCE: Final = 1
"""A channel is closed once; a second Close of it is stale."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a countersigned report says, as a recount needs it; whoever reads it has verified both signatures.

    Attributes:
        octets: cumulative, 0 for a SessionInit.
    """

    countersign_id: bytes
    channel_id: bytes
    session_id: bytes
    sgw_key: bytes
    miner_key: bytes
    seq: int
    octets: int
    final: bool


Read = Callable[[bytes], Counted]
"""Reads and verifies a countersigned envelope.  Raises Malformed with the rule that is broken."""


@dataclass(slots=True)
class _Session:
    sgw_key: bytes
    miner_key: bytes
    seq: int = 0
    octets: int = 0
    price: int = 0
    is_over: bool = False


@dataclass(slots=True)
class Recount:
    """The sums of a channel, leaf by leaf.

    Attributes:
        used: data credits.
        summaries: by miner key.
    """

    channel_id: bytes
    per_octets: int
    used: int = 0
    commits: int = 0
    last_commit: bytes = NO_COMMIT
    summaries: dict[bytes, Summary] = field(default_factory=dict)
    _sessions: dict[bytes, _Session] = field(default_factory=dict)

    def add(self, leaf: bytes, read: Read) -> None:
        """Count the channel's next leaf.

        Raises:
            Malformed: it is not what must follow; the code says which rule it breaks.
        """
        parts = take(leaf)
        self.count(parts, lambda: read(parts.countersigned))

    def count(self, leaf: Leaf, read: Callable[[], Counted]) -> None:
        """Count the channel's next leaf, its parts taken already.

        Args:
            read: gives what its report says, or raises as `Read` does; called once the Commit is in its place.

        Raises:
            Malformed: as `add`.
        """
        commit = leaf.commit
        if commit.channel_id != self.channel_id:
            raise Malformed("the leaf is another channel's", Refusal.WRONG_CHANNEL)
        if commit.index != self.commits or commit.prev_commit != self.last_commit:
            raise Malformed(f"commit {commit.index} does not follow commit {self.commits - 1}", Refusal.WRONG_SUM)
        report = read()
        if report.countersign_id != commit.countersign_id:
            raise Malformed("the commit names another report", Refusal.INNER_MISMATCH)
        said = report.channel_id, report.session_id, report.miner_key, report.seq
        if said != (commit.channel_id, commit.session_id, commit.miner_key, commit.seq):
            raise Malformed("commit and report name different things", Refusal.INNER_MISMATCH)
        octets, cost = self._session(commit, report)
        if (commit.delta_bytes, commit.delta_dc) != (octets, cost):
            raise Malformed(f"the report adds {octets} octets and {cost} credits", Refusal.WRONG_SUM)
        self.used += cost
        if commit.channel_total_dc != self.used:
            raise Malformed(f"the channel's total is {self.used} here", Refusal.WRONG_SUM)
        summary = self.summaries.setdefault(commit.miner_key, Summary())
        summary.count(cost, octets, begins=commit.seq == 0)
        self.commits += 1
        self.last_commit = commit_id(leaf.payload)

    def _session(self, commit: Commit, report: Counted) -> tuple[int, int]:
        """Give what a report adds to its session: octets and credits."""
        session = self._sessions.get(commit.session_id)
        if commit.seq == 0:
            if session is not None:
                raise Malformed("the session begins twice", Refusal.EQUIVOCATION)
            self._sessions[commit.session_id] = _Session(report.sgw_key, report.miner_key)
            return 0, 0
        if session is None:
            raise Malformed("the session never began", Refusal.NO_SESSION)
        if session.is_over:
            raise Malformed("the session is over", Refusal.SESSION_ENDED)
        if (session.sgw_key, session.miner_key) != (report.sgw_key, report.miner_key):
            raise Malformed("the session changed its keys", Refusal.SIGNER_MISMATCH)
        if commit.seq <= session.seq:
            raise Malformed("seq does not rise", Refusal.BAD_SEQ)
        if report.octets < session.octets:
            raise Malformed("counters fall", Refusal.REGRESSION)
        price = -(-report.octets // self.per_octets)
        added = report.octets - session.octets, price - session.price
        session.seq, session.octets, session.price, session.is_over = commit.seq, report.octets, price, report.final
        return added


def propose(channel: Channel, log_size: int, log_root: bytes) -> ChannelClose:
    """Write the Close of a channel that has settled, from the ledger.

    Args:
        log_size, log_root: of a checkpoint that holds its last commit.
    """
    return ChannelClose(
        version=fields.VERSION,
        channel_id=channel.channel_id,
        nonce=CLOSE_NONCE,
        reason=CloseReason(channel.reason),
        used_dc=channel.used,
        refund_dc=channel.amount - channel.used,
        log_size=log_size,
        log_root=log_root,
        summaries=tuple(_told(key, one) for key, one in sorted(channel.summaries.items())),
    )


def check(close: ChannelClose, opened: ChannelOpen, recount: Recount, log_size: int, log_root: bytes) -> None:
    """Hold a Close against the Open and a recount of the log.

    Raises:
        Malformed: with the first rule that is broken.
    """
    if close.channel_id != recount.channel_id:
        raise Malformed("it closes another channel", Refusal.WRONG_CHANNEL)
    if close.nonce != CLOSE_NONCE:
        raise Malformed(f"its nonce is to be {CLOSE_NONCE}", Refusal.STALE_NONCE)
    if close.used_dc > opened.amount_dc:
        raise Malformed(f"used_dc is above the {opened.amount_dc} that the channel locked", Refusal.OVERSPENT)
    keys = [summary.client_pubkeybin for summary in close.summaries]
    if keys != sorted(keys):
        raise Malformed("summaries do not rise by key", Refusal.SUMMARIES_UNSORTED)
    if len(set(keys)) < len(keys):
        raise Malformed("two summaries have one key", Refusal.SUMMARIES_DUPLICATE)
    if (close.log_size, close.log_root) != (log_size, log_root):
        raise Malformed("size or root are not the log's", Refusal.WRONG_ROOT)
    if close.used_dc != recount.used:
        raise Malformed(f"used_dc is to be {recount.used}", Refusal.WRONG_SUM)
    _check_summaries(close.summaries, recount)
    if close.used_dc + close.refund_dc != opened.amount_dc:
        raise Malformed(f"refund_dc is to be {opened.amount_dc - close.used_dc}", Refusal.WRONG_REFUND)


def _told(miner_key: bytes, summary: Summary) -> record.Summary:
    return record.Summary(miner_key, summary.commits, summary.credits, summary.octets, summary.sessions)


def _check_summaries(summaries: Sequence[record.Summary], recount: Recount) -> None:
    for summary in summaries:
        key = summary.client_pubkeybin
        counted = recount.summaries.get(key)
        if counted is None or summary != _told(key, counted):
            raise Malformed(
                f"the summary of miner {key.hex()} is {summary}, and by the log {counted or 'there is none'}",
                Refusal.WRONG_SUM,
            )
    if len(summaries) < len(recount.summaries):
        left = recount.summaries.keys() - {summary.client_pubkeybin for summary in summaries}
        raise Malformed(f"miner {min(left).hex()} is left out", Refusal.WRONG_SUM)


def opened_channel(octets: bytes) -> tuple[bytes, ChannelOpen]:
    """Give id and content of a signed ChannelOpen, its signature unverified."""
    signed = envelope.decode(octets)
    return envelope.message_id(signed), ChannelOpen.decode(signed.payload)
