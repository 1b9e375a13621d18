"""What a draft asks of its model: reasoning, providers, and room for the prompt beside the answer."""

from typing import Any

import pytest

from core.catalog.reasoning import EFFORTS, reasoning_of
from core.failures import InvalidInput
from core.resources import call_cost
from core.resources import draft as drafts
from tests.selling import content, model

REASONS = {"supported_parameters": ["reasoning"]}
ONLY_HIGH = {"supported_efforts": ["high"]}


@pytest.mark.parametrize(
    ("row", "takes", "usual", "efforts"),
    [
        (None, True, "none", EFFORTS),
        (None, False, "none", ()),
        (
            {"mandatory": True, "supported_efforts": None},
            True,
            "medium",
            ("minimal", "low", "medium", "high", "xhigh", "max"),
        ),
        ({"mandatory": True, "supported_efforts": ["high", "low", "none"]}, True, "medium", ("low", "high")),
        (
            {"default_enabled": True, "default_effort": "high", "supported_efforts": ["high"]},
            True,
            "high",
            ("none", "high"),
        ),
        ({"default_enabled": False, "default_effort": "high"}, False, "none", ()),
        ({"mandatory": "yes", "default_effort": 7, "supported_efforts": "all"}, False, "none", ()),
        ("no object", False, "none", ()),
    ],
)
def test_how_a_model_reasons_is_read_from_its_row(row: Any, takes: bool, usual: str, efforts: tuple[str, ...]) -> None:
    """Without a list every effort is taken; what is mandatory cannot be switched off; nonsense counts as missing."""
    read = reasoning_of(model(raw={"reasoning": row}, supported_parameters=["reasoning"] if takes else []))

    assert (read.default_effort, read.efforts) == (usual, efforts)


@pytest.mark.parametrize(
    ("changes", "of_model", "field"),
    [
        ({"reasoning_effort": "low"}, {"supported_parameters": []}, "reasoning_effort"),
        (
            {"reasoning_effort": "low"},
            REASONS | {"raw": {"reasoning": {"supported_efforts": ["high"]}}},
            "reasoning_effort",
        ),
        ({"reasoning_effort": "none"}, REASONS | {"raw": {"reasoning": {"mandatory": True}}}, "reasoning_effort"),
        ({"providers": {"only": ["groq"]}}, {"id": "anthropic:claude-sonnet-4-5"}, "providers"),
        ({"max_output_tokens": 4096}, {"context_length": 4096, "max_completion_tokens": None}, "max_output_tokens"),
        ({"max_output_tokens": 4000, "template": "x" * 800}, {"context_length": 4096}, "max_output_tokens"),
    ],
)
def test_what_a_model_cannot_serve_is_refused(changes: dict[str, Any], of_model: dict[str, Any], field: str) -> None:
    """Each is named before it can be published, because every paid call would fail."""
    with pytest.raises(InvalidInput) as caught:
        call_cost.refuse_unsupported(drafts.read(content(**{"parameters": []} | changes)), model(**of_model))

    assert list(caught.value.fields) == [field]


@pytest.mark.parametrize(
    ("changes", "row", "warns"),
    [
        ({"max_output_tokens": 60}, {"mandatory": True, "default_effort": "medium"}, True),
        ({"max_output_tokens": 2048}, {"mandatory": True, "default_effort": "medium"}, False),
        ({"max_output_tokens": 2048}, {"mandatory": True, "default_effort": "high"}, True),
        ({"max_output_tokens": 300, "reasoning_effort": "minimal"}, {"mandatory": True}, False),
        ({"max_output_tokens": 60}, {"default_enabled": False, "default_effort": "high"}, False),
        ({"max_output_tokens": 60}, None, False),
    ],
)
def test_too_few_tokens_to_reason_with_are_warned_of(changes: dict[str, Any], row: Any, warns: bool) -> None:
    """The effort that applies decides: the draft's, else the model's own."""
    sentences = call_cost.warnings(drafts.read(content(**changes)), model(raw={"reasoning": row}, **REASONS))

    assert any("reasons with" in sentence for sentence in sentences) is warns


@pytest.mark.parametrize(
    "providers",
    [
        {},
        {"only": []},
        {"only": ["Groq"]},
        {"only": ["a b"]},
        {"sort": "price"},
        {"only": ["groq"], "ignore": ["groq"]},
        {"only": ["groq"], "order": ["deepinfra"]},
        {"ignore": [f"p{number}" for number in range(17)]},
        "groq",
    ],
)
def test_a_choice_of_providers_that_chooses_nothing_is_refused(providers: object) -> None:
    """Slugs of OpenRouter, in lists that do not contradict each other."""
    with pytest.raises(InvalidInput) as caught:
        drafts.read(content(providers=providers))

    assert all(field.startswith("providers") for field in caught.value.fields)
