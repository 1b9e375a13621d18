"""Read prompts of the system that this one succeeds: its rows of the kinds `prompt_template` and `openrouter_instant`.

Both have `{name}{/name}` tags. What they mean here, and what is different, is said for each row. Facts: x402.jobs at
2984d0b, table `x402_resources`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.failures import InvalidInput
from core.resources.draft import TAG_LIMIT
from core.resources.template import tag_names

KINDS = ("prompt_template", "openrouter_instant")
_LEAST_TOKENS = 16
# Of the old system, where a row says nothing.
_MAX_TOKENS, _PRICE = 4096, "0.01"
# What is not sent here, with the value that changes nothing.
_NEUTRAL = {"topP": "1", "frequencyPenalty": "0", "presencePenalty": "0"}


@dataclass(frozen=True, slots=True)
class Older:
    """A row as a document, and sentences about what differs."""

    document: dict[str, object]
    differences: tuple[str, ...]


def read_rows(text: str) -> list[dict[str, object]]:
    """Read the JSON of one row, or of a list of them. Decimal numbers stay text, as they are written.

    Raises:
        InvalidInput: names `file`.
    """
    try:
        rows = json.loads(text, parse_float=str)
    except ValueError:
        rows = None
    rows = [rows] if isinstance(rows, dict) else rows
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return rows
    raise InvalidInput({"file": "must be JSON: one row of x402_resources, or a list of them"})


def convert(row: Mapping[str, object], model: str | None = None) -> Older:
    """Turn a row into a document that can be saved as a draft.

    Args:
        row: its columns; others are ignored.
        model: what to sell on; None: what the row names.

    Raises:
        InvalidInput: it is no prompt of these kinds, or nothing tells its model.
    """
    kind, config = row.get("resource_type"), _mapping(row.get("openrouter_config"))
    if kind not in KINDS:
        raise InvalidInput({"resource_type": f"must be one of: {', '.join(KINDS)}"})
    told: list[str] = []
    template = _text(config.get("systemPrompt")) or _text(row.get("pt_system_prompt"))
    parameters = [_parameter(one) for one in _list(row.get("pt_parameters"))]
    document: dict[str, object] = {
        "slug": _text(row.get("slug")) or _slug(_text(row.get("name"))),
        "title": _cut(_text(row.get("name")), 100, "name", told),
        "description": _cut(_text(row.get("description")), 500, "description", told),
        "model": model or _model(row, kind),
        "template": template,
        "parameters": parameters,
        "allows_user_message": row.get("pt_allows_user_message") is True,
        "max_output_tokens": _tokens(config.get("maxTokens") or row.get("pt_max_tokens"), told),
        "price_usdc": _price(row.get("price_usdc"), told),
        "tags": _tags(row, told),
    }
    if kind == "openrouter_instant":
        document["temperature"] = config.get("temperature", 1)
    if _text(row.get("avatar_url")).startswith("https://"):
        document["icon"] = row["avatar_url"]
    told += [
        f"{name} is not sent any more: the model's own holds"
        for name, neutral in _NEUTRAL.items()
        if str(config.get(name) or neutral).removesuffix(".0") != neutral
    ]
    told += _differences(row, template, parameters)
    return Older({name: value for name, value in document.items() if value not in ("", [], None)}, tuple(told))


def _differences(row: Mapping[str, object], template: str, parameters: Sequence[Mapping[str, object]]) -> list[str]:
    """Say what buyers and models see otherwise than before, as far as this prompt has it."""
    told = []
    optional = [str(one["name"]) for one in parameters if one.get("required") is False and not one.get("default")]
    if unset := [name for name in optional if name in tag_names(template)]:
        told.append(
            f"an absent value of {', '.join(unset)} leaves nothing in the prompt; the tag itself was sent before"
        )
    if len(tag_names(template)) > 1:
        told.append("a tag within a buyer's value is sent as it is; it was replaced before")
    told.append("inputs that the prompt does not have are refused; they were ignored before")
    if row.get("network") is not None:
        told.append(f"it is sold on all networks that you have payout addresses on, not only on {row['network']}")
    if row.get("is_active") is False:
        told.append("it was archived; as a draft it is not for sale either")
    return told


def _model(row: Mapping[str, object], kind: object) -> str:
    for holder in (row, _mapping(row.get("ai_models")), _mapping(row.get("model"))):
        if name := _text(holder.get("openrouter_id")):
            return name
    if kind == "prompt_template" and (name := _text(row.get("pt_model"))):
        return f"anthropic:{name}"
    raise InvalidInput({"model": "the row names its model by a number of the old catalog; say which one with --model"})


def _parameter(one: object) -> dict[str, object]:
    given = _mapping(one)
    kept: dict[str, object] = {"name": given.get("name", "")}
    if description := _text(given.get("description")):
        kept["description"] = description
    if given.get("required") is False:
        kept["required"] = False
    if default := _text(given.get("default")):
        kept["default"] = default
    return kept


def _tokens(value: object, told: list[str]) -> object:
    tokens = int(value) if isinstance(value, int | str) and str(value).isdecimal() else _MAX_TOKENS
    if tokens < _LEAST_TOKENS:
        told.append(f"max_output_tokens is {_LEAST_TOKENS}, the least, and no longer {tokens}")
    return max(tokens, _LEAST_TOKENS)


def _price(value: object, told: list[str]) -> str:
    text = str(value or "")
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or not text.strip("0."):
        told.append(f"it had no price, and was sold at {_PRICE} USDC")
        return _PRICE
    return text.rstrip("0").rstrip(".") if "." in text else text


def _tags(row: Mapping[str, object], told: list[str]) -> list[str]:
    given = [row.get("category"), *_list(row.get("tags")), *_list(row.get("capabilities"))]
    tags = [*dict.fromkeys(filter(None, (_slug(_text(one))[:30].strip("-") for one in given)))]
    if len(tags) > TAG_LIMIT:
        told.append(f"only {TAG_LIMIT} of its {len(tags)} tags are kept")
    return tags[:TAG_LIMIT]


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower())[:60].strip("-")


def _cut(text: str, most: int, name: str, told: list[str]) -> str:
    if len(text) > most:
        told.append(f"its {name} is cut at {most} characters")
    return text[:most]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
