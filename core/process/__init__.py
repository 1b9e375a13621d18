"""Event loops, garbage collection, heartbeats, scheduled runs and the end of a process."""

__all__ = ("background_loop", "gc_tuning", "scheduled_runs", "shutdown", "worker")
