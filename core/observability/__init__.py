"""Metrics, traces, gauges and logs."""

__all__ = ("exposition", "gauges", "logs", "metrics", "tracing")
