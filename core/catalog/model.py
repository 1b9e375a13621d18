"""Define one model of the catalog.

The format is OpenRouter's `GET /models`, as documented and as seen in real catalogs of 2026.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from core.db.states import ModelModality
from core.providers.usage import reached

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

# Real models vanish from the catalog for hours and come back; after this time they count as gone.
ABSENCE_TOLERATED = timedelta(days=2)

# Characters that OpenRouter accepts in an id, and that display and compare without surprises.
ID = re.compile(r"[\x21-\x7e]{1,200}")


class Charges(BaseModel):
    """What a call is charged by, in US dollars; every price that our calls may be charged by is here.

    Attributes:
        prompt_usd: per token of the prompt, the highest over all hours; None if unknown, which is never free.
        completion_usd: per token of the answer, likewise; covers reasoning tokens if those cost more.
        request_usd: per request; 0 if none is listed.
        image_output_usd: per image token; None if images are billed as completion tokens.
        cache_usd: per token of the prompt that the provider caches by itself; None if none is listed.
        search_usd: per search; None for models that do not search unasked.
        picture_usd: per picture; None if none is listed.
    """

    model_config = ConfigDict(frozen=True)

    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
    cache_usd: Decimal | None = None
    search_usd: Decimal | None = None
    picture_usd: Decimal | None = None


class PriceTier(Charges):
    """What a call is charged by if its prompt is long.

    Attributes:
        above: tokens; it applies to longer prompts.
        prices: every price by its key, also those that our calls are never charged by; None if it is no price.
    """

    above: int
    prices: dict[str, Decimal | None] = {}


class Model(Charges):
    """One model as last listed. Its own prices are those of prompts too short for any tier.

    Attributes:
        id: the `model` in requests, after the name of its provider unless that is OpenRouter.
        modality: its kind: by its output, or multimodal if it makes text from more than text.
        capabilities: badges, from its listed fields and never from its name.
        alias_target: the id that it stands for today, which may change any day.
        released_at: UTC, when the provider first offered it.
        expires_on: the last day on which the provider promises to serve it (UTC).
        context_length: tokens of input and output together; None if unknown.
        max_completion_tokens: the most tokens of one answer; None if unknown.
        price_tiers: prices of longer prompts, shortest first.
        prices: every listed price by its key, also those that our calls are never charged by; None if it is no price.
        not_sellable: why no call to it may be sold; None if calls may be sold.
        curated: whether the operator recommends it.
        modality_override: the operator's choice of modality.
        disabled: whether the operator has disabled it.
        missing_since: UTC, the first sync that did not list it.
        successor: the id under which it goes on, once it is not listed any more; None if none is known.
        logged_picture_tokens: least and most tokens of an answer with a picture, in our usage log; None if too few are
            in it.
        raw: the provider's row, unknown fields included.
    """

    id: str
    name: str
    modality: ModelModality = "text"
    capabilities: tuple[str, ...] = ()
    alias_target: str | None = None
    released_at: datetime | None = None
    expires_on: date | None = None
    context_length: int | None
    max_completion_tokens: int | None
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    supported_parameters: tuple[str, ...]
    price_tiers: tuple[PriceTier, ...] = ()
    prices: dict[str, Decimal | None] = {}
    not_sellable: str | None
    curated: bool = False
    modality_override: ModelModality | None = None
    disabled: bool = False
    missing_since: datetime | None = None
    successor: str | None = None
    logged_picture_tokens: tuple[int, int] | None = None
    raw: dict[str, object]

    def charges_at(self, prompt_tokens: int) -> "Model | PriceTier":
        """Return what a call with a prompt of at most so many tokens is charged by."""
        return reached(self.price_tiers, prompt_tokens) or self


# Fields that no list has; a sync does not change them.
NOT_LISTED = frozenset(
    {"curated", "modality_override", "disabled", "missing_since", "successor", "logged_picture_tokens"}
)
_ROWS = TypeAdapter(list[Model])


def as_json(models: Iterable[Model]) -> str:
    """Serialise the listed fields for the query that applies them."""
    return _ROWS.dump_json(list(models), exclude={"__all__": {*NOT_LISTED}}).decode()
