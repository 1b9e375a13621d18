"""Prompts for sale: drafts, versions, prices and readiness."""

__all__ = (
    "attachments",
    "departures",
    "document",
    "draft",
    "editing",
    "estimates",
    "field_errors",
    "older_prompts",
    "parameters",
    "publishing",
    "readiness",
    "repricing",
    "short_text",
    "switching",
    "template",
    "versions",
)
