"""Templates: which may be published, which inputs a buyer may send, and that values are never interpreted."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.failures import InvalidInput
from core.resources import template
from core.resources.parameters import Parameter

LIMITS = {"value_limit": 20, "inputs_limit": 30, "file_limit": 200}
NAMES = ["a", "b", "ab", "_", "A1"]
MEAN = ["{a}{/a}", "{b}{/b}", "{ab}{/ab}", "{a}", "{/a}", r"\1", r"\g<0>", "$&", "$`", "\\", "{", "}", ""]

values = st.one_of(st.sampled_from(MEAN), st.text(), st.lists(st.sampled_from(MEAN)).map("".join))
names = st.sampled_from(NAMES)
parameter_lists = st.lists(
    st.builds(
        Parameter, name=names, required=st.booleans(), default=st.none() | st.sampled_from(["", "fallback", "{a}{/a}"])
    ),
    unique_by=lambda parameter: parameter.name,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | names, inner),
)


def problems(inputs: object, parameters: list[Parameter], *, allows_user_message: bool = False) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        template.validate_inputs(inputs, parameters, allows_user_message=allows_user_message, **LIMITS)
    return caught.value.fields


def publishing_problems(text: str, *parameters: Parameter) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        template.check_template(text, parameters)
    return caught.value.fields


def by_splitting(text: str, values: dict[str, str]) -> str:
    """Substitution without regular expressions: split at the first tag of any name, never look back."""
    done = ""
    while found := [(text.index(tag), tag, name) for name in values if (tag := f"{{{name}}}{{/{name}}}") in text]:
        _, tag, name = min(found)
        before, text = text.split(tag, 1)
        done += before + values[name]
    return done + text


def test_a_parameter_has_a_length_of_its_own() -> None:
    """Its own limit holds for it alone, and a global limit that was lowered since it was published holds as well."""
    parameters = [Parameter(name="a", max_length=3), Parameter(name="b", max_length=100)]

    assert problems({"a": "four", "b": "x" * 21}, parameters) == {
        "a": "Parameter 'a' is longer than 3 characters",
        "b": "Parameter 'b' is longer than 20 characters",
    }
    assert template.validate_inputs({"a": "abc", "b": "x" * 20}, parameters, allows_user_message=False, **LIMITS)


@given(text=st.lists(st.sampled_from(MEAN) | st.text()).map("".join), parameters=parameter_lists, data=st.data())
def test_substitution_equals_splitting(text: str, parameters: list[Parameter], data: st.DataObject) -> None:
    """Whatever template and values contain, each tag becomes its value and nothing else changes."""
    inputs = data.draw(st.dictionaries(names, values))
    expected = {p.name: inputs.get(p.name) or p.default or "" for p in parameters}

    assert template.substitute(text, parameters, inputs) == by_splitting(text, expected)


@given(value=values.filter(bool))
@example(value="{b}{/b}")
@example(value=r"\1 $& \g<tag>")
def test_a_value_comes_out_as_it_went_in(value: str) -> None:
    """A value with tags of other parameters, backslashes or replacement patterns is text and stays text."""
    parameters = [Parameter(name="a"), Parameter(name="b")]

    assert template.substitute("<{a}{/a}|{b}{/b}>", parameters, {"a": value, "b": "secret"}) == f"<{value}|secret>"


def test_tags_side_by_side_and_prefixes() -> None:
    """Neighbouring tags and names that begin alike do not disturb each other; a half tag is text."""
    parameters = [Parameter(name="a"), Parameter(name="ab")]

    assert template.substitute("{a}{/a}{ab}{/ab}{a}{/ab}", parameters, {"a": "1", "ab": "2"}) == "12{a}{/ab}"


def test_an_unset_optional_parameter_is_its_default_or_nothing() -> None:
    """A missing value and an empty one both become the default; without a default, the empty string."""
    parameters = [Parameter(name="a", required=False, default="x"), Parameter(name="b", required=False)]

    assert template.substitute("[{a}{/a}{b}{/b}]", parameters, {}) == "[x]"
    assert template.substitute("[{a}{/a}{b}{/b}]", parameters, {"a": "", "b": ""}) == "[x]"


def test_messages() -> None:
    """The template is the system turn; the buyer's message, or a stand-in, is the user turn."""
    system = {"role": "system", "content": "Say hi"}

    assert template.messages("Say {w}{/w}", [Parameter(name="w")], {"w": "hi", "user_message": "Now"}) == (
        system,
        {"role": "user", "content": "Now"},
    )
    assert template.messages("Say {w}{/w}", [Parameter(name="w")], {"w": "hi"}) == (
        system,
        {"role": "user", "content": "Please respond based on the system instructions."},
    )


def test_all_problems_at_once() -> None:
    """Every wrong field is named in one answer, each with its sentence."""
    parameters = [Parameter(name="topic"), Parameter(name="tone", required=False), Parameter(name="place")]

    assert problems({"tone": None, "place": 7, "user_message": "x", "colour": "red"}, parameters) == {
        "topic": "Missing required parameter: topic",
        "tone": "Parameter 'tone' must be a string",
        "place": "Parameter 'place' must be a string",
        "user_message": "This template does not accept user messages",
        "colour": "Unknown parameter: colour",
    }


@pytest.mark.parametrize("inputs", [None, [], "topic", 1, [["topic", "x"]]])
def test_inputs_are_an_object(inputs: object) -> None:
    """Anything but a JSON object is refused as a whole."""
    assert problems(inputs, [Parameter(name="topic")]) == {"body": "The inputs must be a JSON object"}


