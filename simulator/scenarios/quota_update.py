"""Quota is used up to the threshold, reported, and renewed."""

from simulator.checks import SUCCESS, Rule
from simulator.messages import Volume
from simulator.scenario import Stage, scenario

GRANTS = 3


@scenario("quota-update")
async def quota_update(stage: Stage) -> None:
    """Each grant is reported at its threshold (CCR-U) and replaced by a new one."""
    operator = await stage.operator(credit=1_000_000_000) if stage.accounts else None
    session = stage.session()
    await session.attach()
    for count in range(1, GRANTS + 1):
        due = session.quotas[0].report_at(stage.gateway.profile)
        volume = Volume(due // 5, due - due // 5)
        moved = await session.use(volume)
        stage.expect(moved == volume, Rule.STATE, f"{moved.total} of {due} octets passed", session)
        stage.expect(session.reports == count, Rule.STATE, f"{session.reports} reports after {count} grants", session)
        stage.expect_code(session, SUCCESS)
    await session.detach()
    if operator:
        await stage.expect_charged(operator)


@scenario("validity-time")
async def validity_time(stage: Stage) -> None:
    """A quota that is not used in its Validity-Time is reported and asked for anew."""
    if stage.accounts:
        await stage.operator(credit=1_000_000_000)
    session = stage.session()
    await session.attach()
    await session.use(Volume(100, 400))
    stage.clock.skip(session.quotas[0].expires_at - stage.clock.now())
    await session.check_timers()
    stage.expect(session.reports == 1, Rule.STATE, f"{session.reports} reports", session)
    stage.expect_code(session, SUCCESS)
    await session.detach()
