"""Adapt requests and refusals to OpenAI-compatible servers that the operator allows. Pure functions.

Sources: OpenAI's API reference (https://platform.openai.com/docs/api-reference/chat/create and .../streaming) and its
error codes (https://platform.openai.com/docs/guides/error-codes); what such servers have in common is the least that
is relied on. Some are gateways, which pass on the refusals of the servers behind them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from core.failures import ExecutionFailed
from core.providers.errors import PROVIDER_ERRORS, provider_failure
from core.providers.openrouter_errors import mapping, parse, require_models, seconds
from core.providers.request import Prompt, common_fields, messages, response_format_of
from core.providers.usage import KeyFacts

# The parameters that every such server knows, and those that the operator may list for a model beside them.
PARAMETERS = ("max_tokens", "temperature", "top_p", "stop")
OPTIONAL_PARAMETERS = ("response_format", "structured_outputs")

# Of a longer key, what may be shown.
_SHOWN = (6, 4)
_LEAST_SHOWN = 24

# Statuses that say that no model ran. Of any other one a gateway may know only that it lost an answer.
_STATUSES = {
    400: "provider_400",
    401: "provider_401",
    402: "provider_402",
    403: "provider_403_denied",
    404: "provider_404_gone",
    409: "provider_409",
    413: "provider_413",
    422: "provider_422",
    429: "provider_429",
}
# Codes beside those statuses: OpenAI's, and Azure's, Groq's and LiteLLM's where they have others. Only codes are read,
# because the sentences beside them quote the prompt.
_CODES = {
    "context_length_exceeded": "provider_400_too_long",
    "string_above_max_length": "provider_400_too_long",
    "content_policy_violation": "provider_400_policy",
    "content_filter": "provider_400_policy",
    "model_not_found": "provider_404_gone",
    "model_decommissioned": "provider_400_gone",
    "insufficient_quota": "provider_402",
    "billing_hard_limit_reached": "provider_402",
    "billing_not_active": "provider_402",
    "budget_exceeded": "provider_403_budget",
    # LiteLLM's `ProxyErrorTypes`: it says these with a 400 or a 401.
    "expired_key": "provider_401",
    "token_not_found_in_db": "provider_401",
    **{
        f"{owner}_model_access_denied": "provider_403_denied"
        for owner in ("key", "team", "user", "customer", "org", "project", "agent")
    },
}


def headers(key: str, _cache_seconds: int) -> dict[str, str]:
    """Build the headers: the bearer token and nothing else."""
    return {"Authorization": f"Bearer {key}"}


def fields(
    prompt: Prompt, max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
) -> Mapping[str, object]:
    """Build the body of a request from fields that such servers have in common; some refuse any other.

    Args:
        prompt: the prompt.
        max_tokens_field: the name of the field that bounds the answer, reasoning included.
    """
    body = common_fields(prompt, max_tokens_field)
    if (response_format := response_format_of(prompt)) is not None:
        body["response_format"] = response_format
    if response_format == {"type": "json_object"}:
        # OpenAI refuses this mode unless a message asks for JSON; those for a model without it do.
        body["messages"] = messages(replace(prompt, supported=()))
    return body


def read_key(body: bytes, key: str) -> KeyFacts:
    """Read the body of a 200 response of `GET /models`, which only shows that the key works.

    Raises:
        ExecutionFailed: it lists no models.
    """
    require_models(body)
    start, end = _SHOWN
    label = f"{key[:start]}...{key[-end:]}" if len(key) >= _LEAST_SHOWN else ""
    return KeyFacts(label, None, is_management_key=False)


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> ExecutionFailed:
    """Read a response whose status is not 2xx.

    A call certainly cost nothing only with a status that says that no model ran; any other may have been charged.

    Args:
        status: the HTTP status.
        headers: looked up in lower case, for `retry-after`.
        body: any bytes; `error.code`, or `error.type`, may say more than the status.
    """
    name = _STATUSES.get(status)
    if name is None:
        other = f"provider_{status}"
        # The table has other providers' promises: some of these statuses are free there.
        is_uncertain = other in PROVIDER_ERRORS and PROVIDER_ERRORS[other].charged == "perhaps"
        name = "provider_failed" if status >= 500 and not is_uncertain else other
        return provider_failure(name, resend=False)
    try:
        error = mapping(mapping(parse(body)).get("error"))
    except ExecutionFailed:
        error = {}
    for said in (error.get("code"), error.get("type")):
        if isinstance(said, str) and said in _CODES:
            return provider_failure(_CODES[said])
    return provider_failure(name, retry_after=seconds(headers.get("retry-after")))
