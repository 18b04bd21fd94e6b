"""Double-signed reports: how many a second are verified, durable and receipted, beside bare PyNaCl in the same run.

    bare        two Ed25519 verifications for each report, one thread, nothing else
    HTTP        POST /api/v1/usage in batches of 250, eight senders
    gRPC        settlement.v1.Settlement.Report, four streams
    one core    HTTP again, with all processes of the server bound to one core
    one process the server's own code without any door: verified, decided and durable, in one process on one core

And how long Gy takes to answer 2,000 CCRs a second, alone and while reports come as fast as they are taken: on a server
that runs wherever the system puts it, on one whose core goes first (`processors.real_time`, where the system lets it),
and on one whose core has a CPU of its own (`processors.core`).  The reports' senders would be other machines, so they
take no time of that CPU either: they run where the follower does.  How many come is counted while Gy is measured.
Every receipt is looked at: one that is missing, or a refusal, fails the run.
"""

import base64
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import grpc

from bench import one_process
from bench.elsewhere import started
from bench.servers import PLMN, prepare
from live.ocs_server import OcsServer
from live.signing import Signed, Signers
from live.wire import CCR, INITIAL, Gateway, ccr, mscc
from ocs.signed import envelope
from ocs.signed.ed25519 import public_key_of, verify
from ocs.wire_pb import settlement_pb2
from real_time import may_go_first
from simulator.load import Job, Result
from simulator.messages import Identity
from simulator.profile import PROFILES
from simulator.templates import capabilities, templates

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
SESSIONS = 200
REPORTS = int(os.environ.get("BENCH_REPORTS", "20000"))
BATCH = 250
SENDERS = 8
STREAMS = 4
GY_RATE = 2000.0
GROWS_SECONDS = 12.0
"""As long the write-ahead log of a new server grows at this rate: not what is to be measured."""

BARE = 3000
CREDITS = 10**12
BESIDE_MAX = 9000
"""Reports a second that are made ready for the time that Gy is measured beside them."""

STARTS_SECONDS = 3.0
"""And for as long as the generator takes to start."""


@dataclass
class Beside:
    """Gy while reports come as fast as they are taken, round by round."""

    alone_p99: list[float] = field(default_factory=list)  # milliseconds
    p99: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)  # a second

    def ratio(self) -> float:
        return statistics.median(self.p99) / statistics.median(self.alone_p99)

    def rate(self) -> float:
        return statistics.median(self.reports)


@dataclass
class Figures:
    """What was measured, round by round; rates a second, times in milliseconds."""

    bare: list[float] = field(default_factory=list)
    http: list[float] = field(default_factory=list)
    grpc: list[float] = field(default_factory=list)
    one_core: list[float] = field(default_factory=list)
    one_process: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)  # of core and follower, for a report over HTTP
    free: Beside = field(default_factory=Beside)
    first: Beside = field(default_factory=Beside)
    bound: Beside = field(default_factory=Beside)

    def ratios(self) -> list[tuple[str, float, str]]:
        bare = statistics.median(self.bare)
        return [
            (
                "reports verified and durable, one process on one core / bare PyNaCl",
                statistics.median(self.one_process) / bare,
                "at least 0.6",
            ),
            ("reports over HTTP / bare PyNaCl", statistics.median(self.http) / bare, "at least 0.6"),
            ("reports over gRPC / bare PyNaCl", statistics.median(self.grpc) / bare, ""),
            ("reports over HTTP, one core for all / bare PyNaCl", statistics.median(self.one_core) / bare, ""),
            *self._beside(self.free, "", "", ""),
            *self._beside(self.first, ", the core going first", "at least 0.6", "at most 2"),
            *self._beside(self.bound, ", the core on a CPU of its own", "", ""),
        ]

    def _beside(self, beside: Beside, how: str, rate: str, ratio: str) -> Iterator[tuple[str, float, str]]:
        if beside.p99:
            bare = statistics.median(self.bare)
            yield f"reports over HTTP while Gy has {GY_RATE:,.0f} CCRs/s / bare PyNaCl{how}", beside.rate() / bare, rate
            yield f"p99 of these CCRs while reports come / alone{how}", beside.ratio(), ratio


class Traffic:
    """Signed sessions on one server, and reports of theirs that are ready to be sent."""

    def __init__(self, server: OcsServer) -> None:
        self.server = server
        self.signers = Signers(server)
        self.sessions: list[Signed] = []

    def begin(self) -> None:
        self.signers.register(CREDITS)
        names = [f"sgw.visited.example;{number}" for number in range(SESSIONS)]
        with Gateway(self.server.gy_port).open() as gateway:
            for name in names:
                assert gateway.ask(CCR, ccr(gateway, name, INITIAL, 0, mscc(1))).result_code == 2001
            gateway.leave()
        begun = [self.signers.begin(name) for name in names]
        self.sessions = [session for session, _ in begun]
        _check(self.signers.send(*(init for _, init in begun)))

    def reports(self, count: int, parts: int) -> list[list[bytes]]:
        """Sign `count` reports, in `parts` so that each session's stay in their order."""
        made: list[list[bytes]] = [[] for _ in range(parts)]
        for number in range(count):
            session = self.sessions[number % SESSIONS]
            made[number % SESSIONS % parts].append(self.signers.usage(session, 10, 20))
        return made


