"""Creators: accounts, limits, sign-in, tokens and provider keys."""

__all__ = (
    "accounts",
    "authentication",
    "idempotency",
    "identities",
    "identity_keys",
    "key_cards",
    "key_connections",
    "key_health",
    "key_import",
    "key_log",
    "key_rotation",
    "master_keys",
    "payouts",
    "provider_keys",
    "sessions",
    "sign_in",
    "sign_up",
    "tokens",
)
