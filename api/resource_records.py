"""Describe to OpenAPI what creators see of their own resources; names are spelled as on the wire."""

from typing import Literal

from pydantic import BaseModel, Field

from api.documents import Answers, header, problems
from core.resources import document

_STATE = "draft: never published; on_offer; archived"


class Described(BaseModel):
    """One of your resources."""

    slug: str
    url: str
    state: Literal["draft", "on_offer", "archived"] = Field(description=_STATE)
    revision: int = Field(description="counts the changes of the resource; the ETag, to be sent as If-Match")
    version: int = Field(description="the version that this is about")
    offeredVersion: int | None = Field(description="the version on offer; null if none is")
    draftVersion: int | None = Field(description="the version that you work on; null if there is none")


class Own(Described):
    """One of your resources with its document, template included."""

    document: dict[str, object] = Field(description="as it can be saved again; its form: GET /schemas/prompt.json")


class Saved(Described):
    """What became of a change. Money in US dollars or USDC, as exact decimals."""

    isNew: bool = Field(description="false if it made no new version, or put none on sale")
    dryRun: bool = Field(description="whether this only says what would be")
    priceUsdc: str
    priceFloorUsdc: str = Field(description="the lowest price that is no certain loss")
    leastCostUsd: str = Field(description="what nearly every call costs at least")
    typicalCostUsd: str = Field(description="what a usual call costs, at today's prices")
    realCostUsd: str | None = Field(
        description="what its paid calls of the last 30 days cost on average on this model; null if fewer than five"
    )
    worstCostUsd: str = Field(description="the most that a call can cost")
    obstacle: str | None = Field(description="why it cannot be sold now, such as key_missing; null if nothing stops it")
    warnings: list[str]


class Numbered(BaseModel):
    """A version of a resource."""

    version: int
    state: Literal["draft", "on_offer", "replaced", "unused"] = Field(description="unused: it was never on offer")
    title: str
    model: str
    priceUsdc: str
    createdAt: str
    offeredAt: str | None = Field(description="when it was first on offer")


class Versions(Described):
    """The versions of a resource, newest first, at most the last 1000."""

    versions: list[Numbered]


class Difference(BaseModel):
    """A field that differs: before and after, or for the template the lines of a unified diff."""

    field: str
    before: object = None
    after: object = None
    lines: list[str] = Field(default=[], description="those that begin with - were removed, those with + added")


class Differences(Described):
    """How a version differs from another."""

    against: int | None = Field(description="the other version; null: the first differs from nothing")
    differences: list[Difference]


class Shown(Described):
    """Exactly what a buyer gets who asks without a payment."""

    obstacle: str | None = Field(description="why it cannot be sold now; buyers then get 503 and no reason")
    status: int
    headers: dict[str, str]
    body: dict[str, object]


class Publishing(BaseModel):
    """How to publish; all of it may be left out."""

    dry_run: bool = Field(default=False, description="change nothing, and say everything that publishing would")
    allow_loss: bool = Field(default=False, description="also if nearly every call costs more than the price")
    allow_breaking: bool = Field(default=False, description="also if requests that buyers send today would be refused")


_ETAG = {"ETag": header("the revision")}
_IF_MATCH = {
    "name": "if-match",
    "in": "header",
    "description": "the ETag that you saw, or `*`; another revision is 412, and 428 asks for it where it is required",
    "schema": {"type": "string"},
}
KEY = {
    "name": "idempotency-key",
    "in": "header",
    "description": "a repetition with the same key within a day gets the first answer",
    "schema": {"type": "string", "pattern": "^[\x21-\x7e]{1,255}$"},
}


def answers(model: type[BaseModel], *others: int, status: int = 200) -> Answers:
    """Describe an answer that is about a resource, and the problems that may come instead."""
    told: Answers = {status: {"model": model, "headers": _ETAG}}
    return told | problems(401, 403, 404, 429, 503, *others)


def takes(body: type[BaseModel] | None = None, *, required: bool = True, repeatable: bool = False) -> dict[str, object]:
    """Describe the body and the headers of a change; without a model the body is a document.

    Args:
        body: what the body is.
        required: whether there must be one.
        repeatable: whether an Idempotency-Key counts.
    """
    described: dict[str, object] = {"type": "object", "description": f"a document: GET {document.SCHEMA_PATH}"}
    if body is not None:
        described = body.model_json_schema()
    return {
        "parameters": [_IF_MATCH, *([KEY] if repeatable else [])],
        "requestBody": {"required": required, "content": {"application/json": {"schema": described}}},
    }


class ResourceCaps(BaseModel):
    """What you let one prompt cost on models, in US dollars; null: no cap of its own. Days and months are UTC."""

    dailySpendCapUsd: str | None
    monthlySpendCapUsd: str | None
    mostPerCallUsd: str | None
    spentTodayUsd: str = Field(description="what its calls cost or have reserved today")
    spentThisMonthUsd: str = Field(description="likewise this month")


class Sold(BaseModel):
    """A creator's resource."""

    slug: str
    url: str
    version: int
    title: str
    model: str
    modality: str
    priceUsdc: str
    worstCostUsd: str = Field(description="the most that a call can cost")
    archived: bool
    state: Literal["draft", "on_offer", "archived"] = Field(description="a draft was never published")
    obstacle: str | None = Field(description="why it is not sold now, such as key_missing; null if it is")
    advice: str | None = Field(description="what that means, and what to do about it")
    caps: ResourceCaps
    modelNotice: str | None = Field(description="what becomes of its model, and what to switch to; null if nothing")
