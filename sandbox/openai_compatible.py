"""A practice OpenAI-compatible gateway, served beside the practice OpenRouter at `/compatible/v1`.

It refuses what OpenAI refuses: fields that it does not know, `stream_options` without `stream`, JSON mode without the
word JSON in a message, and `max_tokens` of a model that reasons. Usage is in a stream only if it is requested. Keys
begin with `sk-compatible-practice-`. The control endpoint `/practice/keys/{key}` takes the same faults: `status:401`
is the refusal of a server behind it, while `GET /models` still accepts the key; `;reason=CODE` is the error's code.
Formats follow https://platform.openai.com/docs/api-reference (chat, models) and its error codes as of 2026.
"""

import asyncio
import copy
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from sandbox import openai_chat
from sandbox import openrouter_answers as answers
from sandbox.openrouter_accounts import Account, Practice
from sandbox.openrouter_chat import broken_by, json_answer, read_body
from sandbox.openrouter_faults import Fault
from sandbox.openrouter_wire import HTML, deliver

KEY_PREFIX: Final = "sk-compatible-practice-"
# US dollars per million tokens, input and output.
PRICES: Final = {
    "practice-small": (Decimal("0.5"), Decimal("1.5")),
    "practice/large:8b": (Decimal(2), Decimal(8)),
    "practice-reasoner": (Decimal(1), Decimal(4)),
    "practice-uncounted": (Decimal("0.5"), Decimal("1.5")),
}
_REASONER: Final = "practice-reasoner"
# Some servers behind gateways count nothing.
_UNCOUNTED: Final = "practice-uncounted"
_FIELDS: Final = frozenset(
    {
        *("model", "messages", "max_tokens", "max_completion_tokens", "stream", "stream_options", "temperature"),
        *("top_p", "stop", "n", "seed", "response_format", "frequency_penalty", "presence_penalty", "logit_bias"),
        *("logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "reasoning_effort", "user"),
    }
)
_TYPES: Final = {401: "invalid_request_error", 429: "rate_limit_error"}


def api(practice: Practice) -> APIRouter:
    """Build the endpoint over the practice server's memory."""
    router = APIRouter()

    @router.get("/models")
    async def models(request: Request) -> Response:
        if _account(practice, request) is None:
            return _unauthorized()
        rows = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "practice"} for name in PRICES]
        return json_answer({"object": "list", "data": rows}, headers=_request_id())

    @router.post("/chat/completions")
    async def completions(request: Request) -> Response:
        account = _account(practice, request)
        if account is None:
            return _unauthorized()
        body = await read_body(request)
        if body is None:
            return _error(400, "We could not parse the JSON body of your request.")
        await practice.note(account, body, request)
        return await _chat(practice, account, body, request)

    return router


async def _chat(practice: Practice, account: Account, body: dict[str, Any], request: Request) -> Response:
    if refusal := next(_refusals(body), None):
        return refusal
    model, fault = body["model"], account.next_fault()
    excerpt = answers.text_of(body["messages"][-1])
    latency = practice.latency_seconds if account.latency_seconds is None else account.latency_seconds
    await asyncio.sleep(fault.seconds if fault.name == "slow" else latency)
    if fault.name == "hang":
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()
    completion = openai_chat.completion(body, fault, f"chatcmpl-{uuid.uuid4().hex}", body.get("response_format"))
    generation = {
        "id": completion["id"],
        "model": model,
        "usage": {"cost": openai_chat.cost(PRICES[model], completion["usage"])},
        "finish_reason": "stop",
        "cancelled": False,
        "streamed": bool(body.get("stream")),
    }
    # A gateway may pass on what the server behind it says about its own cache.
    headers = _request_id() | {"x-openrouter-cache-status": "HIT"}

    def over(is_whole: bool) -> None:
        # Nothing is insured: generated tokens are charged, even if the answer broke off or the client left.
        generation["cancelled"] = not is_whole
        account.charge(generation)

    if fault.name == "status":
        if "done" in fault.options:
            over(True)
        return _refuse(fault, excerpt)
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage")) and model != _UNCOUNTED
    error = openai_chat.event({"error": _error_body(503, f"upstream said no to: {excerpt}", "service_unavailable")})
    return deliver(
        broken_by(copy.deepcopy(completion), fault, model, excerpt),
        fault,
        stream=bool(body.get("stream")),
        headers=headers,
        model=model,
        over=over,
        events=lambda said, how, _model: openai_chat.events(said, how, error, wants_usage=wants_usage),
    )


def _refusals(body: dict[str, Any]) -> Iterator[Response]:
    """Yield what is wrong with a request."""
    if unknown := sorted(body.keys() - _FIELDS):
        yield _error(400, f"Unknown parameter: '{unknown[0]}'.", "unknown_parameter")
    if body["model"] not in PRICES:
        yield _error(404, f"The model `{body['model']}` does not exist", "model_not_found")
    if "stream_options" in body and not body.get("stream"):
        yield _error(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    if body["model"] == _REASONER and "max_tokens" in body:
        message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
        yield _error(400, message, "unsupported_parameter")
    words = " ".join(map(answers.text_of, body["messages"])).lower()
    if (body.get("response_format") or {}).get("type") == "json_object" and "json" not in words:
        yield _error(400, "'messages' must contain the word 'json' in some form, to use 'response_format'.")


def _refuse(fault: Fault, excerpt: str) -> Response:
    headers = _request_id()
    if "retry_after" in fault.options:
        headers["retry-after"] = fault.options["retry_after"]
    match fault.options.get("body"):
        case "html":
            return Response(HTML, fault.status, headers, "text/html")
        case "none":
            return Response(b"", fault.status, headers)
    return _error(fault.status, f"upstream said no to: {excerpt}", fault.options.get("reason"), headers)


def _unauthorized() -> Response:
    return _error(401, "Incorrect API key provided.", "invalid_api_key")


def _error(status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> Response:
    return json_answer({"error": _error_body(status, message, code)}, status, headers or _request_id())


def _error_body(status: int, message: str, code: str | None) -> dict[str, Any]:
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"message": message, "type": kind, "param": None, "code": code}


def _request_id() -> dict[str, str]:
    return {"x-request-id": f"req_{uuid.uuid4().hex}"}


def _account(practice: Practice, request: Request) -> Account | None:
    """Find the account of the bearer token; None if it is not valid."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX) or practice.account(key).is_dead:
        return None
    return practice.account(key)
