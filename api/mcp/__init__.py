"""The Model Context Protocol: the whole shop at `/mcp`, and the prompts of one creator at `/@creator/mcp`."""

__all__ = ("routes",)
