"""Ethereum: requests to nodes, and recovery of signers."""

__all__ = ("checks", "node", "signatures")
