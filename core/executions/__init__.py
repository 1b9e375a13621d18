"""Executions: their life, queue, steps, sends and outcomes."""

__all__ = ("advice", "lifecycle", "queue", "retention", "status_tokens", "steps", "views")
