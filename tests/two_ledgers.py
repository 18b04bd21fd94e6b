"""Histories in which Gy and signed usage agree, or do not: what tests of reconciliation share.

The model beside the node counts what each side said of each Gy session, from what was sent and what was answered.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ocs import command as cmd
from ocs.channel.channel import ChannelState
from ocs.credit_control.event import EndCause, Expired
from ocs.errors import OcsError
from ocs.reporting import Receipted, Told, Verdict
from ocs.shell.books.books import Books
from ocs.state import Event
from ocs.units import DAY, MINUTE, GroupIndex, SessionId, UnixMillis
from signing_node import EPOCH_MS, Sgw, SigningNode

TOLERANCE = 10_000


@dataclass
class GySession:
    """One Gy session, from a CCR-I to its end, as gateway, SGW and miner know it.

    Attributes:
        flowed: octets that flowed so far; `used` of them are reported over Gy.
        elsewhere: octets that earlier signed sessions of it said.
        sgw: the signed session that runs.
        counted: octets that were counted, by session_id.
        said: the most that its SGW said, by session_id, refused or not.
        finals: signed sessions that ended by a final report.
        is_closed: one of them after the Gy session ended.
        granted: the most octets that the state's hold allowed.
    """

    name: str
    number: int
    flowed: int = 0
    used: int = 0
    elsewhere: int = 0
    sgw: Sgw | None = None
    counted: dict[bytes, int] = field(default_factory=dict)
    said: dict[bytes, int] = field(default_factory=dict)
    finals: set[bytes] = field(default_factory=set)
    is_closed: bool = False
    frozen: int = 0
    granted: int = 0
    request: int = 1
    ended_by: EndCause | None = None


class TwoLedgers(SigningNode):
    """A signing deployment with channels, and a model of what both sides said."""

    def __init__(self, *, channels: int = 2, amount: int = 2000, epochs: int = 2) -> None:
        super().__init__(tolerance=TOLERANCE)
        self.step(cmd.Start("0.1.0", self.now))
        for _ in range(channels):
            self.channel(amount, epochs=epochs)
        self.sessions: list[GySession] = []
        self.asked = 0

    # Gy

    def attach_one(self, name: str = "") -> GySession | None:
        """Begin a Gy session; None where no channel has room."""
        self.asked += 1
        name = name or f"s;{self.asked}"
        if self.attach(name).result_code != 2001:
            return None
        session = GySession(name, len(self.sessions))
        self.sessions.append(session)
        self._look(session)
        return session

    def report_use(self, session: GySession) -> None:
        """Send a CCR-U with all that has flowed."""
        self.update(session.name, session.request, session.flowed - session.used)
        session.request += 1
        session.used = session.flowed
        self._look(session)

    def end(self, session: GySession, *, unreported: int = 0) -> None:
        """Send the CCR-T; `unreported` octets stay out of it."""
        used = max(session.used, session.flowed - unreported)
        self.detach(session.name, session.request, used - session.used)
        session.used = used
        session.ended_by = EndCause.TERMINATED
        self._look(session)

    def expire(self, session: GySession) -> None:
        """Let supervision end a session whose gateway is silent."""
        self.later(3 * 60 * MINUTE)
        event = self.step(cmd.Supervise(SessionId(session.name.encode()))).event
        if isinstance(event, Expired):
            session.ended_by = EndCause(event.cause)

    def _look(self, session: GySession) -> None:
        hold = self.state.signed.channels.holds.get(session.name.encode())
        session.granted = max(session.granted, session.used, hold.granted if hold is not None else 0)

    # SGW and miner

    def begin_one(self, session: GySession) -> Told:
        """Begin a signed session in the channel that holds this Gy session."""
        hold = self.state.signed.channels.holds.get(session.name.encode())
        bound = self.state.signed.channels.by_number.get(hold.bound) if hold is not None else None
        place = bound if bound is not None else next(iter(self.state.signed.channels.by_number.values()))
        sgw = Sgw(Random(f"{session.number} {len(session.counted)}").randbytes(16), place.channel_id, session.name)
        told = self.report(self.init(sgw))
        if isinstance(told, Receipted):
            session.elsewhere = sum(session.counted.values())
            session.sgw = sgw
            session.counted[sgw.session_id] = session.said[sgw.session_id] = 0
        return told

    def sign(self, session: GySession, octets: int, *, final: bool = False, **changes: object) -> Told:
        """Have the SGW sign that `octets` of the Gy session flowed in all."""
        sgw = session.sgw
        assert sgw is not None
        before = sgw.seq, sgw.up, sgw.down, sgw.last_id
        more = octets - session.elsewhere - sgw.up - sgw.down
        told = self.report(self.usage(sgw, more // 2, more - more // 2, final=final, **changes))
        said = sgw.up + sgw.down
        if isinstance(told, Receipted):
            session.counted[sgw.session_id] = said
            if final:
                session.finals.add(sgw.session_id)
                session.is_closed = session.ended_by is not None
                session.sgw = None
        else:
            sgw.seq, sgw.up, sgw.down, sgw.last_id = before
        if isinstance(told, (Receipted, Verdict)) and getattr(told, "code", "") != "equivocation":
            session.said[sgw.session_id] = max(session.said[sgw.session_id], said)
        return told

    def contradict(self, session: GySession) -> Told:
        """Have the SGW sign another report under a seq that is counted."""
        sgw = session.sgw
        assert sgw is not None
        assert sgw.seq, "its SessionInit is contradicted otherwise"
        sgw.seq -= 1
        told = self.report(self.usage(sgw, 1))
        if isinstance(told, Verdict) and told.code == "equivocation":
            session.frozen += 1
            session.sgw = None
        return told

    # Time

    def settle_all(self) -> None:
        """Let every channel come to its end."""
        for _ in range(6):
            self.later(EPOCH_MS)
            self.tend()
        states = {channel.state for channel in self.state.signed.channels.by_number.values()}
        assert states <= {ChannelState.SETTLED}


class Drawn:
    """Numbers for a history, out of Hypothesis or out of a seed."""

    def __init__(self, integer: Callable[[int, int], int]) -> None:
        self.integer = integer

    def one_of(self, some: Iterable[GySession]) -> GySession | None:
        listed = list(some)
        return listed[self.integer(0, len(listed) - 1)] if listed else None


def live(node: TwoLedgers, drawn: Drawn, steps: int, *, honest: bool) -> None:
    """Let gateways live; who is honest may lose anything, and signs for nothing that did not flow."""
    for _ in range(steps):
        kind = drawn.integer(0, 99)
        alive = [one for one in node.sessions if one.ended_by is None]
        session = drawn.one_of(alive)
        if kind < 12 or session is None:
            node.attach_one()
        elif kind < 30:
            session.flowed += drawn.integer(0, 3_000_000)
            node.report_use(session)
        elif kind < 42:
            session.flowed += drawn.integer(0, 1_000_000)
            node.end(session, unreported=0 if honest else drawn.integer(0, 1) * 500_000)
            if drawn.integer(0, 3) and session.sgw is not None:
                less = 0 if honest else drawn.integer(0, 2) * (TOLERANCE - 1)
                node.sign(session, max(_said(session), session.flowed - less), final=True)
        elif kind < 44:
            session.flowed += drawn.integer(0, max(0, session.granted - session.flowed))
            node.expire(session)
        elif kind < 60:
            if session.sgw is None:
                node.begin_one(session)
        elif kind < 85:
            signing = drawn.one_of(one for one in node.sessions if one.sgw is not None)
            if signing is not None:
                _sign(node, drawn, signing, honest=honest)
        elif kind < 92:
            node.later(drawn.integer(1, 20) * MINUTE)
        elif kind < 96:
            node.tend()
        else:
            try:
                node.channel(drawn.integer(1, 2000), epochs=drawn.integer(1, 3))
            except OcsError:
                node.later(MINUTE)  # its rules are tested elsewhere


def _sign(node: TwoLedgers, drawn: Drawn, session: GySession, *, honest: bool) -> None:
    assert session.sgw is not None
    kind = drawn.integer(0, 9)
    said = _said(session)
    flowed = max(said, session.flowed)
    if kind < 5:
        node.sign(session, flowed)
    elif kind < 6:
        node.sign(session, flowed, measured_at_ms=node.now + DAY)  # its clock is wrong
    elif kind < 7:
        node.sign(session, flowed, final=True)
    elif not honest and kind < 8:
        if session.sgw.seq:
            node.contradict(session)
    elif not honest and kind < 9:
        node.sign(session, flowed + drawn.integer(0, 3_000_000), final=bool(drawn.integer(0, 1)))
    elif not honest:
        node.sign(session, max(said, flowed - drawn.integer(0, 1_000_000)), final=True)


def _said(session: GySession) -> int:
    assert session.sgw is not None
    return session.elsewhere + session.sgw.up + session.sgw.down


def groups_of(events: list[Event]) -> list[tuple[GroupIndex, UnixMillis, list[Event]]]:
    """Put each event in a group of its own."""
    return [(GroupIndex(place), event.at, [event]) for place, event in enumerate(events, 1)]


def posted(path: Path, events: list[Event], cuts: Iterable[int] = (), *, restart: bool = False) -> None:
    """Post all events in batches that end at `cuts`."""

    async def run() -> None:
        books = await Books.open(path)
        try:
            for last in (*sorted(set(cuts)), len(events)):
                fresh = groups_of(events)[books.index : last]
                if fresh:
                    await books.apply(fresh)
                if restart:
                    await books.close()
                    books = await Books.open(path)
        finally:
            await books.close()

    asyncio.run(run())
