"""A session ends: by the subscriber, by the network, and once more when the answer got lost."""

from simulator.checks import SUCCESS, Rule
from simulator.messages import Volume
from simulator.scenario import Stage, scenario

USED = Volume(12_345, 67_890)


@scenario("ue-termination")
async def ue_termination(stage: Stage) -> None:
    """The subscriber detaches; CCR-T carries the last use and cause 1."""
    await _terminate(stage, by_network=False)


@scenario("network-termination")
async def network_termination(stage: Stage) -> None:
    """The home PGW deletes the session; CCR-T carries the last use and cause 4."""
    await _terminate(stage, by_network=True)


async def _terminate(stage: Stage, *, by_network: bool) -> None:
    operator = await stage.operator(credit=1_000_000) if stage.accounts else None
    session = stage.session()
    await session.attach()
    await session.use(USED)
    await (session.delete_from_home() if by_network else session.detach())
    stage.expect_code(session, SUCCESS)
    reported = session.quotas[0].reported
    stage.expect(reported == USED.total, Rule.STATE, f"{reported} of {USED.total} octets reported", session)
    if operator:
        await stage.expect_charged(operator)


@scenario("repeated-termination")
async def repeated_termination(stage: Stage) -> None:
    """A CCR-T sent twice, T bit set, on a new connection, is answered alike and charged once."""
    operator = await stage.operator(credit=1_000_000) if stage.accounts else None
    session = stage.session()
    await session.attach()
    await session.use(USED)
    await session.detach()
    first = session.last
    if first is None:
        return
    await stage.gateway.drop()
    await stage.gateway.connect(stage.host, stage.port)
    second = await stage.gateway.resend(first.request)
    stage.expect(second.answer.avps == first.answer.avps, Rule.RESULT, "the repeat has another answer", session)
    if operator:
        await stage.expect_charged(operator)
