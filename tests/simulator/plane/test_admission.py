"""Packet after packet against quota from a Gy server of another make (python-diameter)."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.gateway import Gateway
from simulator.messages import Identity, Reason, ServiceKey, Volume
from simulator.profile import OPEN5GS, PROFILES, STANDARD, Profile
from simulator.subscriber import QuotaState, Session

IMSI = "001010123456789"
ANSWER_SECONDS = 5.0


def play(
    server, scene: Callable[[Session], Coroutine[None, None, None]], profile: Profile = STANDARD, **how: object
) -> Session:
    """Run one session's scene on a gateway of its own, and insist that no rule was broken."""
    gateway = Gateway(Identity(), profile, tx_seconds=ANSWER_SECONDS)
    held: list[Session] = []

    async def run() -> None:
        await gateway.connect("127.0.0.1", server.port)
        try:
            held.append(Session(gateway, IMSI, **how))
            await held[0].attach()
            await scene(held[0])
        finally:
            await gateway.close()

    asyncio.run(run())
    assert gateway.record.violations == []
    return held[0]


def charged(server) -> int:
    return sum(octets for seen in server.seen for octets in seen.used)


async def answered(session: Session, reports: int) -> None:
    async with asyncio.timeout(ANSWER_SECONDS):
        while session.reports < reports or session.quotas[0].reporting:
            await session.next_answer()
            await asyncio.sleep(0)


def test_packets_pass_while_the_report_is_under_way(server):
    """95 % are reported; what is left of the grant may be used before the answer, and nothing beyond it."""
    server.grant, server.threshold = 1_000, 50

    async def scene(session: Session) -> None:
        assert session.admit(Volume(down=949))
        assert not session.quotas[0].reporting
        assert session.admit(Volume(up=1))
        assert session.quotas[0].reporting
        await asyncio.sleep(0)  # the CCR-U leaves
        assert session.admit(Volume(up=20))
        assert session.admit(Volume(down=30))
        assert not session.admit(Volume(down=1))
        await answered(session, 1)
        assert session.quotas[0].used == 50, "what passed meanwhile is use of the new grant"
        assert session.admit(Volume(down=900))
        assert session.reports == 1
        await session.detach()

    session = play(server, scene)
    assert [seen.used for seen in server.seen] == [[], [950], [950]]
    assert server.seen[1].reasons == [Reason.THRESHOLD]
    assert session.reported == Volume(up=21, down=1_879)


def test_a_packet_too_large_for_the_rest_ends_the_grant(server):
    """No smaller one slips past it, the report says that the quota is used up, and the next grant has room."""
    server.grant, server.threshold = 1_000, None

    async def scene(session: Session) -> None:
        assert session.admit(Volume(down=990))
        assert not session.admit(Volume(down=11))
        assert not session.admit(Volume(up=1))
        await answered(session, 1)
        assert session.admit(Volume(down=11))
        await session.detach()

    play(server, scene)
    assert [seen.used for seen in server.seen] == [[], [990], [11]]
    assert server.seen[1].reasons == [Reason.QUOTA_EXHAUSTED]


def test_final_units_that_hold_no_further_packet_are_reported_as_final(server):
    server.purse, server.grant = 1_000, 1_000

    async def scene(session: Session) -> None:
        assert session.quotas[0].final
        assert session.admit(Volume(down=900))
        assert not session.admit(Volume(down=101))
        await answered(session, 1)
        assert session.quotas[0].state is QuotaState.FINAL
        assert not session.admit(Volume(up=1))
        await session.detach()

    play(server, scene)
    assert charged(server) == 900
    assert server.seen[1].reasons == [Reason.FINAL]


def test_one_service_without_quota_stops_no_other(server):
    server.grant, server.threshold = 1_000, None

    async def scene(session: Session) -> None:
        assert session.admit(Volume(down=1_000), 0)
        assert not session.admit(Volume(down=1), 0)
        assert session.admit(Volume(down=500), 1)
        await session.detach()

    play(server, scene, keys=(ServiceKey(1), ServiceKey(2)))
    assert charged(server) == 1_500


def test_a_gateway_that_does_not_block_counts_on(server):
    server.grant, server.threshold = 1_000, None

    async def scene(session: Session) -> None:
        assert all(session.admit(Volume(down=600)) for _ in range(5))
        await session.detach()
        assert not session.admit(Volume(down=1))

    play(server, scene, OPEN5GS)
    assert charged(server) == 3_000


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_grant_of_one_octet_is_no_endless_loop(server, profile):
    server.grant, server.threshold = 1, None

    async def scene(session: Session) -> None:
        session.admit(Volume(down=40))
        await asyncio.sleep(0.05)
        assert session.reports < 5
        await session.detach()

    play(server, scene, profile)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.sampled_from(list(PROFILES.values())),
    st.integers(1_500, 20_000),
    st.integers(1_000, 60_000),
    st.lists(st.tuples(st.booleans(), st.integers(20, 1_500), st.booleans()), max_size=60),
)
def test_what_was_admitted_is_what_is_charged(server, profile, grant, purse, packets):
    """Whatever is granted when, every admitted octet is reported once, in its direction, and no other."""
    server.grant, server.threshold, server.purse, server.seen, server.held = grant, grant // 20, purse, [], {}
    admitted = Volume()

    async def scene(session: Session) -> None:
        nonlocal admitted
        for up, octets, pause in packets:
            volume = Volume(up=octets) if up else Volume(down=octets)
            if session.admit(volume):
                admitted += volume
            quota = session.quotas[0]
            assert not profile.blocks_at_quota or quota.state is not QuotaState.ACTIVE or quota.used <= quota.granted
            if pause:
                await asyncio.sleep(0.002)
        await session.detach()

    session = play(server, scene, profile)
    assert session.reported == admitted
    assert charged(server) == admitted.total
