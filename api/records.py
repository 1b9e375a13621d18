"""What creators are shown of their calls and told about them, as models for OpenAPI; names as on the wire."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class NoticeAddress(BaseModel):
    """Where notices go. Its URL is not shown again."""

    id: str
    name: str
    scheme: str = Field(examples=["ntfys"])
    createdAt: str


class NewNoticeAddress(BaseModel):
    """An apprise URL, and what to call it."""

    url: str = Field(examples=["ntfys://ntfy.example.org/a-topic"])
    name: str = Field(default="", max_length=60)


class Delivery(BaseModel):
    """How far a notice came."""

    name: str
    state: Literal["waiting", "sending", "sent", "failed"]
    reason: str | None
    triedAt: str | None


class Notice(BaseModel):
    """Something you should know, and what to do about it."""

    id: str
    foundAt: str
    rule: str = Field(examples=["success_low"])
    slug: str | None
    title: str
    body: str
    sent: list[Delivery]


NEW_NOTICE_ADDRESS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": NewNoticeAddress.model_json_schema()}},
    }
}
