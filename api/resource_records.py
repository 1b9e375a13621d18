"""Describe to OpenAPI how creators see their list of resources; names are spelled as on the wire."""

from typing import Literal

from pydantic import BaseModel, Field


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
