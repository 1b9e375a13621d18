"""One chat call at the practice OpenRouter: what is sold, what goes wrong on order, and how it travels."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from sandbox import openrouter_answers as answers
from sandbox import openrouter_faults as faults
from sandbox.openrouter_accounts import Account, Practice

_PROCESSING: Final = ": OPENROUTER PROCESSING\n\n"


class Cut(Response):
    """Promises the whole body and hangs up in the middle of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


async def chat(practice: Practice, account: Account, body: dict[str, Any], request: Request) -> Response:
    """Answer one chat call, or do what its fault says.

    Args:
        practice: the server's memory.
        account: of the key that calls.
        body: as `read_body` returned it.
        request: to notice that the client left.
    """
    row = practice.model(body["model"])
    if row is None:
        return error_answer(400, f"{body['model']} is not a valid model ID")
    if refusal := _unservable(row, body):
        return refusal
    if account.management:
        return error_answer(403, "Management keys cannot be used for inference")
    if account.credits is not None and account.usage >= account.credits:
        return error_answer(402, faults.STATUS_WORDS[402], {"limit_source": "openrouter_credits"})
    fault = account.next_fault()
    excerpt = answers.text_of(body["messages"][-1])
    latency = practice.latency_seconds if account.latency_seconds is None else account.latency_seconds
    await asyncio.sleep(fault.seconds if fault.name == "slow" else latency)
    if fault.name == "hang":
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()
    if fault.name in ("status", "error_200"):
        return _refuse(fault, body["model"], excerpt)
    completion = _completion(row, body, fault)
    if fault.name != "finish_error":  # which OpenRouter never charges
        usage = completion["usage"]
        account.usage += usage["cost"]
        account.generations.append(
            {
                "id": completion["id"],
                "model": completion["model"],
                "cost": usage["cost"],
                "finish_reason": completion["choices"][0]["finish_reason"],
            }
        )
    return _send(_broken(completion, fault, body["model"], excerpt), fault, stream=bool(body.get("stream")))


def _completion(row: dict[str, Any], body: dict[str, Any], fault: faults.Fault) -> dict[str, Any]:
    """A proper chat completion; one that outgrows `max_completion_tokens` is cut there, as anywhere."""
    content, pictures = answers.answer(body, echo=fault.name == "echo")
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    reason = "stop"
    if limit and fault.name != "echo" and answers.tokens(content) > limit:
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
        "usage": answers.usage_of(row["pricing"], body["messages"], content, len(pictures)),
    }


def _broken(completion: dict[str, Any], fault: faults.Fault, model: str, excerpt: str) -> dict[str, Any]:
    """The completion after what the fault does to its content."""
    choice = completion["choices"][0]
    message = choice["message"]
    match fault.name:
        case "finish_error":
            choice |= {"finish_reason": "error", "error": faults.error_body(fault, model, excerpt)} if fault else {}
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
    return completion


def _send(completion: dict[str, Any], fault: faults.Fault, *, stream: bool) -> Response:
    headers = {"X-Generation-Id": completion["id"]}
    text = answers.dumps(completion)
    match fault.name:
        case "html":
            return Response("<!doctype html><title>Just a moment...</title>", media_type="text/html", headers=headers)
        case "cut":
            return Cut(text, media_type="application/json", headers=headers)
        case "comment":
            return Response(_PROCESSING * 2 + text, media_type="application/json", headers=headers)
        case "whitespace":
            return StreamingResponse(_kept_alive(text, fault.seconds), media_type="application/json", headers=headers)
    if stream:
        return StreamingResponse(_chunks(completion), media_type="text/event-stream", headers=headers)
    return Response(text, media_type="application/json", headers=headers)


async def _kept_alive(text: str, seconds: float) -> AsyncIterator[str]:
    for _ in range(5):
        yield "\n         "
        await asyncio.sleep(seconds / 5)
    yield text


async def _chunks(completion: dict[str, Any]) -> AsyncIterator[str]:
    """The completion as server-sent events: comments, deltas, one last chunk with usage, `[DONE]`."""
    head = {key: completion[key] for key in ("id", "provider", "model", "created")} | {
        "object": "chat.completion.chunk"
    }
    yield _PROCESSING
    for choice in completion["choices"] or ():
        message = choice["message"]
        content = message["content"]
        pieces = content if isinstance(content, list) else (content or "").split(" ")
        for number, piece in enumerate(pieces):
            said = piece["text"] if isinstance(piece, dict) else (" " if number else "") + piece
            delta = {"role": "assistant", "content": said}
            yield _event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        last = {"role": "assistant", "content": ""} | {key: message[key] for key in ("images",) if key in message}
        end = {key: choice[key] for key in ("finish_reason", "native_finish_reason")}
        failure = {"error": choice["error"]} if "error" in choice else {}
        yield _event(head | failure | {"choices": [{"index": 0, "delta": last} | end]})
    yield _event(head | {"choices": [], "usage": completion["usage"]})
    yield "data: [DONE]\n\n"


def _generation_id() -> str:
    return f"gen-{int(datetime.now(UTC).timestamp())}-{uuid.uuid4().hex[:20]}"


def _event(chunk: dict[str, Any]) -> str:
    return f"data: {answers.dumps(chunk)}\n\n"


def _unservable(row: dict[str, Any], body: dict[str, Any]) -> Response | None:
    outputs = row["architecture"]["output_modalities"]
    if row["id"].endswith(":batch") or not {"text", "image"} & set(outputs):
        availability = {"code": "wrong_endpoint", "retryable": False, "requested_models": [body["model"]]}
        return error_answer(400, f"{body['model']} is not served by this endpoint", availability=availability)
    if "image" in (body.get("modalities") or ()) and "image" not in outputs:
        return error_answer(404, "No endpoints found that support the requested output modalities: image, text")
    return None


def _refuse(fault: faults.Fault, model: str, excerpt: str) -> Response:
    error = faults.error_body(fault, model, excerpt)
    headers = {"X-Generation-Id": _generation_id()}
    if "retry_after" in fault.options and "availability" not in fault.options:
        headers["Retry-After"] = fault.options["retry_after"]
    status = fault.status if fault.name == "status" else 200
    if 300 <= status < 400:
        headers["Location"] = "/api/v1/chat/completions"
    return json_answer({"error": error, "user_id": "user_practice"}, status, headers)


async def read_body(request: Request) -> dict[str, Any] | None:
    """The request body with exact numbers, None when it is no chat completion."""
    try:
        body = json.loads(await request.body(), parse_float=Decimal)
    except ValueError:
        return None
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        return None
    return body if isinstance(body.get("model"), str) else None


def error_answer(
    status: int, message: str, metadata: dict[str, Any] | None = None, availability: dict[str, Any] | None = None
) -> Response:
    """A refusal in OpenRouter's envelope."""
    error: dict[str, Any] = {"message": message, "code": status}
    if metadata:
        error["metadata"] = metadata
    if availability:
        error["availability"] = availability
    return json_answer({"error": error, "user_id": "user_practice"}, status)


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer with exact decimals."""
    return Response(answers.dumps(value), status, headers, "application/json")
