"""Audit a closure: compute a settled channel again from its file, and name the first thing that is wrong.

    1 the Open         its owner's signature; the channel's id is that of this message
    2 the Close        of the same owner and channel
    3 the checkpoint   the log's signature, and as many cosigners' as are asked for; the Close cites its size and root
    4 a receipt        where there is one: that this log signed it, and for which leaf
    5 each entry       hashed; one of this channel: both signatures, their keys, and all that `Recount` asks
    6 the tree         so many entries, and this root
    7 the sums         those of the Close are those of the entries (`closure.check`)
    8 the receipt      its leaf is one of the entries

An entry of another channel is hashed and not read.  What is not given in `Trust` is taken from the file and told, for
people to compare; what the file cannot prove at all is in docs/closures.md.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from ocs.channel import closure
from ocs.channel.closure import Counted, Recount
from ocs.channel.closure_file import ClosureFile, Source, read
from ocs.channel.leaf import Leaf, head_of, take
from ocs.channel.record import CHANNEL_CLOSE_TYPE, CHANNEL_OPEN_TYPE, ChannelClose, ChannelOpen
from ocs.signed import envelope
from ocs.signed.ed25519 import check_public_key, public_key_of, signer_of, verify
from ocs.signed.envelope import Envelope
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.tlog import errors, proof
from ocs.tlog.checkpoint import Checkpoint
from ocs.tlog.merkle import Frontier, leaf_hash
from ocs.tlog.note import VerifierKey
from ocs.tlog.proof import NO_COSIGNERS, Quorum
from ocs.usage.keys import Role
from ocs.usage.opening import open_signed
from ocs.usage.record import SessionInit, Usage

WINDOW: Final = 256
"""Reports that are verified together: enough for a few threads, and 16 MB were each leaf of the largest size."""

Verified = Counted | Malformed
VerifyOne = Callable[[bytes], Verified]

Spread = Callable[[VerifyOne, Sequence[bytes]], Sequence[Verified]]
"""Calls the first on each of the second, and gives what it gave in their order; in threads, where there are some."""


def one_by_one(verify_one: VerifyOne, reports: Sequence[bytes]) -> Sequence[Verified]:
    return list(map(verify_one, reports))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What whoever audits knows from elsewhere.

    Attributes:
        owner: public key of the channel's owner, 32 octets; b"" takes the one in the file.
        log_key: None takes the one in the file.
        quorum: who must have cosigned the checkpoint.
        pairs: signers of SGW and miner that are registered together, 33 octets each; None where no register is at hand.
        per_octets: what a data credit pays for by contract; 0 takes what the file says.
    """

    owner: bytes = b""
    log_key: VerifierKey | None = None
    quorum: Quorum = NO_COSIGNERS
    pairs: frozenset[tuple[bytes, bytes]] | None = None
    per_octets: int = 0


NOTHING_KNOWN: Final = Trust()


class Receipt(NamedTuple):
    """What a miner holds against the log.

    Attributes:
        proof: the `.tlog-proof` file.
        report: the countersigned envelope; or, for a receipt without extra data, the whole leaf.
    """

    proof: bytes
    report: bytes


class Fault(NamedTuple):
    """The first thing that is wrong: the rule, where, and what."""

    code: Refusal
    place: str
    detail: str


@dataclass(slots=True)
class Audit:
    """How far an audit came, and what it found; the closure is verified if, and only if, it is done without a fault.

    Attributes:
        entries: that were hashed, of all channels.
        receipt_held: the receipt's leaf is one of the entries; None where none was given, or it was not reached.
    """

    fault: Fault | None = None
    is_done: bool = False
    channel_id: bytes = b""
    opened: ChannelOpen | None = None
    close: ChannelClose | None = None
    per_octets: int = 0
    log_key: VerifierKey | None = None
    head: Checkpoint | None = None
    entries: int = 0
    recount: Recount | None = None
    receipt_held: bool | None = None

    @property
    def is_verified(self) -> bool:
        return self.is_done and self.fault is None


