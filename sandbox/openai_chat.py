"""Make chat completions in OpenAI's own format, without OpenRouter's additions, as documents and as events.

Source: https://platform.openai.com/docs/api-reference/chat (the object, streaming).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sandbox import openrouter_answers as answers
from sandbox.openrouter_faults import Fault


def completion(
    body: dict[str, Any], fault: Fault, completion_id: str, response_format: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Build a chat completion, truncated at the limit that the request names.

    Args:
        body: the request.
        fault: what is wrong with the answer.
        completion_id: its id.
        response_format: the form that the answer is held to; None: none.
    """
    content, _ = answers.answer(
        {"messages": body["messages"], "response_format": response_format, "modalities": None},
        echo=fault.name == "echo",
    )
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    reason = "stop"
    if limit and fault.name != "echo" and answers.tokens(content) > limit:
        content, reason = content[: limit * 4], "length"
    counted = answers.usage_of({}, body["messages"], content, 0, 0)
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": int(datetime.now(UTC).timestamp()),
        "model": body["model"],
        "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content}}],
        "usage": {name: counted[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
    }


def cost(prices: tuple[Decimal, Decimal], usage: dict[str, int]) -> Decimal:
    """Compute the charge in US dollars, at prices per million tokens of input and output."""
    in_usd, out_usd = prices
    return (usage["prompt_tokens"] * in_usd + usage["completion_tokens"] * out_usd).scaleb(-6)


def events(completion: dict[str, Any], fault: Fault, error: str, *, wants_usage: bool) -> Iterator[str]:
    """Yield server-sent events: deltas, the finish reason, usage if requested, `[DONE]`.

    Args:
        completion: what is said.
        fault: `error_chunk` ends it in the middle, `no_done` leaves out the end.
        error: the event of an answer that breaks off.
        wants_usage: whether the request has `stream_options.include_usage`.
    """
    head = {name: completion[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    for choice in completion["choices"] or ():
        words = (choice["message"]["content"] or "").split(" ")
        for number, word in enumerate(words):
            if fault.name == "error_chunk" and number == len(words) // 2:
                yield error
                return
            delta = {"role": "assistant", "content": (" " if number else "") + word}
            yield event(head | {"choices": [{"index": 0, "delta": delta}]})
        yield event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    if wants_usage:
        yield event(head | {"choices": [], "usage": completion["usage"]})
    if fault.name != "no_done":
        yield "data: [DONE]\n\n"


def event(chunk: dict[str, Any]) -> str:
    """Build one server-sent event."""
    return f"data: {answers.dumps(chunk)}\n\n"
