"""Call a model's provider with the creator's key. All use of the openai SDK is here and in `connections`.

One request is one send: the SDK's own retries are off, because a call that broke off may have been charged. The result
is a `ModelAnswer`, whose failures carry codes of ours and nothing of the key, the prompt or the provider's text.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Literal, TypeVar, cast

import httpx2  # the HTTP library of openai 3; its exceptions say whether a request was sent
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI, AsyncStream, OpenAIError

from core.db.states import Modality
from core.failures import ExecutionFailed
from core.observability import metrics
from core.providers import charges, sse
from core.providers import usage as provider_usage
from core.providers.connections import client_of, close, connections
from core.providers.errors import provider_failure
from core.providers.json_answer import RepairNeeded
from core.providers.registry import Provider
from core.providers.response import ModelAnswer, Wanted, judge, storable
from core.providers.usage import KeyFacts, Prices, Usage
from core.secrets.private import Private

__all__ = ["KeyFacts", "ModelAnswer", "Usage", "check_key", "close", "complete", "connections", "cost_of"]

T = TypeVar("T")
OnGenerationId = Callable[[str], Awaitable[None]]
OnText = Callable[[str], None]

_CHECK_SECONDS = 15.0
_LEAST_CHECK_SECONDS = 1.0
_BODY_LIMIT = 64 * 1024 * 1024
# One chunk of a stream is two lines or three; the longest answer of a model has 128,000 chunks.
_MOST_LINES = 600_000
_FED_BYTES = 64 * 1024
# Below this, judging takes about a millisecond.
_SMALL_BYTES = 128 * 1024
# Answers are judged in threads of their own, so that none takes one that the process needs, such as for DNS. Those that
# must be repaired have others: they take longest, and a buyer can ask a model for as many as they pay for.
_JUDGES = ThreadPoolExecutor(2, "judge")
_REPAIRERS = ThreadPoolExecutor(2, "repair")
# Usage follows the finish reason at once, if it comes at all.
_USAGE_SECONDS = 2.0
# The body ends together with the answer. Reading to its end lets the connection serve the next call.
_END_SECONDS = 0.1
_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout)


async def complete(
    provider: Provider,
    key: Private[str],
    request: Private[bytes],
    modality: Modality,
    answer_schema: str | None = None,
    truncated_from: int | None = None,
    *,
    deadline_seconds: float,
    cache_seconds: int = 0,
    prices: Prices | None = None,
    on_generation_id: OnGenerationId,
    on_text: OnText | None = None,
) -> Private[ModelAnswer]:
    """Send a request once and read the answer. A failure is returned, not raised; only cancellation raises.

    Args:
        provider: the provider.
        key: the creator's key there.
        request: the exact bytes from `core.executions.sends.begin`.
        modality: the kind of answer.
        answer_schema: JSON Schema that the answer has to fit.
        truncated_from: characters from which a text that was cut off counts; None: it never does.
        deadline_seconds: time until the last byte of the answer. A stream that we leave is cancelled, which stops the
            charge where the model's provider can.
        cache_seconds: how long the provider should cache the answer for the identical request; 0: not at all.
        prices: the model's listed prices, which give the cost if the provider reports none.
        on_generation_id: called with the provider's generation id when the headers arrive, before the body.
        on_text: called with the text of the answer as it arrives, reasoning between tags included; None: nobody reads.
    """
    collector = sse.Collector()
    header_usage = Usage()

    async def send(client: AsyncOpenAI, headers: dict[str, str]) -> None:
        nonlocal header_usage
        async with _stream(client, request, headers) as response:
            header_usage = charges.read_headers(provider, response.headers)
            if header_usage.generation_id is not None:
                await on_generation_id(header_usage.generation_id)
            await _read(response, collector, on_text)

    began = time.monotonic()
    broken = await _attempt(provider, key, send, deadline_seconds, cache_seconds)
    if broken is not None and not collector.size:
        if broken.detail == "provider_401" and provider.relays:
            broken = await _whose_401(provider, key, deadline_seconds - (time.monotonic() - began))
        _count_request("call", broken, began)
        return Private(ModelAnswer(header_usage, broken))
    answer = charges.with_headers(
        await _judged(collector, Wanted(modality, answer_schema, truncated_from), broken), header_usage
    )
    _count_request("call", answer.reply, began)
    return Private(charges.with_cost(provider, answer, prices))


async def _judged(collector: sse.Collector, wanted: Wanted, broken: ExecutionFailed | None) -> ModelAnswer:
    """Judge an answer where that holds up nobody: a small one at once, others in a thread."""
    if wanted.modality != "json" and collector.size <= _SMALL_BYTES:
        return judge(collector, wanted, broken)
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(_JUDGES, partial(judge, collector, wanted, broken, may_repair=False))
    except RepairNeeded:
        return await loop.run_in_executor(_REPAIRERS, judge, collector, wanted, broken)


async def check_key(provider: Provider, key: Private[str], seconds: float = _CHECK_SECONDS) -> KeyFacts:
    """Ask a provider about a key; this is free.

    Raises:
        ExecutionFailed: the key is rejected (detail `provider_401`), or the provider did not answer properly.
    """

    async def send(client: AsyncOpenAI, headers: dict[str, str]) -> KeyFacts:
        response = await client.get(provider.key_path, cast_to=httpx2.Response, options={"headers": headers})
        return provider.read_key(response.content, key.reveal())

    outcome = await _exchange("key", provider, key, send, seconds)
    if isinstance(outcome, ExecutionFailed):
        raise outcome
    return outcome


async def _whose_401(provider: Provider, key: Private[str], seconds_left: float) -> ExecutionFailed:
    """Name a 401 of a provider that may have passed it on: only if it rejects the key itself, the key is to blame."""
    is_rejected = False
    try:
        await check_key(provider, key, max(_LEAST_CHECK_SECONDS, min(seconds_left, _CHECK_SECONDS)))
    except ExecutionFailed as failure:
        is_rejected = failure.detail == "provider_401"
    return provider_failure("provider_401" if is_rejected else "provider_401_behind")


async def cost_of(provider: Provider, key: Private[str], generation_id: str) -> Decimal | None:
    """Ask a provider what it charged for a generation, in US dollars.

    Returns:
        None if it does not say: it knows a generation only some time after its end, and none of another account.
    """
    path = provider.cost_path
    if path is None:
        return None

    async def send(client: AsyncOpenAI, headers: dict[str, str]) -> Decimal | None:
        response = await client.get(
            path, cast_to=httpx2.Response, options={"headers": headers, "params": {"id": generation_id}}
        )
        return provider_usage.read_generation(response.content)

    outcome = await _exchange("cost", provider, key, send, _CHECK_SECONDS)
    return None if isinstance(outcome, ExecutionFailed) else outcome


async def _exchange(
    request: Literal["call", "key", "cost"],
    provider: Provider,
    key: Private[str],
    send: Callable[[AsyncOpenAI, dict[str, str]], Awaitable[T]],
    deadline_seconds: float,
    cache_seconds: int = 0,
) -> T | ExecutionFailed:
    """Run one send under the deadline, and count it."""
    began = time.monotonic()
    outcome = await _attempt(provider, key, send, deadline_seconds, cache_seconds)
    _count_request(request, outcome, began)
    return outcome


def _count_request(request: Literal["call", "key", "cost"], outcome: object, began: float) -> None:
    fault: metrics.FaultLabel = outcome.fault if isinstance(outcome, ExecutionFailed) else "none"
    metrics.asked_provider(request, fault, time.monotonic() - began)


async def _attempt(
    provider: Provider,
    key: Private[str],
    send: Callable[[AsyncOpenAI, dict[str, str]], Awaitable[T]],
    deadline_seconds: float,
    cache_seconds: int,
) -> T | ExecutionFailed:
    """Run one send under the deadline.

    Failures are returned, not raised, so that no traceback holds a frame whose variables hold the key or the prompt.
    The deadline is our own timeout: keep-alive newlines reset the SDK's, which counts from byte to byte.
    """
    if not _KEY.fullmatch(key.reveal()):
        return provider_failure("provider_401")
    headers = provider.headers(key.reveal(), cache_seconds)
    try:
        async with asyncio.timeout(deadline_seconds):
            return await send(client_of(provider), headers)
    except ExecutionFailed as failure:
        return failure.with_traceback(None)
    except TimeoutError:
        return provider_failure("provider_timeout")
    except APIStatusError as refusal:
        return provider.read_refusal(refusal.status_code, refusal.response.headers, refusal.response.content)
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
    """Send the request and yield the response before its body is read. Leaving the block cancels the rest."""
    untyped_response: object = await client.post(
        "/chat/completions",
        cast_to=httpx2.Response,
        content=request.reveal(),
        options={"headers": {"Content-Type": "application/json", **headers}},
        stream=True,
        stream_cls=AsyncStream[object],
    )
    # The SDK returns `cast_to`, but its types do not say so for streams.
    response = cast(httpx2.Response, untyped_response)
    try:
        yield response
    finally:
        await response.aclose()


async def _read(response: httpx2.Response, collector: sse.Collector, on_text: OnText | None) -> None:
    """Read until the answer and its usage have arrived; what the connection does after that changes nothing.

    Raises:
        ExecutionFailed: `provider_too_large`.
        httpx2.HTTPError: the connection broke before the answer was decided.
    """
    loop = asyncio.get_running_loop()
    was_decided = was_over = False
    try:
        async with asyncio.timeout(None) as timeout:
            async for received in response.aiter_bytes():
                for start in range(0, len(received), _FED_BYTES):
                    collector.feed(received[start : start + _FED_BYTES])
                    if start:
                        # A little body can hold a lot of events, compressed; nobody waits for all of them.
                        await asyncio.sleep(0)
                if on_text and (text := collector.new_text()):
                    on_text(storable(text))
                if collector.size > _BODY_LIMIT or collector.lines > _MOST_LINES:
                    raise provider_failure("provider_too_large")
                if collector.is_over and not was_over:
                    was_over = was_decided = True
                    timeout.reschedule(loop.time() + _END_SECONDS)
                elif collector.is_decided and not was_decided:
                    was_decided = True
                    timeout.reschedule(loop.time() + _USAGE_SECONDS)
    except TimeoutError:
        if not timeout.expired():
            raise
    except httpx2.HTTPError:
        if not collector.is_decided:
            raise
