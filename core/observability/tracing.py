"""Send traces if an OTLP endpoint is set: one for each execution, from the buyer's request to the provider's answer.

All use of opentelemetry is here. A trace's id is the execution's id, so door, launcher and flow write into the same
trace without passing a context. Spans hold ids, codes and counts. The tracer is not the process's global one, because
Prefect would write its own spans into that.
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

# The execution whose root span is being made. The span's ids follow from it, and all other spans refer to them.
_root_id: ContextVar[UUID | None] = ContextVar("first", default=None)


@contextmanager
def span(name: str, execution_id: UUID, **facts: Fact) -> Iterator[dict[str, Fact]]:
    """Record the block as a span, even if it raises.

    Args:
        name: the span's name.
        execution_id: the execution that it belongs to.
        facts: ids, codes and counts; never text by a buyer, creator or model.

    Yields:
        The facts, to which the block may add.
    """
    began = time.time_ns()
    recorded = dict(facts)
    try:
        yield recorded
    finally:
        record(name, execution_id, began, recorded)


def record(name: str, execution_id: UUID, began: int, facts: Mapping[str, Fact], *, is_root: bool = False) -> None:
    """Record a span that ends now.

    Args:
        name: the span's name.
        execution_id: the execution that it belongs to.
        began: unix time in nanoseconds.
        facts: as in `span`; None is left out.
        is_root: whether it is the root span of its trace.
    """
    provider = _provider(settings().otlp_endpoint)
    if provider is None:
        return
    attributes: dict[str, str | int] = {name: fact for name, fact in facts.items() if fact is not None}
    token = _root_id.set(execution_id if is_root else None)
    try:
        new_span = provider.get_tracer(__name__).start_span(
            name,
            Context() if is_root else _child_context(execution_id),
            _KINDS.get(name, SpanKind.INTERNAL),
            {"execution": str(execution_id), **attributes},
            start_time=began,
        )
    finally:
        _root_id.reset(token)
    new_span.end()


@asynccontextmanager
async def sending() -> AsyncIterator[None]:
    """Send the remaining spans at the end of the block. A process that ends by a signal runs no exit handlers."""
    try:
        yield
    finally:
        if (provider := _provider(settings().otlp_endpoint)) is not None:
            await asyncio.to_thread(provider.shutdown)
            _provider.cache_clear()


def _child_context(execution_id: UUID) -> Context:
    """Build a context whose parent span is the execution's root span."""
    root = SpanContext(
        execution_id.int, execution_id.int & _LOWER_HALF, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return set_span_in_context(NonRecordingSpan(root), Context())


@cache
def _provider(endpoint: str | None) -> TracerProvider | None:
    """Build the tracer provider; None without an endpoint.

    Every span is kept: several processes write one trace, and could not sample it alike.
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
    """Derive the ids of a root span from its execution."""

    def generate_trace_id(self) -> int:
        root_id = _root_id.get()
        return super().generate_trace_id() if root_id is None else root_id.int

    def generate_span_id(self) -> int:
        root_id = _root_id.get()
        return super().generate_span_id() if root_id is None else root_id.int & _LOWER_HALF
