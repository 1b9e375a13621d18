"""Prompts for sale: drafts, versions, prices and readiness."""

__all__ = ("draft", "publishing", "readiness", "repricing", "template", "versions")
