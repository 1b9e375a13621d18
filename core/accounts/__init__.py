"""Creators: accounts, limits and provider keys."""

__all__ = (
    "accounts",
    "key_cards",
    "key_connections",
    "key_health",
    "key_import",
    "key_log",
    "key_rotation",
    "master_keys",
    "provider_keys",
)
