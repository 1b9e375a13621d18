"""A practice Anthropic: its OpenAI-compatible endpoint, served beside the practice OpenRouter at `/anthropic/v1`.

`/models` needs `x-api-key` and `anthropic-version`, `/chat/completions` a bearer token or `x-api-key`. Keys begin with
`sk-ant-practice-`. The control endpoint `/practice/keys/{key}` takes the same faults, and records the cost of a call,
which the answer does not say. A refusal's message quotes the prompt, as real ones may. `status:400;reason=credit`, or
`limit`, `too_long`, `max_tokens`, `picture`, gives the reason in words only.
Formats follow https://platform.claude.com/docs/en/api (openai-sdk, errors, models-list) as of 2026.
"""

import asyncio
import copy
import uuid
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from sandbox import openai_chat
from sandbox import openrouter_answers as answers
from sandbox import openrouter_parts as parts
from sandbox.openrouter_accounts import Account, Practice
from sandbox.openrouter_chat import broken_by, json_answer, read_body
from sandbox.openrouter_faults import Fault
from sandbox.openrouter_wire import HTML, deliver

KEY_PREFIX: Final = "sk-ant-practice-"
# US dollars per million tokens, input and output.
PRICES: Final = {
    "claude-sonnet-4-5": (Decimal(3), Decimal(15)),
    "claude-sonnet-4-20250514": (Decimal(3), Decimal(15)),
    "claude-haiku-4-5": (Decimal(1), Decimal(5)),
}
_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_REASONS: Final = {
    "credit": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade.",
    "limit": "You have reached your specified API usage limits. You will regain access on 2027-01-01 at 00:00 UTC.",
    "too_long": "prompt is too long: 208310 tokens > 200000 maximum",
    "picture": "Could not process image",
    "max_tokens": "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length",
}


def api(practice: Practice) -> APIRouter:
    """Build the endpoint over the practice server's memory."""
    router = APIRouter()

    @router.get("/models")
    async def models(request: Request) -> Response:
        if "anthropic-version" not in request.headers:
            return _plain_error(400, "anthropic-version: header is required")
        if _account(practice, request.headers.get("x-api-key", "")) is None:
            return _plain_error(401, "invalid x-api-key")
        rows = [
            {"type": "model", "id": name, "display_name": name, "created_at": "2025-09-29T00:00:00Z"} for name in PRICES
        ]
        page = {"data": rows, "has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]}
        return json_answer(page, headers=_request_id())

    @router.post("/chat/completions")
    async def completions(request: Request) -> Response:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        given = request.headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
        account = _account(practice, given)
        if account is None:
            return _error(401, "invalid x-api-key")
        body = await read_body(request)
        if body is None:
            return _error(400, "Failed to parse JSON: ")
        await practice.note(account, body, request)
        return await _chat(practice, account, body, request)

    return router


async def _chat(practice: Practice, account: Account, body: dict[str, Any], request: Request) -> Response:
    model = body["model"]
    if model not in PRICES:
        return _error(404, f"model: {model}")
    if parts.parts(body["messages"], "file") or parts.problem(body["messages"]):
        # The real one ignores files, so that the model answers without them.
        return _error(400, _REASONS["picture"])
    if body.get("n", 1) != 1:
        return _error(400, "n: must be 1")
    fault = account.next_fault()
    excerpt = answers.text_of(body["messages"][-1])
    latency = practice.latency_seconds if account.latency_seconds is None else account.latency_seconds
    await asyncio.sleep(fault.seconds if fault.name == "slow" else latency)
    if fault.name == "hang":
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()
    # `response_format` and `modalities` are ignored.
    completion = openai_chat.completion(body, fault, f"msg_01{uuid.uuid4().hex[:22]}")
    generation = {
        "id": completion["id"],
        "model": model,
        "usage": {"cost": openai_chat.cost(PRICES[model], completion["usage"])},
        "finish_reason": "stop",
        "cancelled": False,
        "streamed": bool(body.get("stream")),
    }
    headers = _request_id()

    def over(is_whole: bool) -> None:
        # Nothing is insured: generated tokens are charged, even if the answer broke off or the client left.
        generation["cancelled"] = not is_whole
        account.charge(generation)

    if fault.name == "status":
        if "done" in fault.options:
            over(True)
        return _refuse(fault, excerpt, headers)
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    return deliver(
        broken_by(copy.deepcopy(completion), fault, model, excerpt),
        fault,
        stream=bool(body.get("stream")),
        headers=headers,
        model=model,
        over=over,
        events=lambda said, how, _model: openai_chat.events(said, how, _overloaded(excerpt), wants_usage=wants_usage),
    )


def _overloaded(excerpt: str) -> str:
    """Build the event of an answer that breaks off."""
    error = {"type": "overloaded_error", "message": f"Overloaded at: {excerpt}"}
    return f"event: error\ndata: {answers.dumps({'type': 'error', 'error': error})}\n\n"


def _refuse(fault: Fault, excerpt: str, headers: dict[str, str]) -> Response:
    if "retry_after" in fault.options:
        headers["retry-after"] = fault.options["retry_after"]
    match fault.options.get("body"):
        case "html":
            return Response(HTML, fault.status, headers, "text/html")
        case "none":
            return Response(b"", fault.status, headers)
    return _error(fault.status, _REASONS.get(fault.options.get("reason", ""), f"no: {excerpt}"), headers)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Build an error in this endpoint's format, with OpenAI's fields."""
    kind = _type(status)
    error = {"code": kind, "message": message, "type": kind, "param": None}
    return json_answer({"error": error}, status, headers or _request_id())


def _plain_error(status: int, message: str) -> Response:
    """Build an error in the format of the rest of the API."""
    headers = _request_id()
    error = {"type": _type(status), "message": message}
    return json_answer({"type": "error", "error": error, "request_id": headers["request-id"]}, status, headers)


def _type(status: int) -> str:
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def _request_id() -> dict[str, str]:
    return {"request-id": f"req_011{uuid.uuid4().hex[:20]}"}


def _account(practice: Practice, key: str) -> Account | None:
    """Find the account of a key; None if the key is not valid."""
    if not key.startswith(KEY_PREFIX) or practice.account(key).is_dead:
        return None
    return practice.account(key)
