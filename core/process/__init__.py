"""Event loops, garbage collection, heartbeats and scheduled runs."""

__all__ = ("background_loop", "gc_tuning", "scheduled_runs", "worker")
