"""Payments: what we ask for, who settled it, and what the chain knows."""

__all__ = (
    "admission",
    "chain",
    "codec",
    "facilitator",
    "ledger",
    "matching",
    "offers",
    "quotes",
    "reconciliation",
    "refunds",
    "settlement",
    "timeline",
    "x402_sdk",
)
