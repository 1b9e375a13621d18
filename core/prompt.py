"""What one execution sends: the exact bytes of one chat completion request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from core import answer_schema
from core.failures import ExecutionFailed

Modality = Literal["text", "json", "image"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one round of an execution asks.

    Attributes:
        model: the provider's model id.
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


def request(prompt: Prompt, send: int) -> bytes:
    """The body of `POST /chat/completions`.

    The provider's response cache compares bytes, in order: these are made once and kept until the answer is there. The
    nonce in them keeps buyers, rounds and deliberate repetitions from sharing a cached answer.

    Args:
        prompt: what to ask.
        send: which send of the round these bytes are made for.

    Raises:
        ExecutionFailed: `prompt_not_text` (ours), for what cannot be written as UTF-8.
    """
    try:
        return json.dumps(_fields(prompt, send), ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeError:
        # A lone surrogate; the error text quotes the prompt.
        pass
    raise ExecutionFailed("internal_error", "ours", "prompt_not_text")


def _fields(prompt: Prompt, send: int) -> Mapping[str, Any]:
    fields: dict[str, Any] = {
        "model": prompt.model,
        "messages": _messages(prompt),
        "max_completion_tokens": prompt.max_output_tokens,
        # A cancelled stream stops the bill where the provider can; a cancelled plain call never does.
        "stream": True,
        "user": prompt.buyer,
        "metadata": {"execution_id": str(prompt.execution_id), "nonce": f"{prompt.round}.{send}"},
        # On by default for short contexts, where it would silently cut a paid prompt.
        "plugins": [{"id": "context-compression", "enabled": False}],
    }
    routing: dict[str, Any] = {}
    if prompt.zdr:
        routing |= {"zdr": True, "data_collection": "deny"}
    if (shape := _shape(prompt)) is not None:
        fields["response_format"] = shape
        # Otherwise a provider that does not know it leaves it out without a word.
        routing["require_parameters"] = True
    # With that, a parameter that the model does not have would leave no provider at all.
    if prompt.temperature is not None and (shape is None or "temperature" in prompt.supported):
        fields["temperature"] = float(prompt.temperature)
    if prompt.modality == "image":
        fields["modalities"] = ["image", "text"]
    if routing:
        fields["provider"] = routing
    return fields


def _shape(prompt: Prompt) -> dict[str, Any] | None:
    """`response_format`, as far as the model is listed with it; None leaves it to words."""
    if prompt.modality != "json":
        return None
    if prompt.answer_schema is not None and "structured_outputs" in prompt.supported:
        is_strict = answer_schema.is_strict(prompt.answer_schema)
        named = {"name": "answer", "strict": is_strict, "schema": json.loads(prompt.answer_schema)}
        return {"type": "json_schema", "json_schema": named}
    return {"type": "json_object"} if "response_format" in prompt.supported else None


def _messages(prompt: Prompt) -> tuple[dict[str, str], ...]:
    """The conversation, with words about the form of the answer where no parameter says it."""
    shape = _shape(prompt)
    if prompt.modality != "json" or (shape is not None and (prompt.answer_schema is None or "json_schema" in shape)):
        return prompt.messages
    words = "Answer with one JSON document and nothing else."
    if prompt.answer_schema is not None:
        words += f" It must fit this JSON Schema:\n{prompt.answer_schema}"
    return (*prompt.messages[:-1], {"role": "system", "content": words}, prompt.messages[-1])
