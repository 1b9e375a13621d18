"""Traces, if an OTLP endpoint is set: one for each execution, from the buyer's request to the call upstream.

The home of opentelemetry. A trace's id is the execution's id, so door, launcher and flow write into the same trace
without handing anything on. Spans hold ids, codes and counts. The tracer is ours alone and never the process's: Prefect
would write into that one what it sees.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import cache
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

from core.settings import settings

Fact = str | int | None

_KINDS = {"buy": SpanKind.SERVER, "settle": SpanKind.CLIENT, "upstream": SpanKind.CLIENT}
_EXPORT_SECONDS = 5.0
_LOWER_HALF = 2**64 - 1

# The execution whose first span is being made: it gives the ids that all other spans of its trace refer to.
_first: ContextVar[UUID | None] = ContextVar("first", default=None)


@contextmanager
def span(name: str, execution_id: UUID, **facts: Fact) -> Iterator[dict[str, Fact]]:
    """Record the block as a span, also when it raises.

    Args:
        name: what is done.
        execution_id: for whom.
        facts: ids, codes and counts; nothing that a buyer, creator or model wrote.

    Yields:
        The facts, for more to be added.
    """
    began = time.time_ns()
    told = dict(facts)
    try:
        yield told
    finally:
        record(name, execution_id, began, told)


def record(name: str, execution_id: UUID, began: int, facts: Mapping[str, Fact], *, is_first: bool = False) -> None:
    """Record what ends now.

    Args:
        name: what was done.
        execution_id: for whom.
        began: unix time in nanoseconds.
        facts: as for `span`; None is left out.
        is_first: whether it is the one span of its trace that all others hang on.
    """
    provider = _provider(settings().otlp_endpoint)
    if provider is None:
        return
    known: dict[str, str | int] = {name: fact for name, fact in facts.items() if fact is not None}
    token = _first.set(execution_id if is_first else None)
    try:
        made = provider.get_tracer(__name__).start_span(
            name,
            Context() if is_first else _beneath(execution_id),
            _KINDS.get(name, SpanKind.INTERNAL),
            {"execution": str(execution_id), **known},
            start_time=began,
        )
    finally:
        _first.reset(token)
    made.end()


@asynccontextmanager
async def sending() -> AsyncIterator[None]:
    """At the end of the block, send what is still to be sent: a process that ends by a signal has no other end."""
    try:
        yield
    finally:
        if (provider := _provider(settings().otlp_endpoint)) is not None:
            await asyncio.to_thread(provider.shutdown)
            _provider.cache_clear()


def _beneath(execution_id: UUID) -> Context:
    """A context in which the execution's first span is the parent."""
    first = SpanContext(
        execution_id.int, execution_id.int & _LOWER_HALF, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return set_span_in_context(NonRecordingSpan(first), Context())


@cache
def _provider(endpoint: str | None) -> TracerProvider | None:
    """What makes and sends our spans; None without an endpoint.

    Every span is kept: those of one trace are made in several processes, which could not agree by chance.
    """
    if endpoint is None:
        return None
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
    provider = TracerProvider(
        sampler=ALWAYS_ON, resource=Resource.create({SERVICE_NAME: "x402-instant"}), id_generator=_Ids()
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class _Ids(RandomIdGenerator):
    """The first span of a trace has the ids that follow from its execution."""

    def generate_trace_id(self) -> int:
        first = _first.get()
        return super().generate_trace_id() if first is None else first.int

    def generate_span_id(self) -> int:
        first = _first.get()
        return super().generate_span_id() if first is None else first.int & _LOWER_HALF
