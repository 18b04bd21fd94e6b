"""What a forwarder does with readings and with answers, each in one commit of its spool; nothing here waits.

    reading    ──▶ take   ──▶ stored
    stored     ──▶ sign   ──▶ SessionInit, Usage, countersigned and stored
    the answer ──▶ settle ──▶ the receipt kept, or the refusal; and what follows for the session

A Gy session goes from one signed session to the next when its channel gives way to another, when its counters begin
again, and when a channel closed before its reports came there.  What has no receipt by then is signed anew in the next
one, as far as the grant allows: counters are cumulative, so nothing is lost and nothing is counted twice.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from simulator.settlement.door import Outcome, Status
from simulator.settlement.messages import Counters, Envelope
from simulator.settlement.miner import Miner
from simulator.settlement.reading import Reading
from simulator.settlement.receipt import LogKey, Proof, Unproven
from simulator.settlement.signer import Backwards, Channel, Sgw
from simulator.settlement.spool import Book, Report, Signed, Spool, SpoolError, Told

BEGIN_ANEW: Final = frozenset({"channel_closed", "wrong_channel", "no_session"})
"""Refusals after which the Gy session goes on as another signed session, in the channel that is active then."""

CONFLICTS_MAX: Final = 10
"""How often a session that begins anew is tried while the server has not ended the one before: some five minutes."""

SESSION_FALLS: Final = frozenset({"equivocation", "session_ended"})
"""Refusals after which the server takes nothing more of a signed session."""

READ_AGO_MS_MAX: Final = 4 * 60_000
"""A reading made longer ago is dated when it came: SGW and miner must agree to five minutes, and counters only rise."""

AGAIN_MS: Final = 1_000
AGAIN_MS_MAX: Final = 60_000

NO_CHANNEL_MS: Final = 10 * 60_000
"""So long is a channel asked for, for a Gy session that is over."""

KEPT_MS: Final = 7 * 24 * 3_600_000
"""Receipts of a Gy session that is over: a channel's epochs and its grace are hours, and then its closure is out."""


