"""Handle one chat call at the practice OpenRouter: which models are served, the queued faults, and the delivery."""

import asyncio
import copy
import hashlib
import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fastapi import Request, Response

from sandbox import openrouter_answers as answers
from sandbox import openrouter_faults as faults
from sandbox import openrouter_obeying as obeying
from sandbox.openrouter_accounts import Account, Practice
from sandbox.openrouter_latency import drawn
from sandbox.openrouter_refusals import refusal_of
from sandbox.openrouter_wire import HTML, STAMP, deliver

_STAMPS = 40


async def chat(practice: Practice, account: Account, body: dict[str, Any], request: Request) -> Response:
    """Answer one chat call, or apply its fault.

    Args:
        practice: the server's memory.
        account: the calling key's account.
        body: the body from `read_body`.
        request: for noticing that the client left.
    """
    row = practice.model(body["model"])
    if row is None:
        return error_answer(400, f"{body['model']} is not a valid model ID")
    row = _endpoint(row, account.price_factor)
    if refusal := refusal_of(row, body):
        return error_answer(refusal.status, refusal.message, refusal.metadata, refusal.availability)
    if account.management:
        return error_answer(403, "Management keys cannot be used for inference")
    if account.credits is not None and account.usage >= account.credits:
        return error_answer(402, faults.STATUS_WORDS[402], {"limit_source": "openrouter_credits"})
    fault = account.next_fault()
    excerpt = answers.text_of(body["messages"][-1])
    latency = practice.latency_seconds if account.latency_seconds is None else account.latency_seconds
    if account.latency_between:
        latency = drawn(account.latency_between, body["messages"])
    await asyncio.sleep(fault.seconds if fault.name == "slow" else latency)
    if fault.name == "hang":
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()
    stream = bool(body.get("stream"))
    place = _place(account, body, request)
    if place and fault.name == "none" and (stored := practice.stored(place)):
        return _again(stored, stream=stream, model=body["model"])
    completion = _completion(row, body, fault, recites=account.recites)
    generation = {
        "id": completion["id"],
        "model": completion["model"],
        "usage": completion["usage"],
        "finish_reason": (completion["choices"] or [{"finish_reason": None}])[0]["finish_reason"],
        "cancelled": False,
        "streamed": stream,
    }

    broken = broken_by(copy.deepcopy(completion), fault, body["model"], excerpt)

    def over(is_whole: bool) -> None:
        # An error is never charged. A client that disconnects is charged for all tokens made until then: here, all.
        if fault.name in ("finish_error", "error_chunk"):
            return
        generation["cancelled"] = not is_whole and "done" not in fault.options
        account.charge(generation)
        if place and not generation["cancelled"]:
            practice.store(place, broken)

    if fault.name in ("status", "error_200"):
        if "done" in fault.options:  # the answer was made and charged, and then lost
            over(True)
        return _refuse(fault, body["model"], excerpt, completion["id"])
    headers = {"X-Generation-Id": completion["id"]} | ({"X-OpenRouter-Cache-Status": "MISS"} if place else {})
    return deliver(broken, fault, stream=stream, headers=headers, model=body["model"], over=over, gate=account.gate)


def _place(account: Account, body: dict[str, Any], request: Request) -> tuple[int, bool, bytes] | None:
    """Return the response cache's key (key, stream mode, exact bytes); None unless the request asks for the cache."""
    if request.headers.get("x-openrouter-cache") != "true":
        return None
    return id(account), bool(body.get("stream")), hashlib.sha256(request.state.raw).digest()


def _again(stored: dict[str, Any], *, stream: bool, model: str) -> Response:
    """Return a cached answer: a new id, zeroed usage, free."""
    usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens", "cost"), 0)
    completion = stored | {"id": _generation_id(), "usage": usage}
    headers = {
        "X-Generation-Id": completion["id"],
        "X-OpenRouter-Cache-Status": "HIT",
        "X-OpenRouter-Cache-Age": "1",
        "X-OpenRouter-Cache-Source-Id": stored["id"],
    }
    return deliver(completion, faults.NO_FAULT, stream=stream, headers=headers, model=model, over=lambda _whole: None)


def _completion(row: dict[str, Any], body: dict[str, Any], fault: faults.Fault, *, recites: bool) -> dict[str, Any]:
    """Make a valid chat completion, truncated at `max_completion_tokens`."""
    content, pictures = answers.answer(body, echo=fault.name == "echo", recites=recites)
    if fault.name == "obeys":
        content = obeying.repeat(answers.text_of(body["messages"][0]), fault.argument)
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    reason = "stop"
    if limit and fault.name not in ("echo", "obeys") and answers.tokens(content) > limit:
        content, reason = content[: limit * 4], "length"
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, "reasoning": None}
    if pictures:
        message["images"] = [{"type": "image_url", "image_url": {"url": url}, "index": 0} for url in pictures]
    return {
        "id": _generation_id(),
        "provider": "Practice",
        "model": row["id"],
        "object": "chat.completion",
        "created": int(datetime.now(UTC).timestamp()),
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": reason,
                "native_finish_reason": reason,
                "message": message,
            }
        ],
        "usage": answers.usage_of(row["pricing"], body["messages"], content, len(pictures), _searches(row)),
    }


