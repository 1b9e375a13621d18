"""Calling a model's provider on the creator's key: the only home of the openai SDK.

One request is one send: the SDK's own retries are off, because a call that was cut off may have been charged. What
comes out is an `Answer`, whose failures carry codes of ours and nothing of the key, the prompt or the provider's words.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal, TypeVar, cast

import httpx2  # the HTTP library of openai 3; its exceptions say whether a request was sent
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI, AsyncStream, OpenAIError, Timeout
from openai import DefaultAsyncHttpx2Client as HttpClient

from core.failures import ExecutionFailed
from core.observability import metrics
from core.providers import usage as provider_usage
from core.providers.errors import provider_failure, work_of
from core.providers.registry import Provider
from core.providers.request import Modality
from core.providers.response import ModelAnswer, read_answer
from core.providers.transport import Transport
from core.providers.usage import KeyFacts, Prices, Usage
from core.secrets.private import Private
from core.settings import settings

__all__ = ["KeyFacts", "ModelAnswer", "Usage", "check_key", "close", "complete", "connections", "cost_of"]

T = TypeVar("T")
Noted = Callable[[str], Awaitable[None]]

_CHECK_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_IDLE_SECONDS = 4.0
_BODY_LIMIT = 64 * 1024 * 1024
_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout)

# The SDK adds headers of its own and takes more from OPENAI_* variables, which may be meant for another account.
_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "anthropic-version",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "http-referer",
        "user-agent",
        "x-api-key",
        "x-openrouter-cache",
        "x-openrouter-cache-ttl",
        "x-openrouter-title",
    }
)

_clients: dict[tuple[asyncio.AbstractEventLoop, str], AsyncOpenAI] = {}
_users: Counter[asyncio.AbstractEventLoop] = Counter()


async def complete(
    at: Provider,
    key: Private[str],
    request: Private[bytes],
    modality: Modality,
    answer_schema: str | None = None,
    *,
    deadline_seconds: float,
    cache_seconds: int = 0,
    prices: Prices | None = None,
    noted: Noted,
) -> Private[ModelAnswer]:
    """Send a request once and read the answer; its failure is data, and nothing is raised but a cancellation.

    Args:
        at: whom to send it to.
        key: the creator's key there.
        request: the exact bytes, as by `core.executions.sends.begin`.
        modality: what was asked for.
        answer_schema: JSON Schema that the answer has to fit.
        deadline_seconds: from now until the last byte of the answer. A stream that is left is cancelled, which stops
            the bill where the model's provider can.
        cache_seconds: how long the provider shall keep the answer for the identical request; 0 for not at all.
        prices: what the model is listed at, which is its cost where the provider says none.
        noted: told the provider's id of the generation as soon as its headers are there, before any of the body.
    """
    used = Usage()

    async def send(client: AsyncOpenAI, headers: dict[str, str]) -> ModelAnswer:
        nonlocal used
        async with _stream(client, request, headers) as response:
            used = _used_by_headers(at, response.headers)
            if used.generation_id is not None:
                await noted(used.generation_id)
            body = await _read(response)
        if modality == "json":
            # Mending and comparing a large document takes seconds, for which no other call shall wait.
            return _whole(await asyncio.to_thread(read_answer, body, modality, answer_schema), used)
        return _whole(read_answer(body, modality), used)

    outcome = await _exchange("call", at, key, send, deadline_seconds, cache_seconds)
    if isinstance(outcome, ModelAnswer):
        outcome = _booked(at, outcome, prices)
    return Private(ModelAnswer(used, outcome) if isinstance(outcome, ExecutionFailed) else outcome)


async def check_key(at: Provider, key: Private[str]) -> KeyFacts:
    """Ask a provider what a key is worth; nothing is charged.

    Raises:
        ExecutionFailed: the key is not accepted (detail `provider_401`), or the provider did not answer properly.
    """

    async def send(client: AsyncOpenAI, headers: dict[str, str]) -> KeyFacts:
        response = await client.get(at.key_path, cast_to=httpx2.Response, options={"headers": headers})
        return at.read_key(response.content, key.reveal())

    outcome = await _exchange("key", at, key, send, _CHECK_SECONDS)
    if isinstance(outcome, ExecutionFailed):
        raise outcome
    return outcome


async def cost_of(at: Provider, key: Private[str], generation_id: str) -> Decimal | None:
    """Ask a provider what a generation was charged, in US dollars.

    Returns:
        None where it does not say: it knows a generation only some time after its end, and none of another account.
    """
    path = at.cost_path
    if path is None:
        return None

    async def send(client: AsyncOpenAI, headers: dict[str, str]) -> Decimal | None:
        options: Any = {"headers": headers, "params": {"id": generation_id}}
        response = await client.get(path, cast_to=httpx2.Response, options=options)
        return provider_usage.read_generation(response.content)

    outcome = await _exchange("cost", at, key, send, _CHECK_SECONDS)
    return None if isinstance(outcome, ExecutionFailed) else outcome


@asynccontextmanager
async def connections() -> AsyncIterator[None]:
    """Keep this event loop's connections from call to call, until the last of these blocks is left."""
    loop = asyncio.get_running_loop()
    _users[loop] += 1
    try:
        yield
    finally:
        _users[loop] -= 1
        if not _users[loop]:
            del _users[loop]
            await close()


async def close() -> None:
    """Close this event loop's connections; the next call opens new ones."""
    loop = asyncio.get_running_loop()
    for place in [place for place in _clients if place[0] is loop]:
        await _clients.pop(place).close()


