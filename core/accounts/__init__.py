"""Creators: accounts, limits, sign-in, tokens and provider keys."""

__all__ = (
    "accounts",
    "authentication",
    "key_health",
    "master_keys",
    "payouts",
    "provider_keys",
    "sessions",
    "sign_in",
    "sign_up",
    "tokens",
)
