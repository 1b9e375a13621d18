"""Reading why OpenRouter did not answer: its `error` object, in whatever envelope, becomes an `ExecutionFailed`.

The rules follow OpenRouter's error guide (`error_type`, `availability`, `limit_source`). Only codes are read: the
sentences beside them quote the prompt.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any

from core.failures import ExecutionFailed, Fault

# The request never started, or ended without charge; 504 and 524 are not here: their generation may have finished.
_RESENDABLE = frozenset({408, 429, 500, 502, 503, 529})
_OUTCOME_UNKNOWN = frozenset({504, 524})
_TIMEOUTS = frozenset({408, 504, 524})
_CREATORS = frozenset({400, 401, 402, 403, 404, 409, 412, 413, 422})
_POLICY = frozenset({"content_policy_violation", "refusal"})
_PATIENCE = 86_400.0
_KEEP_ALIVE = re.compile(r"\A(?:\s*+:[^\n]*+\n)*+\s*")


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> ExecutionFailed:
    """Read an answer whose status is not 2xx.

    Args:
        status: the HTTP status, which wins over the code in the body.
        headers: looked up in lower case, for `retry-after`.
        body: may be anything; proxies in between answer in HTML.
    """
    try:
        document = parse(body)
    except ExecutionFailed:
        document = None
    error = document.get("error") if isinstance(document, dict) else None
    error = {**error, "code": status} if isinstance(error, dict) else {"code": status}
    return read_error(error, status, headers.get("retry-after"))


def read_error(error: Mapping[str, Any], otherwise: int, retry_after: str | None = None) -> ExecutionFailed:
    """Classify OpenRouter's `error` object.

    Args:
        error: `{code | http_status, error_type?, metadata?, availability?}`.
        otherwise: the status to assume when the object names none.
        retry_after: the header, in seconds or as an HTTP date.
    """
    status = _status(error.get("code")) or _status(error.get("http_status")) or otherwise
    metadata = mapping(error.get("metadata"))
    availability = mapping(error.get("availability"))
    wait = _seconds(retry_after)
    if wait is None:
        wait = _seconds(availability.get("retry_after"))
    detail = f"provider_{status}"
    if _is_moderation(status, error, metadata):
        return ExecutionFailed("content_filtered", "buyer", detail)
    fault: Fault = "creator" if status in _CREATORS else "provider"
    code = "generation_timeout" if status in _TIMEOUTS else "resource_unavailable"
    resend = _may_resend(status, metadata, availability)
    return ExecutionFailed(code, fault, detail, resend=resend, retry_after=wait)


def parse(body: bytes) -> Any:
    """JSON with exact decimals; NaN and Infinity, which JSON does not have, become None.

    Raises:
        ExecutionFailed: no JSON document; keep-alive newlines and `:` comment lines before one are skipped.
    """
    try:
        text = _KEEP_ALIVE.sub("", body.decode("utf-8-sig"), count=1)
        return json.loads(text, parse_float=Decimal, parse_constant=lambda _: None)
    except (ValueError, InvalidOperation, RecursionError):
        pass
    raise malformed()


def malformed() -> ExecutionFailed:
    """The provider may well have done, and charged, its work: never sent again on our own."""
    return ExecutionFailed("resource_unavailable", "provider", "provider_malformed")


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def _may_resend(status: int, metadata: Mapping[str, Any], availability: Mapping[str, Any]) -> bool:
    if status in _OUTCOME_UNKNOWN:
        return False
    if isinstance(availability.get("retryable"), bool):
        return bool(availability["retryable"])
    if status == 402:
        # Concurrent calls reserve their estimated cost; this one passes once they are through.
        return metadata.get("reason") == "in_flight_budget_exhausted"
    return status in _RESENDABLE


def _is_moderation(status: int, error: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    kinds = (error.get("error_type"), metadata.get("error_type"))
    if status in (400, 403) and any(isinstance(kind, str) and kind in _POLICY for kind in kinds):
        return True
    return status == 403 and ("flagged_input" in metadata or "reasons" in metadata)


def _status(value: Any) -> int | None:
    return value if type(value) is int and 300 <= value <= 599 else None


def _seconds(value: Any) -> float | None:
    """Seconds to wait, from a number or an HTTP date (RFC 9110, section 10.2.3); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        wait = Decimal(value)
    except InvalidOperation:
        return _until(str(value))
    return min(float(wait), _PATIENCE) if wait.is_finite() and wait >= 0 else None


def _until(date: str) -> float | None:
    try:
        then = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    wait = (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(0.0, wait), _PATIENCE)