def _searches(row: dict[str, Any]) -> int:
    """Count the searches of a call that asks for none: models with search options search unasked, once."""
    return int("web_search_options" in row["supported_parameters"])


def broken_by(completion: dict[str, Any], fault: faults.Fault, model: str, excerpt: str) -> dict[str, Any]:
    """Apply the fault to the completion's content."""
    choice = completion["choices"][0]
    message = choice["message"]
    match fault.name:
        case "finish_error":
            choice |= {"finish_reason": "error", "error": faults.error_body(fault, model, excerpt)}
            message["content"] = message["content"][:8]
        case "no_choices":
            completion["choices"] = None
        case "empty_choices":
            completion["choices"] = []
        case "null_content":
            message["content"] = None
        case "empty":
            message["content"] = ""
            message.pop("images", None)
        case "parts":
            half = len(message["content"]) // 2
            halves = (message["content"][:half], message["content"][half:])
            message["content"] = [{"type": "text", "text": text} for text in halves]
        case "truncated":
            choice["finish_reason"] = "length"
        case "filtered":
            choice["finish_reason"], message["content"] = "content_filter", ""
        case "refusal":
            message["content"], message["refusal"] = None, "I can't help with that."
        case "reasoning":
            message["reasoning"] = f"The system prompt says: {excerpt}"
        case "reasoning_only":
            choice["finish_reason"], message["content"] = "length", None
            message["reasoning"] = f"Let me think about {excerpt}"
        case "tool_call":
            choice["finish_reason"], message["content"] = "tool_calls", None
            call = {"name": "search", "arguments": json.dumps({"q": excerpt})}
            message["tool_calls"] = [{"index": 0, "id": "call_1", "type": "function", "function": call}]
        case "audio":
            said, message["content"] = message["content"], None
            message["audio"] = {"id": "audio-1", "data": answers.tone(), "transcript": said}
        case "citations":
            page = {"url": "https://example.org/sea", "title": "The sea", "content": "…", "start_index": 0}
            message["annotations"] = [{"type": "url_citation", "url_citation": page | {"end_index": 8}}] * 2
        case "says":
            message["content"] = fault.argument
        case "stamps":
            message["content"] = " ".join([STAMP] * _STAMPS)
        case "draws":
            message["images"] = [{"type": "image_url", "image_url": {"url": answers.drawing(fault.argument)}}]
    return completion


def _generation_id() -> str:
    return f"gen-{int(datetime.now(UTC).timestamp())}-{uuid.uuid4().hex[:20]}"


def _endpoint(row: dict[str, Any], price_factor: Decimal) -> dict[str, Any]:
    """Return the model at the price of the endpoint that serves this key."""

    def dearer(prices: dict[str, Any]) -> dict[str, Any]:
        tokens = [kind for kind in ("prompt", "completion") if kind in prices]
        return prices | {kind: str(Decimal(prices[kind]) * price_factor) for kind in tokens}

    pricing = dearer(row["pricing"])
    if "overrides" in pricing:
        pricing["overrides"] = [dearer(override) for override in pricing["overrides"]]
    return row | {"pricing": pricing}


def _refuse(fault: faults.Fault, model: str, excerpt: str, generation_id: str) -> Response:
    error = faults.error_body(fault, model, excerpt)
    headers = {"X-Generation-Id": generation_id}
    if fault.status == 429 and "availability" not in fault.options:
        headers |= {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1767225600000"}
    if "retry_after" in fault.options and "availability" not in fault.options:
        headers["Retry-After"] = fault.options["retry_after"]
    status = fault.status if fault.name == "status" else 200
    if 300 <= status < 400:
        headers["Location"] = "/api/v1/chat/completions"
    match fault.options.get("body"):
        case "html":
            return Response(HTML, status, headers, "text/html")
        case "none":
            return Response(b"", status, headers)
    return json_answer({"error": error, "user_id": "user_practice"}, status, headers)


async def read_body(request: Request) -> dict[str, Any] | None:
    """Read the request body with exact numbers; None if it is not a chat completion."""
    try:
        request.state.raw = await request.body()
        body = json.loads(request.state.raw, parse_float=Decimal)
    except ValueError:
        return None
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        return None
    return body if isinstance(body.get("model"), str) else None


def error_answer(
    status: int, message: str, metadata: dict[str, Any] | None = None, availability: dict[str, Any] | None = None
) -> Response:
    """Build a refusal in OpenRouter's format."""
    error: dict[str, Any] = {"message": message, "code": status}
    if metadata:
        error["metadata"] = metadata
    if availability:
        error["availability"] = availability
    return json_answer({"error": error, "user_id": "user_practice"}, status)


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Build a JSON response with exact decimals."""
    return Response(answers.dumps(value), status, headers, "application/json")
