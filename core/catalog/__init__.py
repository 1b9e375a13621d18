"""The model catalog: sync it, tell what changed, search it."""

__all__ = ("changes", "manual_prices", "model", "model_list", "search", "sync")
