"""List the providers. The prefix of a model's id selects its provider.

All serve OpenAI's chat completions, each with its own differences. CONTRIBUTING.md lists what a new provider touches.
The defaults of a row assume nothing that the provider does not document. `INSTANT_PROVIDERS` adds rows for
OpenAI-compatible servers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

from core.failures import ExecutionFailed, InvalidInput, Misconfigured
from core.providers import anthropic, openai_compatible, openrouter, openrouter_errors
from core.providers import usage as provider_usage
from core.providers.model_ids import provider_of
from core.providers.request import Prompt
from core.providers.usage import KeyFacts
from core.settings import CompatibleProvider, settings


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider with its adapter.

    Attributes:
        name: its name in `provider_keys`, and before the colon in the ids of its models.
        title: its name for people.
        keys_url: the page where creators manage their keys; None if the operator names none.
        key: the form of its keys, so that no key is ever sent to another provider.
        key_example: the same form, for people.
        practice_key: a key that the practice server of this provider takes; None if there is none.
        url: returns the base URL from the settings.
        headers: builds the headers of each request from the key and the seconds that the answer should be cached.
        fields: builds the body of a call from the prompt and the number of the send.
        key_path: a free endpoint that checks a key.
        read_key: reads that endpoint's response.
        read_refusal: reads a response that is not 2xx: status, headers, body.
        id_header: the response header with the generation id.
        parameters: the parameters of its models; None if each model lists its own.
        optional_parameters: those that the operator may list for single models beside them.
        inputs: what its models take: text, image, file; only where no model lists its own.
        most_temperature: the highest temperature that it supports.
        routes: it calls other providers, and can choose those that keep nothing (`zdr`).
        keeps_answers: its cache answers an identical request, so a send of unknown outcome may be repeated.
        cost_path: the endpoint that reports the cost of a call later. None: it reports no costs, and the cost is tokens
            times the model's listed prices.
        insures: it does not charge for an answer that fails midway.
        credit_percent: returns what buying credit there costs on top of it, from the settings.
        relays: a 401 of it may be about its own key at a server behind it, and not about the creator's.
        is_configured: whether the settings name it; if not, nothing is sold or sent there.
        credit_url: the page where creators buy credit and see their limits; None if it has none.
    """

    name: str
    title: str
    keys_url: str | None
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
    practice_key: str | None = None
    parameters: tuple[str, ...] | None = None
    optional_parameters: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ("text",)
    most_temperature: Decimal = Decimal(2)
    routes: bool = False
    keeps_answers: bool = False
    cost_path: str | None = None
    insures: bool = False
    relays: bool = False
    is_configured: bool = True
    credit_url: str | None = None

    @property
    def credit_page(self) -> str:
        """A sentence to end an advice about credit and limits with, or nothing."""
        return f" Credit and limits at {self.title}: {self.credit_url}" if self.credit_url else ""

    @property
    def keys_place(self) -> str:
        """Where creators manage their keys, in words."""
        return f"at {self.keys_url}" if self.keys_url else f"where {self.title} gives them out"


OPENROUTER = Provider(
    name="openrouter",
    title="OpenRouter",
    keys_url="https://openrouter.ai/keys",
    key=re.compile(r"(?!sk-ant-)[\x21-\x7e]{8,512}"),
    key_example="sk-or-v1-…",
    practice_key="sk-or-v1-practice-ada",
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
    credit_url="https://openrouter.ai/settings/credits",
)

ANTHROPIC = Provider(
    name="anthropic",
    title="Anthropic",
    keys_url="https://platform.claude.com/settings/keys",
    key=re.compile(r"sk-ant-[\x21-\x7e]{24,512}"),
    key_example="sk-ant-api03-…",
    practice_key="sk-ant-practice-ada-for-this-machine",
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
    credit_url="https://platform.claude.com/settings/billing",
)

_BUILT_IN = {row.name: row for row in (OPENROUTER, ANTHROPIC)}

# Keys of the built-in providers, as they write them.
_ANY_OTHER_KEY = r"(?!sk-or-|sk-ant-)[\x21-\x7e]{1,512}"


def configured() -> Mapping[str, Provider]:
    """Return the providers that prompts can be sold on, by name."""
    return _BUILT_IN | {member.name: _compatible(member) for member in settings().providers}


def find(name: str) -> Provider:
    """Return the provider with this name, also one that the settings do not name any more: keys and models remain."""
    return configured().get(name) or _gone(name)


def provider_for(model_id: str) -> Provider:
    """Return the provider that serves a model of our catalog."""
    return find(provider_of(model_id)[0])


def provider_named(name: str) -> Provider:
    """Return the configured provider with this name.

    Raises:
        InvalidInput: names `provider`.
    """
    if name not in configured():
        raise InvalidInput({"provider": f"there is no {name} here, only {', '.join(configured())}"})
    return configured()[name]


@cache
def _compatible(member: CompatibleProvider) -> Provider:
    """Build the row of an OpenAI-compatible server. It promises no cache, no costs and no free failures."""
    return Provider(
        name=member.name,
        title=member.label or member.name,
        keys_url=member.keys_url,
        key=re.compile(member.key_pattern or _ANY_OTHER_KEY),
        key_example=member.key_pattern or "sk-…",
        url=lambda: member.url,
        headers=openai_compatible.headers,
        fields=lambda prompt, _send: openai_compatible.fields(prompt, member.max_tokens_field),
        key_path="/models",
        read_key=openai_compatible.read_key,
        read_refusal=openai_compatible.read_refusal,
        id_header="x-request-id",
        credit_percent=lambda: Decimal(0),
        parameters=openai_compatible.PARAMETERS,
        optional_parameters=openai_compatible.OPTIONAL_PARAMETERS,
        relays=True,
    )


@cache
def _gone(name: str) -> Provider:
    """Build the row of a provider that the settings name no more. It has no URL, so nothing can be sent there."""

    def no_url() -> str:
        raise Misconfigured(f"INSTANT_PROVIDERS has no {name}")

    row = _compatible(CompatibleProvider.model_construct(name=name, url=""))
    return replace(row, url=no_url, is_configured=False)
