"""Creators: accounts, limits and provider keys."""

__all__ = ("accounts", "key_health", "key_rotation", "master_keys", "provider_keys")
