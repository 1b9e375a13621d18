"""Payments: what we ask for, who settled it, and what the chain knows."""

import sys

import x402.mechanisms.evm.exact  # noqa: F401

# The elliptic curves that come with x402 raise the interpreter's limit of 1,000 to 100,000 at their first import, and
# then a body of opening brackets is no RecursionError but the end of the process.
sys.setrecursionlimit(1_000)

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
)