class Desk:
    """The spool, and who signs what is in it.

    Attributes:
        log: the key that receipts are held against; None until `trust` has been told it, once for ever.
        unproven: receipts that did not prove what they should; their reports stay and are sent again.
    """

    def __init__(self, spool: Spool, sgw: Sgw, miner: Miner, rng: random.Random | None = None) -> None:
        self.spool = spool
        self.log = LogKey.parse(spool.log_key) if spool.log_key else None
        self.unproven = 0
        self.last_unproven = ""
        self._sgw = sgw
        self._miner = miner
        self._rng = rng or random.Random()

    def trust(self, log: LogKey) -> None:
        """Hold receipts against this key from now on.

        Raises:
            SpoolError: the spool was told another one before.
        """
        if self.log is None:
            with self.spool.commit():
                self.spool.pin_log_key(log.text)
            self.log = log
        elif self.log != log:
            raise SpoolError(f"the log's key was {self.log.text}, and is said to be {log.text}; ask its owner which")

    def take(self, readings: Sequence[Reading], now_ms: int) -> None:
        """Store what the gateway has read, at one go; what was signed already is passed over."""
        with self.spool.commit():
            for reading in readings:
                if self.spool.book(reading.gy_session_id).newest != reading:
                    self.spool.take(reading, now_ms)

    def wants_channel(self, gy_session_id: str) -> bool:
        """Tell whether a signed session is to begin before the next reading can be signed."""
        book, told = self.spool.book(gy_session_id), self.spool.told(gy_session_id)
        return told is not None and _begins(book, told.reading)

    def sign(self, sessions: Sequence[tuple[str, Channel | None]], now_ms: int) -> None:
        """Sign what waits of these Gy sessions, as far as it goes, all in one commit.

        Args:
            sessions: each with the channel in which a signed session may begin; None where nobody has asked.
        """
        with self.spool.commit():
            for gy_session_id, channel in sessions:
                book = self.spool.book(gy_session_id)
                while (told := self.spool.told(gy_session_id)) is not None and self._sign(book, told, channel, now_ms):
                    pass
                self.spool.keep(book, now_ms)

    def no_channel(self, gy_session_id: str, now_ms: int) -> None:
        """Ask again later; of a Gy session that is over its reading is set aside in the end, unsigned."""
        with self.spool.commit():
            book, told = self.spool.book(gy_session_id), self.spool.all_told(gy_session_id)
            self._later(book, now_ms)
            if told and told[-1].reading.final and now_ms - told[-1].received_at_ms > NO_CHANNEL_MS:
                for one in told:
                    self.spool.refuse_reading(one, "no_channel", "the server named no channel for it", now_ms)
                book.over = True
            elif told and told[-1].reading.final and not any(one.reading.octets.total for one in told):
                for one in told:
                    self.spool.drop(one)  # refused over Gy, or never used: there is nothing to sign
                book.over = True
            self.spool.keep(book, now_ms)

    def settle(self, reports: Sequence[Report], outcomes: Sequence[Outcome], now_ms: int) -> None:
        """Take the door's answers to these reports, all in one commit."""
        held: set[bytes] = set()
        with self.spool.commit():
            for report, outcome in zip(reports, outcomes, strict=True):
                book = self.spool.book(report.gy_session_id)
                # While the report before it may still be counted, the session must not begin anew without it.
                waits = outcome.code in BEGIN_ANEW and report.session_id in held
                if outcome.message_id not in (b"", report.message_id):
                    held.add(report.session_id)  # the answer is another report's
                elif outcome.status is Status.AGAIN or waits:
                    held.add(report.session_id)
                elif outcome.status is Status.REFUSED:
                    self._refused(book, report, outcome, now_ms)
                elif self._proven(report, outcome):
                    self._counted(book, report, outcome, now_ms)
                else:
                    held.add(report.session_id)
                self.spool.keep(book, now_ms)
            for session_id in held:
                self.spool.postpone(session_id, now_ms + self._jittered(AGAIN_MS))

    def prune(self, now_ms: int) -> None:
        """Forget what has been over for `KEPT_MS`."""
        with self.spool.commit():
            self.spool.prune(now_ms - KEPT_MS)

    # Readings

    def _sign(self, book: Book, told: Told, channel: Channel | None, now_ms: int) -> bool:
        """Sign one reading and let it go; False: it has to wait, for a channel or for a receipt."""
        reading, session = told.reading, book.session
        if book.halted:
            self.spool.refuse_reading(told, book.halted, "the Gy session's signed session was refused before", now_ms)
            return True
        if book.over or reading.incarnation < book.incarnation:
            self.spool.drop(told)  # told again: a gateway tells each incarnation's end before the next one begins
            return True
        if book.awaited:
            return False
        if session is not None and reading.incarnation > session.incarnation:
            book.session, envelope = self._sgw.end(session, now_ms)
            self._countersign(book, envelope, now_ms)
            return False
        at_ms, received_at_ms = _times(told)
        dated = replace(reading, measured_at_ms=at_ms)
        if session is None:
            if reading.incarnation > book.incarnation:
                book.incarnation, book.home = reading.incarnation, Counters()
            if not _begins(book, reading):
                book.over = reading.final
                self.spool.drop(told)
                return True
            if reading.octets.up < book.home.up or reading.octets.down < book.home.down:
                self.spool.refuse_reading(told, "backwards", f"counters were at {book.home} before", now_ms)
                return True
            if channel is None:
                return False
            session, envelope = self._sgw.begin(dated, book.home, channel)
            book.session = session
            self._countersign(book, envelope, received_at_ms)
        try:
            book.session, usage = self._sgw.report(session, dated)
        except Backwards as error:
            self.spool.refuse_reading(told, "backwards", str(error), now_ms)
            return True
        if usage is not None:
            self._countersign(book, usage, received_at_ms)
        book.newest, book.newest_at_ms, book.over = reading, told.received_at_ms, reading.final
        self.spool.drop(told)
        return True

    def _countersign(self, book: Book, inner: Envelope, received_at_ms: int) -> None:
        session = book.session
        assert session is not None  # noqa: S101  (it has just signed)
        outer = self._miner.countersign(inner.encode(), received_at_ms, self.spool.next_miner_seq())
        self.spool.add(
            book.gy_session_id,
            Signed(session.session_id, session.seq, session.signed, session.final, outer.message_id, outer.encode()),
        )

    # Answers

    def _proven(self, report: Report, outcome: Outcome) -> bool:
        """Check a receipt: it is of this report, or of a newer one of its session that this miner has signed too."""
        try:
            self._check(report, outcome)
        except Unproven as error:
            self.unproven += 1
            self.last_unproven = f"{report.gy_session_id}, seq {report.seq}: {error}"
            return False
        return True

    def _check(self, report: Report, outcome: Outcome) -> None:
        if self.log is None:
            raise Unproven("no key of the log is trusted yet")
        proof = Proof.parse(outcome.proof)
        newer = outcome.status is Status.SUPERSEDED
        envelope = self.spool.envelope_of(proof.countersign_id) if newer else report.envelope
        if envelope is None:
            raise Unproven("the newer report that should hold this one is not this miner's")
        commit = proof.verify(envelope, self.log)
        if commit.session_id != report.session_id or (commit.seq <= report.seq if newer else commit.seq != report.seq):
            raise Unproven("the Commit is of another report of this miner's")

    def _counted(self, book: Book, report: Report, outcome: Outcome, now_ms: int) -> None:
        self.spool.receipted(report, outcome.proof if outcome.status is Status.ACCEPTED else None, now_ms)
        session = book.session
        if session is None or session.session_id != report.session_id:
            return
        book.tries = 0
        counted = Counters(max(session.counted.up, report.octets.up), max(session.counted.down, report.octets.down))
        session = book.session = replace(session, counted=counted)
        if report.final:
            book.home, book.session = session.home, None
        elif outcome.next_channel_id and not session.final:
            book.session, envelope = self._sgw.end(session, now_ms)
            self._countersign(book, envelope, now_ms)

    def _refused(self, book: Book, report: Report, outcome: Outcome, now_ms: int) -> None:
        self.spool.refuse(report, outcome.code, outcome.detail, now_ms)
        session = book.session
        if session is None or session.session_id != report.session_id:
            return
        # A channel's grace is over a moment before it settles, and so before what ran in it has ended for the server.
        early = report.seq == 0 and outcome.code == "grant_conflict" and 0 < book.tries <= CONFLICTS_MAX
        if outcome.code in BEGIN_ANEW or early:
            book.home, book.session, book.over = session.home, None, False
            if book.newest is not None:
                self.spool.take_back(book.newest, book.newest_at_ms)
            self._later(book, now_ms)
        elif report.final or report.seq == 0 or outcome.code in SESSION_FALLS:
            book.session, book.halted = None, outcome.code
        # Any other report is made good by the next one, whose counters are higher.

    def _later(self, book: Book, now_ms: int) -> None:
        book.due_at_ms = now_ms + self._jittered(min(AGAIN_MS << min(book.tries, 10), AGAIN_MS_MAX))
        book.tries += 1

    def _jittered(self, ms: int) -> int:
        """Spread retries, so that many forwarders do not come back at the same moment."""
        return self._rng.randint(ms // 2, ms)


def _begins(book: Book, reading: Reading) -> bool:
    """Tell whether this reading has to begin a signed session: the first does, then only what is not home yet."""
    if book.session is not None or book.halted or book.over or reading.incarnation < book.incarnation:
        return False
    home = book.home if reading.incarnation == book.incarnation else Counters()
    return book.newest is None or reading.octets != home


def _times(told: Told) -> tuple[int, int]:
    """Give when counters were read and when the miner had them; read again is as good, and the clocks must agree."""
    at_ms, received_at_ms = told.reading.measured_at_ms, told.received_at_ms
    return (at_ms if abs(received_at_ms - at_ms) <= READ_AGO_MS_MAX else received_at_ms), received_at_ms
