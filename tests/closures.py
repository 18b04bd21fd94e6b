"""Closures for tests: a log of several channels and miners, and the files in which its channels are handed over."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ledger_node import GATEWAY
from ocs import command as cmd
from ocs.auditing import Audit, Receipt, Trust, audit
from ocs.channel import closure
from ocs.channel.closure_file import ClosureFile, write
from ocs.channel.event import ChannelOpened
from ocs.channel.leaf import head_of, split
from ocs.channel.record import CHANNEL_CLOSE_TYPE, ChannelClose
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.tlog import checkpoint, merkle
from ocs.tlog.checkpoint import Checkpoint
from ocs.tlog.merkle import Frontier, leaf_hash
from ocs.tlog.note import Note, VerifierKey
from ocs.tlog.proof import LogProof
from ocs.usage.rotation import KeyRotation, seal
from signed_reports import MINER, NETWORK, OTHER_MINER, SGW
from signing_node import EPOCH_MS, OWNER, PER_OCTETS, SigningNode

LOG = SeedSigner(bytes.fromhex("0b" * 32))
LOG_KEY = VerifierKey("ocs.example.net/testnet", LOG.public_key)
OTHER_SGW = SeedSigner(bytes.fromhex("0d" * 32))
NEW_SGW = SeedSigner(bytes.fromhex("0e" * 32))
TRUST = Trust(owner=OWNER.public_key, log_key=LOG_KEY, per_octets=PER_OCTETS)
PAIRS = frozenset(
    (signer_of(sgw.public_key), signer_of(miner.public_key))
    for sgw, miner in ((SGW, MINER), (OTHER_SGW, OTHER_MINER), (NEW_SGW, MINER))
)


def tree_of(leaves: Iterable[bytes]) -> Frontier:
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    return tree


def settled() -> SigningNode:
    """Settle two channels whose leaves are mixed: two miners, a key that is rotated, a frozen and a final session."""
    node = SigningNode()
    node.step(cmd.AddSigners(GATEWAY.origin_host, OTHER_SGW.public_key, OTHER_MINER.public_key))
    node.channel(2000, epochs=1)
    for number in range(3):
        node.attach(f"s;{number}")
    sessions = [node.begin("s;0"), node.begin("s;1")]
    sessions.append(node.begin("s;2", signer=OTHER_SGW, miner=OTHER_MINER))
    other = node.channel(2000, epochs=2)
    rotation = KeyRotation(signer_of(SGW.public_key), signer_of(NEW_SGW.public_key), node.now, NETWORK)
    node.step(cmd.RotateKey(seal(rotation, old=SGW, new=NEW_SGW)))
    for step in range(4):
        for sgw in sessions:
            assert not hasattr(node.report(node.usage(sgw, 30_000 + step, 1000 * step)), "code")
        if step == 1:
            node.report(node.usage(sessions[0], 7, final=True))
            node.step(cmd.CloseChannel(sessions[0].channel_id))
            node.attach("s;9")
            sessions[0] = node.begin("s;9", signer=NEW_SGW)
            assert sessions[0].channel_id == other.channel_id
    sessions[1].seq -= 1
    node.report(node.usage(sessions[1], 1))
    for _ in range(2):
        node.later(3 * EPOCH_MS)
        node.tend()
    return node


@dataclass
class Handover:
    """A closure in the making, each part of which a test may change before it is signed or written."""

    node: SigningNode
    number: int = 1
    close: dict[str, Any] = field(default_factory=dict)  # fields of the Close that are changed
    leaves: Sequence[bytes] = ()  # of the whole log
    owner: SeedSigner = OWNER
    cosignatures: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self.leaves = self.leaves or list(self.node.leaves)

    @property
    def opened(self) -> bytes:
        return next(
            one.envelope for one in self.node.events if isinstance(one, ChannelOpened) and one.number == self.number
        )

    @property
    def channel_id(self) -> bytes:
        return closure.opened_channel(self.opened)[0]

    @property
    def first(self) -> int:
        """Where its first leaf is; the end of the log where there is none."""
        head = head_of(self.channel_id)
        return next((place for place, leaf in enumerate(self.leaves) if leaf.startswith(head)), len(self.leaves))

    def proposed(self) -> ChannelClose:
        channel = self.node.state.signed.channels.by_number[self.number]
        tree = tree_of(self.leaves)
        return msgspec.structs.replace(closure.propose(channel, tree.size, tree.root()), **self.close)

    def signed_head(self) -> Note:
        tree = tree_of(self.leaves)
        made = checkpoint.sign(Checkpoint(LOG_KEY.name, tree.size, tree.root()), LOG_KEY, LOG.sign)
        return replace(made, signatures=(*made.signatures, *self.cosignatures))

    def file(self, **changes: Any) -> ClosureFile:
        parts = {
            "opened": self.opened,
            "closed": envelope.seal(CHANNEL_CLOSE_TYPE, self.proposed().encode(), self.owner),
            "per_octets": PER_OCTETS,
            "log_key": LOG_KEY.text,
            "checkpoint": self.signed_head().octets,
            "before": tree_of(self.leaves[: self.first]),
            "entries": self.leaves[self.first :],
        }
        return ClosureFile(**parts | changes)

    def octets(self, **changes: Any) -> bytes:
        return b"".join(write(self.file(**changes)))

    def receipt(self, index: int) -> Receipt:
        """Give what the miner of this leaf holds."""
        hashes = [leaf_hash(leaf) for leaf in self.leaves]

        def node(level: int, place: int) -> bytes:
            tree = Frontier()
            for one in hashes[place << level : (place + 1) << level]:
                tree.append(one)
            return tree.root()

        payload, countersigned = split(self.leaves[index])
        proof = merkle.inclusion_proof(index, len(hashes), node)
        return Receipt(LogProof(index, proof, self.signed_head().octets, payload).octets, countersigned)


def audited(octets: bytes, trust: Trust = TRUST, receipt: Receipt | None = None) -> Audit:
    return audit(io.BytesIO(octets).read, trust, receipt)
