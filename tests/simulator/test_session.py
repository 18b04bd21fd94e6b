"""Sessions of every make of gateway against a Gy server of another make (python-diameter)."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine

import pytest
from gy_peer import CreditServer

from simulator.checks import Rule
from simulator.gateway import Exchange, Gateway, Rejected, Unanswered, Unreachable
from simulator.messages import Identity, Reason, ServiceKey, Volume
from simulator.profile import MAGMA, OPEN5GS, PROFILES, STANDARD, Profile
from simulator.quota import QuotaState
from simulator.settlement.messages import Cause
from simulator.settlement.reading import Reading
from simulator.subscriber import Clock, Session, SessionState
from simulator.wire import Command, Message, avp, message_octets

IMSI = "001010123456789"
EVENT_SECONDS = 5.0

Scene = Callable[[Gateway, Session], Coroutine[None, None, None]]


def play(server: CreditServer, scene: Scene, profile: Profile = STANDARD, **how: object) -> Gateway:
    """Run one session's scene on a gateway of its own, and return the gateway with what it recorded."""
    gateway = Gateway(Identity(), profile, tx_seconds=EVENT_SECONDS)

    async def run() -> None:
        await gateway.connect("127.0.0.1", server.port)
        try:
            await scene(gateway, Session(gateway, IMSI, **how))
        finally:
            await gateway.close()

    asyncio.run(run())
    return gateway


class Readings(list[Reading]):
    """A meter that keeps what it is told."""

    tell = list.append


