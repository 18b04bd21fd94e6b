"""UEs move real packets through two gateways of a running server; the balance is what the packets cost."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import dpkt
import pytest

from live.ocs_server import OcsServer, free_ports
from simulator.accounts import Tariff
from simulator.gateway import Gateway
from simulator.messages import Identity, ServiceKey, Volume
from simulator.plane import gtpc, gtpu
from simulator.plane.access import AttachRefused, Ue
from simulator.plane.capture import Capture
from simulator.plane.filters import TCP, UDP, Filter, Filters
from simulator.plane.lab import Lab, all_alike, open_lab
from simulator.plane.meter import total
from simulator.plane.traffic import Kind, Stream
from simulator.subscriber import Clock, QuotaState

pytestmark = pytest.mark.live

TARIFF = Tariff(price=3, per_octets=1_000)
OTHER, WEB, FILM = ServiceKey(1), ServiceKey(2), ServiceKey(3)
FILTERS = Filters(
    OTHER,
    (Filter(key=WEB, protocol=TCP, ports=(443, 443)), Filter(key=FILM, protocol=UDP, ports=(443, 443))),
)
SCALE = 50_000.0
EVENT_SECONDS = 10.0
SCENE_SECONDS = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcsServer]:
    # A day of Validity-Time: the clock of the traffic runs fast.
    sizes = dict.fromkeys(("min_octets", "default_octets", "max_octets"), 60_000)
    quota = {**sizes, "validity_seconds": 86_400, "no_balance_code": 4012}
    with OcsServer(tmp_path_factory.mktemp("ocs"), {"quota": quota}) as running:
        yield running
        assert running.stop() == 0, running.tail()


class Play:
    """A lab with a gateway of its own name for each of its SGWs."""

    def __init__(self, server: OcsServer, name: str, capture: Capture | None = None) -> None:
        observe = capture.connection if capture is not None else None
        identities = [Identity(host=f"sgw{number}.{name}.visited.example") for number in (1, 2)]
        self.gateways = [Gateway(identity, observe=observe) for identity in identities]
        self.server = server
        self.capture = capture

    def run(self, scene) -> None:
        async def run() -> None:
            for gateway in self.gateways:
                await gateway.connect("127.0.0.1", self.server.gy_port)
            clock = Clock(SCALE)
            async with open_lab(
                self.gateways, all_alike(FILTERS, clock=clock), clock=clock, capture=self.capture
            ) as lab:
                async with asyncio.timeout(SCENE_SECONDS):
                    await scene(lab)
            for gateway in self.gateways:
                await gateway.close()

        asyncio.run(run())
        if self.capture is not None:
            self.capture.close()
        assert [gateway.record.violations for gateway in self.gateways] == [[], []]


def due(lab: Lab, ues: Sequence[Ue]) -> int:
    """Price the packets themselves: each service of each bearer by itself, its last block a whole one."""
    return sum(
        TARIFF.charge(count.forwarded.total)
        for ue in ues
        for bearer in lab.bearers(ue)
        for count in bearer.meter.services
    )


def test_what_packets_weigh_is_what_the_operator_pays(server: OcsServer, tmp_path: Path) -> None:
    """Three UEs, five kinds of traffic, a move between gateways, and an end by UE and home each."""
    server.add_operator("roamers", "00102", TARIFF.price, TARIFF.per_octets, credit=10**9)
    offered: list[Stream] = []
    senders: dict[str, str] = {}

    async def scene(lab: Lab) -> None:
        senders.update({lab.enb.address: "enb", lab.pgw.address: "pgw"})
        ues = [await lab.attach(f"0010200000000{number:02}", sgw=number % 2) for number in range(3)]
        offered.extend(Stream(kind, ue.address, seed) for seed, ue in enumerate(ues) for kind in Kind)
        at = {ue.address: ue for ue in ues}
        runs = [lab.run(at[one.ue_address], one, 60) for one in offered]
        running = asyncio.gather(*runs)
        while lab.metered(ues[0]).total < 30_000:
            await asyncio.sleep(0.01)
        await lab.move(ues[0], 1)
        await running
        await lab.idle()
        await lab.detach(ues[0])
        await lab.detach(ues[1])
        await lab.delete_from_home(ues[2])
        await lab.idle()
        for ue in ues:
            assert lab.reported(ue) == lab.metered(ue) == lab.delivered(ue)
            mine = [one for one in offered if one.ue_address == ue.address]
            gone = total(one.offered for one in mine).total - lab.metered(ue).total
            assert gone == lab.dropped(ue).total, "no octet is unaccounted for"
        assert lab.strays == 0
        assert sum(bearer.session.reports for ue in ues for bearer in lab.bearers(ue)) >= 5
        balance = server.balance("roamers")
        assert balance["consumed"] + balance["overrun"] == due(lab, ues) > 0
        assert balance["reserved"] == 0

    Play(server, "roamers", Capture(tmp_path / "plane.pcap")).run(scene)
    tunnelled = {"enb": 0, "pgw": 0}
    with (tmp_path / "plane.pcap").open("rb") as file:
        for _, octets in dpkt.pcap.Reader(file):
            datagram = dpkt.ip.IP(octets)
            sender = senders.get(dpkt.utils.inet_to_str(datagram.src))
            if sender and datagram.data.dport == gtpu.PORT and datagram.data.data[1] == gtpu.Kind.G_PDU:
                tunnelled[sender] += dpkt.ip.IP(datagram.data.data[8:]).len
    # What went into the tunnels at both of their ends is what was offered, whatever was dropped between them.
    assert Volume(tunnelled["enb"], tunnelled["pgw"]) == total(one.offered for one in offered)


def test_packets_end_with_the_credit_and_go_on_after_a_top_up(server: OcsServer) -> None:
    """A UE uses an operator's credit up, is blocked, and is asked to come again by a RAR."""
    server.add_operator("poor", "00103", TARIFF.price, TARIFF.per_octets, credit=300)

    async def scene(lab: Lab) -> None:
        ue = await lab.attach("001030000000001")
        stream = Stream(Kind.BULK, ue.address, 9)
        (bearer,) = lab.bearers(ue)
        while bearer.session.quotas[0].state is QuotaState.ACTIVE:
            await lab.run(ue, stream, 20)
            await lab.idle()
        assert bearer.session.open
        spent = server.balance("poor")
        await lab.run(ue, stream, 30)
        await lab.idle()
        assert server.balance("poor") == spent
        assert lab.metered(ue).total + lab.dropped(ue).total == stream.offered.total
        assert lab.dropped(ue).total > 0
        server.top_up(100_000, "poor")
        async with asyncio.timeout(EVENT_SECONDS):
            while not bearer.session.quotas[0].granted:
                await bearer.session.next_answer()
        passed, dropped = lab.metered(ue), lab.dropped(ue)
        await lab.run(ue, stream, 20)
        await lab.idle()
        assert lab.metered(ue).total > passed.total
        assert lab.dropped(ue) == dropped
        await lab.detach(ue)
        assert lab.reported(ue) == lab.metered(ue) == lab.delivered(ue)
        balance = server.balance("poor")
        assert balance["consumed"] + balance["overrun"] == due(lab, [ue])
        assert balance["overrun"] == 0, "a gateway that looks at each packet uses no octet beyond its grant"

    Play(server, "poor").run(scene)


