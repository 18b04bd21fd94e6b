"""Peers that fall silent, answer late or never, or only knock, against a real server: rows 29, 31 and 33.

Tw is at least six seconds, and each fault takes up to three of them: so all happen at once to one server, and each test
looks at one of them.  A sound gateway is served from beginning to end.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from faults.aftermath import Size, conserved, counted, finished, size, told, wait_for
from faults.chaos import ChaosProxy
from live.ocs_server import OcsServer
from live.wire import CCR, CER, DWR, INITIAL, TERMINATION, UPDATE, Gateway, Message, avp, ccr, message, mscc, read

pytestmark = pytest.mark.live

TW_SECONDS, JITTER_SECONDS = 6, 2
SLACK_SECONDS = 2  # of a busy machine
EXPIRY_SECONDS = TW_SECONDS + JITTER_SECONDS + SLACK_SECONDS
INTRODUCTION_SECONDS = 10
IDLE, IDLE_PER_ADDRESS = 1000, 50
PER_ADDRESS_MAX = 64
PUSHING = 100


class Heard(NamedTuple):
    """What came to a gateway, and when."""

    seconds: float
    message: Message


@dataclass
class Silent:
    """A gateway that answers nothing by itself."""

    gateway: Gateway
    began: float = field(default_factory=time.monotonic)
    heard: list[Heard] = field(default_factory=list)

    def wait(self, what: Callable[[Message], bool]) -> Message:
        """Take what comes until it is this."""
        while True:
            one = read(self.gateway.receive())
            self.heard.append(Heard(time.monotonic() - self.began, one))
            if what(one):
                return one

    def ask(self, session: str, kind: int, number: int, used: int | None = None) -> Message:
        parts = mscc(1, used=used, asked=kind != TERMINATION)
        sent = self.gateway.send(CCR, ccr(self.gateway, session, kind, number, parts))
        return self.wait(lambda one: one.hop_by_hop == sent and not one.flags & 0x80)

    @property
    def watchdog_requests(self) -> int:
        return sum(one.message.command == DWR and one.message.flags & 0x80 != 0 for one in self.heard)


def is_dwr(one: Message) -> bool:
    return one.command == DWR and bool(one.flags & 0x80)


def suspected(server: OcsServer, host: str) -> None:
    wait_for(
        f"{host} is suspect", lambda: told(server, "watchdog", peer=host, state="SUSPECT"), seconds=2 * EXPIRY_SECONDS
    )


def recovered(server: OcsServer, host: str) -> None:
    wait_for(f"{host} is well", lambda: told(server, "watchdog", peer=host, state="OKAY"))


class Scenes:
    """The faults, each played on a thread of its own."""

    def __init__(self, server: OcsServer) -> None:
        self.server = server
        self.over = threading.Event()
        self.delays: list[float] = []
        self.before: Size = size(server)
        self.seen: dict[str, Future[None]] = {}

    def sound(self) -> None:
        """Charge a session again and again, and note how long each answer takes."""
        with Gateway(self.server.gy_port, host="sound.example").open() as gateway:
            number = 0
            while not self.over.is_set():
                for kind, place, used in ((INITIAL, 0, None), (UPDATE, 1, 10), (TERMINATION, 2, 1)):
                    began = time.monotonic()
                    parts = mscc(1, used=used, asked=kind != TERMINATION)
                    answer = gateway.ask(CCR, ccr(gateway, f"sound;{number}", kind, place, parts))
                    self.delays.append(time.monotonic() - began)
                    assert answer.result_code == 2001
                number += 1
                self.over.wait(0.1)

    def vanished(self) -> None:
        """Row 31: the line freezes without FIN or RST while a session is open."""
        server, host = self.server, "vanished.example"
        with ChaosProxy(server.gy_port) as proxy, Gateway(proxy.port, host=host).open() as gateway:
            gone = Silent(gateway)
            assert gone.ask("31;1", INITIAL, 0).result_code == 2001
            assert gone.ask("31;1", UPDATE, 1, 500).result_code == 2001
            proxy.freeze()
            suspected(server, host)
            wait_for(
                "it is closed",
                lambda: told(server, "peer closed", peer=host, reason="watchdog"),
                seconds=EXPIRY_SECONDS,
            )
            assert EXPIRY_SECONDS < time.monotonic() - gone.began < 3 * EXPIRY_SECONDS
        shown = server.session("31;1")
        assert shown["state"] == "open", "a lost transport ends no session"
        assert conserved(server)["reserved"] >= 10_000_000
        # It comes back, and needs no three DWAs: REOPEN is for the side that calls.
        with Gateway(server.gy_port, host=host).open() as gateway:
            back = Silent(gateway)
            assert back.ask("31;1", UPDATE, 2, 70).result_code == 2001
            assert back.ask("31;1", TERMINATION, 3, 7).result_code == 2001
        assert server.session("31;1")["requests"] == 4

    def mute(self) -> None:
        """Row 33: no DWA, and nothing else: one DWR, and after three intervals the end."""
        with Gateway(self.server.gy_port, host="mute.example", timeout=3 * EXPIRY_SECONDS).open() as gateway:
            silent = Silent(gateway)
            with pytest.raises(ConnectionError):
                silent.wait(lambda _: False)
            end = time.monotonic() - silent.began
        assert silent.watchdog_requests == len(silent.heard) == 1, "never a second DWR while one is unanswered"
        least = TW_SECONDS - JITTER_SECONDS
        assert least - 0.5 < silent.heard[0].seconds < EXPIRY_SECONDS
        assert 3 * least - 0.5 < end < 3 * EXPIRY_SECONDS
        assert told(self.server, "watchdog", peer="mute.example", state="SUSPECT")
        assert told(self.server, "peer closed", peer="mute.example", reason="watchdog")

    def late(self) -> None:
        """Row 33: the DWA comes when the connection is suspect already, which makes it well."""
        server, host = self.server, "late.example"
        with Gateway(server.gy_port, host=host, timeout=3 * EXPIRY_SECONDS).open() as gateway:
            silent = Silent(gateway)
            asked = silent.wait(is_dwr)
            suspected(server, host)
            gateway.reply(asked, 2001)
            recovered(server, host)
            # The DWA ended the wait: the next interval of silence brings a DWR of its own.
            gateway.reply(silent.wait(is_dwr), 2001)
            assert silent.ask("33;late", INITIAL, 0).result_code == 2001
            assert silent.ask("33;late", TERMINATION, 1, 7).result_code == 2001
            gateway.leave()
        assert silent.watchdog_requests == 2
        assert not told(server, "peer closed", peer=host, reason="watchdog")

    def busy(self) -> None:
        """Row 33: requests come instead of the DWA: they keep the connection, and the DWR stays the only one."""
        server, host = self.server, "busy.example"
        with Gateway(server.gy_port, host=host, timeout=3 * EXPIRY_SECONDS).open() as gateway:
            silent = Silent(gateway)
            asked = silent.wait(is_dwr)
            assert silent.ask("33;busy", INITIAL, 0).result_code == 2001
            suspected(server, host)
            assert silent.ask("33;busy", UPDATE, 1, 7).result_code == 2001, "a suspect peer is served"
            recovered(server, host)
            gateway.reply(asked, 2001)
            assert silent.ask("33;busy", TERMINATION, 2, 7).result_code == 2001
        assert silent.watchdog_requests == 1
        assert not told(server, "peer closed", peer=host, reason="watchdog")

    def dripping(self) -> None:
        """Row 29: a CER of which each octet comes alone, never in time for the end."""
        with ChaosProxy(self.server.gy_port) as proxy:
            proxy.up.drip_seconds = 0.5
            with Gateway(proxy.port, host="dripping.example", timeout=2 * INTRODUCTION_SECONDS) as gateway:
                began = time.monotonic()
                gateway.put(message(0x80, CER, 0, 1, 1, [avp(264, gateway.host), avp(296, gateway.realm)]))
                assert gateway.closed()
                assert time.monotonic() - began < INTRODUCTION_SECONDS + SLACK_SECONDS

    def simulated(self) -> None:
        """Rows 31 and 33, as a lab plays them: the simulator's own scenario of a gateway that answers no DWR."""
        self.server.play(
            "standard", "--watchdog", str(TW_SECONDS), "--origin-host", "lab.example", scenarios=["watchdog-silence"]
        )

    def knocking(self) -> None:
        """Row 29: a thousand connections that say nothing, and one address that wants more than its share."""
        server, port = self.server, self.server.gy_port
        refused = counted(server, "ocs_peers_refused_total", reason="connections-per-address-max")
        idle = [
            socket.create_connection(("127.0.0.1", port), 5, (f"127.1.0.{1 + number // IDLE_PER_ADDRESS}", 0))
            for number in range(IDLE)
        ]
        wait_for("all are connected", lambda: counted(server, "ocs_connections") >= IDLE)
        pushing = [socket.create_connection(("127.0.0.1", port), 5, ("127.1.1.1", 0)) for _ in range(PUSHING)]
        excess = PUSHING - PER_ADDRESS_MAX
        wait_for(
            "the excess is turned away",
            lambda: (
                counted(server, "ocs_peers_refused_total", reason="connections-per-address-max") - refused == excess
            ),
        )
        for one in (*idle, *pushing):
            one.settimeout(INTRODUCTION_SECONDS + SLACK_SECONDS)
            assert not said(one), "no word from a server that was told none"
            one.close()
        wait_for(
            "the log tells of each",
            lambda: counted(server, "ocs_connections_closed_total", reason="no-introduction") > IDLE,
        )


