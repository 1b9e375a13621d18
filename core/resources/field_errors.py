"""Say in our own words what is wrong with each field of a document that pydantic refused, without quoting any value."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_NAME = "must be lower-case letters and digits, joined by single hyphens, such as my-haiku"
_WHOLE = "must be a whole number"
_NUMBER = "must be a plain decimal number"
_TEXT = "must be text"
_DATE = "must be a day, such as 2026-12-31"

# By pydantic's type of error (https://docs.pydantic.dev/latest/errors/validation_errors/), with its context.
_SENTENCES: Mapping[str, str] = {
    "missing": "is missing",
    "string_type": _TEXT,
    "string_unicode": "must be text without half of a surrogate pair",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "has characters that are not taken here",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "literal_error": "must be one of: {choices}",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "decimal_max_digits": "must have at most {max_digits} digits",
    "decimal_max_places": "must have at most {decimal_places} decimals",
    "decimal_whole_digits": "must have at most {whole_digits} digits before the point",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be more than {gt}",
    "less_than": "must be less than {lt}",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be an object with names and values",
    "model_type": "must be an object with names and values",
    "model_attributes_type": "must be an object with names and values",
    "value_error": "{error}",
    "invalid_key": "has a name that is no text",
}
# The names are foreign, and each is compared with the known ones.
_MOST = 64
_OTHERWISE = "has a form that is not read here"


def sentences(model: type[BaseModel], error: ValidationError) -> dict[str, str]:
    """Map each wrong field, such as `parameters.0.name`, to the first sentence about it.

    Args:
        model: what was validated; its names, and those of its parts, are the known ones for a typo.
        error: what pydantic said.
    """
    told: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=True)[:_MOST]:
        path = [str(part) for part in problem["loc"] if part != "[key]"]
        told.setdefault(shown(".".join(path)) or "draft", _sentence(model, problem))
    return told


def query_sentences(problems: Iterable[ErrorDetails], known: Iterable[str]) -> dict[str, str]:
    """Map each wrong parameter of a query to a sentence about it.

    Args:
        problems: what pydantic said, as FastAPI hands it on: `loc` begins with `query`.
        known: the names of the parameters.
    """
    told: dict[str, str] = {}
    names = [*known]
    for problem in [*problems][:_MOST]:
        name = ".".join(str(part) for part in problem["loc"][1:]) or "query"
        if problem["type"] == "extra_forbidden":
            sentence = f"is no parameter here{nearest(name, names)}"
        else:
            sentence = _said(problem["type"], problem.get("ctx", {}), problem.get("input"))
        told.setdefault(shown(name), sentence)
    return told


def paths(error: ValidationError) -> list[tuple[int | str, ...]]:
    """List where pydantic found something wrong: the name of a field, and what leads further into it."""
    return [problem["loc"] for problem in error.errors(include_url=False, include_input=False, include_context=False)]


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the known name that may be meant, as the end of a sentence; empty if none is near."""
    alike = get_close_matches(name, [*known], n=1, cutoff=0.6)
    return f"; did you mean {alike[0]}?" if alike else ""


def shown(name: str) -> str:
    """Make a foreign name safe to show: short, and valid UTF-8."""
    return name[:200].encode(errors="backslashreplace").decode()


def _sentence(model: type[BaseModel], problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return f"is no field here{nearest(str(problem['loc'][-1]), _names_at(model, problem['loc'][:-1]))}"
    return _said(kind, context, problem["input"])


def _said(kind: str, context: Mapping[str, object], given: object) -> str:
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"must be one of: {', '.join(choices)}{nearest(given if isinstance(given, str) else '', choices)}"
    if kind == "string_pattern_mismatch" and context["pattern"] == _SLUG:
        return _NAME
    return _SENTENCES.get(kind, _OTHERWISE).format(**context)


def _names_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The fields of the part of a model at a path."""
    for part in path:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next(iter(_models_in(field.annotation)), model)
    return [*model.model_fields]


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _models_in(inner)]
