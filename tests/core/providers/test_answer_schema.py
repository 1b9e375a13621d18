"""Schemas of answers: which may be published, which answers fit, and how the model gets the schema."""

import json
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.failures import InvalidInput
from core.providers import answer_schema
from core.providers.response import Reply, read_answer
from core.resources import call_cost
from core.resources import draft as drafts
from tests.callers import PROMPT, Creator
from tests.selling import content, model

SCHEMA = '{"type":"object","properties":{"price":{"type":"integer"}},"required":["price"],"additionalProperties":false}'

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0]) | st.text("ab", max_size=3)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null", ["string", "null"]]),
    "enum": st.lists(SCALARS, min_size=1, max_size=3),
    "const": DOCUMENTS,
    "minimum": st.integers(-2, 2),
    "exclusiveMaximum": st.sampled_from([-0.5, 1, 2]),
    "minLength": st.integers(0, 2),
    "maxItems": st.integers(0, 2),
    "minProperties": st.integers(0, 2),
    "required": st.lists(NAMES, max_size=2, unique=True),
    "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b"]),
}


def _around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "prefixItems": several,
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "type": PLAIN["type"],
        },
    )


SCHEMAS = st.recursive(st.booleans() | st.fixed_dictionaries({}, optional=PLAIN), _around, max_leaves=6)
ROOTS = st.builds(
    lambda schema, a, b: (schema if isinstance(schema, dict) else {}) | {"$defs": {"a": a, "b": b}},
    SCHEMAS,
    SCHEMAS,
    SCHEMAS,
)


@given(ROOTS, st.lists(DOCUMENTS, min_size=1, max_size=4))
def test_what_fits_is_what_the_standard_says(schema: dict[str, Any], documents: list[Any]) -> None:
    """A publishable schema is judged as the JSON Schema standard says, survives storage, and never runs without end."""
    try:
        text = answer_schema.read_schema(schema)
    except ValueError as refusal:
        assert "refers to itself without end" in str(refusal)  # noqa: PT017 - the only reason left
        return

    assert text is not None
    assert list(json.loads(text)) == list(schema)
    assert answer_schema.read_schema(text) == text
    for document in documents:
        assert answer_schema.fits(text, document) == Draft202012Validator(schema).is_valid(document)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ("prose", "must be a JSON Schema"),
        ([], "must be a JSON Schema"),
        ({"pattern": "(a+)+$"}, "must not use 'pattern' at $: what it costs to check has no bound"),
        ({"anyOf": [{}] * 1_001}, "must have at most 1000 schemas"),
        ({"$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(20_000)}}, "at most 16384 bytes"),
        ({"properties": {"x": {"items": {"uniqueItems": True}}}}, "must not use 'uniqueItems' at $.properties.x.items"),
        ({"anyOf": [{"not": {}}]}, "must not use 'not' at $.anyOf[0]"),
        ({"$id": "https://example.org/"}, "must not use '$id'"),
        ({"items": {"$defs": {}}}, "must not use '$defs' at $.items"),
        ({"$ref": "https://example.org/schema"}, "must refer to #"),
        ({"$ref": "#/$defs/a", "$defs": {"b": {}}}, "must refer to #"),
        ({"$ref": "#"}, "refers to itself without end"),
        ({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"oneOf": [{"$ref": "#"}]}}}, "without end"),
        ({"type": "money"}, "is no JSON Schema at $.type"),
        ({"properties": 5}, "is no JSON Schema at $.properties"),
        ({"items": 5}, "must have an object at $.items"),
        ({"minimum": "much"}, "must be a JSON Schema"),
        ({"title": "\ud800"}, "must be a JSON Schema"),
        ({"title": "\0"}, "U+0000"),
        ({"description": "x" * 20_000}, "at most 16384 bytes"),
        (json.loads('{"items":' * 40 + "{}" + "}" * 40), "nested deeper"),
    ],
)
def test_what_may_not_be_promised(schema: object, why: str) -> None:
    """Expensive keywords, external references, circles and invalid schemas are refused, each with its place."""
    with pytest.raises(InvalidInput) as caught:
        drafts.read(content(modality="json", answer_schema=schema))

    assert why in caught.value.fields["answer_schema"]


def test_bounds_of_a_yaml_file_are_numbers() -> None:
    """Every number in such a file is text; the name of the dialect is dropped."""
    read = answer_schema.read_schema(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "items": {"minimum": "0.5"}}
    )

    assert read == '{"items":{"minimum":0.5}}'


def test_only_json_has_a_schema() -> None:
    """A text answer has no form to check."""
    with pytest.raises(InvalidInput) as caught:
        drafts.read(content(answer_schema={"type": "object"}))

    assert "needs the modality json" in str(caught.value.fields)


def test_a_schema_is_paid_for_like_the_prompt() -> None:
    """The provider may bill it as text and as a parameter, so the worst case counts it twice."""
    a_dollar_a_token = model(prompt_usd=Decimal(1), completion_usd=Decimal(0), context_length=None)
    without, with_schema = (
        call_cost.worst_cost_usd(drafts.read(content(modality="json", **more)), a_dollar_a_token)
        for more in ({}, {"answer_schema": SCHEMA})
    )

    assert with_schema - without == 2 * len(SCHEMA)


