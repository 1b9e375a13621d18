"""Read a provider's response with status 200: pure functions from bytes to a `ModelAnswer`, whatever the bytes are.

docs/buyers.md publishes what counts as an answer. The format follows OpenRouter's chat completion schema, in which
unknown fields appear without notice.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.db.states import Modality
from core.failures import ExecutionFailed
from core.media import files as media_files
from core.media.files import Medium
from core.providers import json_answer, reasoning, sse
from core.providers.errors import provider_failure
from core.providers.finish import Finish
from core.providers.openrouter_errors import malformed, mapping, read_error
from core.providers.usage import Usage, read_usage

_LINK = re.compile(r"https?://[\x21-\x7e]{1,2000}")
_MOST_CITATIONS = 50
_MOST_PICTURES = 16
# Four times the longest answer that a version may allow, 128,000 tokens at eight characters.
_MOST_CHARACTERS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What counts as an answer.

    Attributes:
        modality: the kind of answer.
        schema: JSON Schema that a json answer has to fit.
        truncated_from: characters from which a text that was cut off at its length limit counts; None: it never does.
    """

    modality: Modality
    schema: str | None = None
    truncated_from: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer.

    Attributes:
        response: the text; for json a document that parses; for image possibly empty.
        images: files, or addresses that the provider returned; only for image.
        sound: the model's speech, if any.
        citations: `url` and `title` of the pages that the answer names as sources.
        truncated: whether it was cut off at its length limit.
    """

    response: str = field(repr=False)
    images: tuple[Medium | str, ...] = field(default=(), repr=False)
    sound: Medium | None = field(default=None, repr=False)
    citations: tuple[dict[str, str], ...] = field(default=(), repr=False)
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The result of one send: its usage, and either the reply or the failure."""

    usage: Usage
    reply: Reply | ExecutionFailed


def read_answer(body: bytes, modality: Modality, schema: str | None = None) -> ModelAnswer:
    """Read the body of a 200 response of `POST /chat/completions`, streamed or not.

    Args:
        body: any bytes.
        modality: the kind of answer.
        schema: JSON Schema that a json answer has to fit.
    """
    collector = sse.Collector()
    collector.feed(body)
    return judge(collector, Wanted(modality, schema))


def judge(
    collector: sse.Collector, wanted: Wanted, broken: ExecutionFailed | None = None, *, may_repair: bool = True
) -> ModelAnswer:
    """Judge what was received. A whole answer counts, however its connection ended.

    Args:
        collector: everything that was received.
        wanted: what counts as an answer.
        broken: how the connection broke, if it did; the verdict if the answer is not whole.
        may_repair: whether a json answer may be repaired here.

    Returns:
        The reply or the failure, in either case with the id, usage and cost as far as they arrived.

    Raises:
        RepairNeeded: a json answer has to be repaired, and that may not be done here. Judge it again where it may.
    """
    usage = Usage()
    collector.end()
    try:
        document = collector.document()
        usage = read_usage(document)
        if broken is not None and not collector.is_decided:
            raise broken
        return ModelAnswer(usage, _reply(collector, document, wanted, may_repair=may_repair))
    except ExecutionFailed as failure:
        # Half a document cannot be parsed, and then the broken connection is the reason.
        is_lost = broken is not None and not collector.is_decided
        return ModelAnswer(usage, (broken if broken and is_lost else failure).with_traceback(None))


def _reply(collector: sse.Collector, document: Mapping[str, object], wanted: Wanted, *, may_repair: bool) -> Reply:
    if error := document.get("error"):
        raise read_error(mapping(error), 502)
    collector.refuse_unreadable()
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise malformed() if collector.is_done or not collector.is_stream else collector.unfinished()
    message = mapping(choice.get("message"))
    text, has_reasoning = _answer_text(message)
    # The text before the transcript of a sound, which is not shown when it is cut off.
    is_truncated = collector.finish is Finish.TRUNCATED and _is_long_enough(text, wanted)
    if not is_truncated or message.get("refusal"):
        _refuse_unfinished(collector, message, has_reasoning=has_reasoning and not text.strip())
    if not isinstance(choice.get("message"), dict):
        raise malformed()
    audio = mapping(message.get("audio"))
    transcript, data = audio.get("transcript"), audio.get("data")
    if not text.strip() and isinstance(transcript, str):
        text = storable(transcript)
    if len(text) > _MOST_CHARACTERS:
        raise provider_failure("provider_too_large")
    if wanted.modality == "image":
        return Reply(text, images=_pictures(message, has_reasoning=has_reasoning))
    if not text.strip():
        raise provider_failure(_why_empty(message, has_reasoning=has_reasoning))
    return Reply(
        json_answer.read_document(text, wanted.schema, may_repair=may_repair) if wanted.modality == "json" else text,
        sound=media_files.sound(data) if isinstance(data, str) else None,
        citations=tuple(_citations(message.get("annotations"))),
        truncated=is_truncated,
    )


