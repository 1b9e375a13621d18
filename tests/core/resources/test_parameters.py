"""Types of parameters: what a value may be, how the model gets it, and how an offer describes it."""

from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.failures import InvalidInput
from core.resources import call_cost, field_errors, template
from core.resources import draft as drafts
from core.resources.parameters import Parameter
from tests.selling import content, model

OF_EACH_TYPE = {
    "enum": Parameter(name="x", type="enum", values=("calm", "wild")),
    "integer": Parameter(name="x", type="integer"),
    "number": Parameter(name="x", type="number"),
    "boolean": Parameter(name="x", type="boolean"),
}
LIMITS = {"value_limit": 20_000, "inputs_limit": 60_000, "file_limit": 1_000_000}

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = numbers | st.booleans() | st.text(max_size=20) | st.sampled_from(["calm", "1.0", "01", "-0", "1e3", "true"])


def sent(parameter: Parameter, value: object) -> str:
    valid = template.validate_inputs({"x": value}, [parameter], allows_user_message=False, **LIMITS)
    return template.substitute("{x}{/x}", [parameter], valid)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("enum", "wild", "wild"),
        ("integer", 12, "12"),
        ("integer", "-12", "-12"),
        ("integer", 5.0, "5"),
        ("number", 0.1, "0.1"),
        ("number", 1e-7, "0.0000001"),
        ("number", "12345678901234567890.123", "12345678901234567890.123"),
        ("boolean", True, "true"),
        ("boolean", "false", "false"),
    ],
)
def test_the_model_gets_text(kind: str, value: object, text: str) -> None:
    """In JSON's own type or as text, the same request."""
    assert sent(OF_EACH_TYPE[kind], value) == text


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("enum", "mild"),
        ("enum", "Calm"),
        ("integer", 1.5),
        ("integer", "1.0"),
        ("integer", "١"),
        ("integer", True),
        pytest.param("integer", 10**5000, id="longer than Python writes"),
        ("number", "1e3"),
        ("number", ".5"),
        ("number", 1e300),
        ("number", [1]),
        ("boolean", "yes"),
        ("boolean", 1),
        ("boolean", None),
    ],
)
def test_what_is_of_another_type_is_refused(kind: str, value: object) -> None:
    """Before any payment, by the name of the parameter."""
    with pytest.raises(InvalidInput) as caught:
        sent(OF_EACH_TYPE[kind], value)
    assert list(caught.value.fields) == ["x"]


@given(kind=st.sampled_from(sorted(OF_EACH_TYPE)), value=values)
def test_what_the_offer_promises_is_taken_and_costs_no_more_than_counted(kind: str, value: Any) -> None:
    """Whatever fits the JSON Schema of the offer is taken, if it is not too long; no value is longer than its worst."""
    parameter = OF_EACH_TYPE[kind]
    fits = jsonschema.Draft202012Validator(parameter.json_schema(20_000, 1_000_000)).is_valid(value)
    refused = ""
    try:
        assert len(sent(parameter, value).encode()) <= parameter.most_text_bytes(20_000)
    except InvalidInput as refusal:
        refused = refusal.fields["x"]
    assert not (fits and refused) or value == "" or "has more than 40 characters" in refused


def test_a_choice_costs_as_much_as_its_longest_value() -> None:
    """And not as much as any text may."""
    a_dollar_a_token = model(prompt_usd=Decimal(1), completion_usd=Decimal(0), context_length=None)

    def worst(*choices: str) -> Decimal:
        parameters = [{"name": "x", "type": "enum", "values": list(choices)}]
        return call_cost.worst_cost_usd(
            drafts.read(content(template="{x}{/x}", parameters=parameters)), a_dollar_a_token
        )

    assert worst("é", "calmly") - worst("é", "calm") == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "enum"},
        {"type": "enum", "values": []},
        {"type": "enum", "values": ["a", "a"]},
        {"values": ["a"]},
        {"type": "enum", "values": ["a"], "default": "b"},
        {"type": "integer", "default": "x"},
        {"type": "integer", "max_length": 5},
        {"type": "boolean", "max_bytes": 5},
    ],
)
def test_what_is_no_parameter(changes: dict[str, object]) -> None:
    """Values belong to choices, and a default is a value that a buyer could send."""
    with pytest.raises(InvalidInput) as caught:
        drafts.read(content(parameters=[{"name": "topic"} | changes]))
    assert all(field.startswith("parameters.0") for field in caught.value.fields)


anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5) | st.sampled_from(["topic", "\ud800", "a b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "inputs", "only", "x"]), inner)
    ),
    max_leaves=6,
)


@given(
    changes=st.dictionaries(
        st.sampled_from([*drafts.Draft.model_fields, "modle", "", "a.b", "$schema"]), anything, max_size=4
    )
)
def test_every_fault_has_a_sentence_of_ours(changes: dict[str, Any]) -> None:
    """No document, however wrong, is told about in the words of the library, or with its own values."""
    many = {f"x{number}": None for number in range(100)} if "modle" in changes else {}
    try:
        drafts.read(content(**many | changes))
    except InvalidInput as refusal:
        said = " ".join(refusal.fields.values())
        assert "Input should" not in said
        assert field_errors._OTHERWISE not in said
