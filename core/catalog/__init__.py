"""The model catalog: sync, changes, search and manual prices."""

__all__ = (
    "changes",
    "manual_prices",
    "model",
    "model_list",
    "pictures",
    "price_sync",
    "price_words",
    "reasoning",
    "search",
    "searches",
    "sync",
)
