"""Read one row of OpenRouter's model list into a `Model`."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

from core.catalog.model import ID, Capability, Model
from core.db.states import ModelModality

READER_VERSION = 2
"""Raise it when a row reads otherwise, here or in `model_list.parse`: a list that did not change is then read anew."""

# "-1" means "varies"; Decimal itself would also accept "NaN", "Infinity" and "1_0".
_PRICE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?")

_DELIVERABLE = {"text", "image"}
_PLAIN_VARIANTS = {"", "thinking", "extended"}
_REFUSED_VARIANTS = {"batch": "batch_only", "free": "free_variant"}

# The date that OpenRouter lists for models without a known end.
_NO_EXPIRY = date(2098, 12, 31)
_LATEST_RELEASE = datetime(2100, 1, 1, tzinfo=UTC)

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
    prices = _worst_prices(row.get("pricing"))
    return Model(
        id=model_id,
        name=_text(row.get("name")) or model_id,
        modality=_kind(inputs, outputs),
        capabilities=tuple(_capabilities(row, inputs, outputs, parameters)),
        alias_target=_alias_target(row.get("alias_target")),
        released_at=_moment(row.get("created")),
        expires_on=_day(row.get("expiration_date")),
        context_length=_count(row.get("context_length")),
        max_completion_tokens=_count(provider.get("max_completion_tokens")),
        input_modalities=inputs,
        output_modalities=outputs,
        supported_parameters=parameters,
        prompt_usd=prices.get("prompt"),
        completion_usd=max(prices["completion"], prices["internal_reasoning"]) if prices else None,
        request_usd=prices.get("request"),
        image_output_usd=prices.get("image_output"),
        not_sellable=_id_obstacle(model_id) or _output_obstacle(outputs) or (None if prices else "unknown_price"),
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
    return "text" if {"image", "audio", "video"}.isdisjoint(inputs) else "multimodal"


def _capabilities(
    row: dict[str, object], inputs: tuple[str, ...], outputs: tuple[str, ...], parameters: tuple[str, ...]
) -> Iterator[Capability]:
    """Yield the capabilities in the order of the badges, from listed fields and never from names."""
    pricing = _object(row.get("pricing"))
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
        "web_search": "web_search_options" in parameters or bool(_price(pricing.get("web_search"))),
        "prompt_caching": _price(pricing.get("input_cache_read")) is not None,
        "moderated": _object(row.get("top_provider")).get("is_moderated") is True,
    }
    yield from (badge for badge, is_true in facts.items() if is_true)


def _worst_prices(pricing: object) -> dict[str, Decimal]:
    """Compute the highest price per key over the list price and all overrides, whatever their conditions.

    The list price is the one in force at the fetch: hours of the day and long prompts have overrides, and a key absent
    from an override is inherited. `discount` is ignored, because it may end at any time.

    Returns:
        An empty dict if any price that our calls may be charged is unknown.
    """
    worst = {"internal_reasoning": Decimal(0), "request": Decimal(0)}
    for key, price in _price_items(pricing):
        if price is None:
            return {}
        worst[key] = max(price, worst.get(key, price))
    return worst if {"prompt", "completion"} <= worst.keys() else {}


def _price_items(pricing: object) -> Iterator[tuple[str, Decimal | None]]:
    """Yield every price that our calls are charged by; None for a value that is not a price."""
    listed = _object(pricing)
    overrides = listed.get("overrides") or []
    for entry in (listed, *(overrides if isinstance(overrides, list) else [None])):
        if not isinstance(entry, dict):
            yield "overrides", None
            continue
        for key in ("prompt", "completion", "internal_reasoning", "request", "image_output"):
            if key in entry:
                yield key, _price(entry[key])


def _price(value: object) -> Decimal | None:
    """Read a decimal string. A JSON number with a fraction is refused, because parsing has already rounded it."""
    exact = isinstance(value, str | int) and not isinstance(value, bool)
    return Decimal(str(value)) if exact and _PRICE.fullmatch(str(value)) else None


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    items: Iterable[object] = value if isinstance(value, list) else ()
    return tuple(item for item in items if isinstance(item, str))


def _count(value: object) -> int | None:
    """Read a positive number of tokens that fits Postgres's integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None


def _moment(value: object) -> datetime | None:
    """Read unix seconds."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LATEST_RELEASE.timestamp():
        return datetime.fromtimestamp(value, UTC)
    return None


def _day(value: object) -> date | None:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if day == _NO_EXPIRY else day


def _alias_target(value: object) -> str | None:
    slug = _text(_object(value).get("slug"))
    return slug if ID.fullmatch(slug) else None
