"""Say what OpenRouter refuses before a model runs: a practice server that is more lenient would hide our mistakes.

Sources: OpenRouter's error guide (`error_type`, `availability`), provider routing, and for `modalities` the refusals
that people report (https://github.com/openclaw/openclaw/issues/120530, https://github.com/BerriAI/litellm/issues/34908).
Where it is not known whether the real one refuses, this one does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandbox import openrouter_answers as answers
from sandbox import openrouter_parts as parts

_MILLION = 1_000_000
# Ceilings of these are for a million tokens, of others for one request or picture.
_PER_TOKEN = frozenset({"prompt", "completion"})
# Parameters of a request beside those that every model takes, and what a model that takes one lists.
_LISTED_AS = {"temperature": "temperature", "top_p": "top_p", "seed": "seed", "reasoning": "reasoning"}
_METADATA = (16, 64, 512)
_LEAST_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal: its status and sentence, and the codes beside them."""

    status: int
    message: str
    metadata: dict[str, Any] | None = None
    availability: dict[str, Any] | None = None


def refusal_of(row: dict[str, Any], body: dict[str, Any]) -> Refusal | None:
    """Return the first reason for which no endpoint of a model serves a request; None if one does."""
    return next(_refusals(row, body), None)


def _refusals(row: dict[str, Any], body: dict[str, Any]) -> Iterator[Refusal]:
    outputs = row["architecture"]["output_modalities"]
    if row["id"].endswith(":batch") or "text" not in outputs:
        # Models of images alone too: the newer ones are served at /images, and the list does not say which.
        yield _unavailable(400, f"{body['model']} is not served by this endpoint", "wrong_endpoint", body)
    wanted = body.get("modalities") or ()
    if not set(wanted) <= set(outputs):
        yield Refusal(
            404, f"No endpoints found that support the requested output modalities: {', '.join(map(str, wanted))}"
        )
    for kind, modality in parts.KINDS.items():
        if parts.parts(body["messages"], kind) and modality not in row["architecture"]["input_modalities"]:
            yield Refusal(404, f"No endpoints found that support {modality} input")
    if unreadable := parts.problem(body["messages"]):
        yield _invalid(*unreadable)
    yield from _malformed(body)
    yield from _unreasonable(row.get("reasoning") or {}, body.get("reasoning") or {})
    yield from _too_long(row, body)
    yield from _filtered(row, body)


def _malformed(body: dict[str, Any]) -> Iterator[Refusal]:
    """Yield what is wrong whatever the model."""
    temperature, metadata = body.get("temperature"), body.get("metadata") or {}
    if temperature is not None and not 0 <= temperature <= 2:
        yield _invalid("temperature must be between 0 and 2", "invalid_request")
    most, name_length, value_length = _METADATA
    if len(metadata) > most or any(
        len(name) > name_length or len(value) > value_length for name, value in metadata.items()
    ):
        yield _invalid("metadata has too many or too long members", "invalid_request")


def _unreasonable(listed: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[Refusal]:
    effort = asked.get("effort")
    if listed.get("mandatory") and (effort == "none" or asked.get("enabled") is False):
        yield _invalid("Reasoning is mandatory for this endpoint and cannot be disabled.", "invalid_request")
    supported = listed.get("supported_efforts")
    if effort not in (None, "none") and supported is not None and effort not in supported:
        yield _invalid(f"reasoning.effort must be one of {', '.join(supported)}", "invalid_request")


def _too_long(row: dict[str, Any], body: dict[str, Any]) -> Iterator[Refusal]:
    """Yield a limit that the answer, or prompt and answer together, would exceed."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    longest = row["top_provider"]["max_completion_tokens"]
    if limit and limit < _LEAST_TOKENS and row["id"].startswith("openai/"):
        yield _invalid(f"max_output_tokens must be at least {_LEAST_TOKENS}", "invalid_request")
    if limit and longest and limit > longest:
        yield _invalid(f"This endpoint answers at most {longest} tokens", "max_tokens_exceeded")
    asked = answers.prompt_tokens(body["messages"]) + (limit or 0)
    if row["context_length"] and asked > row["context_length"]:
        yield _invalid(
            f"This endpoint's maximum context length is {row['context_length']} tokens. You requested about {asked}.",
            "context_length_exceeded",
        )


def _filtered(row: dict[str, Any], body: dict[str, Any]) -> Iterator[Refusal]:
    """Yield the routing rule of the request that leaves no endpoint."""
    routing = body.get("provider") or {}
    prices = answers.prices_at(row["pricing"], answers.prompt_tokens(body["messages"]))
    for kind, ceiling in (routing.get("max_price") or {}).items():
        unit = _MILLION if kind in _PER_TOKEN else 1
        if Decimal(prices.get(kind, 0)) * unit > Decimal(ceiling):
            yield _excluded(body, "max_price")
    # A model is served by its maker and by us.
    endpoints = {row["id"].lstrip("~").partition("/")[0], "practice"} - set(routing.get("ignore") or ())
    if not endpoints & set(routing.get("only") or endpoints):
        yield _excluded(body, "allowed_providers")
    if routing.get("require_parameters"):
        needed = {listed for name, listed in _LISTED_AS.items() if name in body}
        match (body.get("response_format") or {}).get("type"):
            case "json_schema":
                needed.add("structured_outputs")
            case "json_object":
                needed.add("response_format")
        if not needed <= set(row["supported_parameters"]):
            yield _excluded(body, "require_parameters")


def _excluded(body: dict[str, Any], by: str) -> Refusal:
    refusal = _unavailable(404, "No endpoints found that fit the request's provider rules", "constraint_filtered", body)
    return Refusal(refusal.status, refusal.message, None, {**(refusal.availability or {}), "excluded_by": [by]})


def _unavailable(status: int, message: str, code: str, body: dict[str, Any]) -> Refusal:
    return Refusal(status, message, None, {"code": code, "retryable": False, "requested_models": [body["model"]]})


def _invalid(message: str, error_type: str) -> Refusal:
    return Refusal(400, message, {"error_type": error_type})
