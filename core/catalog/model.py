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


class Model(BaseModel):
    """One model as last listed.

    Attributes:
        id: the `model` in requests, after the name of its provider unless that is OpenRouter.
        modality: its kind: by its output, or multimodal if it makes text from more than text.
        capabilities: badges, from its listed fields and never from its name.
        alias_target: the id that it stands for today, which may change any day.
        released_at: UTC, when the provider first offered it.
        expires_on: the last day on which the provider promises to serve it (UTC).
        context_length: tokens of input and output together; None if unknown.
        max_completion_tokens: the most tokens of one answer; None if unknown.
        prompt_usd: US dollars per token, the highest over all overrides; None if unknown, which is never free.
        completion_usd: US dollars per answer token, likewise; covers reasoning tokens if those cost more.
        request_usd: US dollars per request; 0 if none is listed.
        image_output_usd: US dollars per image token; None if images are billed as completion tokens.
        not_sellable: why no call to it may be sold; None if calls may be sold.
        curated: whether the operator recommends it.
        modality_override: the operator's choice of modality.
        disabled: whether the operator has disabled it.
        missing_since: UTC, the first sync that did not list it.
        raw: the provider's row, unknown fields included.
    """

    model_config = ConfigDict(frozen=True)

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
    prompt_usd: Decimal | None
    completion_usd: Decimal | None
    request_usd: Decimal | None
    image_output_usd: Decimal | None
    not_sellable: str | None
    curated: bool = False
    modality_override: ModelModality | None = None
    disabled: bool = False
    missing_since: datetime | None = None
    raw: dict[str, object]


# Fields that no list has; a sync does not change them.
NOT_LISTED = frozenset({"curated", "modality_override", "disabled", "missing_since"})
_ROWS = TypeAdapter(list[Model])


def as_json(models: Iterable[Model]) -> str:
    """Serialise the listed fields for the query that applies them."""
    return _ROWS.dump_json(list(models), exclude={"__all__": {*NOT_LISTED}}).decode()