@pytest.mark.parametrize(
    ("supported", "schema", "word"),
    [
        ([], {"type": "object"}, "not held to the schema"),
        (["structured_outputs"], {"type": "object", "properties": {"a": {}}}, "word by word"),
        (["structured_outputs"], json.loads(SCHEMA), None),
    ],
)
def test_creators_are_told_how_much_a_schema_binds(supported: list[str], schema: object, word: str | None) -> None:
    """Publishing warns when a model gets the schema only as text, and when a schema is not strict."""
    asked = drafts.read(content(modality="json", answer_schema=schema))
    warned = call_cost.warnings(asked, model(supported_parameters=["response_format", *supported]))

    assert [word in sentence for sentence in warned if "chema" in sentence] == ([True] if word else [])  # type: ignore[operator]


def _doubling() -> dict[str, Any]:
    """Thirty definitions, each of which refers to the next one twice: a billion paths."""
    chain = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)}
    return {"$ref": "#/$defs/d0", "$defs": chain | {"d30": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        (_doubling(), 5),
        ({"anyOf": [{"type": "string"}] * 500}, {str(n): "y" * 100 for n in range(5000)}),
        ({"items": {"anyOf": [{"const": n} for n in range(800)]}}, ["x"] * 20_000),
    ],
)
def test_nobody_computes_for_ever(schema: dict[str, Any], document: Any) -> None:
    """Schemas that multiply stop after a bounded amount of work, and then the answer does not fit."""
    text = answer_schema.read_schema(schema)
    assert text is not None
    started = time.process_time()
    assert not answer_schema.fits(text, document)
    assert time.process_time() - started < 2


def test_a_large_answer_is_no_trouble() -> None:
    """Half a megabyte of rows, the most a model can produce, is checked to its end."""
    row = {"type": "object", "properties": {name: {"type": "string", "maxLength": 30} for name in "abcdef"}}
    text = answer_schema.read_schema({"type": "array", "items": row | {"required": list("abcdef")}})
    assert text is not None
    rows: list[dict[str, str]] = [dict.fromkeys("abcdef", "x" * 20) for _ in range(3000)]

    assert answer_schema.fits(text, rows)
    assert not answer_schema.fits(text, [*rows, {"a": "b"}])


@pytest.mark.parametrize(
    ("said", "response"),
    [
        ('{"price": 7}', '{"price": 7}'),
        ('```json\n{"price": 7,}\n```', '{"price": 7}'),
        ('{"price": 7.5}', None),
        ('{"price": 7, "note": ""}', None),
        ('[{"price": 7}]', None),
    ],
)
def test_an_answer_fits_or_fails(said: str, response: str | None) -> None:
    """A broken answer is repaired once; if it then still does not fit, it is a failure that may be sent once more."""
    body = json.dumps({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}).encode()
    reply = read_answer(body, "json", SCHEMA).reply

    if response is None:
        assert not isinstance(reply, Reply)
        assert (reply.detail, reply.resend) == ("provider_malformed_json", True)
    else:
        assert isinstance(reply, Reply)
        assert reply.response == response


async def test_a_model_with_structured_outputs_is_held_to_the_schema(creator: Creator) -> None:
    """The schema is sent as a parameter, only to providers that support it, without settings that the model ignores."""
    asked = replace(PROMPT, modality="json", answer_schema=SCHEMA, supported=("structured_outputs",), zdr=True)
    answer = await creator.send(asked)
    assert isinstance(answer.reply, Reply)
    assert isinstance(json.loads(answer.reply.response)["price"], int)
    [request] = (await creator.seen())["requests"]
    assert request["body"]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": json.loads(SCHEMA)},
    }
    assert request["body"]["provider"] == {"zdr": True, "data_collection": "deny", "require_parameters": True}
    assert request["body"]["messages"] == list(PROMPT.messages)
    assert "temperature" not in request["body"]


@pytest.mark.parametrize("supported", [("response_format",), ()])
async def test_other_models_are_told_the_schema_in_words(creator: Creator, supported: tuple[str, ...]) -> None:
    """A message before the buyer's turn holds the schema, whatever the model supports, and the answer is checked."""
    await creator.order(f"says:{json.dumps({'price': 7})}", f"says:{json.dumps({'price': 'seven'})}")
    model = "openai/gpt-4.1-mini"
    asked = replace(PROMPT, model=model, modality="json", answer_schema=SCHEMA, supported=(*supported, "temperature"))
    assert (await creator.complete(asked)).response == '{"price": 7}'
    assert (await creator.fail(asked)).detail == "provider_malformed_json"
    request, _ = (await creator.seen())["requests"]
    assert request["body"].get("response_format") == ({"type": "json_object"} if supported else None)
    assert request["body"]["temperature"] == Decimal("0.7")
    system, words, user = request["body"]["messages"]
    assert [system, user] == list(PROMPT.messages)
    assert SCHEMA in words["content"]
