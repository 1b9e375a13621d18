"""Executions: their life, queue, steps, sends and outcomes."""

__all__ = ("advice", "lifecycle", "model_switch", "queue", "refundable", "retention", "status_tokens", "steps", "views")
