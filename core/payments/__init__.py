"""Payments: quotes, offers, admission, the ledger, settlement, refunds, and reconciliation with the chain."""

__all__ = (
    "admission",
    "aliases",
    "balances",
    "chain",
    "chain_verification",
    "codec",
    "facilitator",
    "facilitator_checks",
    "ledger",
    "matching",
    "offers",
    "purchase",
    "quotes",
    "reasons",
    "reconciliation",
    "refunds",
    "settlement",
    "timeline",
    "x402_sdk",
)
