"""Executions: their life, queue, steps, sends and outcomes, and who watches them."""

__all__ = (
    "advice",
    "fingerprints",
    "lifecycle",
    "model_switch",
    "own_tests",
    "queue",
    "refundable",
    "retention",
    "status_tokens",
    "steps",
    "views",
    "watching",
)
