"""Prompts for sale: drafts, versions, prices and readiness."""

__all__ = (
    "attachments",
    "departures",
    "draft",
    "estimates",
    "publishing",
    "readiness",
    "repricing",
    "short_text",
    "switching",
    "template",
    "versions",
)
