"""Secrets: values that never print, the vault that seals them, their digests, and signing keys."""

__all__ = ("digests", "jwt_keys", "old_values", "private", "signing", "vault")