async def until(session: Session, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(EVENT_SECONDS):
        while not condition():
            await session.next_answer()


def used(server: CreditServer) -> int:
    return sum(octets for seen in server.seen for octets in seen.used)


def types(server: CreditServer) -> list[int]:
    return [seen.request_type for seen in server.seen]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_attach_use_detach(server, profile):
    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        assert session.open
        moved = await session.use(Volume(100_000, 2_400_000))
        assert moved == Volume(100_000, 2_400_000)
        await session.detach()

    gateway = play(server, scene, profile)
    assert gateway.record.violations == []
    assert used(server) == 2_500_000
    assert types(server)[0] == 1
    assert types(server)[-1] == 3
    assert set(types(server)[1:-1]) == {2}
    assert [seen.number for seen in server.seen] == list(range(len(server.seen)))
    assert {seen.imsi for seen in server.seen} == {IMSI}
    assert server.seen[0].destination_host == ""
    assert {seen.destination_host for seen in server.seen[1:]} == {"ocs.example.net"}
    assert not server.held


@pytest.mark.parametrize(
    ("profile", "threshold", "due", "reason"),
    [
        (STANDARD, 50_000, 950_000, Reason.THRESHOLD),
        (STANDARD, None, 1_000_000, Reason.QUOTA_EXHAUSTED),
        (STANDARD, 1_000_000, 1_000_000, Reason.QUOTA_EXHAUSTED),
        (OPEN5GS, 50_000, 950_000, Reason.THRESHOLD),
        (MAGMA, 50_000, 800_000, Reason.THRESHOLD),
    ],
)
def test_the_report_comes_when_it_is_due_and_not_an_octet_earlier(server, profile, threshold, due, reason):
    server.threshold = threshold

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        await session.use(Volume(0, due - 1))
        assert session.reports == 0
        await session.use(Volume(1, 0))
        assert session.reports == 1
        await session.detach()

    play(server, scene, profile)
    assert server.seen[1].used == [due]
    assert server.seen[1].reasons == [reason]


def test_open5gs_lets_traffic_pass_beyond_the_quota(server):
    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        assert (await session.use(Volume(0, 3_000_000))).total == 3_000_000
        assert session.reports == 1
        await session.detach()

    play(server, scene, OPEN5GS)
    assert server.seen[1].used == [3_000_000]


def test_a_quota_past_its_validity_time_is_renewed(server):
    clock = Clock()

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        await session.use(Volume(10, 20))
        clock.skip(server.validity - 1)
        await session.check_timers()
        assert session.reports == 0
        clock.skip(1)
        await session.check_timers()
        assert session.reports == 1
        await session.detach()

    play(server, scene, clock=clock)
    assert server.seen[1].used == [30]
    assert server.seen[1].reasons == [Reason.VALIDITY_TIME]


def test_the_network_ends_a_session_with_its_own_cause(server):
    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        await session.use(Volume(1, 2))
        await session.delete_from_home()
        await session.detach()

    play(server, scene)
    assert types(server) == [1, 3]
    assert (server.seen[1].termination_cause, server.seen[1].used) == (4, [3])


def test_a_refused_command_leaves_no_session(server):
    server.purse, server.refuse_command, server.refusal = 0, True, 5003

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        assert (session.state, session.result_code) == (SessionState.REFUSED, 5003)
        await session.detach()

    assert play(server, scene).record.violations == []
    assert types(server) == [1]


@pytest.mark.parametrize(
    ("profile", "refusal", "survives"),
    [
        (STANDARD, 4012, True),
        (STANDARD, 5003, True),
        (MAGMA, 4012, True),
        (MAGMA, 5003, False),
        (OPEN5GS, 4012, False),
        (OPEN5GS, 5003, False),
    ],
)
def test_a_refused_service_ends_the_session_where_the_gateway_says_so(server, profile, refusal, survives):
    server.purse, server.refusal = 0, refusal

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        assert session.open == survives
        assert session.result_code == refusal
        assert (await session.use(Volume(1, 1))).total == 0

    assert play(server, scene, profile).record.violations == []
    assert types(server) == ([1] if survives else [1, 3])


def test_final_units_are_used_to_the_last_and_a_top_up_leads_back(server):
    server.purse = 1_500_000

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        moved = await session.use(Volume(0, 5_000_000))
        assert moved.total == 1_500_000
        assert session.quotas[0].state is QuotaState.FINAL
        server.purse += 10_000_000
        asked = server.reauthorise(session.session_id.decode())
        await until(session, lambda: session.quotas[0].state is QuotaState.ACTIVE)
        await asyncio.to_thread(asked.join, EVENT_SECONDS)
        assert (await session.use(Volume(0, 100))).total == 100
        await session.detach()

    assert play(server, scene).record.violations == []
    assert server.answers == [(258, 2002)]
    assert [seen.reasons for seen in server.seen] == [[], [Reason.THRESHOLD], [Reason.FINAL], [7], [Reason.FINAL]]
    assert used(server) == 1_500_100


@pytest.mark.parametrize("profile", [OPEN5GS, MAGMA], ids=lambda profile: profile.name)
def test_final_units_end_the_session_of_gateways_that_know_no_more(server, profile):
    server.purse = 900_000

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        await session.use(Volume(0, 900_000))
        assert session.state is SessionState.ENDED

    assert play(server, scene, profile).record.violations == []
    assert types(server) == [1, 3]
    assert used(server) == 900_000


def test_open5gs_shrugs_at_a_rar(server):
    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        await asyncio.to_thread(server.reauthorise(session.session_id.decode()).join, EVENT_SECONDS)
        assert session.reports == 0
        await session.detach()

    play(server, scene, OPEN5GS)
    assert server.answers == [(258, 2001)]


def test_an_asr_ends_the_session(server):
    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        await session.use(Volume(3, 4))
        asked = server.abort(session.session_id.decode())
        await until(session, lambda: not session.open and session.quotas[0].reported == 7)
        await asyncio.to_thread(asked.join, EVENT_SECONDS)

    assert play(server, scene).record.violations == []
    assert server.answers == [(274, 2001)]
    assert server.seen[-1].termination_cause == 4


def test_requests_for_an_unknown_session_are_answered_so(server):
    async def scene(gateway: Gateway, session: Session) -> None:
        await asyncio.to_thread(server.reauthorise("nobody;1;2").join, EVENT_SECONDS)
        await asyncio.to_thread(server.abort("nobody;1;2").join, EVENT_SECONDS)

    play(server, scene)
    assert server.answers == [(258, 5002), (274, 5002)]


def test_two_services_are_counted_apart(server):
    keys = (ServiceKey(1), ServiceKey(2, 5))

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        await session.use(Volume(0, 950_000), service=0)
        await session.use(Volume(0, 10), service=1)
        await session.detach()
        assert [quota.reported for quota in session.quotas] == [950_000, 10]

    assert play(server, scene, keys=keys).record.violations == []
    assert [seen.used for seen in server.seen] == [[], [950_000], [0, 10]]


def test_sessions_share_a_connection_without_waiting_for_each_other(server):
    async def scene(gateway: Gateway, session: Session) -> None:
        sessions = [session, *(Session(gateway, f"00101{number:010d}") for number in range(9))]
        await asyncio.gather(*(one.attach() for one in sessions))
        await asyncio.gather(*(one.use(Volume(0, 2_000_000)) for one in sessions))
        await asyncio.gather(*(one.detach() for one in sessions))
        assert len({one.session_id for one in sessions}) == 10

    gateway = play(server, scene)
    assert gateway.record.violations == []
    assert used(server) == 20_000_000


def test_a_busy_server_is_asked_again(server):
    """The repeat keeps its End-to-End id, for which python-diameter has an answer of its own: 5012."""
    server.busy = 1

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()

    gateway = play(server, scene)
    assert gateway.record.codes == {3004: 1, 5012: 1}


def test_a_request_is_sent_again_on_a_new_connection(server):
    async def scene(gateway: Gateway, session: Session) -> None:
        first = await session.attach()
        await gateway.drop()
        assert not gateway.connected
        with pytest.raises(Unanswered):
            await session.detach()
        await gateway.connect("127.0.0.1", server.port)
        second: Exchange = await gateway.resend(first.request)
        assert second.request.end_to_end == first.request.end_to_end
        assert second.request.hop_by_hop != first.request.hop_by_hop
        assert second.request.flags == 0xD0

    gateway = play(server, scene)
    assert Rule.NOT_ANSWERED in {violation.rule for violation in gateway.record.violations}


def test_the_watchdog_is_answered(server):
    async def scene(gateway: Gateway, session: Session) -> None:
        assert await gateway.watchdog() == 2001

    play(server, scene)


def test_a_server_that_falls_silent_is_left():
    """A DWR after Tw of silence, and the connection closed when it is not answered (RFC 3539 section 3.4.1)."""
    heard: list[int] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while start := await reader.read(4):
            message = Message.decode(start + await reader.readexactly(message_octets(start) - 4))
            heard.append(message.command)
            if message.command == Command.CAPABILITIES_EXCHANGE:
                named = [avp("Origin-Host", "silent.test"), avp("Origin-Realm", "test")]
                writer.write(message.answer(avp("Result-Code", 2001), *named).encode())
        writer.close()

    async def wait() -> None:
        async with await asyncio.start_server(listen, "127.0.0.1", 0) as listening:
            gateway = Gateway(Identity(), watchdog_seconds=0.1)
            await gateway.connect("127.0.0.1", listening.sockets[0].getsockname()[1])
            async with asyncio.timeout(EVENT_SECONDS):
                while gateway.connected:
                    await asyncio.sleep(0.01)
            await gateway.drop()

    asyncio.run(wait())
    assert heard == [Command.CAPABILITIES_EXCHANGE, Command.DEVICE_WATCHDOG]


def test_a_broken_answer_of_a_real_server_is_named(server):
    def spoil(answer: object) -> None:
        answer.cc_request_number += 1
        answer.multiple_services_credit_control[0].validity_time = 0

    server.break_answer = spoil

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()

    violations = play(server, scene).record.violations
    assert {violation.rule for violation in violations} == {Rule.REQUEST_NUMBER_ECHO, Rule.VALIDITY_TIME}


def test_a_stranger_is_rejected(server):
    async def knock() -> None:
        gateway = Gateway(Identity(host="stranger.example", realm="example"))
        try:
            await gateway.connect("127.0.0.1", server.port)
        finally:
            await gateway.drop()

    with pytest.raises((Rejected, Unreachable)):
        asyncio.run(knock())


def test_nobody_at_home_is_unreachable(free_port):
    async def knock() -> None:
        await Gateway(Identity()).connect("127.0.0.1", free_port)

    with pytest.raises(Unreachable):
        asyncio.run(knock())


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_meter_is_told_what_was_reported(server, profile):
    """After each answer: running totals up and down, the sum of all reports over Gy, and the end."""
    told = Readings()

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        due = session.quotas[0].report_at(profile)
        await session.use(Volume(due // 5, due - due // 5))
        await session.reauthorise()
        await session.use(Volume(10, 20))
        await session.detach()

    play(server, scene, profile, meter=told)
    assert [one.cc_request_number for one in told] == [0, 1, 2, 3]
    assert [one.final for one in told] == [False, False, False, True]
    assert told[0].octets.total == 0
    assert told[0].granted_bytes > 0
    assert told[1].cause in {Cause.THRESHOLD, Cause.QUOTA_EXHAUSTED}
    assert [one.cause for one in told[2:]] == [Cause.REAUTH_REQUIRED, Cause.TERMINATED]
    assert told[-1].octets.total == used(server)
    assert told[-1].octets.less(told[-2].octets) == (10, 20)
    assert all(later.granted_bytes >= one.granted_bytes for one, later in itertools.pairwise(told))


def test_a_session_that_was_refused_is_not_metered(server):
    server.purse = 0
    told = Readings()

    async def scene(gateway: Gateway, session: Session) -> None:
        await session.attach()
        assert not session.reported.total

    play(server, scene, meter=told)
    assert all(one.octets.total == 0 for one in told)
