"""Metrics, traces and gauges."""
