"""What every door that takes signed usage does: verify, have it decided, and give each report its receipt.

    octets ──▶ opened, in other processes ──▶ core ──▶ journal synced ──▶ leaf folded here ──▶ receipt

A report that has a receipt, or a refusal with a countersignature that is good, is durable.  Where nothing is known of a
report its sender is told to come again; a repeat is counted once.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
import structlog

from ocs.channel.channel import ChannelState
from ocs.channel.hold import SessionState
from ocs.command import RefuseReport, Report, ReportCommand
from ocs.errors import OcsError, TooBusy, Unavailable
from ocs.reporting import Earlier, Receipted, Sought, Superseded, Told, Verdict
from ocs.shell.follower.public_log import PublicLog
from ocs.shell.follower.verifiers import Verifiers
from ocs.signed import envelope
from ocs.signed.ed25519 import public_key_of, signer_of
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.state import State
from ocs.units import GroupIndex, UnixMillis
from ocs.usage.door_pass import open_pass
from ocs.usage.opening import Keys, Opened, Refused

AT_ONCE: Final = 500
"""Reports in one batch: a third of a megabyte, and some 50 ms of verifying."""


_STALE: Final = frozenset({Refusal.BAD_KEY, Refusal.UNPAIRED})

log = structlog.get_logger()


class Status(StrEnum):
    ACCEPTED = "accepted"
    SUPERSEDED = "superseded"  # counted in a newer one
    REFUSED = "refused"
    AGAIN = "again"  # nothing was decided; to be sent again, as it is


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one report.

    Attributes:
        message_id: of the countersigned envelope; b"" where it could not be read.
        code, detail: of a refusal, and why it is to come again.
        leaf, proof: its place in the log, and the c2sp.org/tlog-proof file; of a newer one where it is superseded.
        next_channel_id: where the session is to go on, after a final report; b"" for where it is.
    """

    message_id: bytes
    status: Status
    code: str = ""
    detail: str = ""
    leaf: int = -1
    proof: bytes = b""
    next_channel_id: bytes = b""


class Active(NamedTuple):
    """The channel for a Gy session's reports; None where it has none now, and nothing is to be signed."""

    channel_id: bytes | None
    tariff: int
    granted: int


class Verdicts(NamedTuple):
    """What the core decided of reports, in their order, and the group since which it is durable."""

    since: GroupIndex
    told: list[Told]


Decide = Callable[[list[ReportCommand]], Awaitable[Verdicts]]
Look = Callable[[bytes, int], Awaitable[Earlier]]


