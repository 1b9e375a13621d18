"""Creators: accounts, limits and provider keys."""

__all__ = ("accounts", "key_health", "provider_keys")
