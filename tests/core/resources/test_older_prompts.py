"""Prompts of the system that this one succeeds become drafts, and what differs is said."""

import json
from typing import Any

import pytest

from core.failures import InvalidInput
from core.resources import draft as drafts
from core.resources import older_prompts

CLAUDE = {
    "resource_type": "prompt_template",
    "name": "Tagline Writer!",
    "slug": "tagline",
    "description": "Writes one.",
    "price_usdc": 0.05,
    "network": "base",
    "category": "AI",
    "pt_system_prompt": "Sell {product}{/product} in a {tone}{/tone} voice.",
    "pt_parameters": [
        {"name": "product", "description": "what", "required": True},
        {"name": "tone", "description": "", "required": False},
    ],
    "pt_model": "claude-sonnet-4-20250514",
    "pt_max_tokens": 1024,
    "pt_allows_user_message": True,
    "pay_to": "0x1",
}
ROUTED = {
    "resource_type": "openrouter_instant",
    "name": "Haiku",
    "slug": None,
    "price_usdc": "0.010000",
    "pt_system_prompt": "old copy",
    "pt_parameters": [],
    "openrouter_model_id": "5b3c0b3e-0000-0000-0000-000000000000",
    "openrouter_config": {"systemPrompt": "Write a haiku.", "temperature": 0.7, "maxTokens": 8, "topP": 0.5},
    "is_active": False,
}


def converted(row: dict[str, Any], model: str | None = None) -> older_prompts.Older:
    (read,) = older_prompts.read_rows(json.dumps(row))
    return older_prompts.convert(read, model)


def test_a_claude_template() -> None:
    """Its template, parameters and price are what they were; a document that can be saved."""
    older = converted(CLAUDE)
    draft = drafts.read(older.document)

    assert (draft.slug, draft.title, draft.price_usdc) == ("tagline", "Tagline Writer!", "0.05")
    assert draft.template == CLAUDE["pt_system_prompt"]
    assert [(one.name, one.required) for one in draft.parameters] == [("product", True), ("tone", False)]
    assert (draft.model, draft.max_output_tokens, draft.tags) == ("anthropic:claude-sonnet-4-20250514", 1024, ("ai",))
    assert draft.allows_user_message
    said = " ".join(older.differences)
    assert "an absent value of tone leaves nothing" in said
    assert "not only on base" in said


def test_a_prompt_of_openrouter() -> None:
    """The configuration wins over its copy; what is not sent any more, or cannot be as it was, is said."""
    older = converted(ROUTED, "openai/gpt-5-mini")
    draft = drafts.read(older.document)

    assert (draft.template, draft.slug, draft.price_usdc) == ("Write a haiku.", "haiku", "0.01")
    assert (str(draft.temperature), draft.max_output_tokens, draft.model) == ("0.7", 16, "openai/gpt-5-mini")
    said = " ".join(older.differences)
    assert "topP is not sent" in said
    assert "no longer 8" in said
    assert "archived" in said
    assert "presencePenalty" not in said


@pytest.mark.parametrize(
    ("row", "field"),
    [(ROUTED, "model"), (CLAUDE | {"resource_type": "static"}, "resource_type"), ({}, "resource_type")],
)
def test_what_cannot_be_read_is_named(row: dict[str, Any], field: str) -> None:
    """A model that only the old catalog's number names, and other kinds."""
    with pytest.raises(InvalidInput) as caught:
        converted(row)
    assert list(caught.value.fields) == [field]


@pytest.mark.parametrize("text", ["", "[1]", "5", '{"a"'])
def test_what_is_no_rows(text: str) -> None:
    """One row, or a list of them."""
    with pytest.raises(InvalidInput):
        older_prompts.read_rows(text)
