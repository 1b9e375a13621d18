"""Calling OpenRouter on the creator's key: the only home of the openai SDK.

One request is one send: the SDK's own retries are off, because a call that was cut off may have been charged. What
comes out is a `Reply`, or an `ExecutionFailed` that carries codes of ours and nothing of the key, the prompt or the
provider's words.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeVar
from uuid import UUID

import httpx2  # the HTTP library of openai 3; its exceptions say whether a request was sent
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAsyncHttpx2Client, OpenAIError, Timeout

from core.failures import ExecutionFailed
from core.normalise import KeyFacts, Reply, read_key, read_reply
from core.private import Private
from core.refusal import read_refusal
from core.settings import settings

__all__ = ["KeyFacts", "Prompt", "Reply", "check_key", "close", "complete"]

T = TypeVar("T")

_TITLE = "x402 Instant"
_CHECK_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout)

# The SDK adds headers of its own and takes more from OPENAI_* variables, which may be meant for another account.
_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "http-referer",
        "user-agent",
        "x-openrouter-title",
        "x-stainless-raw-response",  # how the SDK remembers that the caller wants the bytes
    }
)

_clients: dict[tuple[asyncio.AbstractEventLoop, str], AsyncOpenAI] = {}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one execution sends.

    Attributes:
        model: OpenRouter's model id.
        messages: `role` and `content` of each.
        modality: text, json (the answer must parse) or image.
        max_output_tokens: bound of the answer, reasoning included.
        temperature: between 0 and 2; None leaves it to the model.
        buyer: hashed id of the buyer, so that an abusive one is blocked instead of the creator.
        execution_id: makes each body unique, so that buyers never share a cached answer.
    """

    model: str
    messages: tuple[dict[str, str], ...] = field(repr=False)
    modality: Literal["text", "json", "image"]
    max_output_tokens: int
    temperature: Decimal | None
    buyer: str
    execution_id: UUID


async def complete(key: Private[str], prompt: Private[Prompt], *, deadline_seconds: float) -> Private[Reply]:
    """Send the prompt once and read the answer.

    Args:
        key: the creator's OpenRouter key.
        prompt: what to send.
        deadline_seconds: from now until the last byte of the answer.

    Raises:
        ExecutionFailed: no usable answer. `resend` is True only where the provider certainly did not do the work, or
            says itself that a second try is welcome.
    """

    async def send(client: AsyncOpenAI, headers: dict[str, str]) -> Reply:
        asked = prompt.reveal()
        raw = await client.chat.completions.with_raw_response.create(**_request(asked), extra_headers=headers)
        return read_reply(raw.content, asked.modality, raw.headers.get("x-generation-id"))

    outcome = await _exchange(key, send, deadline_seconds)
    if isinstance(outcome, ExecutionFailed):
        raise outcome
    return Private(outcome)


async def check_key(key: Private[str]) -> KeyFacts:
    """Ask OpenRouter what a key is worth (`GET /key`); nothing is charged.

    Raises:
        ExecutionFailed: the key is not accepted (detail `provider_401`), or OpenRouter did not answer properly.
    """

    async def send(client: AsyncOpenAI, headers: dict[str, str]) -> KeyFacts:
        response = await client.get("/key", cast_to=httpx2.Response, options={"headers": headers})
        return read_key(response.content)

    outcome = await _exchange(key, send, _CHECK_SECONDS)
    if isinstance(outcome, ExecutionFailed):
        raise outcome
    return outcome


async def close() -> None:
    """Close this event loop's connections; the next call opens new ones."""
    loop = asyncio.get_running_loop()
    for place in [place for place in _clients if place[0] is loop]:
        await _clients.pop(place).close()


async def _exchange(
    key: Private[str], send: Callable[[AsyncOpenAI, dict[str, str]], Awaitable[T]], deadline_seconds: float
) -> T | ExecutionFailed:
    """Run one send under the deadline.

    Failures are returned, not raised, so that no traceback leads to a frame whose variables hold the key or the prompt.
    The deadline is an outer one: keep-alive newlines reset the SDK's timeout, which counts from byte to byte.
    """
    if not _KEY.fullmatch(key.reveal()):
        return ExecutionFailed("resource_unavailable", "creator", "provider_401")
    headers = {
        "Authorization": f"Bearer {key.reveal()}",
        "HTTP-Referer": settings().public_url,
        "X-OpenRouter-Title": _TITLE,
    }
    try:
        async with asyncio.timeout(deadline_seconds):
            return await send(_client(), headers)
    except ExecutionFailed as failure:
        return failure.with_traceback(None)
    except TimeoutError:
        return ExecutionFailed("generation_timeout", "provider", "provider_timeout")
    except APIStatusError as refusal:
        return read_refusal(refusal.status_code, refusal.response.headers, refusal.response.content)
    except APIConnectionError as broken:
        unsent = isinstance(broken.__cause__, _UNSENT)
        detail = "provider_unreachable" if unsent else "provider_cut"
        return ExecutionFailed("resource_unavailable", "provider", detail, resend=unsent)
    except OpenAIError:
        return ExecutionFailed("resource_unavailable", "provider", "provider_malformed")
    except UnicodeError:
        # A lone surrogate in the prompt: it cannot be sent as UTF-8, and the error text quotes it.
        return ExecutionFailed("internal_error", "ours", "prompt_not_text")


def _request(prompt: Prompt) -> dict[str, Any]:
    """The keyword arguments of one chat completion; `extra_body` is what OpenRouter has beyond OpenAI."""
    request: dict[str, Any] = {
        "model": prompt.model,
        "messages": list(prompt.messages),
        "max_completion_tokens": prompt.max_output_tokens,
        "user": prompt.buyer,
        "metadata": {"execution_id": str(prompt.execution_id)},
        # On by default for short contexts, where it would silently cut a paid prompt.
        "extra_body": {"plugins": [{"id": "context-compression", "enabled": False}]},
    }
    if prompt.temperature is not None:
        request["temperature"] = float(prompt.temperature)
    if prompt.modality == "json":
        request["response_format"] = {"type": "json_object"}
    if prompt.modality == "image":
        # In extra_body because the SDK's type knows only text and audio.
        request["extra_body"]["modalities"] = ["image", "text"]
    return request


def _client() -> AsyncOpenAI:
    """The shared client of this event loop: making one costs 20 ms and its connections belong to one loop."""
    place = (asyncio.get_running_loop(), settings().openrouter_url)
    if place not in _clients:
        _clients[place] = AsyncOpenAI(
            api_key="each-call-brings-its-own",  # pragma: allowlist secret
            admin_api_key="",
            organization="",
            project="",
            webhook_secret="",
            base_url=place[1],
            max_retries=0,
            timeout=Timeout(None, connect=_CONNECT_SECONDS),
            http_client=DefaultAsyncHttpx2Client(
                follow_redirects=False,  # a redirected POST is a second send
                trust_env=settings().mode == "live",  # no proxy reaches the practice provider on loopback
                event_hooks={"request": [_strip]},
            ),
        )
    return _clients[place]


async def _strip(request: httpx2.Request) -> None:
    for name in set(request.headers) - _HEADERS:
        del request.headers[name]
