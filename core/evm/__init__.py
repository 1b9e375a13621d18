"""Ethereum: requests to nodes, and signatures of wallets."""

__all__ = ("addresses", "checks", "node", "signatures", "wallets")
