"""Check everything that the docs say to look after, each by itself, and say what to do."""

__all__ = ("examination", "findings")