def said(one: socket.socket) -> bytes:
    try:
        return one.recv(1)
    except ConnectionResetError:
        return b""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    settings = {"gy": {"watchdog_seconds": TW_SECONDS, "connections_per_address_max": PER_ADDRESS_MAX}}
    with finished(OcsServer(tmp_path_factory.mktemp("silence"), settings)) as server:
        server.add_operator(credit=10**12)
        scenes = Scenes(server)
        faults = [
            *(scenes.vanished, scenes.mute, scenes.late, scenes.busy, scenes.dripping, scenes.knocking),
            scenes.simulated,
        ]
        with ThreadPoolExecutor(len(faults) + 1) as threads:
            sound = threads.submit(scenes.sound)
            scenes.seen = {fault.__name__: threads.submit(fault) for fault in faults}
            for each in scenes.seen.values():
                each.exception()
            scenes.over.set()
        scenes.seen["sound"] = sound
        yield scenes


@pytest.mark.fault(29)
@pytest.mark.parametrize("fault", ["dripping", "knocking"])
def test_who_does_not_introduce_himself_in_time(scenes: Scenes, fault: str) -> None:
    scenes.seen[fault].result()


@pytest.mark.fault(31)
def test_who_vanishes_is_missed_and_finds_his_session(scenes: Scenes) -> None:
    scenes.seen["vanished"].result()


@pytest.mark.fault(33)
@pytest.mark.parametrize("fault", ["mute", "late", "busy", "simulated"])
def test_the_watchdog_tells_silence_from_death(scenes: Scenes, fault: str) -> None:
    scenes.seen[fault].result()


@pytest.mark.fault(29, 31, 33)
def test_others_are_served_meanwhile_and_nothing_is_left(scenes: Scenes) -> None:
    scenes.seen["sound"].result()
    server = scenes.server
    assert len(scenes.delays) > 100
    assert max(scenes.delays) < 1, "no answer of a sound peer is late"
    balance = conserved(server)
    sessions = len(scenes.delays) // 3
    assert balance["consumed"] == 11 * sessions + (500 + 70 + 7) + 7 + (7 + 7)
    wait_for("no connection is left", lambda: counted(server, "ocs_connections") == 0)
    after = size(server)
    assert after.descriptors <= scenes.before.descriptors
    assert after.resident_octets - scenes.before.resident_octets < 32 * 2**20
