"""The providers that models are called at. The prefix of a model's id selects its provider.

All speak OpenAI's chat completions, each in its own dialect. To add a provider: an adapter beside `anthropic`, a row
here, and the operator's prices (`core.catalog.manual_prices`). What a row leaves out is what can be relied on at a
provider that promises nothing.
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
    """One provider and its dialect.

    Attributes:
        name: as in `provider_keys`, and before the colon in the ids of its models.
        title: what people call it.
        keys_url: where creators make and look after their keys.
        key: what its keys look like, so that none is ever shown to another provider.
        key_example: the same for people.
        url: the base URL now, by the settings.
        headers: of each request, for a key and the seconds that the answer shall be kept.
        fields: the body of a call, for what is asked and the number of the send.
        key_path: what a key is checked with; costs nothing.
        read_key: what the answer to that says of the key.
        read_refusal: why it did not answer: status, headers, body.
        id_header: the answer's header that names the generation.
        parameters: what its models take; None where each is listed with its own.
        most_temperature: beyond it an answer would not be what was asked for.
        routes: it calls others, and picks those that keep nothing (`zdr`).
        keeps_answers: an identical request is answered from its cache, so that one whose end nobody saw may go again.
        cost_path: it says what a call was charged, and with this what a lost one was. None: nobody can be asked, and
            the cost is tokens times the model's listed prices.
        insures: what fails in the middle of an answer is not charged.
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
    parameters: tuple[str, ...] | None = None
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
    parameters=anthropic.PARAMETERS,
    # More is capped to it without a word.
    most_temperature=Decimal(1),
)

PROVIDERS = {row.name: row for row in (OPENROUTER, ANTHROPIC)}


def provider_for(model_id: str) -> Provider:
    """The provider that serves a model of our catalog."""
    return PROVIDERS[provider_of(model_id)[0]]


def provider_named(name: str) -> Provider:
    """The provider of that name, as people give it.

    Raises:
        InvalidInput: naming `provider`.
    """
    if name not in PROVIDERS:
        raise InvalidInput({"provider": f"there is no {name} here, only {', '.join(PROVIDERS)}"})
    return PROVIDERS[name]
