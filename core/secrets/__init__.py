"""Secrets: values that never print, the vault that seals them, their digests, and signing keys."""

__all__ = ("digests", "old_values", "private", "signing", "vault")
