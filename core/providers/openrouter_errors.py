"""Read OpenRouter's `error` object, in any envelope, into an `ExecutionFailed`.

The rules follow OpenRouter's error guide (`error_type`, `availability`, `limit_source`). Only codes are read, because
the sentences beside them quote the prompt.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Literal

from core.failures import ExecutionFailed
from core.net.strict_json import is_bulky
from core.providers.errors import provider_failure
from core.providers.json_depth import is_deeper

_MODERATED = frozenset({"content_policy_violation", "refusal"})
_TOO_LONG = frozenset({"context_length_exceeded", "max_tokens_exceeded", "token_limit_exceeded", "string_too_long"})
# Of a picture or file in the prompt, which only a buyer sends.
_MEDIA = frozenset(
    {
        *("invalid_image", "image_too_large", "image_too_small", "unsupported_image_format", "image_download_failed"),
        "image_not_found",
    }
)
_GONE = frozenset(
    {"model_not_found", "wrong_endpoint", "model_deprecated", "model_unavailable_upstream", "free_variant_ended"}
)
_FILTERED = frozenset({"region_restricted", "privacy_restricted", "constraint_filtered"})
_LIMITS = {
    "openrouter_key_limit": "key_limit",
    "openrouter_workspace_budget": "budget",
    "openrouter_guardrail_budget": "budget",
}
# Concurrent calls reserve from one budget and return it at their end, so this is the only limit worth a retry.
_BALANCE = {"openrouter_in_flight_budget": "in_flight"} | _LIMITS
_REASONS = {"in_flight_budget_exhausted": "in_flight", "weight_exceeds_budget": "too_dear"}
_LONGEST_WAIT = 86_400.0
# No provider's answer is nearly as deep.
_DEEPEST = 100
# Costs have at most 40 digits. To handle a number of a million digits takes seconds.
_NUMBER_CHARACTERS = 100
_DATE_CHARACTERS = 100
_KEEP_ALIVE = re.compile(r"\A(?:\s*+:[^\n]*+\n)*+\s*")


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> ExecutionFailed:
    """Read a response whose status is not 2xx.

    Args:
        status: the HTTP status, which counts more than the code in the body.
        headers: looked up in lower case, for `retry-after`.
        body: any bytes; proxies on the way answer in HTML.
    """
    try:
        document = parse(body)
    except ExecutionFailed:
        document = None
    error = document.get("error") if isinstance(document, dict) else None
    error = {**error, "code": status} if isinstance(error, dict) else {"code": status}
    return read_error(error, status, headers.get("retry-after"))


def read_error(error: Mapping[str, object], default_status: int, retry_after: str | None = None) -> ExecutionFailed:
    """Classify OpenRouter's `error` object.

    Args:
        error: `{code | http_status, error_type?, metadata?, availability?}`.
        default_status: the status to assume if the object has none.
        retry_after: the header, in seconds or as an HTTP date.
    """
    status = _status(error.get("code")) or _status(error.get("http_status")) or default_status
    metadata = mapping(error.get("metadata"))
    availability = mapping(error.get("availability"))
    wait = seconds(retry_after)
    if wait is None:
        wait = seconds(availability.get("retry_after"))
    name = f"provider_{status}"
    if cause := _cause(status, error, metadata, availability):
        name += f"_{cause}"
    retryable = availability.get("retryable")
    return provider_failure(name, resend=retryable if isinstance(retryable, bool) else None, retry_after=wait)


def parse(body: bytes, *, errors: Literal["strict", "replace"] = "strict") -> object:
    """Parse JSON with exact decimals; NaN, Infinity and numbers of more than 100 characters become None.

    Args:
        body: UTF-8, with or without a byte order mark.
        errors: the treatment of bytes that are not UTF-8; `replace` makes them U+FFFD.

    Raises:
        ExecutionFailed: not a JSON document, or one with a million values. Keep-alive newlines and `:` comment lines
            before it are skipped.
    """
    if is_bulky(body):
        raise malformed()
    try:
        text = _KEEP_ALIVE.sub("", body.decode("utf-8-sig", errors), count=1)
        if not is_deeper(text, _DEEPEST):
            return json.loads(text, parse_float=_decimal, parse_constant=lambda _: None)
    except (ValueError, InvalidOperation):
        pass
    raise malformed()


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if len(text) <= _NUMBER_CHARACTERS else None


def malformed() -> ExecutionFailed:
    """Build the failure of an unreadable answer. The provider may have done, and charged, the work."""
    return provider_failure("provider_malformed")


def require_models(body: bytes) -> None:
    """Check the body of a 200 response of `GET /models`, which shows that a key works.

    Raises:
        ExecutionFailed: it lists no models.
    """
    if not isinstance(mapping(parse(body)).get("data"), list):
        raise malformed()


def mapping(value: object) -> Mapping[str, object]:
    """Return the value if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def _cause(
    status: int, error: Mapping[str, object], metadata: Mapping[str, object], availability: Mapping[str, object]
) -> str | None:
    """Read the cause from the codes beside a status; None if the status says everything."""
    kinds = {kind for kind in (error.get("error_type"), metadata.get("error_type")) if isinstance(kind, str)}
    code = str(availability.get("code"))
    match status:
        case 400 if kinds & _MODERATED:
            return "policy"
        case 400 if kinds & _TOO_LONG:
            return "too_long"
        case 400 | 404 if kinds & _MEDIA:
            return "media"
        case 400 | 404 if code in _GONE:
            return "gone"
        case 402:
            return _REASONS.get(str(metadata.get("reason"))) or _BALANCE.get(str(metadata.get("limit_source")))
        case 403:
            return _cause_of_403(kinds, metadata, code)
        case 404 if code in _FILTERED:
            return "price" if availability.get("excluded_by") == ["max_price"] else "filtered"
    return None


def _cause_of_403(kinds: set[str], metadata: Mapping[str, object], code: str) -> str | None:
    """Read the cause of a 403: a limit of the creator's account, or moderation of the input (None)."""
    if limit := _LIMITS.get(str(metadata.get("limit_source"))):
        return limit
    if kinds & _MODERATED or "flagged_input" in metadata or "reasons" in metadata:
        return None
    if "patterns" in metadata:
        return "guardrail"
    return "filtered" if code in _FILTERED else "denied"


def _status(value: object) -> int | None:
    return value if type(value) is int and 300 <= value <= 599 else None


def seconds(value: object) -> float | None:
    """Read seconds to wait from a number or an HTTP date (RFC 9110, section 10.2.3); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    if isinstance(value, str) and len(value) > _DATE_CHARACTERS:
        return None
    try:
        wait = Decimal(value)
    except InvalidOperation:
        return _until(str(value))
    return min(float(wait), _LONGEST_WAIT) if wait.is_finite() and wait >= 0 else None


def _until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    wait = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(0.0, wait), _LONGEST_WAIT)
