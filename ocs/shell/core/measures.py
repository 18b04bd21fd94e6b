"""What the core counts, and its text for Prometheus.  Labels are peer, operator, command, code and reason: never a
subscriber.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from ocs.credit_control.event import Stepped
from ocs.diameter.codes import CcRequestType
from ocs.diameter.happening import Counters
from ocs.shell.core.committer import Promise

MALFORMED: Final = 0
"""Stands where a CC-Request-Type stands, for a request whose own could not be believed."""

_KINDS: Final[dict[int, str]] = {MALFORMED: "malformed", **{kind: kind.name.lower() for kind in CcRequestType}}

LATENCY_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)


class Measures:
    """Plain counters: the hot path adds, and only a scrape builds anything."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int, int]] = Counter()  # peer, CC-Request-Type or MALFORMED, Result-Code
        self.services: Counter[int] = Counter()  # MSCC Result-Codes
        self.latency: list[int] = [0] * (len(LATENCY_SECONDS) + 1)
        self.latency_sum = 0.0
        self.screened: Counter[str] = Counter()
        self.repeats = 0
        self.conflicts = 0
        self.recalls = 0
        self.late = 0
        self.shed: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.used_octets = 0
        self.granted_octets = 0
        self.overrun_credits = 0
        self.closed: Counter[str] = Counter()
        self.refused_peers: Counter[str] = Counter()
        self.reauths: Counter[str] = Counter()
        self.expired = 0
        self.groups = 0
        self.events = 0
        self.commit_seconds = 0.0
        self.connections = 0
        self.peers = Counters()  # of all connections there ever were
        self.clock_drift_seconds = 0.0
        self.follower_restarts = 0

    def answered(self, seconds: float, count: int) -> None:
        """Count answers that took the same time."""
        self.latency[bisect_left(LATENCY_SECONDS, seconds)] += count
        self.latency_sum += seconds * count

    def decided(self, promises: Iterable[Promise]) -> None:
        """Count what was answered, many at once: `Counter.update` does it without the interpreter."""
        self.answers.update(
            [(each.connection.peer, each.charged.request_type, each.told.result_code) for each in promises]
        )
        services = [service for each in promises for service in each.told.services]
        self.services.update([service.result_code for service in services])
        self.granted_octets += sum([service.granted for service in services])
        steps = [step for each in promises if isinstance(each.event, Stepped) for step in each.event.services]
        self.used_octets += sum([step.used for step in steps])
        self.overrun_credits += sum([step.overrun for step in steps])

    def text(self) -> str:
        """Give all samples in the text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Samples(self))
        return generate_latest(registry).decode()


class _Samples:
    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def collect(self) -> Iterator[Metric]:
        measures = self._measures
        answers = CounterMetricFamily("ocs_ccr_answers", "CCAs sent", labels=["peer", "type", "result_code"])
        for (peer, kind, code), count in measures.answers.items():
            answers.add_metric([peer, _KINDS[kind], str(code)], count)
        yield answers
        services = CounterMetricFamily("ocs_services", "services answered", labels=["result_code"])
        for code, count in measures.services.items():
            services.add_metric([str(code)], count)
        yield services
        total, buckets = 0, []
        for bound, count in zip((*map(str, LATENCY_SECONDS), "+Inf"), measures.latency, strict=True):
            total += count
            buckets.append((bound, float(total)))
        latency = HistogramMetricFamily("ocs_ccr_latency_seconds", "from the CCR's arrival to its CCA's departure")
        latency.add_metric([], buckets, measures.latency_sum)
        yield latency
        for name, text, value in (
            ("ocs_repeats", "requests answered from an earlier answer", measures.repeats),
            ("ocs_conflicts", "requests with a number that was used for another content", measures.conflicts),
            ("ocs_recalls", "requests looked up in the journal", measures.recalls),
            ("ocs_late_answers", "answers dropped because the gateway had given up", measures.late),
            ("ocs_used_bytes", "octets reported", measures.used_octets),
            ("ocs_granted_bytes", "octets granted", measures.granted_octets),
            ("ocs_overrun_credits", "charged beyond the balance", measures.overrun_credits),
            ("ocs_sessions_expired", "sessions ended by supervision", measures.expired),
            ("ocs_commit_groups", "groups written to the journal", measures.groups),
            ("ocs_events", "events written to the journal", measures.events),
            ("ocs_commit_seconds", "time spent writing groups", measures.commit_seconds),
            ("ocs_answers_unmatched", "answers of peers to nothing that was asked", measures.peers.answers_unmatched),
            ("ocs_requests_dropped", "requests that came after a goodbye", measures.peers.requests_dropped),
            ("ocs_follower_restarts", "times the follower was started again", measures.follower_restarts),
        ):
            yield CounterMetricFamily(name, text, value=value)
        for name, text, label, counts in (
            ("ocs_shed", "requests answered 3004", "reason", measures.shed),
            ("ocs_screened", "requests that broke a rule of screening", "rule", measures.screened),
            ("ocs_notes", "requests with something odd about them", "note", measures.notes),
            ("ocs_connections_closed", "connections that ended", "reason", measures.closed),
            ("ocs_peers_refused", "peers turned away", "reason", measures.refused_peers),
            ("ocs_server_requests", "RAR and ASR by what came back", "result", measures.reauths),
            ("ocs_refusals", "messages refused before charging saw them", "result_code", measures.peers.refusals),
        ):
            family = CounterMetricFamily(name, text, labels=[label])
            for cause, count in counts.items():
                family.add_metric([str(cause)], count)
            yield family
        yield GaugeMetricFamily("ocs_connections", "open connections of peers", value=measures.connections)
        yield GaugeMetricFamily(
            "ocs_clock_drift_seconds",
            "how far the machine's clock has moved from the server's, which a restart would set right",
            value=measures.clock_drift_seconds,
        )
