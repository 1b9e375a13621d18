"""Creators: accounts, limits and provider keys."""

__all__ = ("accounts", "idempotency", "key_health", "master_keys", "provider_keys")