class _Faulty(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def audit(
    source: Source, trust: Trust = NOTHING_KNOWN, receipt: Receipt | None = None, spread: Spread = one_by_one
) -> Audit:
    """Audit a closure; whatever its octets are, what is wrong with them is in the result."""
    auditor = _Auditor(trust, spread)
    try:
        auditor.run(source, receipt)
    except _Faulty as faulty:
        auditor.found.fault = faulty.fault
    except (Malformed, errors.Malformed, errors.NotTrusted, errors.ProofInvalid) as error:
        auditor.found.fault = Fault(Refusal(error.code), auditor.place, str(error))
    else:
        auditor.found.is_done = True
    return auditor.found


class _Auditor:
    """One audit under way; `place` is what it looks at."""

    def __init__(self, trust: Trust, spread: Spread) -> None:
        self.found = Audit()
        self.place = "the file"
        self._trust = trust
        self._spread = spread
        self._roles: dict[bytes, Role] = {}
        self._wanted = -1  # the index of the receipt's leaf
        self._seen = b""  # the hash of the entry there

    def run(self, source: Source, receipt: Receipt | None) -> None:
        file = read(source)
        opened = self._open(file)
        close = self._close(file, opened)
        head = self._checkpoint(file, close)
        wanted = self._receipt(receipt) if receipt is not None else b""
        tree = self._entries(file, opened, close)
        self.place = "the log"
        if tree.size != close.log_size:
            raise Malformed(
                f"it ends with {tree.size} entries, and the Close cites {close.log_size}", Refusal.WRONG_ROOT
            )
        if tree.root() != head.root:
            raise Malformed("the entries are not those that the log signed: they have another root", Refusal.WRONG_ROOT)
        self.place = "the Close"
        assert self.found.recount is not None
        closure.check(close, opened, self.found.recount, head.size, head.root)
        if receipt is not None:
            self._held(wanted)

    def _open(self, file: ClosureFile) -> ChannelOpen:
        self.place = "the Open"
        signed = _signed(file.opened, CHANNEL_OPEN_TYPE)
        opened = ChannelOpen.decode(signed.payload)
        if signed.signer != opened.owner_key:
            raise Malformed("owner_key is not the key that signed", Refusal.SIGNER_MISMATCH)
        if self._trust.owner and opened.owner_key != signer_of(self._trust.owner):
            raise Malformed("its owner is not the one that is trusted", Refusal.BAD_KEY)
        self.found.channel_id, self.found.opened = envelope.message_id(signed), opened
        self.place = "the price"
        if self._trust.per_octets not in {0, file.per_octets}:
            raise Malformed(
                f"a data credit pays for {file.per_octets} octets here, and for {self._trust.per_octets} by contract",
                Refusal.WRONG_SUM,
            )
        self.found.per_octets = file.per_octets
        return opened

    def _close(self, file: ClosureFile, opened: ChannelOpen) -> ChannelClose:
        self.place = "the Close"
        signed = _signed(file.closed, CHANNEL_CLOSE_TYPE)
        close = ChannelClose.decode(signed.payload)
        if signed.signer != opened.owner_key:
            raise Malformed("the channel's owner did not sign it", Refusal.SIGNER_MISMATCH)
        if close.channel_id != self.found.channel_id:
            raise Malformed("it closes another channel", Refusal.WRONG_CHANNEL)
        self.found.close = close
        return close

    def _checkpoint(self, file: ClosureFile, close: ChannelClose) -> Checkpoint:
        self.place = "the log's key"
        key = VerifierKey.parse(file.log_key)
        if self._trust.log_key not in {None, key}:
            raise Malformed("it is not the one that is trusted", Refusal.BAD_KEY)
        check_public_key(key.public_key)
        self.found.log_key = key
        self.place = "the checkpoint"
        head = proof.believed(file.checkpoint, key.name, [key], self._trust.quorum, verify)
        self.found.head = head
        if (close.log_size, close.log_root) != (head.size, head.root):
            raise Malformed("the Close cites another size or root", Refusal.WRONG_ROOT)
        return head

    def _receipt(self, receipt: Receipt) -> bytes:
        """Give the hash of the leaf that a receipt proves, once it is known to prove one of this channel."""
        self.place = "the receipt"
        key = self.found.log_key
        assert key is not None
        parsed = proof.parse(receipt.proof)
        leaf = parsed.extra + receipt.report
        proof.verify(receipt.proof, leaf, key.name, [key], NO_COSIGNERS, verify)
        if not leaf.startswith(head_of(self.found.channel_id)):
            raise Malformed("it is for a leaf of another channel", Refusal.WRONG_CHANNEL)
        self._wanted = parsed.index
        return leaf_hash(leaf)

    def _entries(self, file: ClosureFile, opened: ChannelOpen, close: ChannelClose) -> Frontier:
        found, tree = self.found, file.before
        first = tree.size
        recount = found.recount = Recount(found.channel_id, file.per_octets)
        verify_one = _verifier(opened)
        head = head_of(found.channel_id)
        window: list[tuple[int, Leaf]] = []
        try:
            for entry in _no_more_than(close.log_size - first, file.entries):
                if entry.startswith(head):
                    window.append((tree.size, take(entry)))
                hashed = leaf_hash(entry)
                if tree.size == self._wanted:
                    self._seen = hashed
                tree.append(hashed)
                found.entries = tree.size - first
                if len(window) == WINDOW:
                    self._count(recount, window, verify_one)
                    window.clear()
        except Malformed as error:
            # The window has entries that come before this one, and so may have the first fault.
            place = f"entry {tree.size}" if tree.size < close.log_size else "the end of the file"
            self._count(recount, window, verify_one)
            raise _Faulty(Fault(error.code, place, error.detail)) from None
        self._count(recount, window, verify_one)
        return tree

    def _count(self, recount: Recount, window: Sequence[tuple[int, Leaf]], verify_one: VerifyOne) -> None:
        """Count entries of the channel, in their order."""
        verified = self._spread(verify_one, [leaf.countersigned for _, leaf in window])
        for (index, leaf), one in zip(window, verified, strict=True):
            try:
                recount.count(leaf, partial(self._with_good_keys, one))
            except Malformed as error:
                place = f"entry {index}, commit {recount.commits} of the channel"
                raise _Faulty(Fault(error.code, place, error.detail)) from None

    def _with_good_keys(self, verified: Verified) -> Counted:
        if isinstance(verified, Malformed):
            raise verified
        sgw, miner = verified.sgw_key, verified.miner_key
        self._check_key(sgw, Role.SGW)
        self._check_key(miner, Role.MINER)
        if self._trust.pairs is not None and (sgw, miner) not in self._trust.pairs:
            raise Malformed("these keys of SGW and miner are not registered as a pair", Refusal.UNPAIRED)
        return verified

    def _check_key(self, signer: bytes, role: Role) -> None:
        known = self._roles.get(signer)
        if known is None:
            check_public_key(public_key_of(signer))
            self._roles[signer] = role
        elif known is not role:
            raise Malformed(f"the key of a {known.value} signed as {role.value}", Refusal.ROLE_MISMATCH)

    def _held(self, wanted: bytes) -> None:
        self.place = "the receipt"
        self.found.receipt_held = self._seen == wanted
        if self._seen == wanted:
            return
        if self._seen:
            raise Malformed(
                f"the challenge succeeds: the log signed two entries {self._wanted}, the receipt's and this file's",
                Refusal.WRONG_ROOT,
            )
        raise Malformed(
            f"the challenge succeeds: the log has the receipt's leaf as its entry {self._wanted}, and the Close was "
            "made without it",
            Refusal.WRONG_SUM,
        )


def _no_more_than(most: int, entries: Iterable[bytes]) -> Iterator[bytes]:
    for count, entry in enumerate(entries):
        if count >= most:
            raise Malformed("the Close cites fewer entries", Refusal.WRONG_ROOT)
        yield entry


def _signed(octets: bytes, payload_type: str) -> Envelope:
    """Read an envelope of the owner's, and verify its signature.

    Raises:
        Malformed: it is none, or of another type, or badly signed.
    """
    signed = envelope.decode(octets)
    if signed.payload_type != payload_type:
        raise Malformed(f"payload_type is not {payload_type}")
    public_key = public_key_of(signed.signer)
    check_public_key(public_key)
    if not verify(public_key, envelope.signed_bytes(payload_type, signed.payload), signed.signature):
        raise Malformed("the signature is not its signer's", Refusal.BAD_SIGNATURE)
    return signed


def _verifier(opened: ChannelOpen) -> VerifyOne:
    """Give what reads a countersigned report of a channel and verifies both its signatures; it never raises."""

    def verify_one(octets: bytes) -> Verified:
        try:
            one = open_signed(octets, opened.network)
        except Malformed as error:
            return error
        report = one.report
        if isinstance(report, SessionInit) and report.tariff_id != opened.tariff_id:
            return Malformed(f"the channel's tariff is {opened.tariff_id}", Refusal.WRONG_CHANNEL)
        usage = report if isinstance(report, Usage) else None
        return Counted(
            countersign_id=one.countersign_id,
            channel_id=report.channel_id,
            session_id=report.session_id,
            sgw_key=report.sgw_key,
            miner_key=report.miner_key,
            seq=usage.seq if usage else 0,
            octets=usage.cum_bytes if usage else 0,
            final=usage is not None and usage.final,
        )

    return verify_one
