"""What one execution asks, and what every provider is told alike. The dialects are in `openrouter` and `anthropic`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from core.db.states import Modality
from core.failures import ExecutionFailed
from core.providers import answer_schema
from core.providers.usage import Prices


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one round of an execution asks.

    Attributes:
        model: its id in our catalog.
        messages: `role` and `content` of each.
        modality: text, json (the answer must parse) or image.
        max_output_tokens: bound of the answer, reasoning included.
        temperature: between 0 and 2; None leaves it to the model.
        buyer: hashed id of the buyer, so that an abusive one is blocked instead of the creator.
        execution_id: whose call it is.
        round: which round of it.
        zdr: only providers that keep nothing.
        answer_schema: JSON Schema that the answer shall fit, as JSON; only for json.
        supported: the parameters that the model is listed with.
        prices: what it may cost at most, which is what it is listed at; None where that is not known.
    """

    model: str
    messages: tuple[dict[str, str], ...] = field(repr=False)
    modality: Modality
    max_output_tokens: int
    temperature: Decimal | None
    buyer: str
    execution_id: UUID
    round: int = 1
    zdr: bool = False
    answer_schema: str | None = None
    supported: tuple[str, ...] = ()
    prices: Prices | None = None


def encode(fields: Mapping[str, object]) -> bytes:
    """The body of `POST /chat/completions`, from what a provider's adapter makes of a prompt.

    OpenRouter's response cache compares bytes, in order: these are made once and kept until the answer is there.

    Raises:
        ExecutionFailed: `prompt_not_text` (ours), for what cannot be written as UTF-8.
    """
    try:
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeError:
        # A lone surrogate; the error text quotes the prompt.
        pass
    raise ExecutionFailed("internal_error", "ours", "prompt_not_text")


def shape(prompt: Prompt) -> dict[str, object] | None:
    """`response_format`, as far as the model is listed with it; None leaves it to words."""
    if prompt.modality != "json":
        return None
    if prompt.answer_schema is not None and "structured_outputs" in prompt.supported:
        is_strict = answer_schema.is_strict(prompt.answer_schema)
        named = {"name": "answer", "strict": is_strict, "schema": json.loads(prompt.answer_schema)}
        return {"type": "json_schema", "json_schema": named}
    return {"type": "json_object"} if "response_format" in prompt.supported else None


def messages(prompt: Prompt) -> tuple[dict[str, str], ...]:
    """The conversation, with words about the form of the answer where no parameter says it."""
    said = shape(prompt)
    if prompt.modality != "json" or (said is not None and (prompt.answer_schema is None or "json_schema" in said)):
        return prompt.messages
    words = "Answer with one JSON document and nothing else."
    if prompt.answer_schema is not None:
        words += f" It must fit this JSON Schema:\n{prompt.answer_schema}"
    return (*prompt.messages[:-1], {"role": "system", "content": words}, prompt.messages[-1])
