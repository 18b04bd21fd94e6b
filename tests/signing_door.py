"""The door for signed usage in front of a node in memory: what a server answers, decided by the real node."""

from collections.abc import Sequence

from nacl.signing import SigningKey

from ocs.channel.channel import ChannelState
from ocs.channel.hold import SessionState
from ocs.channel.leaf import split
from ocs.reporting import Receipted, Superseded, Verdict
from ocs.signed import envelope
from ocs.signed.malformed import Malformed
from ocs.tlog import checkpoint, merkle
from ocs.tlog.checkpoint import Checkpoint
from ocs.tlog.note import VerifierKey
from ocs.tlog.proof import LogProof
from ocs.usage.opening import Refused, open_report
from signed_reports import NETWORK
from signing_node import SigningNode
from simulator.settlement.door import DoorError, Outcome, Status
from simulator.settlement.signer import Channel

LOG_SIGNER = SigningKey(bytes([9]) * 32)
LOG_KEY = VerifierKey("ocs.example.net/testnet", bytes(LOG_SIGNER.verify_key))


class NodeDoor:
    """A way to a `SigningNode`; it is the sender's `Door`, and what a test's HTTP server stands on.

    Attributes:
        deaf: nothing is taken: `DoorError`.
        mute: reports are decided, and the answer is lost: `DoorError`.
        taken: how many reports were decided, repeats too.
    """

    def __init__(self, node: SigningNode) -> None:
        self.node = node
        self.deaf = self.mute = False
        self.taken = 0

    async def report(self, envelopes: Sequence[bytes]) -> list[Outcome]:
        if self.deaf:
            raise DoorError("deaf")
        outcomes = [self.decide(one) for one in envelopes]
        if self.mute:
            raise DoorError("mute")
        return outcomes

    async def active_channel(self, gy_session_id: str) -> Channel | None:
        if self.deaf or self.mute:
            raise DoorError("deaf")
        return self.active(gy_session_id)

    async def close(self) -> None:
        pass

    def decide(self, octets: bytes) -> Outcome:
        self.taken += 1
        keys = self.node.state.signed.register.keys
        opened = open_report(octets, keys, NETWORK, self.node.now)
        if isinstance(opened, Refused):
            return Outcome(message_id=_id(octets), status=Status.REFUSED, code=opened.code.value, detail=opened.detail)
        told = self.node.report(octets)
        if isinstance(told, Verdict):
            return Outcome(
                message_id=opened.countersign_id, status=Status.REFUSED, code=told.code.value, detail=told.detail
            )
        assert isinstance(told, Receipted | Superseded)
        return Outcome(
            message_id=opened.countersign_id,
            status=Status.ACCEPTED if isinstance(told, Receipted) else Status.SUPERSEDED,
            proof=self.proof(told.leaf),
            next_channel_id=self._next_channel(opened.report.session_id),
        )

    def proof(self, index: int) -> str:
        leaves = self.node.leaves
        rows = [[merkle.leaf_hash(leaf) for leaf in leaves]]
        while len(row := rows[-1]) > 1:
            rows.append([merkle.node_hash(*pair) for pair in zip(row[::2], row[1::2], strict=False)])
        hashes = merkle.inclusion_proof(index, len(leaves), lambda level, at: rows[level][at])
        return LogProof(index, hashes, self.checkpoint(), split(leaves[index])[0]).octets.decode()

    def checkpoint(self) -> bytes:
        frontier = merkle.Frontier()
        for leaf in self.node.leaves:
            frontier.append(merkle.leaf_hash(leaf))
        head = Checkpoint(LOG_KEY.name, frontier.size, frontier.root())
        return checkpoint.sign(head, LOG_KEY, lambda message: LOG_SIGNER.sign(message).signature).octets

    def active(self, gy_session_id: str) -> Channel | None:
        channels = self.node.state.signed.channels
        hold = channels.holds.get(gy_session_id.encode())
        channel = channels.by_number.get(hold.bound) if hold is not None else None
        if hold is None or channel is None or channel.state != ChannelState.OPEN:
            return None
        return Channel(channel.channel_id, channel.tariff, hold.granted)

    def _next_channel(self, session_id: bytes) -> bytes:
        channels = self.node.state.signed.channels
        session = channels.sessions.get(session_id)
        if session is None or session.state != SessionState.RUNNING:
            return b""
        hold = channels.holds.get(session.gy_session_id)
        if hold is None or hold.bound in (0, session.channel):
            return b""
        channel = channels.by_number[hold.bound]
        return channel.channel_id if channel.state == ChannelState.OPEN else b""


def _id(octets: bytes) -> bytes:
    try:
        return envelope.message_id(envelope.decode(octets))
    except Malformed:
        return b""
