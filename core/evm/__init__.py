"""Ethereum: requests to nodes, and signatures of wallets."""

__all__ = ("checks", "node", "signatures", "wallets")
