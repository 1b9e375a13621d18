"""Describe what a version takes and gives, as buyers see it, for offers, lists and manifests alike."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from core.db.states import Modality
from core.resources.draft import Example
from core.resources.parameters import Parameter
from core.resources.template import USER_MESSAGE
from core.settings import settings


class Product(Protocol):
    """What a version on offer says about itself; a `versions.Version` and a `listing.Listed` are ones."""

    # Read-only, so that frozen dataclasses are ones.
    @property
    def version_id(self) -> UUID: ...
    @property
    def handle(self) -> str: ...
    @property
    def slug(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def modality(self) -> Modality: ...
    @property
    def model_id(self) -> str: ...
    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    @property
    def allows_user_message(self) -> bool: ...
    @property
    def price_atomic(self) -> int: ...
    @property
    def answer_schema(self) -> str | None: ...
    @property
    def tags(self) -> Sequence[str]: ...
    @property
    def icon(self) -> str | None: ...
    @property
    def example(self) -> Example | None: ...
    @property
    def offered_at(self) -> datetime | None: ...


def inputs_schema(product: Product) -> dict[str, object]:
    """Build the JSON Schema (2020-12) of the request body."""
    return object_schema(properties(product), required(product))


def object_schema(members: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    """Build the schema of an object that has these members, those with these names always, and no others."""
    return {"type": "object", "properties": members, "required": names, "additionalProperties": False}


def properties(product: Product) -> dict[str, dict[str, object]]:
    """Return the JSON Schema of each value that a buyer may send, with the limits of this installation."""
    config = settings()
    limit = config.value_limit
    told = {parameter.name: parameter.json_schema(limit, config.file_limit) for parameter in product.parameters}
    if product.allows_user_message:
        told[USER_MESSAGE] = {"type": "string", "description": "the user's turn", "maxLength": limit}
    return told


def required(product: Product) -> list[str]:
    """Return the names of the values that a buyer must send."""
    return [parameter.name for parameter in product.parameters if parameter.required and parameter.default is None]


def answer_schema(product: Product) -> dict[str, object] | None:
    """Return the JSON Schema that a promised JSON answer fits; None if none is promised."""
    if product.answer_schema is None:
        return None
    schema: dict[str, object] = json.loads(product.answer_schema)
    return schema


def sample_inputs(product: Product) -> dict[str, object]:
    """Return inputs that the schema takes: the example's, and for what it leaves out the simplest of each kind.

    Only what must be sent is made up. A picture or file is an address that leads nowhere.
    """
    given = dict(product.example.inputs) if product.example else {}
    limit = settings().value_limit
    for parameter in product.parameters:
        if parameter.name in given or not parameter.required or parameter.default is not None:
            continue
        given[parameter.name] = parameter.json_sample(limit)
    return given


def result_schema(product: Product, pointer: str) -> dict[str, object]:
    """Build the JSON Schema of an answer with status 200, as far as the product decides it.

    A promised JSON document is text in `response`, so its schema is a `contentSchema` (JSON Schema 2020-12, section 8).

    Args:
        product: what is sold.
        pointer: the JSON pointer of what this returns, within the document that it becomes a part of.
    """
    response: dict[str, object] = {"type": "string"}
    if promised := answer_schema(product):
        place = f"{pointer}/properties/response/contentSchema"
        response |= {"contentMediaType": "application/json", "contentSchema": _moved(promised, place)}
    members: dict[str, object] = {"response": response, "modality": {"const": product.modality}}
    if product.modality == "image":
        members["images"] = {"type": "array", "items": {"type": "string"}}
    return {"type": "object", "required": ["response"], "properties": members}


# What these hold is data, and no schema.
_DATA = frozenset({"const", "default", "enum", "examples"})


def _moved(schema: object, pointer: str) -> object:
    """Let the references of a schema, which all begin with `#`, lead to the same places below a JSON pointer."""
    if isinstance(schema, list):
        return [_moved(part, pointer) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: f"#{pointer}{part[1:]}"
        if name == "$ref" and isinstance(part, str)
        else part
        if name in _DATA and not isinstance(part, dict)
        else _moved(part, pointer)
        for name, part in schema.items()
    }
