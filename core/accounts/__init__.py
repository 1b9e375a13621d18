"""Creators: accounts, limits, tokens and provider keys."""

__all__ = ("accounts", "authentication", "key_health", "master_keys", "provider_keys", "tokens")
