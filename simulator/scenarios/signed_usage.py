"""Usage that SGW and miner sign: by an honest gateway, and by parties that lie."""

import secrets
import time

from simulator.checks import SUCCESS, Rule
from simulator.messages import Volume
from simulator.scenario import Stage, scenario
from simulator.settlement.dishonest import SCHEMES, Scheme, Stream, stream
from simulator.settlement.door import Status
from simulator.settlement.messages import Counters, Names, SessionInit, subscriber_tag
from simulator.settlement.reading import RAT_EUTRAN
from simulator.settlement.signing import TAG_SECRET
from simulator.subscriber import Session
from simulator.wire import text

REPORTS = 3


@scenario("signed-session", needs_accounts=True, needs_signing=True)
async def signed_session(stage: Stage) -> None:
    """Each report over Gy is signed, countersigned and counted, and its receipt proves it (p024, 3.2.2 to 3.2.4)."""
    operator = await stage.operator(credit=1_000_000_000)
    for _ in range(2):
        session = stage.session()
        await session.attach()
        await _use(stage, session)
        await session.detach()
        stage.expect_code(session, SUCCESS)
        used = session.reported
        stage.expect(min(used.up, used.down) > 0, Rule.STATE, f"{used} was to be up and down", session)
    await stage.expect_charged(operator)


@scenario("signed-lies", needs_accounts=True, needs_signing=True)
async def signed_lies(stage: Stage) -> None:
    """SGWs and miners that inflate, alter, replay and contradict themselves are refused, each with its code."""
    await stage.operator(credit=1_000_000_000)
    for scheme in SCHEMES:
        session = stage.session(metered=False)
        await session.attach()
        readings = await _use(stage, session)
        said = await _said(stage, session, readings)
        await session.detach()
        await _lie(stage, session, scheme, said)


async def _use(stage: Stage, session: Session) -> list[Counters]:
    """Use some grants, and give the session's counters after each report of them."""
    readings = []
    for _ in range(REPORTS):
        due = session.quotas[0].report_at(stage.gateway.profile)
        await session.use(Volume(due // 7, due - due // 7))
        readings.append(Counters(session.reported.up, session.reported.down))
    stage.expect(session.open and session.reports == REPORTS, Rule.STATE, f"{session.reports} reports", session)
    return readings


async def _said(stage: Stage, session: Session, readings: list[Counters]) -> Stream:
    """Give what the session's honest SGW would say."""
    signing = stage.signing()
    channel = await signing.door.active_channel(text(session.session_id))
    if channel is None:
        stage.expect(condition=False, rule=Rule.STATE, detail="the server names no channel", session=session)
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
    return stream(names, init, readings, at_ms)


async def _lie(stage: Stage, session: Session, scheme: Scheme, said: Stream) -> None:
    """Send a lie, one message after the other as they would come, and hold each answer against the page."""
    for number, one in enumerate(scheme.lie(said, stage.signing().pair)):
        (outcome,) = await stage.signing().door.report([one.envelope])
        good = outcome.code == one.expected and outcome.status is (Status.REFUSED if one.expected else Status.ACCEPTED)
        detail = (
            f"{scheme.name}, message {number}: {outcome.code or outcome.status}, expected {one.expected or 'accepted'}"
        )
        stage.expect(good, Rule.REPORT_CODE, f"{detail} ({outcome.detail})", session)
