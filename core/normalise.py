"""Reading what OpenRouter answers with status 200: pure functions from bytes to a `Reply` or to an `ExecutionFailed`.

Whatever the bytes are, nothing else comes out. The rules follow OpenRouter's chat completion schema; unknown fields are
ignored, since they appear there without notice.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from core.failures import ExecutionFailed
from core.refusal import malformed, mapping, parse, read_error

Modality = Literal["text", "json", "image"]

_NAME = re.compile(r"[\x21-\x7e]{1,200}")
_LABEL = re.compile(r"[\x20-\x7e]{1,200}")
_PICTURE = re.compile(r"data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+={0,2}")
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\Z", re.DOTALL)
_NO_COST_ABOVE = Decimal(100_000)
_COST_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer.

    Attributes:
        response: the text; for json a document that parses; for image possibly empty.
        images: `data:image/...;base64,` URLs, only for image.
        input_tokens: counted by the model's own tokenizer, None when the provider did not say.
        output_tokens: likewise, reasoning included.
        cost_usd: US dollars charged to the creator, None when unknown (never 0 for unknown).
        model_served: the model that answered, which may differ from the one asked for.
        generation_id: OpenRouter's id, by which the cost can be asked for later.
    """

    response: str = field(repr=False)
    images: tuple[str, ...] = field(repr=False)
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    model_served: str | None
    generation_id: str | None


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What OpenRouter says of a key.

    Attributes:
        label: the masked key, as `sk-or-v1-0e6...1c96`.
        limit_remaining_usd: US dollars left under the key's own limit, None without a limit.
        is_management_key: it can create keys and cannot run models; such a key must be refused.
    """

    label: str
    limit_remaining_usd: Decimal | None
    is_management_key: bool


def read_reply(body: bytes, modality: Modality, generation_id: str | None) -> Reply:
    """Read the body of a 200 answer of `POST /chat/completions`.

    Args:
        body: as received; keep-alive newlines and `:` comment lines before the document are skipped.
        modality: what was asked for.
        generation_id: the `X-Generation-Id` header, used when the body names none.

    Raises:
        ExecutionFailed: no usable answer; the only exception.
    """
    document = parse(body)
    if not isinstance(document, dict):
        raise malformed()
    choice = _first(document.get("choices"))
    if choice is None:
        if isinstance(document.get("error"), dict):
            raise read_error(document["error"], 502)
        raise malformed()
    message = choice.get("message")
    _refuse_unfinished(choice, message if isinstance(message, dict) else {})
    if not isinstance(message, dict):
        raise malformed()
    response, images = _content(message, modality)
    usage = document.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Reply(
        response=response,
        images=images,
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        cost_usd=_cost(usage),
        model_served=_name(document.get("model")),
        generation_id=_name(document.get("id")) or _name(generation_id),
    )


def read_key(body: bytes) -> KeyFacts:
    """Read the body of a 200 answer of `GET /key`.

    Raises:
        ExecutionFailed: it does not describe a key.
    """
    document = parse(body)
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        raise malformed()
    label = data.get("label")
    remaining = data.get("limit_remaining")
    return KeyFacts(
        label=label if isinstance(label, str) and _LABEL.fullmatch(label) else "",
        limit_remaining_usd=None if remaining is None else _amount(remaining, least=-_NO_COST_ABOVE),
        is_management_key=data.get("is_management_key") is True or data.get("is_provisioning_key") is True,
    )


def _refuse_unfinished(choice: Mapping[str, Any], message: Mapping[str, Any]) -> None:
    """Raise for a choice that is an error, a refusal or a fragment."""
    reason = choice.get("finish_reason")
    error = choice.get("error")
    if reason == "error" or isinstance(error, dict):
        raise read_error(mapping(error), 502)
    if reason == "content_filter":
        raise ExecutionFailed("content_filtered", "buyer", "provider_content_filter")
    if message.get("refusal"):
        raise ExecutionFailed("content_filtered", "buyer", "provider_refused")
    if reason == "length":
        # Reasoning models can spend the whole budget before the first word: the creator has to raise the limit.
        raise ExecutionFailed("resource_unavailable", "creator", "provider_truncated")


def _content(message: Mapping[str, Any], modality: Modality) -> tuple[str, tuple[str, ...]]:
    """The answer itself: content as text, as parts or null, and pictures from `images` or from the parts."""
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    text = content if isinstance(content, str) else "".join(filter(None, map(_text_of, parts)))
    # A lone surrogate is valid JSON and cannot be written as UTF-8.
    text = text.encode("utf-8", "replace").decode("utf-8")
    if modality == "image":
        pictures = message.get("images")
        found = map(_picture_of, [*(pictures if isinstance(pictures, list) else []), *parts])
        images = tuple(url for url in found if url)
        if not images:
            raise _empty()
        return text, images
    if not text.strip():
        raise _empty()
    return (_json_document(text) if modality == "json" else text), ()


def _json_document(text: str) -> str:
    """The text without the code fence that many models put around JSON."""
    fenced = _FENCE.match(text.strip())
    candidate = fenced.group(1) if fenced else text
    try:
        json.loads(candidate, parse_float=Decimal, parse_constant=_not_json)
    except (ValueError, InvalidOperation, RecursionError):
        pass
    else:
        return candidate
    raise ExecutionFailed("resource_unavailable", "provider", "provider_malformed_json")


def _not_json(constant: str) -> None:
    raise ValueError


def _first(choices: Any) -> dict[str, Any] | None:
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _text_of(part: Mapping[str, Any]) -> str | None:
    text = part.get("text")
    return text if part.get("type") in ("text", "output_text") and isinstance(text, str) else None


def _picture_of(part: Any) -> str | None:
    image = mapping(mapping(part).get("image_url"))
    url = image.get("url")
    return url if isinstance(url, str) and _PICTURE.fullmatch(url) else None


def _cost(usage: Mapping[str, Any]) -> Decimal | None:
    """What the call cost the creator in US dollars.

    With a provider key of the creator's own (`is_byok`) `cost` is OpenRouter's fee alone and the model is billed by the
    provider; otherwise `upstream_inference_cost` is the same money once more and must not be added.
    """
    cost = _amount(usage.get("cost"))
    if usage.get("is_byok") is not True:
        return cost
    upstream = _amount(mapping(usage.get("cost_details")).get("upstream_inference_cost"))
    return None if cost is None or upstream is None else cost + upstream


def _amount(value: Any, least: Decimal = Decimal(0)) -> Decimal | None:
    """A sum of US dollars, or None for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    in_range = amount.is_finite() and least <= amount <= _NO_COST_ABOVE
    return amount if in_range and int(amount.as_tuple().exponent) >= -_COST_DIGITS else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None


def _empty() -> ExecutionFailed:
    return ExecutionFailed("resource_unavailable", "provider", "provider_empty")
