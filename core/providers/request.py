"""Define a prompt, and build the parts of a request that are the same for all providers."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal
from uuid import UUID

from core.db.states import Modality, ReasoningEffort
from core.failures import ExecutionFailed
from core.providers import answer_schema
from core.providers.model_ids import provider_of
from core.providers.scripts import by_script
from core.providers.usage import Prices

# Role markers, the user turn that we add if the buyer sends none, and the words about an answer's format.
FRAME_BYTES = 1024

# No provider documents more tokens for a picture, except as `core.catalog.pictures` says: Qwen2-VL makes up to 16384
# (https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct), Claude 4784, Gemini 2240.
PICTURE_TOKENS = 16_384
# A file has any number of pages, so only the model's context bounds its tokens.
FILE_TOKENS = 2**31

Message = Mapping[str, object]
"""`role` and `content`, which is text, or a list of parts: text, `image_url` and `file`."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A model that is asked while the one before it is unavailable, at the same provider.

    Attributes:
        model: its id in our catalog.
        supported: the parameters that it is listed with.
        outputs: what it is listed to make: text, image.
        prices: its listed prices, which are the most it may charge.
    """

    model: str
    supported: tuple[str, ...]
    outputs: tuple[str, ...]
    prices: Prices


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of one round of an execution.

    Attributes:
        model: its id in our catalog.
        messages: the conversation.
        modality: text, json (the answer must parse) or image.
        max_output_tokens: the most tokens of the answer, reasoning included.
        temperature: between 0 and 2; None leaves it to the model.
        buyer: hashed id of the buyer, so that the provider blocks an abusive buyer instead of the creator.
        execution_id: the execution.
        round: its round.
        zdr: only providers that keep nothing.
        answer_schema: JSON Schema that the answer should fit, as JSON; only for json.
        reasoning_effort: how hard to reason before the answer; None leaves it to the model.
        routing: which of the providers behind a router may serve it, as lists of their slugs.
        supported: the parameters that the model is listed with.
        outputs: what the model is listed to make: text, image.
        prices: the model's listed prices, which are the most it may charge; None if unknown.
        fallbacks: the models to ask while this one is unavailable, in order.
    """

    model: str
    messages: tuple[Message, ...] = field(repr=False)
    modality: Modality
    max_output_tokens: int
    temperature: Decimal | None
    buyer: str
    execution_id: UUID
    round: int = 1
    zdr: bool = False
    answer_schema: str | None = None
    reasoning_effort: ReasoningEffort | None = None
    routing: Mapping[str, list[str]] = field(default_factory=dict)
    supported: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("text",)
    prices: Prices | None = None
    fallbacks: tuple[Alternative, ...] = ()

    def at(self, place: int) -> "Prompt":
        """Return the prompt for the model at this place: 0 is its own, 1 the first fallback."""
        if place == 0:
            return self
        other = self.fallbacks[place - 1]
        return replace(self, model=other.model, supported=other.supported, outputs=other.outputs, prices=other.prices)

    def place_of(self, model_id: str | None) -> int:
        """Return the place of a model; 0 for one that it does not name any more."""
        models = [other.model for other in self.fallbacks]
        return models.index(model_id) + 1 if model_id in models else 0


def encode(fields: Mapping[str, object]) -> bytes:
    """Encode the body of `POST /chat/completions` from an adapter's fields.

    OpenRouter's response cache compares bytes, in order, so the bytes are made once and kept until the answer arrives.

    Raises:
        ExecutionFailed: `prompt_not_text` (our fault), the prompt cannot be written as UTF-8.
    """
    try:
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeError:
        # A lone surrogate; the error text quotes the prompt.
        pass
    raise ExecutionFailed("internal_error", "ours", "prompt_not_text")


def most_prompt_tokens(prompt: Prompt) -> int:
    """Bound the tokens of a prompt: no tokenizer makes more than one of a byte. `call_cost` never reserves for fewer.

    A schema counts twice, in the prompt and as a parameter: providers do not document which of them they charge for.
    """
    schema_bytes = 2 * len((prompt.answer_schema or "").encode())
    return sum(map(_most_tokens, parts_of(prompt))) + schema_bytes + FRAME_BYTES


def parts_of(prompt: Prompt) -> Iterator[Message]:
    """Yield the parts of all messages; content that is text is one part."""
    for message in prompt.messages:
        content = message["content"]
        yield from content if isinstance(content, list) else [{"type": "text", "text": content}]


def characters(prompt: Prompt) -> tuple[int, int] | tuple[None, None]:
    """Count the Latin and the other characters of all messages; None if more than text is sent."""
    parts = list(parts_of(prompt))
    if prompt.answer_schema is not None or any(part["type"] != "text" for part in parts):
        return None, None
    counts = [by_script(str(part["text"])) for part in parts]
    return sum(latin for latin, _ in counts), sum(other for _, other in counts)


def _most_tokens(part: Message) -> int:
    match part["type"]:
        case "text":
            return len(str(part["text"]).encode("utf-8", "replace"))
        case "image_url":
            return PICTURE_TOKENS
    return FILE_TOKENS


def response_format_of(prompt: Prompt) -> dict[str, object] | None:
    """Build `response_format` as far as the model supports it; None if JSON has to be requested in words."""
    if prompt.modality != "json":
        return None
    if prompt.answer_schema is not None and "structured_outputs" in prompt.supported:
        is_strict = answer_schema.is_strict(prompt.answer_schema)
        json_schema = {"name": "answer", "strict": is_strict, "schema": json.loads(prompt.answer_schema)}
        return {"type": "json_schema", "json_schema": json_schema}
    return {"type": "json_object"} if "response_format" in prompt.supported else None


def common_fields(
    prompt: Prompt, max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
) -> dict[str, object]:
    """Build the fields of a request that OpenAI-compatible servers have in common; some refuse or ignore any other.

    Args:
        prompt: the prompt.
        max_tokens_field: the name of the field that bounds the answer, reasoning included.
    """
    body: dict[str, object] = {
        "model": provider_of(prompt.model)[1],
        "messages": messages(prompt),
        max_tokens_field: prompt.max_output_tokens,
        "stream": True,
        # Without it a streamed answer has no token counts, and so no cost.
        "stream_options": {"include_usage": True},
    }
    if prompt.temperature is not None:
        body["temperature"] = float(prompt.temperature)
    return body


def messages(prompt: Prompt) -> tuple[Message, ...]:
    """Build the messages, with words about the answer's format if no parameter enforces it."""
    response_format = response_format_of(prompt)
    if prompt.modality != "json" or (
        response_format is not None and (prompt.answer_schema is None or "json_schema" in response_format)
    ):
        return prompt.messages
    instruction = "Answer with one JSON document and nothing else."
    if prompt.answer_schema is not None:
        instruction += f" It must fit this JSON Schema:\n{prompt.answer_schema}"
    return (*prompt.messages[:-1], {"role": "system", "content": instruction}, prompt.messages[-1])
