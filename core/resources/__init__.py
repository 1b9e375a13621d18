"""Prompts for sale: drafts, versions, prices and readiness."""

__all__ = (
    "attachments",
    "departures",
    "draft",
    "estimates",
    "prompt_shield",
    "publishing",
    "readiness",
    "repricing",
    "short_text",
    "switching",
    "template",
    "versions",
)
