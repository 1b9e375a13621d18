"""Metrics, traces, gauges and logs."""

__all__ = ("gauges", "logs", "metrics", "tracing")
