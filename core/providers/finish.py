"""Map the finish reasons of providers to what they mean for us.

OpenRouter normalises them to five words; gateways pass on the words of the model's own provider. Words are compared
without case. docs/failures.md publishes the table.
"""

from collections.abc import Mapping
from enum import IntEnum


class Finish(IntEnum):
    """How an answer ended, from best to worst. Of several reasons the worst counts, so a later one never softens."""

    NONE = 0
    SUCCESS = 1
    UNKNOWN = 2
    TOOL_CALL = 3
    TRUNCATED = 4
    REFUSED = 5
    FILTERED = 6
    ERROR = 7


REASONS: Mapping[str, Finish] = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed"), Finish.SUCCESS),
    **dict.fromkeys(("tool_calls", "tool_use", "function_call"), Finish.TOOL_CALL),
    **dict.fromkeys(
        (
            "length",
            "limit",
            "max_tokens",
            "max_output_tokens",
            "max_length",
            "model_length",
            "model_context_window_exceeded",
            "error_limit",
            "incomplete",
        ),
        Finish.TRUNCATED,
    ),
    "refusal": Finish.REFUSED,
    **dict.fromkeys(
        (
            "content_filter",
            "content_filtered",
            "safety",
            "image_safety",
            "recitation",
            "image_recitation",
            "blocklist",
            "prohibited_content",
            "image_prohibited_content",
            "model_armor",
            "spii",
            "sensitive",
            "guardrail_intervened",
            "error_toxic",
        ),
        Finish.FILTERED,
    ),
    # The one word for which OpenRouter promises that nothing is charged.
    "error": Finish.ERROR,
    **dict.fromkeys(("null", "none", "unspecified"), Finish.NONE),
}
"""Known finish reasons in the form of `_normalise`, from the API references of OpenAI, Anthropic, Google, Amazon
Bedrock, Cohere and Zhipu."""

# Meanings of a native reason that the normalised one can hide. An unknown native reason is ignored.
_NATIVE = frozenset({Finish.TRUNCATED, Finish.REFUSED, Finish.FILTERED})


def finish_of(choice: Mapping[str, object]) -> Finish:
    """Read how a choice ended from its `finish_reason` and `native_finish_reason`; NONE while it continues."""
    reason, native = choice.get("finish_reason"), choice.get("native_finish_reason")
    normalised = _normalise(reason)
    finish = REASONS.get(normalised, Finish.UNKNOWN) if normalised else Finish.NONE
    native_finish = REASONS.get(_normalise(native))
    return max(finish, native_finish) if native_finish in _NATIVE else finish


def _normalise(reason: object) -> str:
    """Normalise a reason: lower case, underscores, no prefix of Google's enum; empty if it is not text."""
    if not isinstance(reason, str):
        return ""
    return reason.strip().lower().replace("-", "_").removeprefix("finish_reason_")
