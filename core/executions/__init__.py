"""Executions: their life, queue, steps, sends and outcomes."""

__all__ = ("advice", "lifecycle", "queue", "refundable", "retention", "status_tokens", "steps", "views")
