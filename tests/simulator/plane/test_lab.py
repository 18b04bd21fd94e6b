"""A whole lab of nodes on loopback, with a Gy server of another make (python-diameter)."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import dpkt
import pytest

from simulator.gateway import Gateway
from simulator.messages import Identity, ServiceKey, Volume
from simulator.plane import gtpc, gtpu, node
from simulator.plane.access import AttachRefused, Ue
from simulator.plane.capture import Capture
from simulator.plane.filters import TCP, Filter, Filters
from simulator.plane.gtpc import Cause
from simulator.plane.lab import Lab, all_alike, open_lab
from simulator.plane.meter import total
from simulator.plane.node import Node
from simulator.plane.traffic import Kind, Stream
from simulator.profile import MAGMA, STANDARD, Profile
from simulator.subscriber import Clock, SessionState

IMSI = "001010123456789"
OTHER, WEB = ServiceKey(1), ServiceKey(2)
FILTERS = Filters(OTHER, (Filter(key=WEB, protocol=TCP, ports=(443, 443)),))
SCALE = 50_000.0
"""Traffic of hours in a second; Validity-Times are longer than any scene."""

EVENT_SECONDS = 10.0

UPLOAD = 5
"""A seed with which bulk traffic begins with an upload."""


def play(
    server,
    scene: Callable[[Lab], Coroutine[None, None, None]],
    profile: Profile = STANDARD,
    capture: Capture | None = None,
) -> None:
    """Run a scene in a lab of two SGWs behind one Diameter client, and insist that no rule was broken."""
    server.validity = 10**6
    gateway = Gateway(
        Identity(), profile, tx_seconds=EVENT_SECONDS, observe=capture.connection if capture is not None else None
    )

    async def run() -> None:
        await gateway.connect("127.0.0.1", server.port)
        clock = Clock(SCALE)
        try:
            async with open_lab(
                [gateway, gateway], all_alike(FILTERS, clock=clock), clock=clock, capture=capture
            ) as lab:
                await scene(lab)
        finally:
            await gateway.close()

    asyncio.run(run())
    assert gateway.record.violations == []


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(EVENT_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


async def flow(lab: Lab, ue: Ue, stream: Stream, ended: asyncio.Event) -> None:
    """Keep a stream running until the scene says so, or the UE is gone."""
    while ue.attached and not ended.is_set():
        await lab.run(ue, stream, 10)


def offered(streams: list[Stream]) -> Volume:
    return total(stream.offered for stream in streams)


def charged(server) -> int:
    return sum(octets for seen in server.seen for octets in seen.used)


def expect_exact(lab: Lab, ue: Ue, streams: list[Stream]) -> None:
    """Expect every octet that was offered in one place, and the same in the meters and at the ends."""
    assert lab.metered(ue) == lab.delivered(ue)
    assert (lab.metered(ue) + lab.dropped(ue)).total + lab.strays == offered(streams).total


def test_each_kind_of_traffic_arrives_and_is_metered_by_its_service(server):
    server.grant = 10**7

    async def scene(lab: Lab) -> None:
        ue = await lab.attach(IMSI)
        streams = [Stream(kind, ue.address, 1) for kind in Kind]
        await asyncio.gather(*(lab.run(ue, stream, 60) for stream in streams))
        await lab.quiet()
        assert lab.delivered(ue) == offered(streams)
        (bearer,) = lab.bearers(ue)
        web = next(stream for stream in streams if stream.kind is Kind.WEB)
        other, of_web = bearer.meter.services
        assert of_web.forwarded == web.offered
        assert other.forwarded == total(stream.offered for stream in streams if stream is not web)
        await lab.detach(ue)
        assert not ue.attached
        assert lab.reported(ue) == offered(streams)
        expect_exact(lab, ue, streams)
        assert lab.pgw.connections == {}

    play(server, scene)
    assert not server.held


def test_without_quota_packets_are_dropped_and_counted_apart(server):
    """One service runs dry and stays so; the other goes on."""
    server.grant, server.threshold, server.purse = 20_000, 1_000, 60_000

    async def scene(lab: Lab) -> None:
        ue = await lab.attach(IMSI)
        bulk, web = Stream(Kind.BULK, ue.address, 3), Stream(Kind.WEB, ue.address, 3)
        await lab.run(ue, bulk, 150)
        await lab.quiet()
        (bearer,) = lab.bearers(ue)
        other, of_web = bearer.meter.services
        assert other.packets_dropped > 20
        assert 0 < other.forwarded.total <= 40_000
        assert of_web.dropped == Volume()
        await lab.run(ue, web, 10)
        await lab.quiet()
        assert of_web.forwarded == web.offered
        expect_exact(lab, ue, [bulk, web])
        server.purse = 10**6
        await bearer.session.reauthorise()
        dropped, before = other.packets_dropped, bulk.packets
        await lab.run(ue, bulk, 10)
        await lab.quiet()
        assert (other.packets_dropped, bulk.packets) == (dropped, before + 10), "quota came back"
        await lab.detach(ue)
        assert lab.reported(ue) == lab.metered(ue)
        expect_exact(lab, ue, [bulk, web])

    play(server, scene)


def test_a_ue_moves_between_two_gateways_and_no_octet_is_lost_or_counted_twice(server):
    server.grant, server.threshold = 300_000, 250_000

    async def scene(lab: Lab) -> None:
        ue = await lab.attach(IMSI)
        streams = [Stream(kind, ue.address, 4) for kind in (Kind.BULK, Kind.VIDEO, Kind.WEB)]
        ended = asyncio.Event()
        running = asyncio.gather(*(flow(lab, ue, stream, ended) for stream in streams))

        def both_ways() -> bool:
            (serving,) = (bearer for bearer in lab.bearers(ue) if bearer.session.open)
            return min(serving.meter.forwarded.up, serving.meter.forwarded.down) > 0

        for sgw in (1, 0, 1):
            await until(both_ways)
            await lab.move(ue, sgw)
        await until(both_ways)
        ended.set()
        await running
        await lab.quiet()
        assert ue.end_markers == 3
        bearers = lab.bearers(ue)
        assert len(bearers) == 4
        assert [bearer.session.open for bearer in bearers].count(True) == 1
        assert lab.strays == 0
        expect_exact(lab, ue, streams)
        await lab.detach(ue)
        for bearer in bearers:
            assert bearer.session.reported == bearer.meter.forwarded

    play(server, scene)
    assert charged(server) > 0


@pytest.mark.parametrize(("ending", "cause"), [("ue", 1), ("home", 4)])
def test_a_session_ends_while_its_packets_flow(server, ending, cause):
    """What was let through before the end still arrives; what comes behind it is a stray; the cause is the true one."""

    async def scene(lab: Lab) -> None:
        ue = await lab.attach(IMSI)
        streams = [Stream(Kind.BULK, ue.address, UPLOAD), Stream(Kind.VIDEO, ue.address, 5)]
        running = asyncio.gather(*(flow(lab, ue, stream, asyncio.Event()) for stream in streams))
        await until(lambda: min(lab.metered(ue).up, lab.metered(ue).down) > 30_000)
        if ending == "home":
            assert await lab.pgw.delete(ue.address) is Cause.ACCEPTED
            await until(lambda: not ue.attached)
        else:
            await lab.detach(ue)
        await running
        await lab.quiet()
        await until(lambda: not lab.pgw.connections)
        assert lab.reported(ue) == lab.metered(ue)
        expect_exact(lab, ue, streams)

    play(server, scene)
    assert (server.seen[-1].request_type, server.seen[-1].termination_cause) == (3, cause)


def test_a_refused_ue_gets_no_tunnel(server):
    server.purse, server.refuse_command = 0, True

    async def scene(lab: Lab) -> None:
        with pytest.raises(AttachRefused) as refused:
            await lab.attach(IMSI)
        assert refused.value.cause is Cause.NOT_AUTHORISED
        assert lab.pgw.connections == {}

    play(server, scene)
    assert len(server.seen) == 1


def test_nobody_gives_a_ue_up_while_its_gateway_still_asks_the_server(server, monkeypatch):
    monkeypatch.setattr(node, "T3_SECONDS", 0.02)
    server.break_answer = lambda _: time.sleep(0.2)  # longer than three times T3

    async def scene(lab: Lab) -> None:
        ue = await lab.attach(IMSI)
        await lab.delete_from_home(ue)
        await until(lambda: not ue.attached)

    play(server, scene)
    assert [seen.request_type for seen in server.seen] == [1, 3]


def test_a_move_that_is_refused_leaves_the_old_path(server):
    async def scene(lab: Lab) -> None:
        ue = await lab.attach(IMSI)
        server.purse, server.refuse_command = 0, True
        with pytest.raises(AttachRefused):
            await lab.move(ue, 1)
        stream = Stream(Kind.WEB, ue.address, 6)
        await lab.run(ue, stream, 10)
        await lab.quiet()
        assert lab.delivered(ue) == stream.offered
        server.purse, server.refuse_command = 10**6, False
        await lab.detach(ue)

    play(server, scene)


@pytest.mark.parametrize("ending", ["abort", "final units", "refusal"])
def test_a_session_that_ends_by_itself_takes_its_bearer_down(server, ending):
    kind, profile = Kind.WEB, STANDARD if ending == "abort" else MAGMA
    if ending == "final units":
        server.purse, server.grant, server.threshold = 5_000, 2_500, None
    elif ending == "refusal":
        kind, server.grant, server.threshold, server.refusal = Kind.BULK, 2_500, None, 5003

    async def scene(lab: Lab) -> None:
        ue = await lab.attach(IMSI)
        (bearer,) = lab.bearers(ue)
        stream = Stream(kind, ue.address, 7)
        if ending == "refusal":
            server.purse = 0
        running = asyncio.create_task(flow(lab, ue, stream, asyncio.Event()))
        if ending == "abort":
            await until(lambda: lab.metered(ue).total > 10_000)
            server.abort(bearer.session.session_id.decode())
        await running
        assert bearer.session.state is SessionState.ENDED
        await until(lambda: not lab.pgw.connections)
        await lab.quiet()
        assert lab.reported(ue) == lab.metered(ue)
        expect_exact(lab, ue, [stream])

    play(server, scene, profile)


def test_a_repeated_request_gets_the_first_answer_again(server):
    """A Create Session Request that comes twice makes one session (TS 29.274 section 7.6)."""

    async def scene(lab: Lab) -> None:
        sent: list[tuple[bytes, str]] = []
        send = lab.mme._send_control
        lab.mme._send_control = lambda octets, peer: (sent.append((octets, peer)), send(octets, peer))
        ue = await lab.attach(IMSI)
        first = next(one for one in sent if one[0][1] == gtpc.Kind.CREATE_SESSION_REQUEST)
        send(*first)
        await lab.quiet()
        assert len(lab.sgws[0].bearers) == 1
        await lab.detach(ue)

    play(server, scene)
    assert [seen.request_type for seen in server.seen] == [1, 3]


def test_octets_that_are_no_message_harm_nobody(server):
    async def scene(lab: Lab) -> None:
        ue = await lab.attach(IMSI)
        sgw = lab.sgws[0]
        for octets in (b"\x30", bytes(100), gtpu.g_pdu(ue.sgw_user.teid, b"no packet"), gtpu.g_pdu(999, b"x")):
            lab.enb.send_user(octets, sgw.address)
            lab.mme._send_control(octets, sgw.address)
        await lab.quiet()
        assert (sgw.malformed, sgw.strays) == (2 + 4, len(b"no packet") + 1)
        assert lab.enb.indications == 1
        await lab.enb.echo(sgw.address)
        await lab.detach(ue)
        with pytest.raises(KeyError):
            await lab.pgw.delete(ue.address)

    play(server, scene)


def test_labs_stand_side_by_side(server):
    async def scene(lab: Lab) -> None:
        gateway = lab.sgws[0].gateway
        async with open_lab([gateway], all_alike(FILTERS)) as other:
            nodes: list[Node] = [lab.enb, lab.mme, lab.pgw, *lab.sgws, other.enb, other.mme, other.pgw, *other.sgws]
            assert len({node.address for node in nodes}) == len(nodes)

    play(server, scene)


def test_the_capture_holds_the_procedures_in_their_order(server, tmp_path: Path):
    """Attach, quota update and both ends, step by step as the settlement proposal has them (3.2.2 to 3.2.5)."""
    server.grant, server.threshold = 30_000, 1_500
    capture = Capture(tmp_path / "lab.pcap")

    async def scene(lab: Lab) -> None:
        first, second = await lab.attach(IMSI), await lab.attach("001010123456780")
        stream = Stream(Kind.BULK, first.address, 8)
        await lab.run(first, stream, 150)
        await lab.quiet()
        (bearer,) = lab.bearers(first)
        await until(lambda: not any(quota.reporting for quota in bearer.session.quotas))
        await lab.detach(first)
        await lab.delete_from_home(second)
        await until(lambda: not second.attached)
        await lab.quiet()

    play(server, scene, capture=capture)
    capture.close()
    steps = []
    with (tmp_path / "lab.pcap").open("rb") as file:
        for _, octets in dpkt.pcap.Reader(file):
            segment = dpkt.ip.IP(octets).data
            data = bytes(segment.data)
            if isinstance(segment, dpkt.udp.UDP) and segment.dport == gtpc.PORT:
                steps.append(gtpc.Kind(data[1]).name.lower())
            elif isinstance(segment, dpkt.udp.UDP):
                assert (segment.sport, segment.dport) == (gtpu.PORT, gtpu.PORT)
                steps += ["packet"] * (data[1] == gtpu.Kind.G_PDU)
            elif data and int.from_bytes(data[5:8], "big") == 272:
                steps.append("ccr" if data[4] & 0x80 else "cca")
    attach = [
        *["create_session_request", "ccr", "cca", "create_session_request", "create_session_response"],
        *["create_session_response", "modify_bearer_request", "modify_bearer_response"],
    ]
    assert steps[:16] == attach * 2
    flow, ends = steps[16:-12], steps[-12:]
    assert set(flow) == {"packet", "ccr", "cca"}
    assert flow.count("ccr") == flow.count("cca") > 0
    assert "packet" in flow[flow.index("ccr") :], "packets that have quota go on"
    assert ends == [
        *["delete_session_request", "ccr", "cca", "delete_session_request", "delete_session_response"],
        "delete_session_response",
        *["delete_bearer_request", "ccr", "cca", "delete_bearer_response"],
        *["delete_bearer_request", "delete_bearer_response"],
    ]


def test_a_node_without_sessions_knows_none(server) -> None:
    async def scene(lab: Lab) -> None:
        request = gtpc.ControlMessage(kind=gtpc.Kind.DELETE_SESSION_REQUEST, teid=7)
        answer = await lab.mme.ask(request, lab.enb.address)
        assert (answer.kind, answer.cause) == (gtpc.Kind.DELETE_SESSION_RESPONSE, Cause.CONTEXT_NOT_FOUND)

    play(server, scene)
