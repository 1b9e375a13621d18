"""One model as it is listed: what its row says, what a call may cost, whether a call may be sold.

Facts about the format: OpenRouter's `GET /models`, as documented and as counted in real catalogs of 2026.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

# "-1" means "varies"; Decimal itself would also take "NaN", "Infinity" and "1_0".
_PRICE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?")
Kind = Literal["text", "image", "video", "audio", "embedding", "multimodal"]

Capability = Literal[
    "vision",
    "audio_input",
    "video_input",
    "files",
    "image_output",
    "audio_output",
    "tools",
    "json",
    "structured_outputs",
    "reasoning",
    "web_search",
    "prompt_caching",
    "moderated",
]

# Real models vanish from the catalog for hours and come back; after this they count as gone.
ABSENCE_TOLERATED = timedelta(days=2)

# What OpenRouter accepts as an id, and what we can show and compare without surprises.
ID = re.compile(r"[\x21-\x7e]{1,200}")

_DELIVERABLE = {"text", "image"}
_PLAIN_VARIANTS = {"", "thinking", "extended"}
_REFUSED_VARIANTS = {"batch": "batch_only", "free": "free_variant"}

# Listed where the provider knows of no end.
_NO_EXPIRY = date(2098, 12, 31)
_LATEST_RELEASE = datetime(2100, 1, 1, tzinfo=UTC)

# The first that applies to what a model makes; with none, what it takes decides.
_MAKES: tuple[tuple[Kind, frozenset[str]], ...] = (
    ("image", frozenset({"image"})),
    ("video", frozenset({"video"})),
    ("audio", frozenset({"audio", "speech"})),
    ("embedding", frozenset({"embeddings", "rerank"})),
)


class Model(BaseModel):
    """One model as last listed.

    Attributes:
        id: what is sent as `model`, after the name of its provider unless that is OpenRouter.
        modality: the kind of model that it is: by what it makes, else multimodal if it takes more than text.
        capabilities: badges, from what is listed about it and never from its name.
        alias_target: the id that it stands for today, which may change any day.
        released_at: UTC, when the provider first offered it.
        expires_on: the last day on which the provider promises to serve it (UTC).
        context_length: tokens in and out together; None when not told.
        max_completion_tokens: the most tokens of one answer; None when not told.
        prompt_usd: US dollars per token, the worst over all overrides; None when unknown, which is never free.
        completion_usd: the same for answer tokens; covers reasoning tokens where those cost more.
        request_usd: US dollars per request; 0 where none is listed.
        image_output_usd: US dollars per image token; None where images are billed as completion tokens.
        not_sellable: why no call to it may be sold; None when one may.
        curated: whether the operator recommends it.
        modality_override: the operator's word on its kind.
        disabled: the operator's own switch.
        missing_since: UTC, the first sync that did not list it.
        raw: the provider's row, unknown fields included.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    modality: Kind = "text"
    capabilities: tuple[str, ...] = ()
    alias_target: str | None = None
    released_at: datetime | None = None
    expires_on: date | None = None
    context_length: int | None
    max_completion_tokens: int | None
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    supported_parameters: tuple[str, ...]
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
    not_sellable: str | None
    curated: bool = False
    modality_override: Kind | None = None
    disabled: bool = False
    missing_since: datetime | None = None
    raw: dict[str, Any]


# What no list says: a sync leaves it alone.
NOT_LISTED = frozenset({"curated", "modality_override", "disabled", "missing_since"})
_ROWS = TypeAdapter(list[Model])


def place(model_id: str) -> tuple[str, str]:
    """Where a model is called, and by what name there: `anthropic:claude-sonnet-4-5` is Anthropic's own.

    OpenRouter's ids are author/name, so a colon before any slash is never theirs. The column `served_by` agrees.
    """
    name, colon, rest = model_id.partition(":")
    return (name, rest) if colon and name and "/" not in name else ("openrouter", model_id)


def read(model_id: str, row: dict[str, Any]) -> Model:
    """A model of the provider's row. Fields of unexpected types read as not told; unknown ones are kept in `raw`."""
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
        not_sellable=_form(model_id) or _modality(outputs) or (None if prices else "unknown_price"),
        raw=row,
    )


def as_json(models: Iterable[Model]) -> str:
    """The rows that a list says, for the query that applies them."""
    return _ROWS.dump_json(list(models), exclude={"__all__": {*NOT_LISTED}}).decode()


def _form(model_id: str) -> str | None:
    """Why an id of this form is not sellable: the form changes cost or behaviour, today or any day."""
    slug, _, variant = model_id.partition(":")
    if slug.startswith("openrouter/") or "@preset/" in model_id:
        return "router"
    if variant in _REFUSED_VARIANTS:
        return _REFUSED_VARIANTS[variant]
    if slug.startswith("~"):
        return "alias"
    return None if variant in _PLAIN_VARIANTS else "variant"


def _modality(outputs: tuple[str, ...]) -> str | None:
    """Anything beside text and images is neither delivered nor in the worst case's price."""
    return None if outputs and _DELIVERABLE.issuperset(outputs) else "unsupported_modality"


def _kind(inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Kind:
    for kind, made in _MAKES:
        if not made.isdisjoint(outputs):
            return kind
    return "text" if {"image", "audio", "video"}.isdisjoint(inputs) else "multimodal"


def _capabilities(
    row: dict[str, Any], inputs: tuple[str, ...], outputs: tuple[str, ...], parameters: tuple[str, ...]
) -> Iterator[Capability]:
    """What a model can do, in the order of the badges. Names promise a lot, so none is looked at."""
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
    """The highest price per key over the list price and all overrides, whatever their conditions.

    The list price is the one in force when it was fetched: hours of the day and long prompts bring overrides, and a
    key absent from an override is inherited. `discount` is left out, as it may end at any time.

    Returns:
        Nothing at all if any price that a call of ours may be charged is unknown.
    """
    worst = {"internal_reasoning": Decimal(0), "request": Decimal(0)}
    for key, price in _price_items(pricing):
        if price is None:
            return {}
        worst[key] = max(price, worst.get(key, price))
    return worst if {"prompt", "completion"} <= worst.keys() else {}


def _price_items(pricing: object) -> Iterator[tuple[str, Decimal | None]]:
    """Every price of the keys that our calls are charged by; None where it is no price."""
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
    """Prices are decimal strings; a JSON number with a fraction was rounded when it was read, so it is none."""
    exact = isinstance(value, str | int) and not isinstance(value, bool)
    return Decimal(str(value)) if exact and _PRICE.fullmatch(str(value)) else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    items: Iterable[object] = value if isinstance(value, list) else ()
    return tuple(item for item in items if isinstance(item, str))


def _count(value: object) -> int | None:
    """A positive number of tokens that fits Postgres' integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None


def _moment(value: object) -> datetime | None:
    """Unix seconds."""
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
