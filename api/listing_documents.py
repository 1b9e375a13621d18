"""Describe lists and manifests of what is for sale to OpenAPI."""

from typing import Literal

from pydantic import BaseModel, Field

from api.documents import Answers, cached, header, problems


class Listed(BaseModel):
    """A prompt that is for sale now."""

    url: str = Field(description="where it is bought: POST, with a payment")
    creator: str
    slug: str
    title: str
    description: str
    kind: Literal["text", "json", "image"] = Field(description="of the answer")
    model: str
    priceUsdc: str = Field(description="the fixed price of one call", examples=["0.01"])
    networks: list[str] = Field(description="where it can be paid now, CAIP-2")
    version: int
    offeredAt: str | None = Field(description="when this version was first on offer (UTC)")
    tags: list[str]
    icon: str | None = Field(description="https address of a picture")
    recentCalls: int = Field(description="paid calls that were answered in the last 30 days, counted every hour")
    inputs: dict[str, object] = Field(description="JSON Schema of the body to send")
    answer: dict[str, object] | None = Field(description="JSON Schema of every answer, where one is promised")


class ListPage(BaseModel):
    """Prompts for sale, and the address of the next page."""

    resources: list[Listed]
    next: str | None = Field(description="path and query of the next page; null at the end")


PAGE: Answers = cached(ListPage, "Prompts for sale") | problems(400, 429, 503)

_TAG = {"ETag": header("for `If-None-Match`")}
_KNOWN: Answers = {304: {"description": "The same as what you have", "headers": _TAG}}


def _whole(media_type: str, schema: dict[str, object]) -> Answers:
    told = {"description": "The document", "content": {media_type: {"schema": schema}}, "headers": _TAG}
    return {200: told} | _KNOWN | problems(400, 404, 429, 503)


MANIFEST: Answers = _whole("application/json", {"type": "object"})
TEXT: Answers = _whole("text/plain", {"type": "string"})
MARKDOWN: Answers = _whole("text/markdown", {"type": "string"})
SITEMAP: Answers = _whole("application/xml", {"type": "string"})
LINKS = 'application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"'
"""What an API catalog is (RFC 9727, 4)."""

CATALOG: Answers = _whole("application/linkset+json", {"type": "object"})
ICON: Answers = _whole("image/x-icon", {"type": "string", "contentEncoding": "binary"})
