"""Make the answers of a practice model: deterministic, counted and priced like OpenRouter's."""

import base64
import hashlib
import json
import re
import struct
import uuid
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import ceil
from typing import Any, Final

from sandbox import openrouter_parts as parts

IMAGE_TOKENS: Final = 1290
_SIDE = 64
_MARK = uuid.uuid4().hex
_MARKED = re.compile(f'"{_MARK}([^"]*)"')


def dumps(value: Any) -> str:
    """Encode JSON with each Decimal as a number of exactly its digits."""
    text = json.dumps(value, ensure_ascii=False, default=lambda amount: f"{_MARK}{amount:f}")
    return _MARKED.sub(r"\1", text)


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of one message, whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def answer(body: Mapping[str, Any], *, echo: bool, recites: bool = False) -> tuple[str, list[str]]:
    """Make the content and picture URLs for one request.

    Args:
        body: the chat completion request.
        echo: answer with the messages themselves, for tests that look for leaks.
        recites: answer with the prompt in words, for readers of the demo.
    """
    messages = [message for message in body["messages"] if isinstance(message, dict)]
    asked = next((text_of(message) for message in reversed(messages) if message.get("role") == "user"), "")
    seed = hashlib.sha256("\n".join(map(text_of, messages)).encode("utf-8", "replace")).digest()
    shape = body.get("response_format") or {}
    if "image" in (body.get("modalities") or ()):
        return "", [picture(seed)]
    if echo:
        everything = json.dumps(messages, ensure_ascii=False)
        return (json.dumps({"echo": messages}, ensure_ascii=False) if _wants_json(shape) else everything), []
    if recites and not _wants_json(shape):
        return _recital(messages), []
    sentence = f"Practice answer {seed.hex()[:6]}: you asked “{' '.join(asked.split()[:24])}”."
    if recites:
        sentence = " ".join(" ".join(map(text_of, messages)).split())
    if shape.get("type") == "json_schema":
        schema = (shape.get("json_schema") or {}).get("schema") or {}
        return json.dumps(fitting(schema, schema, sentence, seed), ensure_ascii=False), []
    if _wants_json(shape):
        return json.dumps({"answer": sentence, "words": len(asked.split())}, ensure_ascii=False), []
    return f"{sentence} A real model would now write as much as max_completion_tokens allows.", []


def _recital(messages: Sequence[Mapping[str, Any]]) -> str:
    """Write what a model would be asked, as Markdown."""
    said = [line for message in messages for line in text_of(message).strip().splitlines()]
    quoted = "\n".join(f"> {line}".rstrip() + "  " for line in said)
    return f"This is practice: no model was asked. With your words in place, it would have read:\n\n{quoted}"


def fitting(schema: Mapping[str, Any], root: Mapping[str, Any], sentence: str, seed: bytes, depth: int = 0) -> Any:
    """Make a value that fits a simple JSON Schema.

    Supports const, enum, local $ref, anyOf/oneOf/allOf (the first), the seven types and their lower bounds.
    """
    if depth > 16:
        return None
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return fitting(schema[word][0], root, sentence, seed, depth + 1)
    if str(schema.get("$ref", "")).startswith("#"):
        target: Any = root
        for step in filter(None, schema["$ref"][1:].split("/")):
            target = target.get(step, {})
        return fitting(target, root, sentence, seed, depth + 1)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        wanted = schema.get("properties") or {}
        return {name: fitting(sub, root, f"{name}: {sentence}", seed, depth + 1) for name, sub in wanted.items()}
    if kind == "array":
        count = max(1, int(schema.get("minItems", 1)))
        return [fitting(schema.get("items") or {"type": "string"}, root, sentence, seed, depth + 1)] * count
    return _scalar(kind, schema, sentence, seed)


def picture(seed: bytes) -> str:
    """Make a real 64 by 64 PNG (ISO/IEC 15948) as a data URL, in colours that follow from the seed."""
    rows = b"".join(
        b"\0" + b"".join(bytes((seed[0] ^ x * 4, seed[1] ^ y * 4, seed[2])) for x in range(_SIDE)) for y in range(_SIDE)
    )
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


def drawing(kind: str) -> str:
    """Make the URL of a picture; only the first kind can be shown as it is.

    Args:
        kind: remote, svg (a program), page (HTML that calls itself a PNG), insecure or broken.
    """
    page, svg = b"<!doctype html><script>alert(1)</script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    return {
        "remote": "https://images.example.org/sea.png",
        "svg": f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}",
        "page": f"data:image/png;base64,{base64.b64encode(page).decode()}",
        "insecure": "http://169.254.169.254/latest/meta-data",
        "broken": "data:image/png;base64,!!!!",
    }[kind]


def tone() -> str:
    """Make the base64 of a real WAV file (RIFF, 16-bit PCM), an eighth of a second of silence."""
    samples = bytes(2000)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
    return base64.b64encode(struct.pack("<4sI", b"RIFF", len(body)) + body).decode()


def tokens(text: str) -> int:
    """Count tokens roughly: four characters per token."""
    return ceil(len(text) / 4)


def prompt_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """Count the tokens of all messages, with their pictures and files."""
    return sum(tokens(text_of(message)) + 4 for message in messages) + parts.tokens(messages)


def prices_at(pricing: Mapping[str, Any], prompt: int) -> dict[str, Any]:
    """Return the prices of a prompt of so many tokens; `overrides` by its length apply, those by hour do not."""
    prices = {key: value for key, value in pricing.items() if key != "overrides"}
    for override in pricing.get("overrides", ()):
        if prompt > override.get("min_prompt_tokens", prompt):
            prices |= override
    return prices


def usage_of(
    pricing: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], content: str, images: int, searches: int
) -> dict[str, Any]:
    """Build OpenRouter's `usage`; `cost` is US dollars, computed from the catalog's decimal strings.

    Args:
        pricing: of the model that answered.
        messages: of the request.
        content: of the answer.
        images: pictures in the answer.
        searches: of the web, for the answer.
    """
    prompt, sent = prompt_tokens(messages), len(parts.parts(messages, "image_url"))
    completion, drawn = tokens(content), images * IMAGE_TOKENS
    prices = prices_at(pricing, prompt)
    price = {key: Decimal(prices.get(key, 0)) for key in ("prompt", "completion", "request")}
    image_price = Decimal(prices.get("image_output", price["completion"]))
    cost = price["prompt"] * prompt + price["completion"] * completion + price["request"] + image_price * drawn
    cost += sent * Decimal(prices.get("image", 0))
    cost += searches * Decimal(prices.get("web_search", 0))
    cost *= 1 - Decimal(prices.get("discount", 0))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion + drawn,
        "total_tokens": prompt + completion + drawn,
        "cost": cost,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "cost_details": {"upstream_inference_cost": cost},
        "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": drawn},
    }


def _wants_json(shape: Mapping[str, Any]) -> bool:
    return shape.get("type") in ("json_object", "json_schema")


def _scalar(kind: str, schema: Mapping[str, Any], sentence: str, seed: bytes) -> Any:
    least = schema.get("minimum", 1)
    match kind:
        case "integer":
            return min(int(least) + seed[3] % 10, int(schema.get("maximum", 2**31)))
        case "number":
            return least
        case "boolean":
            return seed[4] % 2 == 0
        case "null":
            return None
    return sentence.ljust(int(schema.get("minLength", 0)), ".")[: int(schema.get("maxLength", 10_000))]
