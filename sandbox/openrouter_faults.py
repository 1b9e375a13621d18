"""Parse the faults of the practice OpenRouter, which are written as short texts.

NAME[:ARGUMENT][;OPTION=VALUE ...][*TIMES|*always]

status:503*3                             three answers with that HTTP status
status:429;retry_after=2                 with a Retry-After header, seconds or an HTTP date
status:400;error_type=content_policy_violation
status:402;reason=in_flight_budget_exhausted;limit_source=openrouter_in_flight_budget
status:503;availability=temporarily_unavailable
error_200;code=502                       HTTP 200 whose body is an error
status:502;body=html                     the page of a proxy on the way; `body=none` is empty
status:504;done=1                        the answer was made, charged and cached, and then lost; also `cut;done=1`
status:404;availability=no_endpoints;form=new      with `http_status` and `error_type` instead of `code`
empty;plain=1                            as a document, although events were requested
slow:3                                   a valid answer, three seconds late
drip:3                                   events spread over three seconds; comments:3 sends keep-alives before them
says:TEXT;gate=2                         two events, and the others when the control endpoint says `gate_open`
stamps:2                                 words over two seconds, each `~NANOSECONDS~`: the monotonic time of its sending
says:TEXT, draws:svg                     that content, that picture
obeys:base64                             the system turn in that way (`openrouter_obeying`); several are joined by +
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

STATUS_WORDS: Final = {
    400: "Provider returned error",
    401: "User not found.",
    402: "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
    403: "Your chosen model requires moderation and your input was flagged",
    404: "No endpoints found that can handle the requested parameters.",
    408: "Your request timed out",
    409: "Conflict",
    412: "Precondition failed",
    413: "Payload too large",
    422: "Unprocessable request",
    429: "Rate limit exceeded",
    499: "Client closed request",
    500: "Internal Server Error",
    502: "Provider returned an invalid response",
    503: "No instances available",
    504: "The provider timed out",
    524: "A timeout occurred",
    529: "Provider overloaded",
}
# Faults of the answer's content, of its delivery, and of its timing.
_CONTENTS = frozenset(
    {
        *("finish_error", "no_choices", "empty_choices", "null_content", "parts", "empty", "truncated", "filtered"),
        *("refusal", "reasoning", "reasoning_only", "tool_call", "audio", "citations", "says", "draws", "echo"),
        "obeys",
    }
)
_WAYS = frozenset({"html", "cut", "comment", "plain", "no_done", "error_chunk"})
_TIMES = frozenset({"hang", "slow", "whitespace", "comments", "drip", "silent", "stamps"})
NAMES: Final = frozenset({"status", "error_200"}) | _CONTENTS | _WAYS | _TIMES
_RETRYABLE = frozenset({"capacity_exhausted", "temporarily_unavailable"})
_METADATA = ("error_type", "limit_source", "reason", "provider_name")
_OPTIONS = frozenset(
    {*_METADATA, "patterns", "retry_after", "availability", "code", "form", "body", "done", "plain", "gate"}
)
_SHAPE = re.compile(r"(?P<name>\w+)(?::(?P<argument>[^;*]+))?(?P<options>(?:;[^*]+)?)(?:\*(?P<times>[1-9]\d*|always))?")


@dataclass(slots=True)
class Fault:
    """One entry of a key's queue.

    Attributes:
        name: one of `NAMES`.
        argument: the status, or seconds; empty if the fault needs none.
        options: see the module.
        left: chat calls that it still applies to; None for always.
    """

    name: str
    argument: str
    options: dict[str, str]
    left: int | None

    @property
    def status(self) -> int:
        """The HTTP status of `status:NNN`, the code of `error_200` and `finish_error`."""
        return int(self.argument or self.options.get("code", "502"))

    @property
    def seconds(self) -> float:
        """The delay of `slow`, the keep-alive time of `whitespace` and `comments`, the duration of `drip`."""
        return float(Decimal(self.argument or "0.05"))


NO_FAULT: Final = Fault("none", "", {}, None)


def parse(text: str) -> Fault:
    """Parse one fault.

    Raises:
        ValueError: names the mistake.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None or shape["name"] not in NAMES:
        raise ValueError(f"no such fault: {text}")
    options = dict(item.partition("=")[::2] for item in shape["options"].split(";") if item)
    if unknown := options.keys() - _OPTIONS:
        raise ValueError(f"no such option: {', '.join(sorted(unknown))}")
    name, argument = shape["name"], shape["argument"] or ""
    if name == "status" and not re.fullmatch(r"[345]\d\d", argument):
        raise ValueError("status wants a number from 300 to 599")
    if name in _TIMES and argument and not re.fullmatch(r"\d+(\.\d+)?", argument):
        raise ValueError(f"{name} wants seconds")
    times = shape["times"] or "1"
    return Fault(name, argument, options, None if times == "always" else int(times))


def error_body(fault: Fault, model: str, excerpt: str) -> dict[str, Any]:
    """Build OpenRouter's `error` object for this fault.

    Args:
        fault: status and options.
        model: the requested model.
        excerpt: the start of the prompt, which real moderation errors quote.
    """
    status, options = fault.status, fault.options
    error: dict[str, Any] = {"code": status, "message": STATUS_WORDS.get(status, "Provider returned error")}
    metadata: dict[str, Any] = {key: options[key] for key in _METADATA if key in options}
    if status == 403 and not metadata and "availability" not in options:
        metadata = {
            "reasons": ["violence"],
            "flagged_input": excerpt[:100],
            "provider_name": "OpenAI",
            "model_slug": model,
        }
    elif status >= 500:
        # The upstream's own text, which may quote the prompt.
        metadata.update(raw=f"upstream said no to: {excerpt}", provider_name="Practice")
    if "patterns" in options:
        metadata = {"patterns": ["email"]}
    if metadata:
        error["metadata"] = metadata
    if code := options.get("availability"):
        error["availability"] = {
            "code": code,
            "retryable": code in _RETRYABLE,
            "requested_models": [model],
            "docs_url": "https://openrouter.ai/docs/errors",
        }
        if "retry_after" in options:
            error["availability"]["retry_after"] = Decimal(options["retry_after"])
    if options.get("form") == "new":
        error |= {"http_status": error.pop("code"), "error_type": options.get("error_type", "unmapped")}
    return error
