"""The SGW: signs what its gateway has read of a session, as one signed session after the other.  docs/signing.md.

A Gy session has one signed session at a time.  Each begins its counters at 0, so what a gateway reads is signed less
what the signed sessions before it have brought home; a gateway whose own counters begin again shows a new incarnation.
Everything here is a function of what was signed before: the spool keeps that, and so a forwarder that was killed goes
on with the next `seq` and the right `prev_id`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from simulator.settlement.keys import Key
from simulator.settlement.messages import Cause, Counters, Envelope, Names, SessionInit, Usage, seal, subscriber_tag
from simulator.settlement.reading import Reading

PLMN_DIGITS: Final = 5
"""Of MCC and MNC, whose MNC has two digits here: the simulator's operators are of the test network 001-01."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The channel that a Gy session's next signed session is for.

    Attributes:
        granted: octets granted to the Gy session so far, as the server counts them.
    """

    channel_id: bytes
    tariff_id: int
    granted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedSession:
    """A signed session as its SGW knows it.

    Attributes:
        incarnation: of the gateway's counters.
        base: what they had brought home when it began: signed counters are those read, less this.
        seq, signed, prev_id: of the newest report; `signed` are its counters.
        counted: the newest counters that a receipt has come for.
        measured_at_ms, cc_request_number: of the newest report.
        final: the newest report is the last one.
    """

    session_id: bytes
    channel_id: bytes
    incarnation: int
    base: Counters
    seq: int
    signed: Counters
    counted: Counters
    prev_id: bytes
    measured_at_ms: int
    cc_request_number: int
    final: bool

    @property
    def home(self) -> Counters:
        """What the gateway's counters have brought home, this signed session included."""
        return self.base.plus(self.counted)


class Backwards(Exception):
    """Counters fell though the incarnation did not rise; such a report would contradict the one before."""


class Sgw:
    """Signs for one gateway, whose reports one miner countersigns.

    Args:
        miner_key: the miner's signer, 33 octets.
        network: the deployment.
        secret: of the home operator, for the tags of its subscribers.
        random: gives so many random octets.
    """

    def __init__(self, key: Key, miner_key: bytes, network: str, secret: bytes, random: Callable[[int], bytes]) -> None:
        self.key = key
        self.network = network
        self._miner_key = miner_key
        self._secret = secret
        self._random = random

    def begin(self, reading: Reading, base: Counters, channel: Channel) -> tuple[SignedSession, Envelope]:
        """Begin a signed session in a channel.

        Args:
            base: what earlier ones have brought home of the counters that `reading` shows.
        """
        session = SignedSession(
            session_id=self._random(16),
            channel_id=channel.channel_id,
            incarnation=reading.incarnation,
            base=base,
            seq=0,
            signed=Counters(),
            counted=Counters(),
            prev_id=b"",
            measured_at_ms=reading.measured_at_ms,
            cc_request_number=reading.cc_request_number,
            final=False,
        )
        init = SessionInit(
            names=self._names(session),
            subscriber_tag=subscriber_tag(self._secret, reading.imsi),
            rat=reading.rat,
            operator=reading.imsi[:PLMN_DIGITS],
            gy_session_id=reading.gy_session_id,
            started_at_ms=reading.measured_at_ms,
            granted_bytes=min(reading.granted_bytes, channel.granted),
            tariff_id=channel.tariff_id,
        )
        envelope = seal(init, self.key)
        return replace(session, prev_id=envelope.message_id), envelope

    def report(self, session: SignedSession, reading: Reading) -> tuple[SignedSession, Envelope | None]:
        """Sign what was read; nothing where it says no more than the report before.

        Raises:
            Backwards: a counter fell.
        """
        octets = reading.octets.less(session.base)
        if octets.up < session.signed.up or octets.down < session.signed.down:
            raise Backwards(
                f"{reading.gy_session_id}: counters fell to {reading.octets} in incarnation {reading.incarnation}; "
                "counters that begin again are a new incarnation"
            )
        if octets == session.signed and not reading.final:
            return session, None
        return self._sign(
            session, octets, reading.measured_at_ms, reading.cause, reading.cc_request_number, final=reading.final
        )

    def end(self, session: SignedSession, now_ms: int) -> tuple[SignedSession, Envelope]:
        """Sign a last report that says what the one before did: the Gy session goes on as another signed session."""
        cause = Cause.RATING_CONDITION_CHANGE  # another channel may have another tariff
        return self._sign(session, session.signed, now_ms, cause, session.cc_request_number, final=True)

    def _sign(
        self, session: SignedSession, octets: Counters, at_ms: int, cause: Cause, number: int, *, final: bool
    ) -> tuple[SignedSession, Envelope]:
        measured_at_ms = max(at_ms, session.measured_at_ms)  # a clock that was set back must not look like a lie
        usage = Usage(
            names=self._names(session),
            seq=session.seq + 1,
            octets=octets,
            measured_at_ms=measured_at_ms,
            cause=cause,
            prev_id=session.prev_id,
            cc_request_number=number,
            final=final,
        )
        envelope = seal(usage, self.key)
        signed = replace(
            session,
            seq=usage.seq,
            signed=octets,
            prev_id=envelope.message_id,
            measured_at_ms=measured_at_ms,
            cc_request_number=number,
            final=final,
        )
        return signed, envelope

    def _names(self, session: SignedSession) -> Names:
        return Names(
            network=self.network,
            channel_id=session.channel_id,
            session_id=session.session_id,
            sgw_key=self.key.signer,
            miner_key=self._miner_key,
        )
