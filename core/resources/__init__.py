"""Prompts for sale: drafts, versions, prices and readiness."""

__all__ = (
    "attachments",
    "closing",
    "departures",
    "draft",
    "estimates",
    "export",
    "prompt_shield",
    "publishing",
    "readiness",
    "repricing",
    "short_text",
    "switching",
    "template",
    "versions",
)
