"""Payments: quotes, offers, admission, the ledger, settlement, refunds, and reconciliation with the chain."""

import sys

import x402.mechanisms.evm.exact  # noqa: F401

# The first import of x402's elliptic curves raises the interpreter's recursion limit from 1,000 to 100,000. Then a body
# of opening brackets overflows the C stack and kills the process instead of raising RecursionError.
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
