"""A node whose gateway signs: a deployment with keys and channels, its SGW and miner, and CCRs from real octets."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from ledger_node import GATEWAY, INITIAL, TERMINATION, UPDATE, Node, ccr, service
from ocs import command as cmd
from ocs.channel.channel import Channel
from ocs.channel.record import CHANNEL_OPEN_TYPE, ChannelOpen
from ocs.credit_control.session import Answer
from ocs.node import Done
from ocs.reporting import Sought, Told, UsagePolicy, Verdict
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.units import MINUTE, DataCredits, Octets, UnixMillis
from ocs.usage.opening import Refused, open_report
from ocs.usage.record import Cause, SessionInit, Usage
from signed_reports import MINER, NETWORK, SGW, STRANGER, countersigned, signed

OWNER = STRANGER
EPOCH_MS = 60 * MINUTE
PER_OCTETS = 20_000


@dataclass
class Sgw:
    """One signed session, as its SGW and miner know it."""

    session_id: bytes
    channel_id: bytes
    gy_session_id: str
    last_id: bytes = bytes(32)
    seq: int = 0
    up: int = 0
    down: int = 0
    said: list[bytes] = field(default_factory=list)
    signer: SeedSigner = SGW
    miner: SeedSigner = MINER


class SigningNode(Node):
    """A deployment with one home operator, one signing gateway and channels; the log's leaves are kept beside it."""

    def __init__(self, *, bought: int = 10**6, tolerance: int = 0, rate: int = 10**9, now: int = Node.now) -> None:
        super().__init__(
            now=UnixMillis(now),
            usage_policy=UsagePolicy(
                network=NETWORK,
                owner_key=OWNER.public_key,
                tariffs={1: Octets(PER_OCTETS), 2: Octets(100_000)},
                tolerance=Octets(tolerance),
                octets_per_second_max=Octets(rate),
                epoch_ms=EPOCH_MS,
            ),
        )
        self.leaves: list[bytes] = []
        self.state.signed.on_leaf = lambda place, leaf: self.leaves.append(leaf)
        self.counted: dict[tuple[bytes, int], tuple[bytes, bytes, int]] = {}
        self.miner_seq = 0
        self.operator()
        self.top_up(10**15)
        self.step(cmd.BuyCredits(DataCredits(bought), "bought", "key-1"))
        self.step(cmd.AddSigners(GATEWAY.origin_host, SGW.public_key, MINER.public_key))

    # The owner

    def channel(self, amount: int = 1000, *, epochs: int = 2, by: SeedSigner = OWNER, **changes: Any) -> Channel:
        self.step(cmd.OpenChannel(self.channel_open(amount, epochs=epochs, by=by, **changes)))
        channels = self.state.signed.channels
        return channels.by_number[channels.newest]

    def channel_open(self, amount: int = 1000, *, epochs: int = 2, by: SeedSigner = OWNER, **changes: Any) -> bytes:
        height = self.now // EPOCH_MS
        wanted = ChannelOpen(
            **{
                "version": 1,
                "network": NETWORK,
                "owner_key": signer_of(by.public_key),
                "owner_nonce": self.state.signed.channels.newest + 1,
                "amount_dc": amount,
                "open_height": height,
                "expire_height": height + epochs,
                "grace_blocks": 1,
                "tariff_id": 1,
                "max_miners": 100,
                "operator_id": "",
            }
            | changes
        )
        return envelope.seal(CHANNEL_OPEN_TYPE, wanted.encode(), by)

    # Gy

    def attach(self, name: str, ask: int = 0) -> Answer:
        return self.answer(ccr(INITIAL, 0, service(1, ask=ask), session=name))

    def update(self, name: str, number: int, used: int, ask: int = 0) -> Answer:
        return self.answer(ccr(UPDATE, number, service(1, ask=ask, used=used), session=name))

    def detach(self, name: str, number: int, used: int) -> Answer:
        return self.answer(ccr(TERMINATION, number, service(1, ask=None, used=used), session=name))

    def held_in(self, name: str) -> Channel:
        channels = self.state.signed.channels
        return channels.by_number[channels.holds[name.encode()].bound]

    # SGW and miner

    def begin(self, name: str, *, signer: SeedSigner = SGW, miner: SeedSigner = MINER, **changes: Any) -> Sgw:
        """Let the SGW begin a signed session, and have it counted."""
        session_id, channel_id = secrets.token_bytes(16), self.held_in(name).channel_id
        sgw = Sgw(session_id, channel_id, name, signer=signer, miner=miner)
        told = self.report(self.init(sgw, **changes))
        assert not hasattr(told, "code"), told
        return sgw

    def init(self, sgw: Sgw, **changes: Any) -> bytes:
        hold = self.state.signed.channels.holds.get(sgw.gy_session_id.encode())
        fields = {
            "version": 1,
            "network": NETWORK,
            "channel_id": sgw.channel_id,
            "session_id": sgw.session_id,
            "sgw_key": signer_of(sgw.signer.public_key),
            "miner_key": signer_of(sgw.miner.public_key),
            "subscriber_tag": bytes(32),
            "rat": 6,
            "operator": "00101",
            "gy_session_id": sgw.gy_session_id,
            "started_at_ms": self.now,
            "granted_bytes": hold.granted if hold is not None else 0,
            "tariff_id": 1,
        }
        inner = signed(SessionInit(**fields | changes), sgw.signer)  # type: ignore[arg-type]  # as the names say
        sgw.last_id = envelope.message_id(envelope.decode(inner))
        return self.countersign(inner, sgw.channel_id, by=sgw.miner)

    def usage(self, sgw: Sgw, up: int, down: int = 0, *, final: bool = False, **changes: Any) -> bytes:
        """Write the next report: `up` and `down` more than before; `changes` of fields make it another one."""
        sgw.seq, sgw.up, sgw.down = sgw.seq + 1, sgw.up + up, sgw.down + down
        fields = {
            "version": 1,
            "network": NETWORK,
            "channel_id": sgw.channel_id,
            "session_id": sgw.session_id,
            "sgw_key": signer_of(sgw.signer.public_key),
            "miner_key": signer_of(sgw.miner.public_key),
            "seq": sgw.seq,
            "cum_up_bytes": sgw.up,
            "cum_down_bytes": sgw.down,
            "measured_at_ms": self.now,
            "cause": Cause.TERMINATED if final else Cause.THRESHOLD,
            "prev_id": sgw.last_id,
            "cc_request_number": sgw.seq,
            "final": final,
        }
        inner = signed(Usage(**fields | changes), sgw.signer)  # type: ignore[arg-type]  # as the names say
        sgw.last_id = envelope.message_id(envelope.decode(inner))
        return self.countersign(inner, sgw.channel_id, by=sgw.miner)

    def countersign(self, inner: bytes, channel_id: bytes, *, by: SeedSigner = MINER, **changes: Any) -> bytes:
        self.miner_seq += 1
        return countersigned(
            inner, by, **{"channel_id": channel_id, "received_at_ms": self.now, "miner_seq": self.miner_seq} | changes
        )

    # The follower's part

    def report(self, octets: bytes) -> Told:
        """Open a report and have it decided; what the log holds is looked up where it is asked for."""
        opened = open_report(octets, self.state.signed.register.keys, NETWORK, self.now)
        if isinstance(opened, Refused):
            if not opened.miner_key:
                return Verdict(opened.code, opened.detail)
            refused = cmd.RefuseReport(opened.code.value, opened.detail, signer_of(opened.miner_key), octets)
            return self._step(refused)
        told = self._step(cmd.Report(opened))
        if isinstance(told, Sought):
            held = self.counted.get((told.session_id, told.seq), (b"", b"", -1))
            told = self._step(cmd.Report(opened, True, *held))
        return told

    def _step(self, command: cmd.ReportCommand) -> Told:
        decision = self.step(command)
        event, told = decision.event, decision.outcome
        if event is not None and hasattr(event, "countersign_id"):
            seq = getattr(event, "seq", 0)
            self.counted[event.session_id, seq] = event.report_id, event.envelope, len(self.leaves) - 1
        assert told is not None
        assert not isinstance(told, (Answer, Done))
        return told  # type: ignore[return-value]  # nothing else is left

    def tend(self) -> int:
        """Take every step that is due; how many."""
        taken = 0
        while self.step(cmd.Tend()).event is not None:
            taken += 1
        return taken

    def later(self, ms: int) -> None:
        self.now = UnixMillis(self.now + ms)
