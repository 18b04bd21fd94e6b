"""A subscriber registers and receives a first quota."""

from simulator.checks import SUCCESS, Rule
from simulator.scenario import Stage, scenario

USER_UNKNOWN = 5030


@scenario("attach")
async def attach(stage: Stage) -> None:
    """CCR-I is answered with a grant, and a detach without use costs nothing."""
    operator = await stage.operator(credit=1_000_000) if stage.accounts else None
    session = stage.session()
    await session.attach()
    stage.expect_code(session, SUCCESS)
    stage.expect(session.quotas[0].granted > 0, Rule.GRANT_MISSING, "no octets granted", session)
    await session.detach()
    stage.expect_code(session, SUCCESS)
    if operator:
        await stage.expect_charged(operator)


@scenario("attach-unknown", needs_accounts=True)
async def attach_unknown(stage: Stage) -> None:
    """A subscriber of no known operator is refused with 5030 for the whole command."""
    stage.prefix = "99999"
    session = stage.session()
    await session.attach()
    stage.expect_code(session, USER_UNKNOWN)
    stage.expect(not session.open, Rule.STATE, f"the session is {session.state}", session)
