"""Costs of calls: reservations before a call, the usage log after it."""

__all__ = ("cost_backfill", "reservations", "usage_log")
