"""Count what this process has done since its start, for Prometheus. All use of prometheus-client is here.

Other modules call the functions below. Every label is a word of ours or of the settings, never input from outside, so
the number of series is bounded. Metrics are for watching: if the database is lost between an outcome and its commit,
the outcome may be counted twice. The books (`core/payments/reconciliation.py`) are exact.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from core.db.states import Outcome
from core.failures import Fault, Misconfigured
from core.observability.gauges import Snapshot, Verdicts

Phase = Literal["verify", "settle", "queue", "upstream", "total"]
FaultLabel = Fault | Literal["none"]

# From the time of an offer to the longest timeout that a version can have.
_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OPENMETRICS = "application/openmetrics-text"

# Otherwise each counter and histogram gets a second series with its creation time.
disable_created_metrics()  # type: ignore[no-untyped-call]

# A registry of our own: Prefect adds its metrics to the default one.
_registry = CollectorRegistry()
ProcessCollector(registry=_registry)
PlatformCollector(registry=_registry)
GCCollector(registry=_registry)

_finished = Counter(
    "instant_executions_finished",
    "Executions that ended, by outcome and fault.",
    ["outcome", "fault"],
    registry=_registry,
)
_phases = Histogram(
    "instant_phase_seconds", "Duration of the phases of a paid call.", ["phase"], buckets=_SECONDS, registry=_registry
)
_attempts = Counter("instant_attempts", "Attempts at executions begun by flow runs.", registry=_registry)
_takeovers = Counter(
    "instant_takeovers", "Attempts at executions that an earlier attempt began and did not finish.", registry=_registry
)
_returned = Counter(
    "instant_executions_returned",
    "Executions returned to the queue: by the launcher when their run ended without them, or by recovery when their"
    " owner died.",
    ["by"],
    registry=_registry,
)
_batches = Histogram(
    "instant_batch_executions",
    "Flow runs started, by number of executions.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
    registry=_registry,
)
_sends = Counter(
    "instant_sends", "Requests to the provider for an execution, by outcome.", ["outcome"], registry=_registry
)
_provider = Histogram(
    "instant_provider_request_seconds",
    "Duration of all requests to providers, by kind of request and by fault.",
    ["request", "fault"],
    buckets=_SECONDS,
    registry=_registry,
)
_facilitator = Histogram(
    "instant_facilitator_request_seconds",
    "Duration of requests to facilitators; outcomes other than yes and no mean that there was no answer.",
    ["network", "request", "outcome"],
    buckets=_SECONDS,
    registry=_registry,
)
_requests = Counter(
    "instant_door_requests", "Requests answered, by route and status.", ["route", "status"], registry=_registry
)
_request_seconds = Histogram(
    "instant_door_request_seconds",
    "Duration of requests, including the wait for the answer of a call.",
    ["route"],
    buckets=_SECONDS,
    registry=_registry,
)
_offers = Counter("instant_offers", "Offers made to requests without a payment.", registry=_registry)
_presented = Counter(
    "instant_payments_presented",
    "Payments presented, by result.",
    ["result"],
    registry=_registry,
)
_limited = Counter(
    "instant_rate_limited",
    "Requests refused because a client address or a wallet exceeds its rate limit.",
    ["by"],
    registry=_registry,
)
_unavailable = Counter(
    "instant_unavailable",
    "Requests answered 503, by the cause that buyers do not see.",
    ["code"],
    registry=_registry,
)

# Initialise label sets to 0: rate() misses the first increment of a series that starts at 1.
for _outcome, _fault in (
    ("succeeded", "none"),
    ("failed", "creator"),
    ("failed", "provider"),
    ("failed", "ours"),
    ("declined", "buyer"),
):
    _finished.labels(_outcome, _fault)
for _result in ("claimed", "replayed", "refused", "conflict"):
    _presented.labels(_result)
for _by in ("launcher", "recovery"):
    _returned.labels(_by)
for _by in ("address", "payer"):
    _limited.labels(_by)


def finished(outcome: Outcome, fault: FaultLabel, **phases: timedelta | None) -> None:
    """Count an execution that ended.

    Args:
        outcome: succeeded, failed or declined.
        fault: the party that caused a failure.
        phases: the duration of each phase; None for a phase that was not reached.
    """
    _finished.labels(outcome, fault).inc()
    for name, duration in phases.items():
        if duration is not None:
            _phases.labels(name).observe(max(0.0, duration.total_seconds()))


@contextmanager
def phase(name: Phase) -> Iterator[None]:
    """Time the block as a phase of a paid call, even if it raises."""
    began = time.monotonic()
    try:
        yield
    finally:
        _phases.labels(name).observe(time.monotonic() - began)


def began(attempts: int, takeovers: int) -> None:
    """Count the attempts that a flow run began, and how many of them are takeovers."""
    _batches.observe(attempts)
    _attempts.inc(attempts)
    _takeovers.inc(takeovers)


def returned(by: Literal["launcher", "recovery"], count: int) -> None:
    """Count executions that returned to the queue."""
    _returned.labels(by).inc(count)


def sent(outcome: str) -> None:
    """Count a send that ended: `succeeded`, or a name from `core.providers.errors.metric_label`."""
    _sends.labels(outcome).inc()


def asked_provider(request: Literal["call", "key", "cost"], fault: FaultLabel, seconds: float) -> None:
    """Time a request to a provider: for an answer, about a key, or for a cost."""
    _provider.labels(request, fault).observe(seconds)


def asked_facilitator(network: str, request: Literal["verify", "settle"], outcome: str, seconds: float) -> None:
    """Time a request to a configured facilitator: `yes`, `no`, or a word of ours for the reason of no answer."""
    _facilitator.labels(network, request, outcome).observe(seconds)


def answered(route: str, status: int, seconds: float) -> None:
    """Count and time a request that the door answered.

    Args:
        route: the route's path template.
        status: HTTP status.
        seconds: from the first byte of the request to the last of the answer.
    """
    _requests.labels(route, str(status)).inc()
    _request_seconds.labels(route).observe(seconds)


def offered() -> None:
    """Count an offer made to a request without a payment."""
    _offers.inc()


def presented(result: Literal["claimed", "replayed", "refused", "conflict"]) -> None:
    """Count a payment that was presented."""
    _presented.labels(result).inc()


def limited(by: str) -> None:
    """Count a request over a rate limit of an `address` or a `payer`."""
    _limited.labels(by).inc()


def unavailable(code: str) -> None:
    """Count something that could not be sold or served; the code is one of ours."""
    _unavailable.labels(code).inc()


def exposition(accept: str, snapshot: Snapshot | None, verdicts: Verdicts) -> tuple[bytes, str]:
    """Encode all metrics as text.

    Args:
        accept: the request's Accept header. OpenMetrics if it names that, otherwise Prometheus's own format.
        standing: the gauges from the database; None if it does not answer.
        verdicts: the door's judgement of them.

    Returns:
        The text, and its content type.
    """
    # The rest of the header is ignored: the library fails on malformed versions.
    encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept else "")
    return encode(_Page(snapshot, verdicts)), content_type


@asynccontextmanager
async def serving(port: int | None) -> AsyncIterator[None]:
    """Serve the metrics of a process without a door at http://127.0.0.1:PORT/metrics, for the duration of the block.

    Raises:
        Misconfigured: the port is taken.
    """
    if port is None:
        yield
        return
    server = None
    with suppress(OSError):
        server, thread = start_http_server(port, "127.0.0.1", _registry)
    if server is None:
        raise Misconfigured(f"127.0.0.1:{port} is taken; set INSTANT_METRICS_PORT to a free port")
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        await asyncio.to_thread(thread.join)
        server.server_close()


class _Page(Collector):
    """One scrape: the counts of this process, and the gauges."""

    def __init__(self, snapshot: Snapshot | None, verdicts: Verdicts) -> None:
        self._snapshot = snapshot
        self._verdicts = verdicts

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, for prometheus-client."""
        yield from _registry.collect()
        yield _gauge("instant_database_up", "Whether Postgres answered this scrape.", int(self._snapshot is not None))
        yield _labelled_gauge(
            "instant_books",
            "The verdict of the door's last comparison of ledger and executions; exactly one is 1.",
            "verdict",
            {verdict: int(verdict == self._verdicts.books) for verdict in ("agree", "differ", "unknown")},
        )
        yield _labelled_gauge(
            "instant_schedule_active",
            "Whether Prefect schedules runs of each flow; missing while Prefect does not answer.",
            "schedule",
            self._verdicts.active,
        )
        if self._snapshot is not None:
            yield _labelled_gauge(
                "instant_schedule_late", "Whether each flow's last success is too old.", "schedule", self._verdicts.late
            )
            yield from _database_gauges(self._snapshot)


def _database_gauges(snapshot: Snapshot) -> Iterator[Metric]:
    yield _labelled_gauge("instant_executions", "Unfinished executions.", "state", snapshot.executions)
    yield _gauge(
        "instant_oldest_queued_seconds", "Waiting time of the oldest queued execution.", snapshot.oldest_queued_seconds
    )
    yield _labelled_gauge(
        "instant_payments_undecided", "Payments that are neither paid nor failed.", "state", snapshot.payments
    )
    yield _labelled_gauge("instant_workers", "Processes with a heartbeat.", "kind", snapshot.workers)
    yield _gauge("instant_refunds_due", "Executions whose refund is due.", snapshot.refunds_due)
    yield _labelled_gauge(
        "instant_schedule_age_seconds",
        "Time since each schedule last succeeded or, before its first success, since it was first expected.",
        "schedule",
        {name: record.age_seconds for name, record in snapshot.schedules.items()},
    )
    if snapshot.catalog_age_seconds is not None:
        yield _gauge("instant_catalog_age_seconds", "Time since the last good sync.", snapshot.catalog_age_seconds)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)


def _labelled_gauge(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for label_value, value in values.items():
        family.add_metric([label_value], value)
    return family
