"""Describe what a version takes and gives, as buyers see it, for offers, lists and manifests alike."""

import json
from collections.abc import Sequence
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
    config = settings()
    limit = config.value_limit
    properties = {parameter.name: parameter.json_schema(limit, config.file_limit) for parameter in product.parameters}
    if product.allows_user_message:
        properties[USER_MESSAGE] = {"type": "string", "description": "the user's turn", "maxLength": limit}
    required = [p.name for p in product.parameters if p.required and p.default is None]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


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