def test_without_credit_nothing_passes_and_a_stranger_gets_no_tunnel(server: OcsServer) -> None:
    """4012 of a service lets the session live without quota; 5030 of the whole request lets nobody in."""
    server.add_operator("broke", "00104", TARIFF.price, TARIFF.per_octets)

    async def scene(lab: Lab) -> None:
        ue = await lab.attach("001040000000001")
        stream = Stream(Kind.WEB, ue.address, 10)
        await lab.run(ue, stream, 20)
        await lab.quiet()
        assert (lab.metered(ue), lab.dropped(ue)) == (Volume(), stream.offered)
        with pytest.raises(AttachRefused):
            await lab.attach("999990000000001")
        await lab.detach(ue)
        assert lab.pgw.connections == {}

    Play(server, "broke").run(scene)
    assert server.balance("broke")["consumed"] == 0


def test_the_command_accounts_for_every_octet(server: OcsServer, tmp_path: Path) -> None:
    server.add_operator("shown", "00105", TARIFF.price, TARIFF.per_octets, credit=10**9)
    command = [sys.executable, "-m", "simulator", "plane", "--imsi-prefix", "00105", "--ues", "3", "--packets", "20"]
    here = ["--port", str(server.gy_port), "--pcap", str(tmp_path / "plane.pcap")]
    done = subprocess.run(
        [*command, *here],
        capture_output=True,
        text=True,
        timeout=60,
        env={**server.environment, "COLUMNS": "160"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("exact") == 3
    assert "WRONG" not in done.stdout
    balance = server.balance("shown")
    assert balance["consumed"] > 0
    assert balance["reserved"] == 0
    with (tmp_path / "plane.pcap").open("rb") as file:
        ports = {
            segment.data.dport for _, octets in dpkt.pcap.Reader(file) if (segment := dpkt.ip.IP(octets)).src[0] == 127
        }
    assert {gtpc.PORT, gtpu.PORT, 3868} <= ports
    nobody = subprocess.run(
        [*command, "--port", str(free_ports(1)[0])], capture_output=True, text=True, timeout=60, check=False
    )
    assert nobody.returncode == 4
    assert "no Diameter server" in nobody.stdout
