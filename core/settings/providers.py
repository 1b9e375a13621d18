"""The OpenAI-compatible providers that the operator allows beside the built-in ones."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.settings import urls

BUILT_IN = ("openrouter", "anthropic")
"""The names of the providers that have an adapter of their own."""

_LABEL = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,58}[^\s\x00-\x1f\x7f])?")


class CompatibleProvider(BaseModel):
    """One server that serves OpenAI's chat completions, such as LiteLLM, vLLM, Ollama or Groq.

    Attributes:
        name: what model ids begin with, before a colon: `groq` for `groq:llama-3.3-70b-versatile`.
        url: its base URL, which `/chat/completions` and `/models` are appended to; it usually ends with `/v1`.
        label: its name for people; unset: `name`.
        key_pattern: a regular expression that its keys match as a whole, so that no other key is sent there; unset:
            any key that is not of the form of a built-in provider's.
        keys_url: the page where creators manage their keys.
        max_tokens_field: the field that bounds an answer. Most servers know `max_tokens`, and ignore the other one,
            which OpenAI's own reasoning models require
            (https://platform.openai.com/docs/api-reference/chat/create).
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    url: str
    label: str | None = None
    key_pattern: str | None = None
    keys_url: str | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"

    @field_validator("url")
    @classmethod
    def _is_base_url(cls, url: str) -> str:
        if "@" in urls.checked_base(url):
            raise ValueError("must have no user and no password: calls bring the creator's key")
        return urls.checked_base(url)

    @field_validator("keys_url")
    @classmethod
    def _is_page(cls, url: str | None) -> str | None:
        return url and urls.checked(url)

    @field_validator("label")
    @classmethod
    def _is_label(cls, label: str | None) -> str | None:
        if label is not None and not _LABEL.fullmatch(label):
            raise ValueError("must have 1 to 60 characters on one line, without spaces at its ends")
        return label

    @field_validator("key_pattern")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error:
            pattern = None
        else:
            return pattern
        raise ValueError("must be a regular expression")


def member(position: int, name: str) -> str:
    """Return the full name of a member of a provider for errors, such as `INSTANT_PROVIDERS[0].url`.

    Args:
        position: the provider's position in INSTANT_PROVIDERS, from 0.
        name: a field of `CompatibleProvider`.
    """
    return f"INSTANT_PROVIDERS[{position}].{name}"
