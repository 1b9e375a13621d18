"""Benchmarks that print ratios: the product beside its alternatives, in the same run."""
