"""Secrets: values that never print, and the vault that seals them."""
