"""OpenRouter's dialect: what its requests say beside OpenAI's words. How it refuses is in `refusal`, money in `charge`.

Sources: https://openrouter.ai/docs (chat completions, provider routing, response caching, app attribution).
"""

import math
from collections.abc import Mapping
from decimal import Decimal, localcontext

from core.providers.request import Prompt, messages, shape
from core.settings import settings

_TITLE = "x402 Instant"


def headers(key: str, cache_seconds: int) -> dict[str, str]:
    """Whose request it is, and how long its answer shall be kept."""
    named = {
        "Authorization": f"Bearer {key}",
        "HTTP-Referer": settings().public_url,
        "X-OpenRouter-Title": _TITLE,
    }
    if cache_seconds:
        named |= {"X-OpenRouter-Cache": "true", "X-OpenRouter-Cache-TTL": str(cache_seconds)}
    return named


def fields(prompt: Prompt, send: int) -> Mapping[str, object]:
    """The body of a request.

    Args:
        prompt: what to ask.
        send: which send of the round these bytes are made for. The nonce made of it keeps buyers, rounds and deliberate
            repetitions from sharing a cached answer.
    """
    said: dict[str, object] = {
        "model": prompt.model,
        "messages": messages(prompt),
        "max_completion_tokens": prompt.max_output_tokens,
        # A cancelled stream stops the bill where the provider can; a cancelled plain call never does.
        "stream": True,
        "user": prompt.buyer,
        "metadata": {"execution_id": str(prompt.execution_id), "nonce": f"{prompt.round}.{send}"},
        # On by default for short contexts, where it would silently cut a paid prompt.
        "plugins": [{"id": "context-compression", "enabled": False}],
    }
    routing: dict[str, object] = {}
    if prompt.zdr:
        routing |= {"zdr": True, "data_collection": "deny"}
    if (wanted := shape(prompt)) is not None:
        said["response_format"] = wanted
        # Otherwise a provider that does not know it leaves it out without a word.
        routing["require_parameters"] = True
    # With that, a parameter that the model does not have would leave no provider at all.
    if prompt.temperature is not None and (wanted is None or "temperature" in prompt.supported):
        said["temperature"] = float(prompt.temperature)
    if prompt.modality == "image":
        said["modalities"] = ["image", "text"]
    if prompt.prices is not None:
        # The list tells the price of the first endpoint, and its others may be dearer than what was set aside.
        routing["max_price"] = {
            "prompt": _per_million(prompt.prices.prompt_usd),
            "completion": _per_million(prompt.prices.completion_usd),
        }
    if routing:
        said["provider"] = routing
    return said


def _per_million(usd: Decimal) -> float:
    """A price per token as `provider.max_price` wants it: US dollars per million tokens, a JSON number.

    Never below the price itself, or its own endpoint would be too dear.
    """
    with localcontext(prec=400):
        exact = usd * 1_000_000
    near = float(exact)
    # What is sent is the number's shortest decimal form.
    while Decimal(repr(near)) < exact:
        near = math.nextafter(near, math.inf)
    return near
