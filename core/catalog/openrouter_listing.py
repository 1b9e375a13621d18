"""Read one row of OpenRouter's model list into a `Model`."""

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime

from core.catalog import pricing
from core.catalog.model import ID, Capability, Model
from core.db.states import ModelModality

READER_VERSION = 3
"""Raise it when a row reads otherwise, here or in `model_list.parse`: a list that did not change is then read anew."""

_DELIVERABLE = {"text", "image"}
_PLAIN_VARIANTS = {"", "thinking", "extended"}
_REFUSED_VARIANTS = {"batch": "batch_only", "free": "free_variant"}

_log = logging.getLogger(__name__)
_DIGITS = re.compile(r"[0-9]{1,12}")

# The date that OpenRouter lists for models without a known end.
_NO_EXPIRY = date(2098, 12, 31)
_LATEST_RELEASE = datetime(2100, 1, 1, tzinfo=UTC)
# Before it, a number is no time at all but perhaps a date: 20261215.
_EARLIEST_END = datetime(2020, 1, 1, tzinfo=UTC)

_UNKNOWN: pricing.Charged = {
    "prompt_usd": None,
    "completion_usd": None,
    "request_usd": None,
    "image_output_usd": None,
    "cache_usd": None,
    "search_usd": None,
    "picture_usd": None,
}

# The first match with the model's outputs decides its kind; without one, its inputs decide.
_KIND_BY_OUTPUT: tuple[tuple[ModelModality, frozenset[str]], ...] = (
    ("image", frozenset({"image"})),
    ("video", frozenset({"video"})),
    ("audio", frozenset({"audio", "speech"})),
    ("embedding", frozenset({"embeddings", "rerank"})),
)


def read(model_id: str, row: dict[str, object]) -> Model:
    """Read a provider's row. Fields of unexpected types count as missing; unknown fields are kept in `raw`."""
    architecture, provider = _object(row.get("architecture")), _object(row.get("top_provider"))
    inputs, outputs = _texts(architecture.get("input_modalities")), _texts(architecture.get("output_modalities"))
    parameters = _texts(row.get("supported_parameters"))
    context = _count(row.get("context_length"))
    prices = pricing.read(
        row.get("pricing"), outputs, searches="web_search_options" in parameters, context_length=context
    )
    price_obstacle = "unknown_price" if prices.charges is None else None
    return Model(
        id=model_id,
        name=_text(row.get("name")) or model_id,
        modality=_kind(inputs, outputs),
        capabilities=tuple(_capabilities(row, inputs, outputs, parameters, prices.prices)),
        alias_target=_alias_target(row.get("alias_target")),
        released_at=_moment(row.get("created")),
        expires_on=_last_day(model_id, row.get("expiration_date")),
        context_length=context,
        max_completion_tokens=_count(provider.get("max_completion_tokens")),
        input_modalities=inputs,
        output_modalities=outputs,
        supported_parameters=parameters,
        **(prices.charges or _UNKNOWN),
        price_tiers=prices.tiers,
        prices=prices.prices,
        not_sellable=_id_obstacle(model_id) or _output_obstacle(outputs) or price_obstacle,
        raw=row,
    )


def _id_obstacle(model_id: str) -> str | None:
    """Why a model with an id of this form cannot be sold: such forms can change cost or behaviour at any time."""
    slug, _, variant = model_id.partition(":")
    if slug.startswith("openrouter/") or "@preset/" in model_id:
        return "router"
    if variant in _REFUSED_VARIANTS:
        return _REFUSED_VARIANTS[variant]
    if slug.startswith("~"):
        return "alias"
    return None if variant in _PLAIN_VARIANTS else "variant"


def _output_obstacle(outputs: tuple[str, ...]) -> str | None:
    """Refuse outputs besides text and images: we do not deliver them, and the worst case does not price them.

    Models of images alone are refused too. OpenRouter serves the newer ones at `/images` only, at prices of that
    endpoint's own list, and no field of a row says which they are.
    """
    if not outputs or not _DELIVERABLE.issuperset(outputs):
        return "unsupported_modality"
    return None if "text" in outputs else "images_endpoint"


def _kind(inputs: tuple[str, ...], outputs: tuple[str, ...]) -> ModelModality:
    for kind, outputs_of_kind in _KIND_BY_OUTPUT:
        if not outputs_of_kind.isdisjoint(outputs):
            return kind
    if {*outputs} != {"text"}:
        return "other"
    return "text" if {"image", "audio", "video"}.isdisjoint(inputs) else "multimodal"


def _capabilities(
    row: dict[str, object],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    parameters: tuple[str, ...],
    prices: pricing.Listed,
) -> Iterator[Capability]:
    """Yield the capabilities in the order of the badges, from listed fields and never from names."""
    facts: dict[Capability, bool] = {
        "vision": "image" in inputs,
        "audio_input": "audio" in inputs,
        "video_input": "video" in inputs,
        "files": "file" in inputs,
        "image_output": "image" in outputs,
        "audio_output": not {"audio", "speech"}.isdisjoint(outputs),
        "tools": "tools" in parameters,
        "json": "response_format" in parameters,
        "structured_outputs": "structured_outputs" in parameters,
        "reasoning": "reasoning" in parameters,
        "web_search": "web_search_options" in parameters or bool(prices.get("web_search")),
        "prompt_caching": prices.get("input_cache_read") is not None,
        "moderated": _object(row.get("top_provider")).get("is_moderated") is True,
    }
    yield from (badge for badge, is_true in facts.items() if is_true)


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    items: Iterable[object] = value if isinstance(value, list) else ()
    return tuple(item for item in items if isinstance(item, str))


def _whole(value: object) -> int | None:
    """Read a whole number that is positive, whether it is written as an integer, as 128000.0 or as text."""
    if (isinstance(value, float) and value.is_integer()) or (isinstance(value, str) and _DIGITS.fullmatch(value)):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _count(value: object) -> int | None:
    """Read a positive number of tokens that fits Postgres's integer."""
    count = _whole(value)
    return count if count is not None and count < 2**31 else None


def _moment(value: object) -> datetime | None:
    """Read unix seconds."""
    seconds = _whole(value)
    if seconds is not None and seconds < _LATEST_RELEASE.timestamp():
        return datetime.fromtimestamp(seconds, UTC)
    return None


def _last_day(model_id: str, value: object) -> date | None:
    """Read the last day on which a model is served: a date, a time of day or unix seconds; in UTC.

    None: no end is listed. An end that cannot be read is logged, because it reads like no end.
    """
    moment = _moment(value)
    if moment is not None and moment < _EARLIEST_END:
        moment = None
    if moment is None and isinstance(value, str):
        with suppress(ValueError, OverflowError):
            stated = datetime.fromisoformat(value)
            moment = stated if stated.tzinfo is None else stated.astimezone(UTC)
    if moment is not None:
        return None if moment.date() == _NO_EXPIRY else moment.date()
    if value not in (None, ""):
        _log.warning("catalog: the end of %s cannot be read", model_id)
    return None


def _alias_target(value: object) -> str | None:
    slug = _text(_object(value).get("slug"))
    return slug if ID.fullmatch(slug) else None