def _is_long_enough(text: str, wanted: Wanted) -> bool:
    """Whether a text counts although it was cut off."""
    least = wanted.truncated_from
    return wanted.modality == "text" and least is not None and len(text.strip()) >= least


def _refuse_unfinished(collector: sse.Collector, message: Mapping[str, object], *, has_reasoning: bool) -> None:
    """Raise for a choice that is an error, a refusal or a fragment."""
    match collector.finish:
        case Finish.ERROR:
            raise read_error({}, 502)
        case Finish.FILTERED:
            raise provider_failure("provider_content_filter")
        case Finish.REFUSED:
            raise provider_failure("provider_refused")
    if message.get("refusal"):
        raise provider_failure("provider_refused")
    match collector.finish:
        case Finish.TRUNCATED:
            # Reasoning models can use all tokens before the first word; the creator has to raise the limit.
            raise provider_failure("provider_reasoning_only" if has_reasoning else "provider_truncated")
        case Finish.TOOL_CALL:
            raise provider_failure("provider_tool_call")
        case Finish.UNKNOWN:
            raise provider_failure("provider_unfinished")
        case Finish.NONE:
            raise collector.unfinished()


def _why_empty(message: Mapping[str, object], *, has_reasoning: bool = False) -> str:
    """Find why a message has no answer."""
    if message.get("tool_calls"):
        return "provider_tool_call"
    return "provider_reasoning_only" if has_reasoning else "provider_empty"


def _answer_text(message: Mapping[str, object]) -> tuple[str, bool]:
    """Return the answer without the model's reasoning, which may quote the prompt; and whether there was any."""
    content = _text(message)
    text = reasoning.cut(content)
    return text, text != content or bool(message.get("reasoning"))


def _text(message: Mapping[str, object]) -> str:
    """Read the content, from text or from parts."""
    content = message.get("content")
    text = content if isinstance(content, str) else "".join(filter(None, map(_text_of, _parts(message))))
    return storable(text)


def storable(text: str) -> str:
    """Replace lone surrogates, which are valid JSON and cannot be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _parts(message: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _text_of(part: Mapping[str, object]) -> str | None:
    text = part.get("text")
    return text if part.get("type") in ("text", "output_text") and isinstance(text, str) else None


def _pictures(message: Mapping[str, object], *, has_reasoning: bool) -> tuple[Medium | str, ...]:
    """Read the pictures of an answer, each once. Unusable ones are left out, but at least one must remain."""
    listed = message.get("images")
    urls = [_url_of(item) for item in [*(listed if isinstance(listed, list) else []), *_parts(message)]]
    unique_urls = [url for url in dict.fromkeys(urls) if url is not None]
    pictures = [picture for url in unique_urls[:_MOST_PICTURES] if (picture := media_files.picture(url)) is not None]
    if not pictures:
        raise provider_failure(
            "provider_bad_image" if unique_urls else _why_empty(message, has_reasoning=has_reasoning)
        )
    return tuple(pictures)


def _url_of(item: object) -> str | None:
    image_url = mapping(item).get("image_url")
    url = mapping(image_url).get("url") if isinstance(image_url, dict) else image_url
    return url if isinstance(url, str) else None


def _citations(annotations: object) -> Iterator[dict[str, str]]:
    """Yield the pages that `url_citation` annotations name, each once."""
    seen: set[str] = set()
    for annotation in annotations if isinstance(annotations, list) else ():
        citation = mapping(mapping(annotation).get("url_citation"))
        url, title = citation.get("url"), citation.get("title")
        if isinstance(url, str) and _LINK.fullmatch(url) and url not in seen and len(seen) < _MOST_CITATIONS:
            seen.add(url)
            yield {"url": url, "title": storable(title)[:300] if isinstance(title, str) else ""}
