"""Ethereum: ask nodes, and recover who signed."""

__all__ = ("node", "signatures")
