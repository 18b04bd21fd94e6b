"""Signed usage beside the scenes: the gateway tells its forwarder, and at the end everything signed is held against Gy.

The forwarder runs in this process, and takes what it signs from the gateway's own statistics stream on loopback, as one
that runs beside a real gateway does.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from simulator.checks import Rule, Violation
from simulator.settlement.desk import BEGIN_ANEW
from simulator.settlement.dishonest import Pair
from simulator.settlement.forwarder import Forwarder
from simulator.settlement.http_door import HttpDoor
from simulator.settlement.messages import Counters
from simulator.settlement.reading import Reading
from simulator.settlement.receipt import Proof, Unproven
from simulator.settlement.signing import Signing, forwarding
from simulator.settlement.statistics import Statistics, subscribe
from simulator.subscriber import Session
from simulator.wire import text

SETTLED_SECONDS: Final = 20.0
"""How long the receipts of a scene may take: a session that changes its channel takes some round trips."""


class SignedUsage:
    """One gateway's SGW, miner and forwarder.

    Attributes:
        pair: both keys, for scenes in which somebody lies.
        door: the way to the server, for the same.
    """

    def __init__(self, signing: Signing, statistics: Statistics, forwarder: Forwarder, door: HttpDoor) -> None:
        self.pair = Pair(sgw=signing.sgw, miner=signing.miner, network=signing.network)
        self.door = door
        self._statistics = statistics
        self._forwarder = forwarder
        self._told: dict[str, Reading] = {}
        self._all_taken = asyncio.Event()

    def tell(self, reading: Reading) -> None:
        """Take what the gateway has reported of a session."""
        self._told[reading.gy_session_id] = reading
        self._all_taken.clear()
        self._statistics.tell(reading)

    async def take(self, target: str) -> None:
        """Bring what the stream tells to the forwarder, until cancelled."""
        async for readings in subscribe(target):
            await self._forwarder.take(readings)
            for reading in readings:
                if self._told.get(reading.gy_session_id) == reading:
                    del self._told[reading.gy_session_id]
            if not self._told:
                self._all_taken.set()

    async def check(self, sessions: Sequence[Session]) -> list[Violation]:
        """Wait until everything is signed and receipted, and give what does not hold of these sessions.

        Raises:
            DoorError: the server told no checkpoint.
        """
        if not await self._settled():
            counts = self._forwarder.desk.spool.counts()
            detail = f"after {SETTLED_SECONDS:g} s {counts['readings']} readings and {counts['reports']} reports wait"
            return [Violation(Rule.UNRECEIPTED, f"{detail} {self._forwarder.desk.last_unproven}")]
        found = [violation for session in sessions for violation in self._of(session)]
        return found + await self._of_the_log(sessions)

    async def _settled(self) -> bool:
        try:
            async with asyncio.timeout(SETTLED_SECONDS):
                if self._told:
                    await self._all_taken.wait()
        except TimeoutError:
            return False
        return await self._forwarder.drained(SETTLED_SECONDS)

    def _of(self, session: Session) -> Iterator[Violation]:
        spool, name = self._forwarder.desk.spool, text(session.session_id)
        signed, reported = spool.signed_octets(name), Counters(session.reported.up, session.reported.down)
        if signed != reported:
            detail = f"{tuple(signed)} octets up and down have receipts, {tuple(reported)} were reported"
            yield Violation(Rule.SIGNED_OCTETS, detail, session.session_id)
        for _, code, detail in spool.refusals([name]):
            if code in BEGIN_ANEW:
                continue  # its channel had gone: what it said was signed anew in the next one, or is missing above
            yield Violation(Rule.REPORT_REFUSED, f"{code}: {detail}", session.session_id)

    async def _of_the_log(self, sessions: Sequence[Session]) -> list[Violation]:
        """Hold every receipt against the log as it is now: signed by the same key, and no smaller."""
        log, spool = self._forwarder.desk.log, self._forwarder.desk.spool
        receipts = [(session, *one) for session in sessions for one in spool.receipts(text(session.session_id))]
        if not receipts or log is None:
            return []
        found = []
        try:
            head = await self.door.checkpoint(log)
        except Unproven as error:
            return [Violation(Rule.RECEIPT, str(error))]
        for session, octets, proof in receipts:
            try:
                Proof.parse(proof).verify(octets, log)
            except Unproven as error:
                found.append(Violation(Rule.RECEIPT, str(error), session.session_id))
            if (index := Proof.parse(proof).index) >= head.size:
                detail = f"leaf {index} is not in a log of {head.size}"
                found.append(Violation(Rule.RECEIPT, detail, session.session_id))
        return found


@contextlib.asynccontextmanager
async def signed_usage(signing: Signing) -> AsyncIterator[SignedUsage]:
    """Sign what a gateway tells, from here to the end of the block.

    Raises:
        SpoolError: the spool cannot be used.
    """
    statistics, door = Statistics(), HttpDoor(signing.server, signing.authorization)
    async with statistics.serving("127.0.0.1:0") as port, forwarding(signing) as forwarder:
        signed = SignedUsage(signing, statistics, forwarder, door)
        taking = asyncio.create_task(signed.take(f"127.0.0.1:{port}"))
        try:
            yield signed
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            await door.close()
