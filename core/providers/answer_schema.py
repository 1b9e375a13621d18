"""Check the JSON Schema that a creator promises, when it is published, and check every answer against it.

All use of jsonschema is here. Only keywords with a known cost are allowed: nothing is fetched, no pattern is matched,
and checking one answer takes a bounded number of steps.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema
from jsonschema import Draft202012Validator
from referencing import Registry

SIZE_LIMIT = 16_384
_DEPTH_LIMIT = 32
# A node of a schema has 20 bytes or so.
_MOST_NODES = 1_000
# The limit for checking one answer, in units of about a byte read. It takes part of a second.
_MOST_WORK = 50_000_000
_STEP_WORK = 500
# To look up a reference, or to collect why alternatives do not fit, takes several times as long.
_DEAR_WORK = {"$ref": 5_000, "anyOf": 2_500, "oneOf": 2_500, "allOf": 2_500}

_BOUNDS = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
)
_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "format", "type", "enum", "const", "required"})
_SUBSCHEMAS = frozenset({"items", "additionalProperties"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_MAPS = frozenset({"properties", "$defs"})
_ALLOWED = _BOUNDS | _ANNOTATIONS | _SUBSCHEMAS | _LISTS | _MAPS | {"$ref"}
# These apply to the value itself and not to a part of it, so a cycle of them never ends.
_IN_PLACE = frozenset({"anyOf", "oneOf", "allOf"})
_DEFINED = "#/$defs/"
# A pattern may take exponential time on some text, and unique items are compared with each other.
_UNBOUNDED = frozenset({"pattern", "patternProperties", "uniqueItems"})


class _LimitExceeded(Exception):
    """The check of one answer exceeds the limit."""


def read_schema(source: object) -> str | None:
    """Convert a schema to the form that is stored and sent: compact JSON with keys in order, which models follow.

    Args:
        source: an object, or its JSON text. In YAML files every number is text, so bounds may be text.

    Raises:
        ValueError: its sentence names the position of the fault.
    """
    if source is None:
        return None
    try:
        schema = json.loads(source) if isinstance(source, str) else source
        if not isinstance(schema, dict):
            raise ValueError("must be a JSON Schema: an object, or its JSON text")
        schema = {name: value for name, value in schema.items() if name != "$schema"}
        # Before anything walks through it: some walks take quadratic time.
        if len(_compact(schema).encode()) > SIZE_LIMIT:
            raise ValueError(f"must have at most {SIZE_LIMIT} bytes as JSON")
        _check_node(schema, schema, "$", _DEPTH_LIMIT)
        text = _compact(schema)
    except (json.JSONDecodeError, UnicodeError, RecursionError, TypeError):
        raise ValueError("must be a JSON Schema: an object, or its JSON text") from None
    if sum(1 for _ in _nodes(schema)) > _MOST_NODES:
        raise ValueError(f"must have at most {_MOST_NODES} schemas in it")
    if "\\u0000" in text:
        raise ValueError("must not contain the character U+0000")
    try:
        Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        path = error.json_path
    else:
        _check_cycles(schema)
        return text
    raise ValueError(f"is no JSON Schema at {path}")


def _compact(schema: Mapping[str, object]) -> str:
    return json.dumps(schema, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def fits(text: str, document: object) -> bool:
    """Whether an answer fits a schema from `read_schema`. An answer that exceeds the limit of work does not."""
    work_left = _MOST_WORK

    def metered(name: str, keyword: Callable[..., Any]) -> Callable[..., Any]:
        step_work = _DEAR_WORK.get(name, _STEP_WORK)

        def apply(validator: object, value: object, instance: object, schema: object) -> object:
            nonlocal work_left
            # jsonschema formats every value that does not fit, so each check costs the size of its value.
            work = sizes.get(id(instance), 0) + (_STEP_WORK * len(value) if isinstance(value, list | dict) else 0)
            work_left -= step_work + work
            if work_left < 0:
                raise _LimitExceeded
            return keyword(validator, value, instance, schema)

        return apply

    keywords = {
        name: metered(name, apply) for name, apply in Draft202012Validator.VALIDATORS.items() if name in _ALLOWED
    }
    metered_validator = jsonschema.validators.create(
        Draft202012Validator.META_SCHEMA, keywords, type_checker=Draft202012Validator.TYPE_CHECKER
    )
    sizes: dict[int, int] = {}
    try:
        _measure(document, sizes)
        return bool(metered_validator(json.loads(text), registry=Registry()).is_valid(document))
    except (_LimitExceeded, RecursionError):
        return False


def is_strict(text: str) -> bool:
    """Whether providers can enforce it strictly: every object is closed, and all of its properties are required.

    Source: OpenAI's guide to structured outputs, whose strict mode refuses any other schema.
    """
    schema = json.loads(text)
    return schema.get("type") == "object" and all(map(_is_closed, _nodes(schema)))


def _check_node(node: object, root: Mapping[str, object], path: str, depth: int) -> None:
    """Refuse forbidden keywords at any depth, and convert bounds that a YAML file gave as text, in place."""
    if isinstance(node, bool):
        return
    if not isinstance(node, dict):
        raise ValueError(f"must have an object at {path}")
    if depth == 0:
        raise ValueError(f"is nested deeper than {_DEPTH_LIMIT} at {path}")
    for keyword, value in node.items():
        if keyword in _UNBOUNDED:
            raise ValueError(f"must not use {keyword!r} at {path}: what it costs to check has no bound")
        if keyword not in _ALLOWED or (keyword == "$defs" and node is not root):
            raise ValueError(f"must not use {str(keyword)[:40]!r} at {path}")
        if keyword in _BOUNDS and isinstance(value, str):
            node[keyword] = json.loads(value)
    if "$ref" in node:
        _check_reference(node["$ref"], root, path)
    for name, child in _children(node):
        _check_node(child, root, f"{path}.{name}", depth - 1)


def _check_reference(reference: object, root: Mapping[str, object], path: str) -> None:
    defined = root.get("$defs")
    names = [f"{_DEFINED}{name}" for name in defined if name.isidentifier()] if isinstance(defined, dict) else []
    if reference not in ["#", *names]:
        raise ValueError(f"must refer to # or {_DEFINED} and a name that is defined, at {path}")


def _check_cycles(root: Mapping[str, object]) -> None:
    """Refuse definitions that refer back to themselves for the same value."""
    unresolved = {"#": set(_in_place(root))}
    defined = root.get("$defs")
    if isinstance(defined, dict):
        unresolved |= {f"{_DEFINED}{name}": set(_in_place(child)) for name, child in defined.items()}
    while unresolved:
        resolved = {name for name, references in unresolved.items() if references.isdisjoint(unresolved)}
        if not resolved:
            raise ValueError(f"refers to itself without end at {min(unresolved)}")
        unresolved = {name: references for name, references in unresolved.items() if name not in resolved}


def _in_place(node: object) -> Iterator[str]:
    """Yield the references that apply to the same value as the schema."""
    if isinstance(node, dict):
        yield from (node[keyword] for keyword in ("$ref",) if keyword in node)
        for keyword in _IN_PLACE & node.keys():
            for child in node[keyword]:
                yield from _in_place(child)


def _children(node: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the direct subschemas. The metaschema reports values of the wrong type."""
    for keyword, value in node.items():
        if keyword in _SUBSCHEMAS:
            yield keyword, value
        elif keyword in _LISTS and isinstance(value, list):
            yield from ((f"{keyword}[{index}]", child) for index, child in enumerate(value))
        elif keyword in _MAPS and isinstance(value, dict):
            yield from ((f"{keyword}.{str(name)[:40]}", child) for name, child in value.items())


def _nodes(node: object) -> Iterator[Mapping[str, object]]:
    if isinstance(node, dict):
        yield node
        for _, child in _children(node):
            yield from _nodes(child)


def _is_closed(node: Mapping[str, object]) -> bool:
    if not node.keys().isdisjoint(("oneOf", "allOf", "prefixItems", "minProperties", "maxProperties")):
        return False
    if node.get("type") != "object" and "properties" not in node:
        return True
    properties, required = node.get("properties", {}), node.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    return node.get("additionalProperties") is False and set(properties) == set(required)


def _measure(value: object, sizes: dict[int, int]) -> int:
    """Measure the length of each part of a document as JSON, approximately."""
    if isinstance(value, dict):
        size = sum(len(name) + _measure(child, sizes) for name, child in value.items())
    elif isinstance(value, list):
        size = sum(_measure(child, sizes) for child in value)
    else:
        size = len(value) if isinstance(value, str) else 8
    sizes[id(value)] = size = size + 4
    return size
