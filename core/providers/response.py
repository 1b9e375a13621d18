"""Reading what a provider answers with status 200: pure functions from bytes to an `Answer`.

Whatever the bytes are, nothing else comes out. The rules of what counts as an answer are published in docs/buyers.md;
the shapes follow OpenRouter's chat completion schema, in which unknown fields appear without notice.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from json_repair import repair_json

from core.failures import ExecutionFailed
from core.media import files as media_files
from core.media.files import Medium
from core.providers import answer_schema, sse
from core.providers.errors import provider_failure
from core.providers.openrouter_errors import malformed, mapping, parse, read_error
from core.providers.request import Modality
from core.providers.usage import Usage, read_usage

_LINK = re.compile(r"https?://[\x21-\x7e]{1,2000}")
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\Z", re.DOTALL)
_MOST_CITATIONS = 50
_MOST_PICTURES = 16
# A document that is longer and broken is not worth the time that mending takes.
_MENDABLE = 1_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer.

    Attributes:
        response: the text; for json a document that parses; for image possibly empty.
        images: files, or addresses that the provider gave; only for image.
        sound: what the model spoke, if it did.
        citations: `url` and `title` of the pages that the answer names as its sources.
    """

    response: str = field(repr=False)
    images: tuple[Medium | str, ...] = field(default=(), repr=False)
    sound: Medium | None = field(default=None, repr=False)
    citations: tuple[dict[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """How one send ended: what it used, and the reply or why there is none."""

    used: Usage
    reply: Reply | ExecutionFailed


def read_answer(body: bytes, modality: Modality, schema: str | None = None) -> ModelAnswer:
    """Read the body of a 200 answer of `POST /chat/completions`, streamed or not.

    Args:
        body: may be anything.
        modality: what was asked for.
        schema: JSON Schema that a json answer has to fit.
    """
    used = Usage()
    try:
        document = sse.assemble(body) if sse.is_stream(body) else parse(body)
        if not isinstance(document, dict):
            raise malformed()
        used = read_usage(document)
        return ModelAnswer(used, _reply(document, modality, schema))
    except ExecutionFailed as failure:
        return ModelAnswer(used, failure.with_traceback(None))


def _reply(document: Mapping[str, Any], modality: Modality, schema: str | None) -> Reply:
    if isinstance(document.get("error"), dict):
        raise read_error(document["error"], 502)
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise malformed()
    message = mapping(choice.get("message"))
    _refuse_unfinished(choice, message)
    if not isinstance(choice.get("message"), dict):
        raise malformed()
    text = _text(message)
    audio = mapping(message.get("audio"))
    if not text.strip() and isinstance(audio.get("transcript"), str):
        text = _storable(audio["transcript"])
    if modality == "image":
        return Reply(text, images=_pictures(message))
    if not text.strip():
        raise provider_failure(_why_empty(message))
    return Reply(
        _json_document(text, schema) if modality == "json" else text,
        sound=media_files.sound(audio["data"]) if isinstance(audio.get("data"), str) else None,
        citations=tuple(_citations(message.get("annotations"))),
    )


def _refuse_unfinished(choice: Mapping[str, Any], message: Mapping[str, Any]) -> None:
    """Raise for a choice that is an error, a refusal or a fragment."""
    reason = choice.get("finish_reason")
    error = choice.get("error")
    if reason == "error" or isinstance(error, dict):
        raise read_error(mapping(error), 502)
    if reason == "content_filter":
        raise provider_failure("provider_content_filter")
    if message.get("refusal"):
        raise provider_failure("provider_refused")
    if reason == "length":
        # Reasoning models can spend the whole budget before the first word: the creator has to raise the limit.
        is_thought = bool(message.get("reasoning")) and not _text(message).strip()
        raise provider_failure("provider_reasoning_only" if is_thought else "provider_truncated")


def _why_empty(message: Mapping[str, Any]) -> str:
    """What a model did instead of answering. Its reasoning is no answer: it may quote the creator's prompt."""
    if message.get("tool_calls"):
        return "provider_tool_call"
    return "provider_reasoning_only" if message.get("reasoning") else "provider_empty"


def _text(message: Mapping[str, Any]) -> str:
    """The content, as text or as parts."""
    content = message.get("content")
    said = content if isinstance(content, str) else "".join(filter(None, map(_text_of, _parts(message))))
    return _storable(said)


def _storable(text: str) -> str:
    """A lone surrogate is valid JSON and cannot be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _parts(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _text_of(part: Mapping[str, Any]) -> str | None:
    text = part.get("text")
    return text if part.get("type") in ("text", "output_text") and isinstance(text, str) else None


def _pictures(message: Mapping[str, Any]) -> tuple[Medium | str, ...]:
    """The pictures of an answer, each once; all that are none are left out, but one has to be."""
    listed = message.get("images")
    urls = [_url_of(item) for item in [*(listed if isinstance(listed, list) else []), *_parts(message)]]
    drawn = [url for url in dict.fromkeys(urls) if url is not None]
    found = [seen for url in drawn[:_MOST_PICTURES] if (seen := media_files.picture(url)) is not None]
    if not found:
        raise provider_failure("provider_bad_image" if drawn else _why_empty(message))
    return tuple(found)


def _url_of(item: Any) -> str | None:
    url = mapping(mapping(item).get("image_url")).get("url")
    return url if isinstance(url, str) else None


def _citations(annotations: Any) -> Iterator[dict[str, str]]:
    """The pages that `url_citation` annotations name, each once."""
    seen: set[str] = set()
    for annotation in annotations if isinstance(annotations, list) else ():
        cited = mapping(mapping(annotation).get("url_citation"))
        url, title = cited.get("url"), cited.get("title")
        if isinstance(url, str) and _LINK.fullmatch(url) and url not in seen and len(seen) < _MOST_CITATIONS:
            seen.add(url)
            yield {"url": url, "title": _storable(title)[:300] if isinstance(title, str) else ""}


def _json_document(text: str, schema: str | None) -> str:
    """The text as JSON: without the code fence that many models put around it, and mended once where it is broken."""
    fenced = _FENCE.match(text.strip())
    candidate = fenced.group(1) if fenced else text
    if _is_json(candidate):
        document = candidate
    else:
        document = _mend(candidate) if len(candidate) <= _MENDABLE else ""
        # Prose is mended into an empty text; an object or a list was meant to be JSON.
        if document[:1] not in ("{", "[") or not _is_json(document):
            raise provider_failure("provider_malformed_json")
    if schema is not None and not answer_schema.fits(schema, json.loads(document)):
        raise provider_failure("provider_malformed_json")
    return document


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_float=Decimal, parse_constant=_not_json)
    except (ValueError, InvalidOperation, RecursionError):
        return False
    return True


def _mend(text: str) -> str:
    try:
        return str(repair_json(text, ensure_ascii=False))
    except (ValueError, RecursionError):
        return ""


def _not_json(constant: str) -> None:
    raise ValueError
