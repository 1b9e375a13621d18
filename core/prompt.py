"""What one execution sends: the exact bytes of one chat completion request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

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
        "messages": prompt.messages,
        "max_completion_tokens": prompt.max_output_tokens,
        # A cancelled stream stops the bill where the provider can; a cancelled plain call never does.
        "stream": True,
        "user": prompt.buyer,
        "metadata": {"execution_id": str(prompt.execution_id), "nonce": f"{prompt.round}.{send}"},
        # On by default for short contexts, where it would silently cut a paid prompt.
        "plugins": [{"id": "context-compression", "enabled": False}],
    }
    if prompt.temperature is not None:
        fields["temperature"] = float(prompt.temperature)
    if prompt.modality == "json":
        fields["response_format"] = {"type": "json_object"}
    if prompt.modality == "image":
        fields["modalities"] = ["image", "text"]
    if prompt.zdr:
        fields["provider"] = {"zdr": True, "data_collection": "deny"}
    return fields
