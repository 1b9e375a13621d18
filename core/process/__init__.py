"""Event loops, garbage collection and heartbeats of one process."""
