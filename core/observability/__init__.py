"""Metrics, traces and gauges."""

__all__ = ("gauges", "metrics", "tracing")
