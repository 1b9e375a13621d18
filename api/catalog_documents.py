"""Describe the answers of the catalog's routes to OpenAPI; `api/documents.py` has the other routes."""

from pydantic import BaseModel, Field

from api.documents import Answers, cached, problems


class Charges(BaseModel):
    """What a call is charged by, in US dollars as exact decimals: the highest that is listed for any hour."""

    promptUsd: str = Field(description="a token of the prompt", examples=["0.00000025"])
    completionUsd: str = Field(description="a token of the answer, reasoning included", examples=["0.000002"])
    requestUsd: str = Field(description="a request", examples=["0"])
    imageOutputUsd: str | None = Field(description="an image token; null where images count as answer")
    cacheUsd: str | None = Field(
        description="a token of the prompt that the provider caches unasked; null: none listed"
    )
    searchUsd: str | None = Field(description="a search; null for models that do not search unasked")
    pictureUsd: str | None = Field(description="a picture; null: none listed")


class PriceTier(Charges):
    """What a call with a long prompt is charged by."""

    abovePromptTokens: int = Field(description="it applies to longer prompts")


class Pricing(Charges):
    """The prices of short prompts, with those of longer ones."""

    tiers: list[PriceTier] = Field(description="shortest prompts first")
    listed: dict[str, str | None] = Field(
        description="every price by its key in the provider's list, also those that calls here are never charged by;"
        " null: it is no price"
    )


class ModelState(BaseModel):
    """A model's prices and capabilities."""

    pricing: Pricing | None = Field(description="null: unknown, which is never free")
    contextLength: int | None = Field(description="tokens, prompt and answer together")
    maxCompletionTokens: int | None
    inputModalities: list[str]
    outputModalities: list[str]
    supportedParameters: list[str]
    capabilities: list[str] = Field(description="badges, from what is listed about it and never from its name")
    notSellable: str | None = Field(description="why no call to it may be sold; null if one may")
    expiresOn: str | None = Field(description="the last day on which its provider promises to serve it (UTC)")
    aliasTarget: str | None = Field(description="the model that it stands for today")


class CatalogModel(ModelState):
    """A model of the catalog, whether or not prompts can be sold on it."""

    id: str
    name: str
    description: str
    provider: str
    modality: str = Field(description="text, image, video, audio, embedding, multimodal or other")
    sellsAs: list[str] = Field(description="what a prompt on it can be published as now: text, json, image")
    openWeights: bool = Field(description="its weights are published")
    knowledgeCutoff: str | None = Field(description="the last day that it knows of, as its provider says")
    reasonsAlways: bool | None = Field(description="it cannot answer without reasoning; null: unknown")
    tier: str = Field(description="by the dearest output per million tokens: free, budget (1), standard (5), premium")
    curated: bool = Field(description="recommended here")
    sellable: bool
    releasedAt: str | None
    missingSince: str | None = Field(description="the first sync that did not list it; it may return")
    successor: str | None = Field(description="the id under which a model that is missing goes on; null: none is known")


class PastModel(ModelState):
    """A model's state from this time on."""

    at: str
    listed: bool


class CatalogPage(BaseModel):
    """Models, and the address of the next page."""

    models: list[CatalogModel]
    next: str | None = Field(description="path and query of the next page; null at the end")


class CatalogEntry(CatalogModel):
    """One model with its history."""

    firstSeenAt: str
    changedAt: str
    successRate: str | None = Field(
        description="whole answers of the paid calls here in the last 30 days, without those that were declined; null"
        " for fewer than 20 calls",
        examples=["0.9731"],
    )
    history: list[PastModel] = Field(description="newest first, the last 100")


PAGE: Answers = cached(CatalogPage, "Models") | problems(400, 429, 503)
ENTRY: Answers = cached(CatalogEntry, "The model") | problems(404, 429, 503)