class UsageDoor:
    """Takes reports from gRPC and HTTP.

    Attributes:
        counts: how many reports ended how: a status, or the code of a refusal.
    """

    def __init__(
        self,
        network: str,
        waiting_max: int,
        log: PublicLog,
        state: Callable[[], State],
        decide: Decide,
        reach: Callable[[GroupIndex], Awaitable[None]],
        look: Look,
        fresh: Callable[[], Awaitable[State]],
        now: Callable[[], UnixMillis],
    ) -> None:
        """Begin.

        Args:
            state: as it is known here.
            decide: has reports decided by the core.
            reach: waits until the state here has reached a group.
            look: finds what the log holds of a session under a seq.
            fresh: gives the state at an index no older than its call.
            now: the time for which keys must be in date; the core looks at its own again.
        """
        self.network = network
        self.log = log
        self.counts: Counter[str] = Counter()
        self._waiting_max = waiting_max
        self._state = state
        self._decide = decide
        self._reach = reach
        self._look = look
        self._fresh = fresh
        self._now = now
        self._waiting = 0
        self._turn: asyncio.Future[None] | None = None
        self._verifiers = Verifiers(network, lambda: state().signed.register)

    async def close(self) -> None:
        await self._verifiers.close()

    # Who sends

    async def admit(self, octets: bytes) -> bytes:
        """Give the public key of the miner whose pass this is.

        Raises:
            Malformed: it is not good, or not any more.
            Unavailable: its key may have been registered a moment ago, and the core cannot be asked.
        """
        try:
            return open_pass(octets, self._keys(), self.network, self._now())
        except Malformed as error:
            if error.code is not Refusal.BAD_KEY:
                raise
        keys = (await self._fresh()).signed.register.keys
        return open_pass(octets, keys, self.network, self._now())

    # Reports

    async def report(self, reports: Sequence[bytes], sender: bytes | None) -> list[Outcome]:
        """Take reports; what became of each, in their order.

        Args:
            sender: public key of the miner whose reports alone are taken; None for anybody's.

        Raises:
            TooBusy: too many are under way; none of these was taken.
        """
        assert len(reports) <= AT_ONCE
        if self._waiting + len(reports) > self._waiting_max:
            raise TooBusy(f"{self._waiting} reports are under way; send them again in a moment")
        self._waiting += len(reports)
        try:
            outcomes = await self._report(reports, sender)
        finally:
            self._waiting -= len(reports)
        for outcome in outcomes:
            self.counts[outcome.code or outcome.status.value] += 1
        return outcomes

    async def _report(self, reports: Sequence[bytes], sender: bytes | None) -> list[Outcome]:
        # Verified side by side, and decided in the order in which they came.
        before, mine = self._turn, asyncio.get_running_loop().create_future()
        self._turn = mine
        try:
            found = await self._opened(reports, sender)
            commands: list[ReportCommand] = []
            for octets, one in zip(reports, found, strict=True):
                if isinstance(one, Opened):
                    commands.append(Report(one))
                elif one.miner_key:
                    commands.append(RefuseReport(one.code.value, one.detail, signer_of(one.miner_key), octets))
            if before is not None:
                await before
            deciding = asyncio.get_running_loop().create_task(self._decided(commands))
        finally:
            mine.set_result(None)
        decided = await deciding
        told, state = iter(decided), self._state()
        proofs = iter(self.log.proofs(one.leaf for one in decided if isinstance(one, Receipted | Superseded)))
        return [
            _outcome(octets, one, next(told) if isinstance(one, Opened) or one.miner_key else None, proofs, state)
            for octets, one in zip(reports, found, strict=True)
        ]

    async def _opened(self, reports: Sequence[bytes], sender: bytes | None) -> list[Opened | Refused]:
        """Open reports; where a key is not known it may have been registered a moment ago, so look again."""
        found = await self._verified(reports, sender)
        unknown = [place for place, one in enumerate(found) if isinstance(one, Refused) and one.code in _STALE]
        if unknown:
            await self._fresh()
            looked = await self._verified([reports[place] for place in unknown], sender)
            for place, one in zip(unknown, looked, strict=True):
                found[place] = one
        return found

    async def _verified(self, reports: Sequence[bytes], sender: bytes | None) -> list[Opened | Refused]:
        found = await self._verifiers.open(reports, self._now())
        return [_of_sender(one, sender) for one in found]

    async def _decided(self, commands: list[ReportCommand]) -> list[Told | OcsError]:
        """Have the core decide, and decide again with what the log holds where it asks for that."""
        if not commands:
            return []
        try:
            index, told = await self._decide(commands)
        except OcsError as error:
            return [error] * len(commands)
        results: list[Told | OcsError] = list(told)
        sought = [place for place, one in enumerate(told) if isinstance(one, Sought)]
        try:
            if sought:
                # What is sought may be a leaf of this very batch: it is in the log here once its group is folded.
                await self._reach(index)
                index = max(index, await self._decide_with_log(commands, results, sought))
            await self._reach(index)
        except Unavailable as error:
            return [one if isinstance(one, Verdict) else error for one in results]
        return results

    async def _decide_with_log(
        self, commands: list[ReportCommand], results: list[Told | OcsError], sought: list[int]
    ) -> GroupIndex:
        again: list[ReportCommand] = []
        places: list[int] = []
        for place in sought:
            one, command = results[place], commands[place]
            assert isinstance(one, Sought)
            try:
                earlier = await self._look(one.session_id, one.seq)
            except OcsError as error:
                results[place] = error
                continue
            assert isinstance(command, Report)
            again.append(Report(command.opened, True, *earlier))
            places.append(place)
        if not again:
            return GroupIndex(0)
        try:
            index, told = await self._decide(again)
        except OcsError as error:
            for place in places:
                results[place] = error
            return GroupIndex(0)
        for place, one in zip(places, told, strict=True):
            results[place] = one
        return index

    async def active(self, gy_session_id: str, sender: bytes | None) -> Active:
        """Say which channel a Gy session's next SessionInit is for.

        Args:
            sender: public key of the miner that asks: another gateway's sessions are not there for it.

        Raises:
            Unavailable: what the core has granted cannot be seen yet.
        """
        state = await self._fresh()
        channels = state.signed.channels
        hold = channels.holds.get(gy_session_id.encode())
        if hold is None or (sender is not None and not self._is_gateways(sender, hold.gateway)):
            return Active(None, 0, 0)
        channel = channels.by_number.get(hold.bound)
        is_over = channel is not None and channel.state == ChannelState.CLOSING and self._now() >= channel.settles_at
        if channel is None or channel.state == ChannelState.SETTLED or is_over:
            return Active(None, 0, hold.granted)  # the next grant binds it to another
        return Active(channel.channel_id, channel.tariff, hold.granted)

    def _is_gateways(self, sender: bytes, gateway: str) -> bool:
        key = self._keys().get(sender)
        return key is not None and key.origin_host == gateway.lower()

    def _keys(self) -> Keys:
        return self._state().signed.register.keys


