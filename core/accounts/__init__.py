"""Creators: accounts, limits and provider keys."""
