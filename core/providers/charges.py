"""Complete an answer with what its headers, or the listed prices, say about its cost."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from core.failures import ExecutionFailed
from core.providers import usage as provider_usage
from core.providers.errors import charge_of, provider_failure
from core.providers.registry import Provider
from core.providers.response import ModelAnswer
from core.providers.usage import Prices, Usage


def read_headers(provider: Provider, headers: Mapping[str, str]) -> Usage:
    """Read the usage from the headers. A cached answer (`HIT`) is free; its source was charged when it was made."""
    generation_id = provider_usage.read_id(headers.get(provider.id_header))
    # Without a cache of its own it can only have passed the header on, and charges nevertheless.
    if not provider.keeps_answers or headers.get("x-openrouter-cache-status", "").upper() != "HIT":
        return Usage(generation_id=generation_id)
    source = provider_usage.read_id(headers.get("x-openrouter-cache-source-id"))
    return Usage(generation_id=generation_id, source_id=source or "unknown", cost_usd=Decimal(0))


def with_headers(answer: ModelAnswer, header_usage: Usage) -> ModelAnswer:
    """Complete an answer with what its headers said. The usage of a cached answer is zeroed, not counted."""
    usage = replace(answer.usage, generation_id=header_usage.generation_id or answer.usage.generation_id)
    if header_usage.source_id is not None:
        usage = replace(header_usage, model_served=usage.model_served)
    return ModelAnswer(usage, answer.reply)


def with_cost(provider: Provider, answer: ModelAnswer, prices: Prices | None) -> ModelAnswer:
    """Complete an answer with its cost, from the provider or from the listed prices."""
    usage, reply = answer.usage, answer.reply
    if provider.cost_path is None:
        usage = provider_usage.priced(replace(usage, cost_usd=None), prices)
    if isinstance(reply, ExecutionFailed) and charge_of(reply.detail) == "no" and not provider.insures:
        # The answer broke off, and this provider does not promise that such a failure is free.
        reply = provider_failure("provider_failed")
    return ModelAnswer(usage, reply)