def _of_sender(found: Opened | Refused, sender: bytes | None) -> Opened | Refused:
    """Take what the miner that sends has countersigned; of another's nothing is kept."""
    miner_key = public_key_of(found.report.miner_key) if isinstance(found, Opened) else found.miner_key
    if sender is None or not miner_key or miner_key == sender:
        return found
    return Refused(Refusal.SIGNER_MISMATCH, "another miner than the one that sends has countersigned it")


def _outcome(
    octets: bytes, found: Opened | Refused, told: Told | OcsError | None, proofs: Iterator[bytes], state: State
) -> Outcome:
    """Say what became of a report; the next of `proofs` is that of the next leaf."""
    message_id = found.countersign_id if isinstance(found, Opened) else _message_id(octets)
    match told:
        case None:
            assert isinstance(found, Refused)
            return Outcome(message_id, Status.REFUSED, found.code.value, found.detail)
        case Verdict(code, detail):
            return Outcome(message_id, Status.REFUSED, code.value, detail)
        case Receipted(leaf) | Superseded(leaf):
            assert isinstance(found, Opened)
            status = Status.ACCEPTED if isinstance(told, Receipted) else Status.SUPERSEDED
            following = _next_channel(state, found.report.session_id)
            return Outcome(message_id, status, leaf=leaf, proof=next(proofs), next_channel_id=following)
        case Sought():
            return Outcome(message_id, Status.AGAIN, detail="the session went on meanwhile")
        case _:
            return Outcome(message_id, Status.AGAIN, detail=str(told))


def _message_id(octets: bytes) -> bytes:
    try:
        return envelope.message_id(envelope.decode(octets))
    except Malformed:
        return b""


def _next_channel(state: State, session_id: bytes) -> bytes:
    """Give the channel to which a running session's Gy session has been bound since it began; b"" for none."""
    channels = state.signed.channels
    session = channels.sessions.get(session_id)
    if session is None or session.state != SessionState.RUNNING:
        return b""
    hold = channels.holds.get(session.gy_session_id)
    if hold is None or hold.bound in (0, session.channel):
        return b""
    channel = channels.by_number[hold.bound]
    return channel.channel_id if channel.state == ChannelState.OPEN else b""
