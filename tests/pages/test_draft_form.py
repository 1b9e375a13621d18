"""The form of a prompt holds everything that its document can say."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.desk.draft_form import Row, Typed, document_of, typed_of
from api.pages.desk.draft_problems import at_rows, in_words
from core.resources import document
from core.resources import draft as drafts

# What HTML sends without a change, and Postgres can store.
LINES = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"), min_size=1, max_size=40)
WORDS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=12)
PARAMETERS = st.one_of(
    st.fixed_dictionaries(
        {"required": st.booleans(), "description": WORDS},
        optional={"default": WORDS, "max_length": st.integers(12, 500)},
    ),
    st.fixed_dictionaries({"type": st.just("enum"), "values": st.lists(WORDS, min_size=1, max_size=4, unique=True)}),
    st.fixed_dictionaries({"type": st.just("image"), "max_bytes": st.integers(1, 1000), "required": st.booleans()}),
)
DRAFTS = st.fixed_dictionaries(
    {
        "slug": st.just("x"),
        "title": WORDS,
        "model": st.just("openai/gpt-5-mini"),
        "template": LINES.filter(str.strip),
        "parameters": st.lists(PARAMETERS, max_size=3).map(
            lambda rows: [{"name": f"p{place}"} | row for place, row in enumerate(rows)]
        ),
        "price_usdc": st.sampled_from(["0.001", "0.05", "12"]),
    },
    optional={
        "description": WORDS,
        "max_output_tokens": st.integers(16, 9_000),
        "temperature": st.decimals(0, 2, places=2).map(str),
        "reasoning_effort": st.sampled_from(["none", "high"]),
        "prompt_shield": st.sampled_from(["off", "watch", "block"]),
        "zdr": st.booleans(),
        "listed": st.booleans(),
        "allows_user_message": st.booleans(),
        "tags": st.lists(st.sampled_from(["a", "b-c", "d"]), unique=True),
        "fallbacks": st.lists(st.sampled_from(["a/b", "c/d"]), unique=True),
        "providers": st.sampled_from([{"only": ["groq"], "order": ["groq"]}, {"ignore": ["a", "b"]}]),
        "most_per_call_usd": st.decimals(0, 9, places=6).map(str),
        "truncated_from_characters": st.integers(100, 900),
    },
)


@given(DRAFTS)
def test_opening_and_saving_changes_nothing(values: dict[str, object]) -> None:
    """Whatever a prompt says, its form says it too, and means the same."""
    draft = drafts.read(values)

    assert drafts.read(document_of(typed_of(draft, 1))) == draft


def test_an_example_with_its_message_and_a_schema() -> None:
    """They stand in several fields."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    values = {
        "slug": "x",
        "title": "X",
        "model": "a/b",
        "modality": "json",
        "template": "\n\n{p}{/p}",
        "parameters": [{"name": "p", "type": "integer", "default": ""}],
        "price_usdc": "1",
        "allows_user_message": True,
        "answer_schema": schema | {"additionalProperties": False},
        "example": {"inputs": {"p": 3, "user_message": "Be brief."}, "answer": '{"a": 1}'},
        "temperature": "0.70",
    }
    draft = drafts.read(values)
    again = drafts.read(document_of(typed_of(draft, 1)))

    assert again.example
    assert again.example.inputs == {"p": 3, "user_message": "Be brief."}
    assert again.temperature == Decimal("0.70")
    assert json.loads(str(again.answer_schema)) == schema | {"additionalProperties": False}
    # Nobody has to fill it in, before and after.
    assert (draft.parameters[0].default, again.parameters[0].default, again.parameters[0].required) == ("", None, False)
    assert document.of_draft(again).keys() == document.of_draft(draft).keys()


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        ("integer", "12", 12),
        ("integer", "-3", -3),
        ("integer", "twelve", "twelve"),
        ("integer", "9" * 200, "9" * 200),
        ("number", "1.5", 1.5),
        ("number", "2", 2),
        ("number", "0.1000", "0.1000"),
        ("number", "0.12345678901234567890", "0.12345678901234567890"),
        ("boolean", "false", False),
        ("boolean", "no", "no"),
        ("text", "12", "12"),
        ("enum", "true", "true"),
    ],
)
def test_an_example_keeps_its_type(kind: str, typed: str, value: object) -> None:
    """A number stays one, unless a digit would get lost; and what does not fit is left for its sentence."""
    rows = [Row(name="p", type=kind, example=typed)]
    document = document_of(Typed({"example_answer": "x"}, rows=rows))

    assert document["example"] == {"inputs": {"p": value}, "answer": "x"}
    given = document["example"]["inputs"]["p"]  # type: ignore[index]
    assert type(given) is type(value) or (kind == "number" and not isinstance(value, str))


def test_problems_have_the_labels_of_the_form() -> None:
    """And lead to their fields, also where rows are left out of the document because nobody typed into them."""
    typed = Typed(rows=[Row(), Row(name="a"), Row(name="b")])
    wrong = at_rows(typed, {"parameters.1.default": "x", "price_usdc": "y", "parameters": "z", "": "w"})

    assert [(one.label, one.anchor) for one in in_words(wrong)] == [
        ("Input 3, if left empty", "in-default-2"),
        ("Price of a call, USDC", "price_usdc"),
        ("Inputs", ""),
        ("", ""),
    ]