async def _exchange(
    request: Literal["call", "key", "cost"],
    at: Provider,
    key: Private[str],
    send: Callable[[AsyncOpenAI, dict[str, str]], Awaitable[T]],
    deadline_seconds: float,
    cache_seconds: int = 0,
) -> T | ExecutionFailed:
    """Run one send under the deadline, and count it."""
    began = time.monotonic()
    outcome = await _attempt(at, key, send, deadline_seconds, cache_seconds)
    trouble = outcome.reply if isinstance(outcome, ModelAnswer) else outcome
    fault: metrics.Whose = trouble.fault if isinstance(trouble, ExecutionFailed) else "none"
    metrics.asked_provider(request, fault, time.monotonic() - began)
    return outcome


async def _attempt(
    at: Provider,
    key: Private[str],
    send: Callable[[AsyncOpenAI, dict[str, str]], Awaitable[T]],
    deadline_seconds: float,
    cache_seconds: int,
) -> T | ExecutionFailed:
    """Run one send under the deadline.

    Failures are returned, not raised, so that no traceback leads to a frame whose variables hold the key or the prompt.
    The deadline is an outer one: keep-alive newlines reset the SDK's timeout, which counts from byte to byte.
    """
    if not _KEY.fullmatch(key.reveal()):
        return provider_failure("provider_401")
    headers = at.headers(key.reveal(), cache_seconds)
    try:
        async with asyncio.timeout(deadline_seconds):
            return await send(_client(at), headers)
    except ExecutionFailed as failure:
        return failure.with_traceback(None)
    except TimeoutError:
        return provider_failure("provider_timeout")
    except APIStatusError as refusal:
        return at.read_refusal(refusal.status_code, refusal.response.headers, refusal.response.content)
    except APIConnectionError as broken:
        if isinstance(broken.__cause__, _UNSENT):
            return provider_failure("provider_unreachable")
        return provider_failure("provider_silent" if isinstance(broken, APITimeoutError) else "provider_cut")
    except httpx2.ReadTimeout:
        return provider_failure("provider_silent")
    except httpx2.HTTPError:
        return provider_failure("provider_cut")
    except OpenAIError:
        return provider_failure("provider_malformed")


@asynccontextmanager
async def _stream(
    client: AsyncOpenAI, request: Private[bytes], headers: dict[str, str]
) -> AsyncIterator[httpx2.Response]:
    """The answer with its body still to be read, and its connection closed afterwards: what is left is cancelled."""
    answered: object = await client.post(
        "/chat/completions",
        cast_to=httpx2.Response,
        content=request.reveal(),
        options={"headers": {"Content-Type": "application/json", **headers}},
        stream=True,
        stream_cls=AsyncStream[Any],
    )
    # What the SDK gives for `cast_to`, which its types do not know for streams.
    response = cast(httpx2.Response, answered)
    try:
        yield response
    finally:
        await response.aclose()


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise provider_failure("provider_too_large")
    return bytes(body)


def _used_by_headers(at: Provider, headers: httpx2.Headers) -> Usage:
    """What is known before the body. A stored answer (`HIT`) is free; its source was charged when it was made."""
    generation_id = provider_usage.name(headers.get(at.id_header))
    if headers.get("x-openrouter-cache-status", "").upper() != "HIT":
        return Usage(generation_id=generation_id)
    source = provider_usage.name(headers.get("x-openrouter-cache-source-id"))
    return Usage(generation_id=generation_id, source_id=source or "unknown", cost_usd=Decimal(0))


def _whole(answer: ModelAnswer, early: Usage) -> ModelAnswer:
    """The answer with what its headers told before it. The usage of a stored answer is zeroed, not counted."""
    used = replace(answer.used, generation_id=early.generation_id or answer.used.generation_id)
    if early.source_id is not None:
        used = replace(early, model_served=used.model_served)
    return ModelAnswer(used, answer.reply)


def _booked(at: Provider, answer: ModelAnswer, prices: Prices | None) -> ModelAnswer:
    """The answer with what it cost, by whoever can say."""
    used, reply = answer.used, answer.reply
    if at.cost_path is None:
        used = provider_usage.priced(replace(used, cost_usd=None), prices)
    if isinstance(reply, ExecutionFailed) and work_of(reply.detail) == "free" and not at.insures:
        # It broke off in the middle of an answer, and nobody promises that this is free.
        reply = provider_failure("provider_failed")
    return ModelAnswer(used, reply)


def _client(at: Provider) -> AsyncOpenAI:
    """The shared client of this event loop: making one costs 20 ms and its connections belong to one loop."""
    place = (asyncio.get_running_loop(), at.url())
    if place not in _clients:
        _clients[place] = AsyncOpenAI(
            api_key="each-call-brings-its-own",  # pragma: allowlist secret
            admin_api_key="",
            organization="",
            project="",
            webhook_secret="",
            base_url=place[1],
            max_retries=0,
            timeout=Timeout(settings().idle_seconds, connect=_CONNECT_SECONDS, pool=None),
            http_client=HttpClient(
                transport=Transport(_IDLE_SECONDS),
                follow_redirects=False,  # a redirected POST is a second send
                event_hooks={"request": [_strip]},
            ),
        )
    return _clients[place]


async def _strip(request: httpx2.Request) -> None:
    for name in set(request.headers) - _HEADERS:
        del request.headers[name]
