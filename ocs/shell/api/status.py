"""Health and metrics, for those who watch the server; no token, for they hold none.  No subscriber is named here."""

from collections.abc import Iterator
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ocs.channel.channel import ChannelState
from ocs.errors import Unavailable
from ocs.shell.api.door import ALONE, Behind
from ocs.shell.api.problems import problem
from ocs.shell.api.values import View
from ocs.shell.follower.backend import Progress
from ocs.shell.follower.usage_door import UsageDoor
from ocs.shell.live import Live
from ocs.state import State
from ocs.version import VERSION

routes = APIRouter(tags=["status"], dependencies=ALONE)


class Alive(View):
    status: Literal["alive"] = "alive"
    version: str


class Ready(View):
    status: Literal["ready"] = "ready"
    version: str


@routes.get("/livez")
async def alive() -> Alive:
    """Tell that the process runs; nothing else is asked."""
    return Alive(version=VERSION)


@routes.get("/readyz", response_model=Ready, responses={503: {"description": "problem: `not-ready`, with `reasons`"}})
async def ready(backend: Behind) -> Ready | Response:
    """Tell whether requests of gateways are served, and whether what is read here is fresh."""
    reasons = dict(backend.healthy)
    if not reasons:
        try:
            live = await backend.live()
        except Unavailable as error:
            reasons["core"] = str(error)
        else:
            if not live.serving:
                reasons["core"] = "it is stopping, or has not begun to serve"
    if reasons:
        told = "; ".join(f"{part}: {why}" for part, why in reasons.items())
        return problem("not-ready", told, reasons=reasons)
    return Ready(version=VERSION)


@routes.get("/metrics", response_class=PlainTextResponse)
async def metrics(backend: Behind) -> Response:
    """Give all samples in Prometheus text format; where core or follower is away, those of the other one."""
    live: Live | None = None
    read = backend.progress
    samples: list[Metric] = [
        CounterMetricFamily(
            "ocs_reconciliation_incidents",
            "sessions that did not match what was signed of them, and contradictions",
            value=read.incidents,
        ),
        *_usage(backend.usage),
    ]
    try:
        live = await backend.live()
        samples += _lags(read, live)
        state = await backend.state()
        samples += _balances(state)
        samples += _channels(state)
    except Unavailable:
        pass  # told by the samples that are there, and by the two below
    samples.append(GaugeMetricFamily("ocs_core_up", "whether the core answers", value=live is not None))
    samples.append(GaugeMetricFamily("ocs_ready", "whether nothing is wrong here", value=not backend.healthy))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Samples(samples))
    text = generate_latest(registry).decode()
    return PlainTextResponse((live.metrics if live is not None else "") + text, media_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Samples:
    def __init__(self, samples: list[Metric]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        yield from self._samples


def _usage(usage: UsageDoor) -> list[Metric]:
    ends = CounterMetricFamily("ocs_usage_reports", "signed reports, by what became of them", labels=["end"])
    for end, count in sorted(usage.counts.items()):
        ends.add_metric([end], count)
    return [ends, GaugeMetricFamily("ocs_log_leaves", "commits in the public log", value=usage.log.size)]


def _channels(state: State) -> list[Metric]:
    channels = state.signed.channels
    families = []
    for name in ("available", "locked", "spent"):
        value = getattr(channels.account, name)
        families.append(GaugeMetricFamily(f"ocs_data_credits_{name}", f"data credits {name}", value=value))
    free = GaugeMetricFamily("ocs_channels_free_credits", "free in open channels, data credits")
    open_ones = [one for one in channels.by_number.values() if one.state == ChannelState.OPEN]
    free.add_metric([], sum(one.free for one in open_ones))
    count = GaugeMetricFamily("ocs_channels_open", "channels in which sessions may begin", value=len(open_ones))
    seen = state.signed.witnessed
    cosigned = GaugeMetricFamily(
        "ocs_log_cosigned_leaves", "commits in the public log that cosigners have seen", value=seen.size if seen else 0
    )
    return [*families, free, count, cosigned]


def _lags(read: Progress, live: Live) -> list[GaugeMetricFamily]:
    return [
        GaugeMetricFamily("ocs_journal_index", "the newest synced group", value=live.index),
        GaugeMetricFamily("ocs_books_index", "the newest group in the books", value=read.posted),
        GaugeMetricFamily(
            "ocs_follower_lag_groups", "groups synced and not yet read", value=max(0, live.index - read.folded)
        ),
        GaugeMetricFamily(
            "ocs_books_lag_groups", "groups synced and not yet in the books", value=max(0, live.index - read.posted)
        ),
        GaugeMetricFamily("ocs_start_time_seconds", "when the core started", value=live.started_at / 1000),
    ]


def _balances(state: State) -> list[GaugeMetricFamily]:
    accounts = (
        ("ocs_operator_available_credits", "free to spend", "available"),
        ("ocs_operator_reserved_credits", "held by grants", "reserved"),
        ("ocs_operator_consumed_credits", "spent, less refunds", "consumed"),
        ("ocs_operator_overrun_credits", "used beyond the balance and still owed", "overrun"),
    )
    operators = state.charging.operators.all()
    families = []
    for name, text, field in accounts:
        family = GaugeMetricFamily(name, text, labels=["operator"])
        for operator in operators:
            family.add_metric([operator.name], getattr(operator.account, field))
        families.append(family)
    sessions = GaugeMetricFamily("ocs_open_sessions", "sessions that have not ended", labels=["operator"])
    for operator in operators:
        sessions.add_metric([operator.name], state.charging.sessions.open_count.get(operator.number, 0))
    return [*families, sessions]
