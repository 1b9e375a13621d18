"""Build requests with OpenRouter's fields beyond OpenAI's. `openrouter_errors` reads its errors, `usage` its costs.

Sources: https://openrouter.ai/docs (chat completions, provider routing, response caching, app attribution).
"""

import math
from collections.abc import Mapping
from decimal import Decimal, localcontext

from core.providers.request import Prompt, messages, most_prompt_tokens, parts_of, response_format_of
from core.settings import settings

_TITLE = "x402 Instant"
# What we can deliver, in the order in which OpenRouter documents it.
_DELIVERED = ("image", "text")


def headers(key: str, cache_seconds: int) -> dict[str, str]:
    """Build the headers: the key, app attribution, and how long the answer should be cached."""
    values = {
        "Authorization": f"Bearer {key}",
        "HTTP-Referer": settings().public_url,
        "X-OpenRouter-Title": _TITLE,
    }
    if cache_seconds:
        values |= {"X-OpenRouter-Cache": "true", "X-OpenRouter-Cache-TTL": str(cache_seconds)}
    return values


def fields(prompt: Prompt, send: int) -> Mapping[str, object]:
    """Build the body of a request.

    Args:
        prompt: the prompt.
        send: the number of the send within the round. The nonce made from it keeps buyers, rounds and deliberate
            repetitions from sharing a cached answer.
    """
    # On by default for short contexts, where it would silently shorten a paid prompt.
    plugins: list[dict[str, object]] = [{"id": "context-compression", "enabled": False}]
    body: dict[str, object] = {
        "model": prompt.model,
        "messages": messages(prompt),
        "max_completion_tokens": prompt.max_output_tokens,
        # Cancelling a stream stops the charge where the provider can; cancelling a plain call never does.
        "stream": True,
        "user": prompt.buyer,
        "metadata": {"execution_id": str(prompt.execution_id), "nonce": f"{prompt.round}.{send}"},
        "plugins": plugins,
    }
    if any(part["type"] == "file" for part in parts_of(prompt)):
        # The model reads it itself, and charges for its tokens. Any other engine may charge by the page.
        plugins.append({"id": "file-parser", "pdf": {"engine": "native"}})
    routing: dict[str, object] = dict(prompt.routing)
    if prompt.zdr:
        routing |= {"zdr": True, "data_collection": "deny"}
    if (response_format := response_format_of(prompt)) is not None:
        body["response_format"] = response_format
        # Otherwise a provider that does not support it silently ignores it.
        routing["require_parameters"] = True
    # With `require_parameters`, a parameter that the model lacks would exclude every provider.
    if prompt.temperature is not None and (response_format is None or "temperature" in prompt.supported):
        body["temperature"] = float(prompt.temperature)
    if prompt.reasoning_effort is not None and "reasoning" in prompt.supported:
        body["reasoning"] = {"effort": prompt.reasoning_effort}
    if prompt.modality == "image":
        # One that the model does not make excludes every endpoint (404).
        body["modalities"] = [name for name in _DELIVERED if name in prompt.outputs]
    if prompt.prices is not None:
        # The list has the price of the first endpoint; others may cost more than the reservation.
        prices = prompt.prices.at(most_prompt_tokens(prompt))
        routing["max_price"] = {
            "prompt": _per_million(prices.prompt_usd),
            "completion": _per_million(prices.completion_usd),
        }
    if routing:
        body["provider"] = routing
    return body


def _per_million(usd: Decimal) -> float:
    """Convert a price per token for `provider.max_price`: US dollars per million tokens, a JSON number.

    The result is never below the price, or the model's own endpoint would be excluded.
    """
    with localcontext(prec=400):
        exact = usd * 1_000_000
    approximate = float(exact)
    # JSON holds the number's shortest decimal form.
    while Decimal(repr(approximate)) < exact:
        approximate = math.nextafter(approximate, math.inf)
    return approximate
