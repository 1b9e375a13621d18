"""Adapt requests and refusals to Anthropic's OpenAI-compatible endpoint. Pure functions.

Sources, under https://platform.claude.com/docs/en/api: `openai-sdk` (supported, ignored and capped fields),
`models-list`, and `errors` (statuses and types; failures after a 200 follow none of them). At this endpoint an error is
`{error: {code, type, message, param}}` (https://github.com/yinzara/ha-config-ai-agent/issues/5), elsewhere
`{type: "error", error: {type, message}, request_id}`.
"""

from collections.abc import Mapping

from core.failures import ExecutionFailed
from core.providers.errors import PROVIDER_ERRORS, provider_failure
from core.providers.openrouter_errors import mapping, parse, require_models, seconds
from core.providers.request import Prompt, common_fields
from core.providers.usage import KeyFacts

# The parameters of ours that models support here. `response_format` is ignored, so JSON is requested in words.
PARAMETERS = ("max_tokens", "temperature", "top_p", "stop")
# What its models take here: `image_url` parts are supported, `file` parts are ignored.
INPUTS = ("text", "image")

_VERSION = "2023-06-01"
# Keys that manage an organisation and run no models (https://platform.claude.com/docs/en/api/administration-api).
_ADMIN_KEY_PREFIX = "sk-ant-admin"
# The parts of a key that Anthropic's Admin API shows: sk-ant-api03-R2D...igAA.
_SHOWN = (16, 4)

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
    504: "provider_504",
    529: "provider_529",
}
# Other 4XX may have this type.
_INVALID = "invalid_request_error"
# A 400 has no code for the causes that matter most to a creator. We compare the fixed beginning of its message and keep
# nothing of it, because the rest may quote the prompt.
_MESSAGE_PREFIXES = {
    # https://github.com/anthropics/claude-code/issues/66297
    "Your credit balance is too low": "provider_402",
    # https://github.com/anthropics/claude-code/issues/2127
    "You have reached your specified API usage limits": "provider_403_budget",
    # https://github.com/anthropics/claude-code/issues/12186
    "prompt is too long": "provider_400_too_long",
    # https://github.com/anthropics/claude-code/issues/8646
    "Could not process image": "provider_400_media",
    # https://github.com/docker/docker-agent/issues/569
    "input length and `max_tokens` exceed context limit": "provider_400_too_long",
}


def headers(key: str, _cache_seconds: int) -> dict[str, str]:
    """Build the headers: chat completions read the bearer token, the model list the other two."""
    return {"Authorization": f"Bearer {key}", "x-api-key": key, "anthropic-version": _VERSION}


def fields(prompt: Prompt, _send: int) -> Mapping[str, object]:
    """Build the body of a request from supported fields only; others are silently ignored."""
    return common_fields(prompt)


def read_key(body: bytes, key: str) -> KeyFacts:
    """Read the body of a 200 response of `GET /models`, which only shows that the key works.

    Raises:
        ExecutionFailed: it lists no models.
    """
    require_models(body)
    start, end = _SHOWN
    return KeyFacts(f"{key[:start]}...{key[-end:]}", None, is_management_key=key.startswith(_ADMIN_KEY_PREFIX))


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> ExecutionFailed:
    """Read a response whose status is not 2xx.

    By Anthropic's documentation, statuses below 500 and 529 come before any work. It promises nothing about other
    statuses, so such a call may have been charged.

    Args:
        status: the HTTP status, which counts more than the type in the body.
        headers: looked up in lower case, for `retry-after`.
        body: any bytes; proxies on the way answer in HTML.
    """
    try:
        error = mapping(mapping(parse(body)).get("error"))
    except ExecutionFailed:
        error = {}
    name = _STATUSES.get(status) or ("provider_failed" if status >= 500 else f"provider_{status}")
    if name not in PROVIDER_ERRORS and 400 <= status < 500 and error.get("type") == _INVALID:
        name = "provider_400"
    if name == "provider_400":
        message = str(error.get("message"))
        name = next(
            (failure_name for prefix, failure_name in _MESSAGE_PREFIXES.items() if message.startswith(prefix)), name
        )
    return provider_failure(name, retry_after=seconds(headers.get("retry-after")))
