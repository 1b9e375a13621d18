"""Count what this process has done since its start, for Prometheus.

Other modules call the functions below. Every label is a word of ours or of the settings, never input from outside, so
the number of series is bounded. Metrics are for watching: if the database is lost between an outcome and its commit,
the outcome may be counted twice. The books (`core/payments/reconciliation.py`) are exact.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from core.db.states import Outcome
from core.failures import Fault

Phase = Literal["verify", "settle", "queue", "upstream", "total"]
FaultLabel = Fault | Literal["none"]

# From the time of an offer to the longest timeout that a version can have.
_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

# Otherwise each counter and histogram gets a second series with its creation time.
disable_created_metrics()  # type: ignore[no-untyped-call]

# A registry of our own: Prefect adds its metrics to the default one.
registry = CollectorRegistry()
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)
GCCollector(registry=registry)

_finished = Counter(
    "instant_executions_finished",
    "Executions that ended, by outcome and fault.",
    ["outcome", "fault"],
    registry=registry,
)
_phases = Histogram(
    "instant_phase_seconds", "Duration of the phases of a paid call.", ["phase"], buckets=_SECONDS, registry=registry
)
_attempts = Counter("instant_attempts", "Attempts at executions begun by flow runs.", registry=registry)
_takeovers = Counter(
    "instant_takeovers", "Attempts at executions that an earlier attempt began and did not finish.", registry=registry
)
_returned = Counter(
    "instant_executions_returned",
    "Executions returned to the queue: by the launcher when their run ended without them, or by recovery when their"
    " owner died.",
    ["by"],
    registry=registry,
)
_batches = Histogram(
    "instant_batch_executions",
    "Flow runs started, by number of executions.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
    registry=registry,
)
_sends = Counter(
    "instant_sends", "Requests to the provider for an execution, by outcome.", ["outcome"], registry=registry
)
_provider = Histogram(
    "instant_provider_request_seconds",
    "Duration of all requests to providers, by kind of request and by fault.",
    ["request", "fault"],
    buckets=_SECONDS,
    registry=registry,
)
_facilitator = Histogram(
    "instant_facilitator_request_seconds",
    "Duration of requests to facilitators; outcomes other than yes, no and rejected mean that there was no verdict.",
    ["network", "request", "outcome"],
    buckets=_SECONDS,
    registry=registry,
)
_requests = Counter(
    "instant_door_requests", "Requests answered, by route and status.", ["route", "status"], registry=registry
)
_request_seconds = Histogram(
    "instant_door_request_seconds",
    "Duration of requests, including the wait for the answer of a call.",
    ["route"],
    buckets=_SECONDS,
    registry=registry,
)
_offers = Counter("instant_offers", "Offers made to requests without a payment.", registry=registry)
_presented = Counter(
    "instant_payments_presented",
    "Payments presented, by result.",
    ["result"],
    registry=registry,
)
_limited = Counter(
    "instant_rate_limited",
    "Requests refused over a limit: of an address, of a wallet, of an address whose payments were refused, or of a"
    " wallet's undecided payments.",
    ["by"],
    registry=registry,
)
_unavailable = Counter(
    "instant_unavailable",
    "Requests answered 503, by the cause that buyers do not see.",
    ["code"],
    registry=registry,
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
for _by in ("address", "payer", "refused", "undecided"):
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
    """Count a request over a limit: `address`, `payer`, `refused`, `failures`, or `undecided` payments of a wallet."""
    _limited.labels(by).inc()


def unavailable(code: str) -> None:
    """Count something that could not be sold or served; the code is one of ours."""
    _unavailable.labels(code).inc()
