"""Payments: what we ask for, who settled it, and what the chain knows."""

import sys

# The elliptic curves that come with x402 raise the interpreter's recursion limit to 100,000, and then a body of opening
# brackets is no RecursionError but the end of the process.
_LIMIT = sys.getrecursionlimit()

import x402.mechanisms.evm.exact  # noqa: E402, F401

sys.setrecursionlimit(_LIMIT)
