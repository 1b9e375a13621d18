"""Event loops, garbage collection and heartbeats of one process."""

__all__ = ("background_loop", "gc_tuning", "scheduled_runs", "worker")
