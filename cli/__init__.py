"""The `instant` command."""

from cli.app import main

__all__ = ["main"]
