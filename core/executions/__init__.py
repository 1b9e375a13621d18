"""Executions: their life, queue, steps, sends and outcomes."""

__all__ = ("advice", "lifecycle", "queue", "retention", "steps", "views")
