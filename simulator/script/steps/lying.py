"""An SGW and a miner that lie about a session, by the schemes of `simulator.settlement.dishonest`."""

import secrets
import time
from dataclasses import dataclass

from simulator.checks import Rule
from simulator.scenario import Stage
from simulator.script.fields import needed
from simulator.script.step import Step, verb
from simulator.script.steps.session import group
from simulator.script.value import Value
from simulator.settlement.dishonest import SCHEMES, Scheme, Stream, stream
from simulator.settlement.door import Status
from simulator.settlement.messages import Counters, Names, SessionInit, subscriber_tag
from simulator.settlement.reading import RAT_EUTRAN
from simulator.settlement.signing import TAG_SECRET
from simulator.subscriber import Session
from simulator.wire import text

PARTS = 3
"""Reports of what a session used, as its SGW tells of it."""

_BY_NAME = {scheme.name: scheme for scheme in SCHEMES}


def scheme(value: Value) -> Scheme:
    return _BY_NAME[value.one_of(_BY_NAME, "scheme")]


@verb("lie")
@dataclass(frozen=True, slots=True, kw_only=True)
class Lie(Step):
    """End a session, have its use signed dishonestly, and hold each answer against docs/signing.md.

    The session's own use must not be signed besides: `signed: no`.
    """

    subject: str = needed(group)
    scheme: Scheme = needed(scheme)

    async def play(self, stage: Stage) -> None:
        for session in stage.groups[self.subject]:
            said = await _said(stage, session)
            await session.detach()
            stage.expect(bool(said), Rule.STATE, self.at, "a channel for the session", "the server names none", session)
            await self._lie(stage, session, said)

    async def _lie(self, stage: Stage, session: Session, said: Stream) -> None:
        """Send the messages one after the other, as they would come."""
        signing = stage.signing()
        for number, one in enumerate(self.scheme.lie(said, signing.pair) if said else ()):
            (outcome,) = await signing.door.report([one.envelope])
            good = outcome.code == one.expected and outcome.status is (
                Status.REFUSED if one.expected else Status.ACCEPTED
            )
            text = f"{one.expected or 'accepted'} to message {number} of {self.scheme.name}"
            seen = f"{outcome.code or outcome.status} ({outcome.detail})"
            stage.expect(good, Rule.REPORT_CODE, self.at, text, seen, session)


async def _said(stage: Stage, session: Session) -> Stream:
    """Give what the session's honest SGW would say of the octets so far; nothing where there is no channel."""
    signing = stage.signing()
    channel = await signing.door.active_channel(text(session.session_id))
    if channel is None:
        return ()
    names = Names(
        network=signing.pair.network,
        channel_id=channel.channel_id,
        session_id=secrets.token_bytes(16),
        sgw_key=signing.pair.sgw.signer,
        miner_key=signing.pair.miner.signer,
    )
    at_ms = time.time_ns() // 1_000_000
    init = SessionInit(
        names=names,
        subscriber_tag=subscriber_tag(TAG_SECRET, session.imsi),
        rat=RAT_EUTRAN,
        operator=session.imsi[:5],
        gy_session_id=text(session.session_id),
        started_at_ms=at_ms,
        granted_bytes=channel.granted,
        tariff_id=channel.tariff_id,
    )
    used = session.reported
    readings = [Counters(used.up * part // PARTS, used.down * part // PARTS) for part in range(1, PARTS + 1)]
    return stream(names, init, readings, at_ms)
