"""What this process has done since it began, for Prometheus. The home of prometheus-client.

Counted where it happens, by the functions below. Every label is a word of ours or of the settings, never of somebody
outside, so the number of series is bounded. These are for watching: where a database is lost between an outcome and its
commit, one may be counted twice. The books (`core/payments/reconciliation.py`) are exact.
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
Whose = Fault | Literal["none"]

# From an offer, which takes two milliseconds, to a call at the longest timeout that can be sold.
_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OPENMETRICS = "application/openmetrics-text"

# Each counter and histogram would have a second series with its birthday.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Ours alone: Prefect puts its own numbers into the process's.
_registry = CollectorRegistry()
ProcessCollector(registry=_registry)
PlatformCollector(registry=_registry)
GCCollector(registry=_registry)

_finished = Counter(
    "instant_executions_finished",
    "Executions that came to rest, by outcome and by whose fault it was.",
    ["outcome", "fault"],
    registry=_registry,
)
_phases = Histogram(
    "instant_phase_seconds", "What a paid call spends its time on.", ["phase"], buckets=_SECONDS, registry=_registry
)
_attempts = Counter("instant_attempts", "Executions taken by a flow run.", registry=_registry)
_takeovers = Counter(
    "instant_takeovers", "Those of them that somebody else had begun and not finished.", registry=_registry
)
_returned = Counter(
    "instant_executions_returned",
    "Executions put back into the queue: by the launcher, whose run ended without them, or by recovery, whose owner"
    " died.",
    ["by"],
    registry=_registry,
)
_batches = Histogram(
    "instant_batch_executions",
    "Flow runs started, by how many executions each carries.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
    registry=_registry,
)
_sends = Counter(
    "instant_sends", "Requests to the provider for an execution, by how they ended.", ["outcome"], registry=_registry
)
_provider = Histogram(
    "instant_provider_request_seconds",
    "All requests to the provider, by what was asked and whose fault it was if it failed.",
    ["request", "fault"],
    buckets=_SECONDS,
    registry=_registry,
)
_facilitator = Histogram(
    "instant_facilitator_request_seconds",
    "Requests to facilitators: yes and no are their answers, everything else is none.",
    ["network", "request", "outcome"],
    buckets=_SECONDS,
    registry=_registry,
)
_requests = Counter(
    "instant_door_requests", "Requests answered, by route and status.", ["route", "status"], registry=_registry
)
_request_seconds = Histogram(
    "instant_door_request_seconds",
    "How long requests took, waiting for the answer included where a buyer waits.",
    ["route"],
    buckets=_SECONDS,
    registry=_registry,
)
_offers = Counter("instant_offers", "Offers made to whoever brought no payment.", registry=_registry)
_presented = Counter(
    "instant_payments_presented",
    "Payments brought to the door, by what became of them.",
    ["result"],
    registry=_registry,
)
_limited = Counter(
    "instant_rate_limited",
    "Requests refused because one address or one wallet asks too often.",
    ["by"],
    registry=_registry,
)
_unavailable = Counter(
    "instant_unavailable",
    "Requests answered 503, by the cause that buyers are not told.",
    ["code"],
    registry=_registry,
)

# Initialise label sets to 0: rate() misses the first increment of a series that starts at 1.
for _outcome, _whose in (
    ("succeeded", "none"),
    ("failed", "creator"),
    ("failed", "provider"),
    ("failed", "ours"),
    ("declined", "buyer"),
):
    _finished.labels(_outcome, _whose)
for _result in ("claimed", "replayed", "refused", "conflict"):
    _presented.labels(_result)
for _by in ("launcher", "recovery"):
    _returned.labels(_by)
for _by in ("address", "payer"):
    _limited.labels(_by)


def finished(outcome: Outcome, fault: Whose, **phases: timedelta | None) -> None:
    """An execution came to rest.

    Args:
        outcome: succeeded, failed or declined.
        fault: whose trouble it was.
        phases: how long each took; None for what it never came to.
    """
    _finished.labels(outcome, fault).inc()
    for name, took in phases.items():
        if took is not None:
            _phases.labels(name).observe(max(0.0, took.total_seconds()))


@contextmanager
def phase(name: Phase) -> Iterator[None]:
    """Time the block as a phase of a paid call, also when it raises."""
    began = time.monotonic()
    try:
        yield
    finally:
        _phases.labels(name).observe(time.monotonic() - began)


def began(attempts: int, takeovers: int) -> None:
    """A flow run took executions, some of which others had begun before."""
    _batches.observe(attempts)
    _attempts.inc(attempts)
    _takeovers.inc(takeovers)


def returned(by: Literal["launcher", "recovery"], count: int) -> None:
    """Executions went back into the queue."""
    _returned.labels(by).inc(count)


def sent(outcome: str) -> None:
    """Count a send that ended: `succeeded`, or a name of `core.providers.errors.counted_as`."""
    _sends.labels(outcome).inc()


def asked_provider(request: Literal["call", "key", "cost"], fault: Whose, seconds: float) -> None:
    """The provider was asked for an answer, about a key, or what something cost."""
    _provider.labels(request, fault).observe(seconds)


def asked_facilitator(network: str, request: Literal["verify", "settle"], outcome: str, seconds: float) -> None:
    """A facilitator of the settings was asked: `yes`, `no`, or a word of ours for what was no answer."""
    _facilitator.labels(network, request, outcome).observe(seconds)


def answered(route: str, status: int, seconds: float) -> None:
    """The door answered a request.

    Args:
        route: the template of its path.
        status: HTTP status.
        seconds: from its first byte to the last of the answer.
    """
    _requests.labels(route, str(status)).inc()
    _request_seconds.labels(route).observe(seconds)


def offered() -> None:
    """Somebody without a payment was told what it costs."""
    _offers.inc()


def presented(result: Literal["claimed", "replayed", "refused", "conflict"]) -> None:
    """A payment was brought to the door."""
    _presented.labels(result).inc()


def limited(by: str) -> None:
    """Somebody asks too often: an `address` or a `payer`."""
    _limited.labels(by).inc()


def unavailable(code: str) -> None:
    """Something could not be sold, or not be served; the code is one of ours."""
    _unavailable.labels(code).inc()


def exposition(accept: str, standing: Snapshot | None, verdicts: Verdicts) -> tuple[bytes, str]:
    """Everything, as text.

    Args:
        accept: the header of the request: OpenMetrics if it names it, otherwise Prometheus's own format.
        standing: how things stand in the database; None when it does not say.
        verdicts: what the door thinks of it.

    Returns:
        The text, and its content type.
    """
    # Nothing else of the header is read: the library trips over versions that are none.
    encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept else "")
    return encode(_Page(standing, verdicts)), content_type


@asynccontextmanager
async def serving(port: int | None) -> AsyncIterator[None]:
    """Serve what this process has done at http://127.0.0.1:PORT/metrics while the block runs, if it has no door.

    Raises:
        Misconfigured: if the port is taken.
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
    """What this process counted, and how things stand at the moment."""

    def __init__(self, standing: Snapshot | None, verdicts: Verdicts) -> None:
        self._standing = standing
        self._verdicts = verdicts

    def collect(self) -> Iterator[Metric]:
        """The library's hook."""
        yield from _registry.collect()
        yield _one("instant_database_up", "Whether Postgres answered this scrape.", int(self._standing is not None))
        yield _each(
            "instant_books",
            "What the door's last comparison of ledger and executions found; one of them is 1.",
            "verdict",
            {verdict: int(verdict == self._verdicts.books) for verdict in ("agree", "differ", "unknown")},
        )
        yield _each(
            "instant_schedule_active",
            "Whether Prefect schedules runs of each; missing while it does not say.",
            "schedule",
            self._verdicts.active,
        )
        if self._standing is not None:
            yield _each(
                "instant_schedule_late", "Whether each has not succeeded for too long.", "schedule", self._verdicts.late
            )
            yield from _of_database(self._standing)


def _of_database(standing: Snapshot) -> Iterator[Metric]:
    yield _each("instant_executions", "Executions that are not at rest.", "state", standing.executions)
    yield _one(
        "instant_oldest_queued_seconds", "How long the oldest queued execution waits.", standing.oldest_queued_seconds
    )
    yield _each("instant_payments_undecided", "Payments that are neither paid nor failed.", "state", standing.payments)
    yield _each("instant_workers", "Processes with a heartbeat.", "kind", standing.workers)
    yield _one("instant_refunds_due", "Executions whose payment is owed back.", standing.refunds_due)
    yield _each(
        "instant_schedule_age_seconds",
        "Since each last succeeded or, before the first time, since it is expected.",
        "schedule",
        {name: known.age_seconds for name, known in standing.schedules.items()},
    )
    if standing.catalog_age_seconds is not None:
        yield _one("instant_catalog_age_seconds", "Since the last good sync of models.", standing.catalog_age_seconds)


def _one(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _each(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family