def bare_rate(octets: bytes) -> float:
    """Give how many reports a second PyNaCl could verify, at two signatures each and nothing else."""
    outer = envelope.decode(octets)
    key, covered = public_key_of(outer.signer), envelope.signed_bytes(outer.payload_type, outer.payload)
    began = time.perf_counter()
    for _ in range(BARE):
        assert verify(key, covered, outer.signature)
    return BARE / (time.perf_counter() - began) / 2


def over_http(traffic: Traffic, reports: Sequence[bytes]) -> None:
    for octets in posted(traffic, map(_body, batched(reports))):
        _check(json.loads(octets)["results"])


def batched(reports: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (reports[place : place + BATCH] for place in range(0, len(reports), BATCH))


def _body(batch: Sequence[bytes]) -> bytes:
    return json.dumps({"reports": [base64.b64encode(one).decode() for one in batch]}).encode()


def posted(traffic: Traffic, bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Post batches one after the other over one connection; give what each is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", traffic.server.api_port, timeout=60)
    headers = {"Authorization": traffic.signers.pass_(), "Content-Type": "application/json"}
    for body in bodies:
        connection.request("POST", "/api/v1/usage", body, headers)
        answer = connection.getresponse()
        octets = answer.read()
        assert answer.status == 200, octets
        yield octets
    connection.close()


def _check(results: Sequence[dict[str, object]]) -> None:
    wrong = next((one for one in results if one["status"] != "accepted" or not one["proof"]), None)
    assert wrong is None, wrong


def over_grpc(traffic: Traffic, reports: Sequence[bytes]) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{traffic.server.usage_port}") as channel:
        report = channel.stream_stream(
            "/settlement.v1.Settlement/Report", response_deserializer=settlement_pb2.Receipt.FromString
        )
        metadata = (("authorization", traffic.signers.pass_()),)
        receipts = list(report(iter(reports), metadata=metadata, timeout=120))
    assert len(receipts) == len(reports)
    assert all(one.proof and not one.refusal and not one.again for one in receipts)


def rate_of(traffic: Traffic, way: Callable[[Traffic, Sequence[bytes]], None], parts: Sequence[list[bytes]]) -> float:
    """Send reports that were signed before, over several connections; how many a second came back as receipts."""
    faults: list[BaseException] = []

    def run(reports: list[bytes]) -> None:
        try:
            way(traffic, reports)
        except BaseException as fault:  # told by the main thread
            faults.append(fault)

    threads = [Thread(target=run, args=(part,)) for part in parts]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if faults:
        raise faults[0]
    return sum(map(len, parts)) / took


def gy_p99(server: OcsServer, seconds: float, host: str) -> float:
    """Give what 99 of 100 CCRs waited at most, in milliseconds; `host` is a gateway whose Session-Ids are all new."""
    identity = Identity(destination_realm="example.net", host=host)
    job = Job(
        port=server.gy_port,
        capabilities=[capabilities(identity, PROFILES["standard"])],
        templates=[templates(identity, PROFILES["standard"], imsi_prefix=PLMN, groups=1)],
        connections=1,
        outstanding=512,
        rate=GY_RATE,
        sessions=4096,
        seconds=seconds,
        is_hostile=False,
    )
    pipe = subprocess.PIPE
    with started([sys.executable, "-m", "simulator.load"], stdin=pipe, stdout=pipe, stderr=pipe) as generator:
        out, told = generator.communicate(job.to_json(), timeout=300)
    assert generator.returncode == 0, told
    result = Result(**json.loads(out))
    assert not result.errors, result
    assert not result.faults, result
    return result.p99


def _cpu_seconds(server: OcsServer) -> float:
    assert server.process is not None
    ticks = 0
    follower = server.follower()
    for pid in (server.process.pid, follower, *server.verifiers()):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _bind(server: OcsServer, cores: set[int]) -> None:
    assert server.process is not None
    follower = server.follower()
    for pid in (server.process.pid, follower, *server.verifiers()):
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def _round(folder: Path, figures: Figures) -> None:
    prepare(folder, 1)
    with OcsServer(folder, {"gy": {"connections_per_address_max": 200}}) as server:
        traffic = Traffic(server)
        traffic.begin()
        sample = traffic.reports(1, 1)[0][0]
        over_http(traffic, [sample])
        figures.bare.append(bare_rate(sample))
        figures.one_process.append(one_process.rate(folder / "one-process", REPORTS // 4))
        figures.bare.append(bare_rate(sample))
        cpu = _cpu_seconds(server)
        figures.http.append(rate_of(traffic, over_http, traffic.reports(REPORTS, SENDERS)))
        figures.cpu_us.append((_cpu_seconds(server) - cpu) / REPORTS * 1e6)
        figures.bare.append(bare_rate(sample))
        figures.grpc.append(rate_of(traffic, over_grpc, traffic.reports(REPORTS // 2, STREAMS)))
        _measure_beside(server, traffic, figures.free)
        _bind(server, {0})
        figures.one_core.append(rate_of(traffic, over_http, traffic.reports(REPORTS // 4, SENDERS)))
        assert server.stop() == 0, server.tail()
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        if may_go_first():
            _beside_on(folder / "first", {"real_time": True}, figures.first)
        _beside_on(folder / "bound", {"core": cpus[:1], "follower": cpus[1:]}, figures.bound, senders_on=cpus[1:])


def _beside_on(folder: Path, processors: dict[str, Any], beside: Beside, senders_on: Sequence[int] = ()) -> None:
    """Measure on a server of its own whose processes run as `processors` says."""
    folder.mkdir()
    prepare(folder, 1)
    with OcsServer(folder, {"gy": {"connections_per_address_max": 200}, "processors": processors}) as server:
        traffic = Traffic(server)
        traffic.begin()
        over_http(traffic, traffic.reports(1, 1)[0])
        _measure_beside(server, traffic, beside, senders_on)
        assert server.stop() == 0, server.tail()


def _measure_beside(server: OcsServer, traffic: Traffic, beside: Beside, senders_on: Sequence[int] = ()) -> None:
    gy_p99(server, GROWS_SECONDS, "first.visited.example")
    beside.alone_p99.append(gy_p99(server, SECONDS, "alone.visited.example"))
    flow = Flow(traffic, senders_on)
    flow.start()
    beside.p99.append(gy_p99(server, SECONDS, "beside.visited.example"))
    # The generator has ended with its last answer a moment ago: what was measured lies in the seconds before.
    until = time.monotonic()
    flow.stop()
    beside.reports.append(flow.between(until - SECONDS, until) / SECONDS)


class Flow:
    """Reports that come as fast as they are taken, until told to stop.

    The senders stand for other machines: all is signed and written down before, and looked at afterwards.
    """

    def __init__(self, traffic: Traffic, cpus: Sequence[int]) -> None:
        self._traffic = traffic
        self._cpus = cpus
        self._answers: list[tuple[float, bytes]] = []
        self._stopping = False
        self._faults: list[BaseException] = []
        reports = traffic.reports(int(BESIDE_MAX * (SECONDS + STARTS_SECONDS)), SENDERS)
        self._threads = [Thread(target=self._send, args=([*map(_body, batched(part))],)) for part in reports]

    def _send(self, bodies: list[bytes]) -> None:
        if self._cpus:
            os.sched_setaffinity(0, self._cpus)  # of this thread
        try:
            for octets in posted(self._traffic, bodies):
                self._answers.append((time.monotonic(), octets))
                if self._stopping:
                    return
        except BaseException as fault:  # told by the main thread
            self._faults.append(fault)
        else:
            self._faults.append(AssertionError("the reports were too few to last"))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop, and look at every receipt."""
        self._stopping = True
        for thread in self._threads:
            thread.join()
        if self._faults:
            raise self._faults[0]
        for _, octets in self._answers:
            _check(json.loads(octets)["results"])

    def between(self, start: float, end: float) -> int:
        """Count the receipts of this time."""
        return BATCH * sum(start <= at < end for at, _ in self._answers)


def measure(rounds: int = ROUNDS) -> Figures:
    """Measure `rounds` times, each on a server of its own."""
    figures = Figures()
    with TemporaryDirectory(prefix="ocs-bench-reports-") as scratch:
        for number in range(rounds):
            folder = Path(scratch) / f"run-{number}"
            folder.mkdir()
            _round(folder, figures)
            print(
                f"round {number + 1}  reports/s: bare {figures.bare[-1]:,.0f}  HTTP {figures.http[-1]:,.0f}  "
                f"gRPC {figures.grpc[-1]:,.0f}  one core {figures.one_core[-1]:,.0f}  "
                f"one process {figures.one_process[-1]:,.0f}  "
                + "  ".join(
                    f"Gy p99 ms, {how}: alone {beside.alone_p99[-1]:.2f}  beside {beside.p99[-1]:.2f} "
                    f"({beside.reports[-1]:,.0f} reports/s)"
                    for how, beside in (("free", figures.free), ("first", figures.first), ("bound", figures.bound))
                    if beside.p99
                ),
                flush=True,
            )
    return figures


if __name__ == "__main__":
    told = measure()
    print(f"CPU of a report, both processes: {statistics.median(told.cpu_us):.0f} µs")
    for what, ratio, wanted in told.ratios():
        print(f"  {ratio:>7.2f}  {what}{f'  ({wanted})' if wanted else ''}")
