"""Prompts for sale: drafts, versions, prices and readiness."""

__all__ = (
    "attachments",
    "batch",
    "closing",
    "departures",
    "document",
    "draft",
    "editing",
    "estimates",
    "export",
    "field_errors",
    "older_prompts",
    "parameters",
    "prompt_shield",
    "publishing",
    "readiness",
    "repricing",
    "short_text",
    "switching",
    "template",
    "versions",
)
