"""Show the counts of this process and the gauges of the database to Prometheus."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress

from prometheus_client import Metric, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from core.failures import Misconfigured
from core.observability.gauges import Snapshot, Verdicts
from core.observability.metrics import registry

_OPENMETRICS = "application/openmetrics-text"


def is_openmetrics(accept: str) -> bool:
    """Whether a request's Accept header asks for OpenMetrics; otherwise it gets Prometheus's own format."""
    return _OPENMETRICS in accept


def exposition(accept: str, snapshot: Snapshot | None, verdicts: Verdicts) -> tuple[bytes, str]:
    """Encode all metrics as text.

    Args:
        accept: the request's Accept header.
        snapshot: the gauges from the database; None if it does not answer.
        verdicts: the door's judgement of them.

    Returns:
        The text, and its content type.
    """
    # The rest of the header is ignored: the library fails on malformed versions.
    encode, content_type = choose_encoder(_OPENMETRICS if is_openmetrics(accept) else "")
    return encode(_Page(snapshot, verdicts)), content_type


@asynccontextmanager
async def serving(port: int | None, host: str = "127.0.0.1") -> AsyncIterator[None]:
    """Serve the metrics of a process without a door at http://HOST:PORT/metrics, for the duration of the block.

    Raises:
        Misconfigured: the port is taken.
    """
    if port is None:
        yield
        return
    server = None
    with suppress(OSError):
        server, thread = start_http_server(port, host, registry)
    if server is None:
        raise Misconfigured(f"{host}:{port} is taken; set INSTANT_METRICS_PORT to a free port")
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
        yield from registry.collect()
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
    yield _gauge(
        "instant_refunds_sending",
        "Due refunds whose transfer was recorded, and that the chain has not decided.",
        snapshot.refunds_sending,
    )
    yield _labelled_gauge(
        "instant_schedule_age_seconds",
        "Time since each schedule last succeeded or, before its first success, since it was first expected.",
        "schedule",
        {name: record.age_seconds for name, record in snapshot.schedules.items()},
    )
    yield _labelled_gauge(
        "instant_network_paused",
        "Whether nothing is sold on each network, because its chain does not show what was paid.",
        "network",
        {row.network: int(row.paused_at is not None) for row in snapshot.networks},
    )
    yield _labelled_gauge(
        "instant_payments_differing",
        "Payments that the chain does not show as the facilitator told, since the network was last resumed.",
        "network",
        {row.network: row.differing for row in snapshot.networks},
    )
    yield _labelled_gauge(
        "instant_payments_unverified",
        "Paid payments that were not compared with the chain yet.",
        "network",
        {row.network: row.unverified for row in snapshot.networks},
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
