"""Write and read the document of a prompt: the same fields in JSON and in YAML, and the schema that editors use.

JSON Schema: https://json-schema.org/draft/2020-12. Merge patches and files never hold floating-point numbers of ours.
"""

import json
import re
from difflib import unified_diff
from functools import cache
from typing import Final

import yaml

from core.failures import InvalidInput
from core.resources.draft import CAPS, Draft

SCHEMA_PATH: Final = "/schemas/prompt.json"


class _Loader(yaml.SafeLoader):
    """YAML in which everything except null, true and false is text, so that a price never becomes a float."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own way, and its type


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|)$"), ["~", "n", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|false)$"), ["t", "f"])


def of_draft(draft: Draft) -> dict[str, object]:
    """Return the document of a draft, without the fields that have their defaults. Decimal numbers are text."""
    values = json.loads(draft.model_dump_json(exclude_defaults=True))
    if draft.answer_schema is not None:
        values["answer_schema"] = json.loads(draft.answer_schema)
    return {name: values[name] for name in Draft.model_fields if name in values}


def as_yaml(document: dict[str, object]) -> str:
    """Write a document as a YAML file; a text of several lines, such as a template, keeps its lines."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)


def read_text(text: str) -> dict[str, object]:
    """Read the text of a file, YAML or JSON, which is YAML too.

    Raises:
        InvalidInput: names `file`.
    """
    try:
        if text.lstrip().startswith("{"):
            # What is JSON keeps its whole numbers, as over HTTP; other YAML has none.
            values = json.loads(text, parse_float=str)
            return {str(name): value for name, value in values.items()}
    except ValueError:
        pass
    try:
        values = yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        fault = f"is not YAML, from line {mark.line + 1}" if mark else "is not YAML"
    else:
        if isinstance(values, dict):
            return {str(name): value for name, value in values.items()}
        fault = "must be a mapping of fields, such as `slug: haiku`"
    raise InvalidInput({"file": fault})


def differences(before: dict[str, object], after: dict[str, object]) -> list[dict[str, object]]:
    """List each field that differs, in the order of the document; the template line by line (unified diff)."""
    told: list[dict[str, object]] = []
    for name in Draft.model_fields:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if name == "template":
            lines = unified_diff(str(old or "").splitlines(), str(new or "").splitlines(), lineterm="", n=3)
            told.append({"field": name, "lines": list(lines)[2:]})
        else:
            told.append({"field": name, "before": old, "after": new})
    return told


@cache
def schema() -> dict[str, object]:
    """Return the JSON Schema of a document, for editors; the reader and publishing have the last word."""
    described = Draft.model_json_schema()
    described |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A prompt for x402 Instant"}
    properties, parameter = described["properties"], described["$defs"]["Parameter"]["properties"]
    scalar = [{"type": kind} for kind in ("string", "number", "boolean")]
    # A YAML file may have a number, which is read as it is written; over HTTP decimals are text.
    exact, nothing = [{"type": "number"}, {"type": "string"}], {"type": "null"}
    properties["$schema"] = {"type": "string"}
    properties["price_usdc"] = {"anyOf": exact, "examples": ["0.05"]}
    properties |= {name: {"anyOf": [*exact, nothing], "default": None} for name in CAPS}
    properties["answer_schema"] = {"anyOf": [{"type": "object"}, {"type": "string"}, nothing], "default": None}
    parameter["default"] = {"anyOf": [*scalar, nothing], "default": None}
    parameter["values"]["anyOf"][0]["items"] = {"anyOf": scalar}
    for name, sentence in _described().items():
        properties[name].setdefault("description", sentence)
    return described


def _described() -> dict[str, str]:
    """The sentences about each field, from the docstring of `Draft`."""
    listed = (Draft.__doc__ or "").partition("Attributes:")[2]
    found = re.findall(r"^ {8}([a-z_, ]+): (.+(?:\n {12}.+)*)", listed, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", sentence) for names, sentence in found for name in names.split(", ")}


class _Dumper(yaml.SafeDumper):
    """YAML with texts of several lines as blocks."""


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)
