"""Name every failure of a provider: whose fault it is, what it may have cost, and what the creator can do about it.

A name is the `detail` of an `ExecutionFailed`. Buyers get one sentence for all of them; creators get the advice.
"""

from dataclasses import dataclass
from typing import Final, Literal

from core.failures import ExecutionFailed, Fault, OutcomeCode

# Whether the provider charged for a call.
Charge = Literal["no", "perhaps", "yes"]


@dataclass(frozen=True, slots=True)
class ProviderError:
    """One named failure of a call.

    Attributes:
        fault: who caused it.
        charged: whether the provider charged for it. After `perhaps` a call is sent again only if the provider's cache
            can answer the identical bytes; after `yes` only as a new request.
        resend: whether a second send can help.
        advice: what the creator can do, as a sentence.
        code: the code for the buyer.
    """

    fault: Fault
    charged: Charge
    resend: bool
    advice: str
    code: OutcomeCode = "resource_unavailable"


_LATE: Final = "generation_timeout"
_FILTERED: Final = "content_filtered"
_REJECTED = "The provider rejects the request; test the prompt as its owner."
_BUSY = "Nothing to do: the provider is overloaded. If it lasts, choose another model."
_FAILED = "Nothing to do: the provider failed. If it lasts, choose another model."
_SLOW = "The provider was too slow; raise timeout_seconds, lower max_output_tokens, or choose a faster model."
# Cloudflare's own statuses (developers.cloudflare.com, error 5xx): whether the request reached the origin behind it.
_EDGE = "The provider's edge could not reach the provider, so no model ran. If it lasts, choose another model."
_EDGE_UNKNOWN = "The provider's edge lost its answer; its cost is looked up later where the provider reports it."
_LOST = "The connection to the provider broke; the cost is looked up later where the provider reports it."
_MODERATED = "The provider's moderation declined this buyer's input; the buyer was told."
_UNREADABLE = "The provider cannot fetch or read this buyer's picture or file; the buyer was told."
_KEY_LIMIT = "Your key's spend limit is used up; raise it."
_BUDGET = "A budget of your workspace is used up; raise it."
_SETTINGS = "No provider is left after the privacy, region and price limits of your account and of this prompt."

PROVIDER_ERRORS = {
    "provider_400": ProviderError("creator", "no", False, _REJECTED),
    "provider_400_policy": ProviderError("buyer", "no", False, _MODERATED, _FILTERED),
    "provider_400_too_long": ProviderError(
        "creator", "no", False, "The prompt with its inputs is too long for the model; choose one with more context."
    ),
    "provider_400_media": ProviderError("buyer", "no", False, _UNREADABLE, _FILTERED),
    "provider_400_gone": ProviderError(
        "creator", "no", False, "The model cannot be called any more; choose another one."
    ),
    "provider_401": ProviderError("creator", "no", False, "Your key was rejected, so nothing is sold; set a new one."),
    "provider_401_behind": ProviderError(
        "provider",
        "no",
        False,
        "The provider accepts your key, but passed on that another server rejects its own; tell whoever runs it.",
    ),
    "provider_402": ProviderError("creator", "no", False, "Your account at the provider is out of credit; top it up."),
    "provider_402_in_flight": ProviderError(
        "creator", "no", True, "Calls at the same time reserve your whole balance; top it up, or use fewer slots."
    ),
    "provider_402_too_dear": ProviderError(
        "creator", "no", False, "Your balance does not cover one such call; top it up, or lower max_output_tokens."
    ),
    "provider_402_key_limit": ProviderError("creator", "no", False, _KEY_LIMIT),
    "provider_402_budget": ProviderError("creator", "no", False, _BUDGET),
    "provider_403": ProviderError("buyer", "no", False, _MODERATED, _FILTERED),
    "provider_403_denied": ProviderError(
        "creator", "no", False, "Your key may not make this call; check its permissions."
    ),
    "provider_403_guardrail": ProviderError("creator", "no", False, "A guardrail of your account blocked the prompt."),
    "provider_403_key_limit": ProviderError("creator", "no", False, _KEY_LIMIT),
    "provider_403_budget": ProviderError("creator", "no", False, _BUDGET),
    "provider_403_filtered": ProviderError("creator", "no", False, _SETTINGS),
    "provider_404": ProviderError("creator", "no", False, "No provider serves this request; choose another model."),
    "provider_404_media": ProviderError("buyer", "no", False, _UNREADABLE, _FILTERED),
    "provider_404_gone": ProviderError(
        "creator", "no", False, "The model cannot be called any more; choose another one."
    ),
    "provider_404_filtered": ProviderError("creator", "no", False, _SETTINGS),
    "provider_404_price": ProviderError(
        "creator",
        "no",
        False,
        "The model costs more now than its listed price; the catalog is synced within ten minutes, and reprices it.",
    ),
    "provider_408": ProviderError("provider", "perhaps", True, _SLOW, _LATE),
    "provider_409": ProviderError("creator", "no", False, _REJECTED),
    "provider_412": ProviderError("creator", "no", False, _REJECTED),
    "provider_413": ProviderError("creator", "no", False, "The prompt with its inputs is too large for the provider."),
    "provider_422": ProviderError("creator", "no", False, _REJECTED),
    "provider_429": ProviderError("provider", "no", True, _BUSY),
    "provider_499": ProviderError("ours", "perhaps", True, _LOST),
    "provider_500": ProviderError("provider", "no", True, _FAILED),
    "provider_502": ProviderError("provider", "no", True, _FAILED),
    "provider_503": ProviderError("provider", "no", True, _BUSY),
    "provider_504": ProviderError("provider", "perhaps", True, _SLOW, _LATE),
    "provider_520": ProviderError("provider", "perhaps", True, _EDGE_UNKNOWN),
    "provider_521": ProviderError("provider", "no", True, _EDGE),
    "provider_522": ProviderError("provider", "perhaps", True, _EDGE_UNKNOWN),
    "provider_523": ProviderError("provider", "no", True, _EDGE),
    "provider_524": ProviderError("provider", "perhaps", True, _SLOW, _LATE),
    "provider_525": ProviderError("provider", "no", True, _EDGE),
    "provider_526": ProviderError("provider", "no", True, _EDGE),
    "provider_527": ProviderError("provider", "perhaps", True, _EDGE_UNKNOWN),
    "provider_529": ProviderError("provider", "no", True, _BUSY),
    "provider_530": ProviderError("provider", "no", True, _EDGE),
    "provider_failed": ProviderError(
        "provider", "perhaps", False, "The provider failed, and may have charged the call."
    ),
    "provider_unreachable": ProviderError(
        "provider", "no", True, "The provider could not be reached, so nothing was sent."
    ),
    "provider_timeout": ProviderError("provider", "perhaps", False, _SLOW, _LATE),
    "provider_silent": ProviderError("provider", "perhaps", True, _SLOW, _LATE),
    "provider_cut": ProviderError("provider", "perhaps", True, _LOST),
    "provider_unfinished": ProviderError(
        "provider", "perhaps", True, "The provider ended the answer without saying that it is whole."
    ),
    "provider_malformed": ProviderError("provider", "perhaps", True, "The provider sent no readable answer."),
    "provider_too_large": ProviderError("provider", "yes", False, "The answer was larger than the size limit."),
    "provider_empty": ProviderError(
        "provider", "yes", False, "The model returned an empty answer; test the prompt as its owner."
    ),
    "provider_reasoning_only": ProviderError(
        "creator", "yes", False, "The model only reasoned and gave no answer; raise max_output_tokens."
    ),
    "provider_truncated": ProviderError(
        "creator", "yes", False, "The answer did not fit into max_output_tokens; raise it, or ask for less."
    ),
    "provider_tool_call": ProviderError(
        "creator",
        "yes",
        False,
        "The model called a tool instead of answering; tell it in the prompt that there are no tools.",
    ),
    "provider_bad_image": ProviderError(
        "provider", "yes", False, "The model's image is not in a format that can be shown."
    ),
    "provider_malformed_json": ProviderError(
        "provider",
        "yes",
        True,
        "The answer was not JSON, or did not fit the schema; simplify schema or prompt.",
    ),
    "provider_content_filter": ProviderError("buyer", "yes", False, _MODERATED, _FILTERED),
    "provider_refused": ProviderError("buyer", "yes", False, "The model refused this buyer's input.", _FILTERED),
    "withheld_canary": ProviderError(
        "buyer",
        "yes",
        False,
        "The answer had our canary, so this input asked for your prompt; it was withheld, and counts as answered.",
        _FILTERED,
    ),
    "withheld_overlap": ProviderError(
        "creator",
        "yes",
        True,
        "Two answers repeated a long part of your prompt and were withheld; put what they may say in quotation marks.",
    ),
}

