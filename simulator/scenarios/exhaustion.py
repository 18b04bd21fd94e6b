"""The operator's credit runs out and is topped up."""

from simulator.accounts import Tariff
from simulator.checks import SUCCESS, Rule
from simulator.messages import Volume
from simulator.scenario import Stage, scenario
from simulator.subscriber import Session

REFUSALS = (4012, 5003)
CREDIT = 20
TARIFF = Tariff(price=1, per_octets=1_000_000)


@scenario("exhaustion", needs_accounts=True)
async def exhaustion(stage: Stage) -> None:
    """Credit is used to the last block, then refused; after a top-up the server asks for a new request (RAR)."""
    operator = await stage.operator(credit=CREDIT, tariff=TARIFF)
    session = stage.session()
    await session.attach()
    stage.expect_code(session, SUCCESS)
    await _use_up(session)
    shown = await stage.balance(operator)
    stage.expect(shown.adds_up, Rule.MONEY, f"{shown}")
    stage.expect(shown.available < TARIFF.price, Rule.MONEY, f"credit is left though the quota ended: {shown}")

    late = stage.session()
    await late.attach()
    stage.expect_code(late, *REFUSALS)

    reports = session.reports  # Counted before the top-up: its RAR may come before its HTTP answer does.
    await stage.top_up(operator, CREDIT)
    if session.open and stage.gateway.profile.honours_reauth:
        await stage.until(
            session,
            lambda: session.reports > reports and session.result_code == SUCCESS,
            Rule.SERVER_REQUEST,
            "no RAR and new grant after the top-up",
        )
    else:
        session = stage.session()
        await session.attach()
    stage.expect_code(session, SUCCESS)
    await session.use(Volume(1_000, 9_000))
    for one in stage.sessions:
        await one.detach()
    await stage.expect_charged(operator)


async def _use_up(session: Session) -> None:
    """Move octets until no quota is left; bounded, for a server that never refuses must not hold the scene."""
    for _ in range(CREDIT * 10):
        moved = await session.use(Volume(TARIFF.per_octets // 10, TARIFF.per_octets // 2))
        if not moved.total or not session.open:
            return
