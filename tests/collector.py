"""A collector of traces: OTLP over HTTP, everything in memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """One span as it arrived; `began` and `ended` in nanoseconds."""

    trace: UUID
    id: bytes
    parent: bytes
    name: str
    began: int
    ended: int
    facts: dict[str, str | int]


@dataclass
class Collector:
    """What came in, and where to send it."""

    url: str
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Span]:
        """All spans, oldest first."""
        found = [
            Span(
                UUID(bytes=span.trace_id),
                span.span_id,
                span.parent_span_id,
                span.name,
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                {fact.key: fact.value.string_value or fact.value.int_value for fact in span.attributes},
            )
            for body in self.bodies
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in sent.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.began)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen on loopback until the block ends."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
