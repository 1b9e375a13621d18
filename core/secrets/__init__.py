"""Secrets: values that never print, the vault that seals them, and signing keys."""

__all__ = ("old_values", "private", "signing", "vault")