def test_empty_is_absent() -> None:
    """An empty string is missing when required, and otherwise equal to an absent value."""
    optional = [Parameter(name="tone", required=False), Parameter(name="topic", default="cats")]

    assert problems({"topic": ""}, [Parameter(name="topic")]) == {"topic": "Missing required parameter: topic"}
    assert problems({}, [Parameter(name="topic", default="")]) == {"topic": "Missing required parameter: topic"}
    sent = {"tone": "", "topic": "", "user_message": ""}
    assert template.validate_inputs(sent, optional, allows_user_message=False, **LIMITS) == {}
    assert template.validate_inputs({}, optional, allows_user_message=False, **LIMITS) == {}


def test_null_is_no_string() -> None:
    """Null is not absent: the sender meant a value that has no text form."""
    assert problems({"a": None}, [Parameter(name="a", default="x")]) == {"a": "Parameter 'a' must be a string"}
    assert problems({"user_message": None}, [], allows_user_message=True) == {
        "user_message": "user_message must be a string"
    }


def test_limits() -> None:
    """A value of exactly the limit passes; one character more, alone or together, is refused with the limit named."""
    pair = [Parameter(name="a"), Parameter(name="b")]

    fits = {"a": "é" * 20, "b": "x" * 10}
    assert template.validate_inputs(fits, pair, allows_user_message=False, **LIMITS) == fits
    assert problems({"a": "x" * 21, "b": "y"}, pair) == {"a": "Parameter 'a' is longer than 20 characters"}
    assert problems({"a": "x" * 20, "b": "x" * 11}, pair) == {
        "body": "The inputs together are longer than 30 characters"
    }
    assert problems({"user_message": "x" * 21}, [], allows_user_message=True) == {
        "user_message": "user_message is longer than 20 characters"
    }


@pytest.mark.parametrize("value", ["a\0b", "\ud83d", "\udc00x"])
def test_characters_that_cannot_be_stored(value: str) -> None:
    """NUL and half surrogate pairs are refused here, not by the database after payment."""
    assert problems({"a": value}, [Parameter(name="a")]) == {
        "a": "Parameter 'a' contains a character that cannot be stored"
    }


def test_unknown_names_stay_small_and_sendable() -> None:
    """However many, long or broken the unknown names are, the response is short and can be encoded."""
    fields = problems({"\ud800": 1, "n" * 5000: 1} | {f"x{i}": 1 for i in range(1000)}, [])

    assert len(fields) <= 16
    assert len(json.dumps(fields, ensure_ascii=False).encode()) < 4000


@given(inputs=json_values, parameters=parameter_lists, allows=st.booleans())
def test_validate_answers_or_refuses(inputs: Any, parameters: list[Parameter], allows: bool) -> None:
    """On any JSON, validate returns storable, non-empty strings of known names or raises InvalidInput with reasons."""
    refused: dict[str, str] = {}
    given_values: dict[str, str] = {}
    try:
        given_values = template.validate_inputs(inputs, parameters, allows_user_message=allows, **LIMITS)
    except InvalidInput as failure:
        refused = failure.fields
        json.dumps(refused, ensure_ascii=False).encode()
    if refused:
        return

    assert isinstance(inputs, dict)
    assert given_values.keys() <= {p.name for p in parameters} | ({"user_message"} if allows else set())
    assert all(value and "\0" not in value and value.encode() for value in given_values.values())
    assert given_values.items() <= inputs.items()
    missing = {p.name for p in parameters if p.required and not p.default} - given_values.keys()
    assert not missing


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a(", "ä", "a\n", "名", "a١"])
def test_bad_names(name: str) -> None:
    """Names are ASCII identifiers, so that a tag can never be mistaken for anything else."""
    assert publishing_problems("x", Parameter(name=name)).keys() == {"parameters.0.name"}


def test_publishing_names_every_problem() -> None:
    """Duplicate and reserved names, names that are too long, and tags without a parameter are all reported."""
    parameters = [Parameter(name=name) for name in ("a", "a", "user_message", "n" * 65)]

    fields = publishing_problems("{a}{/a} {b}{/b} {c}{/c} {b}{/b}", *parameters)

    assert fields == {
        "template": "Tags without a parameter: b, c",
        "parameters.1.name": "The name a is used twice",
        "parameters.2.name": "The name user_message is taken by the buyer's message",
        "parameters.3.name": "The name is longer than 64 characters",
    }


def test_publishing_refuses_what_cannot_be_stored() -> None:
    """An empty template, and characters that UTF-8 or Postgres cannot hold, are refused with their place."""
    bad = Parameter.model_construct(name="a", description="\0", required=True, default="\ud800")

    assert publishing_problems(" \n") == {"template": "The template is empty"}
    assert publishing_problems("a\0", bad).keys() == {
        "template",
        "parameters.0.description",
        "parameters.0.default",
    }


def test_an_unused_parameter_is_a_warning() -> None:
    """A parameter without a tag may be published; its name is returned."""
    assert template.check_template("{a}{/a}", [Parameter(name="a"), Parameter(name="b", default="x")]) == ("b",)


@pytest.mark.parametrize(
    "document",
    [{"name": "a", "default": [1]}, {"name": 1}, {"name": "a", "required": "yes"}, {"name": "a", "type": "x"}],
)
def test_parameters_are_strict(document: dict[str, object]) -> None:
    """Defaults are text or numbers, flags are booleans, and unknown keys are refused rather than ignored."""
    with pytest.raises(ValidationError):
        Parameter.model_validate(document)