CAUSED_BY_WORDS = frozenset(
    name
    for name, error in PROVIDER_ERRORS.items()
    if error.fault != "buyer" and (error.charged == "yes" or name == "provider_timeout")
)
"""Failures that a buyer can cause by the length or the form that they ask for, at the creator's cost."""

UNAVAILABLE = frozenset(
    {
        *("provider_400_gone", "provider_403_filtered", "provider_404", "provider_404_gone", "provider_404_filtered"),
        *("provider_401_behind", "provider_429", "provider_502", "provider_503", "provider_529"),
    }
)
"""Failures for which another model may answer: this one is not served now, and certainly nothing was charged."""

ABOUT_CREDIT = frozenset(
    name for name in PROVIDER_ERRORS if name.startswith("provider_402") or name.endswith(("_key_limit", "_budget"))
)
"""Failures that end when the creator buys credit or raises a limit: advice on them ends with the provider's page."""

# Any other status: `provider_418` and its like.
UNEXPECTED_STATUS = ProviderError("provider", "perhaps", False, "The provider answered with an unexpected status.")


def provider_failure(name: str, *, resend: bool | None = None, retry_after: float | None = None) -> ExecutionFailed:
    """Build the failure of that name.

    Args:
        name: one of `PROVIDER_ERRORS`, or `provider_` and any other status.
        resend: whether the provider itself asks for a second try; None leaves it to the table.
        retry_after: seconds that the provider asked to wait.
    """
    error = PROVIDER_ERRORS.get(name, UNEXPECTED_STATUS)
    may_resend = error.resend if resend is None else resend
    return ExecutionFailed(error.code, error.fault, name, resend=may_resend, retry_after=retry_after)


def lookup(detail: str) -> ProviderError | None:
    """Look up a failure by name; None if the provider has no part in it."""
    return PROVIDER_ERRORS.get(detail, UNEXPECTED_STATUS if detail.startswith("provider_") else None)


def metric_label(name: str) -> str:
    """Return the name under which metrics count a failure. Unexpected statuses share one, so labels stay few."""
    return name if name in PROVIDER_ERRORS else "provider_other"


def charge_of(detail: str) -> Charge:
    """Return whether a call that ended like this was charged. Failures that are not the provider's were never sent."""
    error = lookup(detail)
    return error.charged if error else "no"


def advice(detail: str) -> str | None:
    """Return what the creator can do about a failure, as a sentence; None if the provider has no part in it."""
    error = lookup(detail)
    return error.advice if error else None
