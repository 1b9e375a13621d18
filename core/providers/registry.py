"""List the providers. The prefix of a model's id selects its provider.

All serve OpenAI's chat completions, each with its own differences. CONTRIBUTING.md lists what a new provider touches.
The defaults of a row assume nothing that the provider does not document.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.failures import ExecutionFailed, InvalidInput
from core.providers import anthropic, openrouter, openrouter_errors
from core.providers import usage as provider_usage
from core.providers.model_ids import provider_of
from core.providers.request import Prompt
from core.providers.usage import KeyFacts
from core.settings import settings


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider with its adapter.

    Attributes:
        name: its name in `provider_keys`, and before the colon in the ids of its models.
        title: its name for people.
        keys_url: the page where creators manage their keys.
        key: the form of its keys, so that no key is ever sent to another provider.
        key_example: the same form, for people.
        url: returns the base URL from the settings.
        headers: builds the headers of each request from the key and the seconds that the answer should be cached.
        fields: builds the body of a call from the prompt and the number of the send.
        key_path: a free endpoint that checks a key.
        read_key: reads that endpoint's response.
        read_refusal: reads a response that is not 2xx: status, headers, body.
        id_header: the response header with the generation id.
        parameters: the parameters of its models; None if each model lists its own.
        inputs: what its models take: text, image, file; only where no model lists its own.
        most_temperature: the highest temperature that it supports.
        routes: it calls other providers, and can choose those that keep nothing (`zdr`).
        keeps_answers: its cache answers an identical request, so a send of unknown outcome may be repeated.
        cost_path: the endpoint that reports the cost of a call later. None: it reports no costs, and the cost is tokens
            times the model's listed prices.
        insures: it does not charge for an answer that fails midway.
        credit_percent: returns what buying credit there costs on top of it, from the settings.
    """

    name: str
    title: str
    keys_url: str
    key: re.Pattern[str]
    key_example: str
    url: Callable[[], str]
    headers: Callable[[str, int], dict[str, str]]
    fields: Callable[[Prompt, int], Mapping[str, object]]
    key_path: str
    read_key: Callable[[bytes, str], KeyFacts]
    read_refusal: Callable[[int, Mapping[str, str], bytes], ExecutionFailed]
    id_header: str
    credit_percent: Callable[[], Decimal]
    parameters: tuple[str, ...] | None = None
    inputs: tuple[str, ...] = ("text",)
    most_temperature: Decimal = Decimal(2)
    routes: bool = False
    keeps_answers: bool = False
    cost_path: str | None = None
    insures: bool = False


OPENROUTER = Provider(
    name="openrouter",
    title="OpenRouter",
    keys_url="https://openrouter.ai/keys",
    key=re.compile(r"(?!sk-ant-)[\x21-\x7e]{8,512}"),
    key_example="sk-or-v1-…",
    url=lambda: settings().openrouter_url,
    headers=openrouter.headers,
    fields=openrouter.fields,
    key_path="/key",
    read_key=provider_usage.read_key,
    read_refusal=openrouter_errors.read_refusal,
    id_header="x-generation-id",
    credit_percent=lambda: settings().openrouter_credit_percent,
    routes=True,
    keeps_answers=True,
    cost_path="/generation",
    insures=True,
)

ANTHROPIC = Provider(
    name="anthropic",
    title="Anthropic",
    keys_url="https://platform.claude.com/settings/keys",
    key=re.compile(r"sk-ant-[\x21-\x7e]{24,512}"),
    key_example="sk-ant-api03-…",
    url=lambda: settings().anthropic_url,
    headers=anthropic.headers,
    fields=anthropic.fields,
    key_path="/models",
    read_key=anthropic.read_key,
    read_refusal=anthropic.read_refusal,
    id_header="request-id",
    credit_percent=lambda: settings().anthropic_credit_percent,
    parameters=anthropic.PARAMETERS,
    inputs=anthropic.INPUTS,
    # Higher values are silently capped to it.
    most_temperature=Decimal(1),
)

PROVIDERS = {row.name: row for row in (OPENROUTER, ANTHROPIC)}


def provider_for(model_id: str) -> Provider:
    """Return the provider that serves a model of our catalog."""
    return PROVIDERS[provider_of(model_id)[0]]


def provider_named(name: str) -> Provider:
    """Return the provider with this name.

    Raises:
        InvalidInput: names `provider`.
    """
    if name not in PROVIDERS:
        raise InvalidInput({"provider": f"there is no {name} here, only {', '.join(PROVIDERS)}"})
    return PROVIDERS[name]
